import doctest
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keras_asm.synthetic
from keras_asm.faces import FaceCrops
from keras_asm.landmarks import get_scheme
from keras_asm.pose import rotation_from_pose
from keras_asm.synthetic._renderer.head_parameters import HeadParameters, sample_head_parameters
from keras_asm.synthetic._renderer.mesh import head_mesh
from keras_asm.synthetic._renderer.rasterizer import rasterize
from keras_asm.synthetic._renderer.scene import HEAD, build_scene, rotation_matrix
from keras_asm.synthetic.drawn_faces import synthetic_faces

SCHEME = get_scheme("300w")
FEATURES = slice(17, 68)  # the points that are fixed to the head, unlike those of the jaw


@pytest.fixture(scope="module")
def faces() -> FaceCrops:
    return synthetic_faces(250, seed=3, workers=1)


def _head(pose: tuple[float, float, float], **changes: object) -> HeadParameters:
    """A symmetric head without hair that stands out, in the given pose."""
    head = sample_head_parameters(np.random.default_rng(5))
    return replace(
        head,
        modes=np.zeros_like(head.modes),
        eye_open=np.ones(2),
        brow_uneven=0.0,
        hair="bald",
        glasses="none",
        beard_length=0.0,
        pose=np.array(pose),
        body_pose=np.zeros(3),
        **changes,  # type: ignore[arg-type]
    )


