import numpy as np
import pytest
from scipy.io import savemat

from keras_asm.datasets import DatasetError, load_aflw2000_3d


def write(root, i: int, *, image: bool = True, **changes) -> None:
    rng = np.random.default_rng(i)
    values = {
        "Pose_Para": np.float32([[0.1, 0.2, -0.3, 300, 200, -40, 1e-3]]),
        "pt3d_68": np.float32(rng.uniform(100, 350, size=(3, 68))),
        "pt2d": rng.uniform(100, 350, size=(2, 21)),
        "roi": np.int16([[336, -15, 450, 99]]),
        **changes,
    }
    savemat(root / f"image{i:05d}.mat", {name: value for name, value in values.items() if value is not None})
    if image:
        (root / f"image{i:05d}.jpg").touch()


def test_reads_what_the_format_says(tmp_path):
    pt2d = np.full((2, 21), 200.0)
    pt2d[:, [0, 20]] = [[-1, -1], [452, 452]]  # a hidden brow end and chin
    write(tmp_path, 2, pt2d=pt2d)
    write(tmp_path, 4, Pose_Para=np.float32([[0, -1.8, 0, 0, 0, 0, 1]]), pt2d=np.full((2, 23), -1.0))
    (tmp_path / "Code").mkdir()
    faces = load_aflw2000_3d(tmp_path, allow_partial=True)
    assert faces.names == ("image00002", "image00004")
    np.testing.assert_allclose(faces.pose[0], np.degrees([0.2, 0.1, -0.3]), rtol=1e-6)
    np.testing.assert_array_equal(faces.subsets["within_99"], [True, False])  # 1.8 radians are 103 degrees
    assert {name: mask.tolist() for name, mask in faces.subsets.items() if name != "within_99"} == {
        "yaw_0_30": [True, False],
        "yaw_30_60": [False, False],
        "yaw_60_90": [False, False],  # not the second either, which is not within 99 degrees
        "within_30": [True, False],
    }
    first = np.float32(np.random.default_rng(2).uniform(100, 350, size=(3, 68)))
    np.testing.assert_array_equal(faces.landmarks[0], first[:2].T.astype(float) - 1)
    np.testing.assert_array_equal(np.flatnonzero(~faces.visibility[0]), [8, 17])
    assert faces.visibility[1].all()
    assert faces.notes == (
        "partial copy: 2 of 2000 faces",
        "of 1 faces it is not known which landmarks are hidden",
    )


def test_points_without_a_position(tmp_path):
    points = np.random.default_rng(2).uniform(100, 350, size=(3, 68))
    points[:2, 9], points[0, 11] = -1, -1
    write(tmp_path, 2, pt3d_68=points)
    faces = load_aflw2000_3d(tmp_path, allow_partial=True)
    assert np.argwhere(~faces.has_position).tolist() == [[0, 9]]
    assert faces.visibility.all()


def test_partial_copy_only_when_asked_for(tmp_path):
    with pytest.raises(DatasetError, match="0 of 2000 faces$"):
        load_aflw2000_3d(tmp_path, allow_partial=True)
    write(tmp_path, 2)
    with pytest.raises(DatasetError, match="1 of 2000 faces. Pass allow_partial=True"):
        load_aflw2000_3d(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image": False}, r"expected image00002\.jpg"),
        ({"pt3d_68": None}, r"expected pt3d_68 of shape \(3, 68\). Received: no such variable"),
        ({"pt3d_68": np.zeros((2, 68))}, r"Received: float64 of shape \(2, 68\)"),
        ({"pt3d_68": np.full((3, 68), np.nan)}, "pt3d_68 to be finite"),
        ({"pt3d_68": "text"}, "expected pt3d_68 of shape"),
        ({"Pose_Para": np.zeros((7, 1))}, r"Pose_Para of shape \(1, 7\)"),
        ({"Pose_Para": np.full((1, 7), 70.0)}, "in radians"),
        ({"pt2d": np.zeros((2, 0))}, r"expected pt2d of shape \(2, any\)"),
    ],
)
def test_names_the_file(tmp_path, changes, reason):
    write(tmp_path, 2, **changes)
    with pytest.raises(DatasetError, match=reason) as caught:
        load_aflw2000_3d(tmp_path, allow_partial=True)
    assert caught.value.path == str(tmp_path / "image00002.mat")