def _angles(turned: np.ndarray, frontal: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll between two sets of 3-D points, by Kabsch's method and the contract's matrix."""
    u, _, vt = np.linalg.svd((turned - turned.mean(0)).T @ (frontal - frontal.mean(0)))
    r = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    # R = Rx(pitch) Ry(yaw) Rz(roll) = [c_y c_r, c_y s_r, -s_y; ., ., s_p c_y; ., ., c_p c_y]
    return np.rad2deg([np.arcsin(-r[0, 2]), np.arctan2(r[1, 2], r[2, 2]), np.arctan2(r[0, 1], r[0, 0])])


def test_shapes_types_and_ranges(faces: FaceCrops) -> None:
    assert len(faces) == 250
    assert faces.scheme == "300w"
    assert faces.images.shape == (250, 96, 96, 3)
    assert faces.images.dtype == np.uint8
    assert faces.source_landmarks.shape == (250, 68, 2)
    assert faces.landmarks.dtype == np.float32
    assert faces.pose.shape == (250, 3)
    assert faces.pose.dtype == np.float32
    assert np.isfinite(faces.source_landmarks).all()
    assert (np.abs(faces.pose) <= (60, 25, 25)).all()
    assert faces.images.reshape(250, -1).std(axis=1).min() > 8  # no picture is blank


def test_the_crop_holds_the_face(faces: FaceCrops) -> None:
    inside = ((faces.source_landmarks > 0) & (faces.source_landmarks < 95)).all(axis=-1)
    assert inside.mean() > 0.999
    extent = np.ptp(faces.source_landmarks, axis=1).max(axis=1)
    assert extent.min() > 96 / 1.65
    assert extent.max() < 96 / 1.15


def test_poses_are_mostly_small_and_sometimes_large(faces: FaceCrops) -> None:
    np.testing.assert_allclose(faces.pose.std(axis=0), (17, 8.5, 8), rtol=0.25)
    np.testing.assert_allclose(faces.pose.mean(axis=0), 0, atol=4)
    assert np.abs(faces.pose[:, 0]).max() > 40


@pytest.mark.parametrize("workers", [1, 3])
def test_a_face_depends_on_seed_and_index_alone(faces: FaceCrops, workers: int) -> None:
    few = synthetic_faces(5, seed=3, workers=workers)
    for name in ("images", "landmarks", "pose"):
        np.testing.assert_array_equal(getattr(few, name), getattr(faces, name)[:5])


def test_a_process_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_asm.synthetic._renderer.worker._PROGRAM", "raise SystemExit('no NumPy here')")
    with pytest.raises(RuntimeError, match="workers=1 draws without it.*exit status 1, 'no NumPy here"):
        synthetic_faces(2, workers=2, image_size=16)


def test_a_worker_imports_no_backend() -> None:
    program = (
        "import sys\n"
        "sys.path.append(sys.argv[1])\n"
        "import _renderer.worker\n"
        "assert not {'keras', 'keras_asm', 'scipy', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(Path(keras_asm.synthetic.__file__).parent)], check=True
    )


def test_seeds_differ(faces: FaceCrops) -> None:
    other = synthetic_faces(5, seed=4)
    assert (other.pose != faces.pose[:5]).all()
    assert np.abs(other.images.astype(int) - faces.images[:5]).mean() > 10
    assert len(np.unique(faces.pose[:, 0])) == 250


def test_a_larger_picture_shows_the_same_face(faces: FaceCrops) -> None:
    large = synthetic_faces(4, seed=3, image_size=192)
    np.testing.assert_array_equal(large.pose, faces.pose[:4])
    np.testing.assert_allclose(
        (large.source_landmarks + 0.5) / 2, faces.source_landmarks[:4] + 0.5, atol=1e-3
    )
    shrunk = large.images.reshape(4, 96, 2, 96, 2, 3).mean(axis=(2, 4))
    for k in range(4):
        assert np.corrcoef(shrunk[k].ravel(), faces.images[k].ravel())[0, 1] > 0.97


@pytest.mark.parametrize(
    "pose", [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, -15), (-50, 20, 12), (60, -25, 25)]
)
def test_pose_is_the_rotation_between_the_drawn_points(pose: tuple[float, float, float]) -> None:
    frontal, turned = build_scene(_head((0, 0, 0))), build_scene(_head(pose))
    found = _angles(turned.landmarks[FEATURES], frontal.landmarks[FEATURES])
    np.testing.assert_allclose(found, pose, atol=1e-3)


def test_pose_signs_in_the_picture(faces: FaceCrops) -> None:
    left, right = (faces.source_landmarks[:, k] for k in SCHEME.eye_corners)
    across = right - left
    width = np.hypot(*across.T)
    roll = np.rad2deg(np.arctan2(across[:, 1], across[:, 0]))
    small = np.abs(faces.pose[:, 0]) < 20  # with a large yaw, pitch tilts the line of the eyes too
    assert np.corrcoef(roll[small], faces.pose[small, 2])[0, 1] > 0.95
    # Along and across the line of the eyes, from its middle to the nose's tip.
    tip = faces.source_landmarks[:, 30] - 0.5 * (left + right)
    sideways = np.einsum("nk,nk->n", tip, across) / width**2
    assert np.corrcoef(sideways, faces.pose[:, 0])[0, 1] < -0.91
    # Looking up, the nose's tip rises toward the eyes.
    down = (across[:, 0] * tip[:, 1] - across[:, 1] * tip[:, 0]) / width**2
    assert np.corrcoef(down[small], faces.pose[small, 1])[0, 1] < -0.7


@pytest.mark.parametrize("roll", [-20.0, 5.0, 25.0])
def test_roll_alone_is_the_angle_of_the_eyes(roll: float) -> None:
    landmarks = build_scene(_head((0, 0, roll))).landmarks
    across = landmarks[45] - landmarks[36]
    assert np.rad2deg(np.arctan2(-across[1], across[0])) == pytest.approx(roll, abs=1e-3)  # y is up here


def test_a_mirrored_pose_is_a_mirrored_face() -> None:
    turned = build_scene(_head((25, 10, -8))).landmarks
    mirrored = build_scene(_head((-25, 10, 8))).landmarks
    np.testing.assert_allclose(mirrored[SCHEME.flip_permutation] * (-1, 1, 1), turned, atol=1e-3)


def test_landmarks_lie_on_the_drawn_surface() -> None:
    scene = build_scene(_head((0, 0, 0)))
    size = 400
    points = scene.positions[:, :2] * (1.4, -1.4) + size / 2
    pixel, triangle, weights = rasterize(points, scene.positions[:, 2], scene.triangles, size)
    nearness = np.full(size * size, np.nan)
    nearness[pixel] = (scene.positions[scene.triangles[triangle], 2] * weights.T).sum(axis=1)
    x, y = np.rint(scene.landmarks[FEATURES, :2] * (1.4, -1.4) + size / 2).astype(int).T
    # Half a pixel is 0.4 mm; the nose's underside is steep.
    np.testing.assert_allclose(nearness[y * size + x], scene.landmarks[FEATURES, 2], atol=2.0)


@pytest.mark.parametrize("yaw", [20.0, 35.0, -35.0])  # beyond, nose and lips are the outline
def test_the_far_side_of_the_jaw_is_the_silhouette(yaw: float) -> None:
    scene = build_scene(_head((yaw, 0, 0)))
    size = 400
    points = scene.positions[:, :2] * (1.4, -1.4) + size / 2
    head = scene.triangles[scene.materials == HEAD]
    pixel, _, _ = rasterize(points, scene.positions[:, 2], head, size)
    drawn = np.zeros((size, size), bool)
    drawn.ravel()[pixel] = True
    # yaw > 0 turns the image's left side away.
    for k in range(1, 4) if yaw > 0 else range(13, 16):
        x, y = scene.landmarks[k, :2] * (1.4, -1.4) + size / 2
        edge = np.flatnonzero(drawn[round(y)])
        silhouette = edge[0] if yaw > 0 else edge[-1]
        assert x == pytest.approx(
            silhouette, abs=6.0
        )  # 4 mm: cheeks have relief that the level curves leave out


def test_near_jaw_points_slide_down_the_jaw() -> None:
    frontal, turned = (build_scene(_head((yaw, 0, 0))).landmarks for yaw in (0, 40))
    back = turned[9:] @ rotation_matrix(np.array((40.0, 0.0, 0.0)))
    fall = frontal[9:, 1] - back[:, 1]
    # At most 13 mm times the sine of the yaw, most where the jaw turns up; the features stay.
    np.testing.assert_allclose(fall[8:], 0, atol=1e-3)
    assert 4 < fall[:7].max() < 13 * np.sin(np.deg2rad(40)) + 0.5
    assert fall[:7].argmax() in (2, 3, 4)
    np.testing.assert_allclose(back[:8, 0], frontal[9:17, 0], atol=5)


def test_eyes_and_lips_are_drawn_at_their_landmarks(faces: FaceCrops) -> None:
    def mean_at(points: np.ndarray) -> np.ndarray:
        x, y = np.rint(points).astype(int).T
        return faces.images[np.arange(len(faces)), y, x].astype(float)

    points = faces.source_landmarks
    cheek = mean_at(0.5 * (points[:, 41] + points[:, 31]))
    eye = mean_at(points[:, 36:42].mean(axis=1))
    assert np.median(eye.mean(axis=1) - cheek.mean(axis=1)) < -15
    lip = mean_at(0.5 * (points[:, 57] + points[:, 66]))
    redness = [np.log1p(color[:, 0]) - np.log1p(color[:, 1]) for color in (lip, cheek)]
    assert np.median(redness[0] - redness[1]) > 0.1


def test_open_mouths_and_closed_eyes_occur(faces: FaceCrops) -> None:
    points = faces.source_landmarks
    eyes = np.hypot(*(points[:, 36] - points[:, 45]).T)
    gap = np.hypot(*(points[:, 62] - points[:, 66]).T) / eyes
    assert gap.min() < 0.01
    assert gap.max() > 0.2
    opening = np.hypot(*(points[:, 37] - points[:, 41]).T) / eyes
    assert opening.min() < 0.02
    assert opening.max() > 0.1


def _aligned(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Generalised Procrustes with complex numbers: mean and aligned shapes, `(n, 68)` complex."""
    z = shapes[..., 0] + 1j * shapes[..., 1]
    z = z - z.mean(axis=1, keepdims=True)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    mean = z[0]
    for _ in range(5):
        z *= np.exp(1j * np.angle(z.conj() @ mean))[:, None]
        mean = z.mean(axis=0)
        mean /= np.linalg.norm(mean)
    return mean, z


def _spectrum(flat: np.ndarray) -> np.ndarray:
    values = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False) ** 2
    return np.cumsum(values / values.sum())