def test_damaged_file(tmp_path):
    write(tmp_path, 2)
    path = tmp_path / "image00002.mat"
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DatasetError, match=r"image00002\.mat: (not a readable MATLAB 5 file|expected)"):
        load_aflw2000_3d(tmp_path, allow_partial=True)


def test_reannotated_landmarks(tmp_path, rng):
    for i in (2, 4):
        write(tmp_path, i)
    points = rng.uniform(size=(3, 68, 2)).astype(np.float32)
    path = tmp_path / "reannotated_2d_68.npz"
    np.savez(path, names=np.array(["image00004", "image00006", "image00002"]), landmarks=points)
    faces = load_aflw2000_3d(tmp_path, reannotated=True, allow_partial=True)
    np.testing.assert_array_equal(faces.landmarks, points[[2, 0]])
    write(tmp_path, 8)
    with pytest.raises(
        DatasetError, match=r"68\.npz: expected landmarks of all faces. Received: none of 1, the first image0"
    ):
        load_aflw2000_3d(tmp_path, reannotated=path, allow_partial=True)
    np.savez(path, names=np.array(["a"], dtype=object), landmarks=points)
    with pytest.raises(DatasetError, match=r"68\.npz: expected an \.npz .*allow_pickle=False"):
        load_aflw2000_3d(tmp_path, reannotated=path, allow_partial=True)
    with pytest.raises(DatasetError, match=r"none\.npz: there is no such file"):
        load_aflw2000_3d(tmp_path, reannotated=tmp_path / "none.npz", allow_partial=True)


@pytest.mark.real_data
def test_real_copy(data_root):
    with pytest.raises(DatasetError, match="1400 of 2000"):
        load_aflw2000_3d(data_root / "AFLW2000")
    faces = load_aflw2000_3d(data_root / "AFLW2000", allow_partial=True)
    other = load_aflw2000_3d(data_root / "AFLW2000", reannotated=True, allow_partial=True)
    # Printed once from the .mat files, as are the guide's
    assert (len(faces), *(mask.sum() for mask in faces.subsets.values())) == (1400, 1378, 918, 266, 194, 840)
    # image00004, printed from its .mat: Pose_Para 0.47006503, 1.1895334, 0.30095881; pt3d_68 281.23816, 265.07935.
    np.testing.assert_allclose(faces.pose[0], np.degrees([1.1895334, 0.47006503, 0.30095881]), rtol=1e-6)
    np.testing.assert_allclose(faces.landmarks[0, 0], [280.23816, 264.07935], rtol=1e-6)
    # Its first three annotations (the brow on the image's left) are -1, the fourth is not.
    np.testing.assert_array_equal(faces.visibility[0, [17, 19, 21, 22]], [False, False, False, True])
    # Two sets of landmarks made apart agree in the middle: neither is off by one.
    frontal = (np.abs(faces.pose) < 15).all(axis=1)
    shift = (other.landmarks - faces.landmarks)[frontal, 17:].mean(axis=(0, 1))
    assert abs(shift[0]) < 0.3


@pytest.mark.real_data
def test_real_landmarks_are_1_based(data_root):
    """The files' own 3-D model, refitted: the projection is mirrored as height + 1 - y, as 1-based images are."""
    from scipy.io import loadmat

    sides, shifts = [], []
    rows = []
    for path in sorted((data_root / "AFLW2000").glob("*.mat"))[:600]:
        values = loadmat(path)
        para = values["Pose_Para"][0].astype(float)
        (cp, cy, cr), (sp, sy, sr) = np.cos(para[:3]), np.sin(para[:3])
        rotation = (
            np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
            @ np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
            @ np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        )
        tip = values["pt3d_68"][:, 30].astype(float)
        projected = np.array([tip[0], 450 - tip[1], tip[2]])
        rows.append([1, *values["Shape_Para"][:, 0] / 1e6, *values["Exp_Para"][:, 0]])
        sides.append(rotation.T @ (projected - para[3:6]) / para[6])
        shifts.append(rotation.T / para[6])
    # A vertex is linear in the model's parameters; what is left over is a shift of the image's origin.
    basis, _ = np.linalg.qr(np.array(rows))
    left = np.array(sides) - basis @ (basis.T @ np.array(sides))
    moved = np.array(shifts)
    moved -= np.einsum("ik,jk,jab->iab", basis, basis, moved)
    shift = np.linalg.lstsq(moved.reshape(-1, 3), left.reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(shift, [0, -1, 0], atol=1e-4)