@pytest.mark.real_data
def test_shapes_resemble_those_of_300w(data_root: Path, faces: FaceCrops) -> None:
    real_mean, real = _aligned(np.load(data_root / "shapes" / "300w_68.npz")["train"].astype(float))
    mean, drawn = _aligned(faces.source_landmarks.astype(float))
    fitted = mean * (mean.conj() @ real_mean)
    error = np.abs(fitted - real_mean).mean() / np.abs(real_mean[45] - real_mean[36])
    assert error < 0.03

    components = [
        int(np.searchsorted(_spectrum(np.concatenate([z.real, z.imag], axis=1)), 0.9)) + 1
        for z in (real, drawn)
    ]
    assert components[0] == 10
    assert 4 <= components[1] <= 10
    for group in SCHEME.groups.values():
        spread, real_spread = (
            (np.abs(z - m)[:, group] ** 2).mean() ** 0.5 for z, m in ((drawn, mean), (real, real_mean))
        )
        assert 0.7 < spread / real_spread < 1.5


@pytest.mark.parametrize(
    "arguments",
    [
        {"n": 0},
        {"n": 2.0},
        {"n": True},
        {"n": "3"},
        {"n": 1, "seed": -1},
        {"n": 1, "seed": None},
        {"n": 1, "image_size": 15},
        {"n": 1, "image_size": 96.5},
        {"n": 1, "workers": 0},
    ],
)
def test_bad_input(arguments: dict[str, object]) -> None:
    name = list(arguments)[-1]
    with pytest.raises(ValueError, match=rf"`{name}` must be an integer of at least \d+\. Received: {name}="):
        synthetic_faces(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [16, 33])
def test_small_and_odd_sizes(size: int) -> None:
    assert synthetic_faces(np.int64(2), image_size=size).images.shape == (2, size, size, 3)


def test_the_mesh_is_symmetric() -> None:
    mesh = head_mesh()
    np.testing.assert_allclose(mesh.vertices[:, ::-1] * (-1, 1, 1), mesh.vertices, atol=1e-4)


def test_the_renderer_turns_heads_as_the_package_does(rng: np.random.Generator) -> None:
    for pose in rng.uniform(-180, 180, (20, 3)):
        np.testing.assert_allclose(rotation_matrix(pose), rotation_from_pose(pose), atol=1e-15)


def test_docstring_example() -> None:
    result = doctest.testmod(sys.modules["keras_asm.synthetic.drawn_faces"])
    assert result.attempted > 0
    assert result.failed == 0
