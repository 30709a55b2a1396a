import numpy as np
import pytest

from keras_asm.datasets import load_300w
from keras_asm.faces import CropTransform, FaceCrops, augment_shapes, crop_faces
from keras_asm.faces import shape_augmentation as module
from keras_asm.shape_models import ActiveShapeModel
from keras_asm.synthetic import synthetic_faces


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(120, seed=3, image_size=64)


@pytest.fixture(scope="module")
def asm(faces):
    return ActiveShapeModel(n_components=12).fit(faces.landmarks)


def test_strength_zero_changes_nothing(faces, asm):
    same = augment_shapes(faces, asm, 0.0)
    np.testing.assert_array_equal(same.images, faces.images)
    np.testing.assert_allclose(same.landmarks, faces.landmarks, atol=1e-6)
    np.testing.assert_array_equal(same.pose, faces.pose)


def test_pixels_follow_their_landmarks(faces, asm):
    """A white spot at a landmark lies at the landmark of the new face, to 0.3 px."""
    size, n = 768, 12
    y, x = np.mgrid[:size, :size]
    # A small spot: of a large one, the side that is stretched more would pull the centroid. (The largest error here
    # falls from 0.45 px at 192 px through 0.34 at 384 to 0.22 at 768.)
    sigma = 1.0
    transform = CropTransform(np.zeros((n, 2)), np.ones(n), size)
    for landmark in (8, 30, 36, 48):
        pixels = (faces.landmarks[:n, landmark].astype(float) + 0.5) * size - 0.5
        spots = np.exp(-((x - pixels[:, :1, None]) ** 2 + (y - pixels[:, 1:, None]) ** 2) / (2 * sigma**2))
        images = np.repeat(np.round(255 * spots).astype(np.uint8)[..., None], 3, axis=3)
        moved = augment_shapes(FaceCrops(images, faces.landmarks[:n], transform), asm, 0.5, seed=landmark)
        weight = moved.images[..., 0].astype(float)
        total = weight.sum(axis=(1, 2))
        centroid = np.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], axis=1) / total[:, None]
        expected = (moved.landmarks[:, landmark] + 0.5) * size - 0.5
        off = np.linalg.norm(centroid - expected, axis=1)
        assert off.max() < 0.3
        assert np.median(off) < 0.1
        assert np.linalg.norm(expected - pixels, axis=1).max() > 3


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_landmarks_show_what_they_showed(faces, asm, strength):
    """In a picture whose colour is the place, 4 levels a pixel, each landmark keeps its colour."""
    levels = (np.arange(64) * 4).astype(np.uint8)
    picture = np.zeros((len(faces), 64, 64, 3), np.uint8)
    picture[..., 0], picture[..., 1] = levels, levels[:, None]
    before = FaceCrops(picture, faces.landmarks, faces.transform)
    after = augment_shapes(before, asm, strength)
    places = (after.landmarks.astype(float) + 0.5) * 64 - 0.5
    old = (before.landmarks.astype(float) + 0.5) * 64 - 0.5
    # Beyond its border an image is its nearest pixel, and no ramp.
    inside = ((places > 2) & (places < 61) & (old > 2) & (old < 61)).all(axis=-1)
    assert inside.mean() > 0.9
    cell = np.floor(places).astype(int).clip(0, 62)
    part = (places - cell)[..., None]
    i, x, y = np.arange(len(faces))[:, None], cell[..., 0], cell[..., 1]
    upper = after.images[i, y, x] * (1 - part[:, :, 0]) + after.images[i, y, x + 1] * part[:, :, 0]
    lower = after.images[i, y + 1, x] * (1 - part[:, :, 0]) + after.images[i, y + 1, x + 1] * part[:, :, 0]
    color = upper * (1 - part[:, :, 1]) + lower * part[:, :, 1]
    off = np.abs(color[..., :2] / 4 - old)[inside]
    # Where a part is squeezed to a third, pixels are too coarse to read its colours between them.
    assert np.quantile(off, 0.999) < 0.3
    assert off.max() < 1
    assert np.linalg.norm(places - old, axis=-1).max() > 3


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_the_new_shapes(faces, align):
    """What the plate is asked for lies within the limits, and the residual is kept."""
    asm = ActiveShapeModel(n_components=12, align=align, limit=1.5).fit(faces.landmarks)
    asked = {}

    def remember(old, step, real=module._field):
        asked[old.tobytes()] = old + step
        return real(old, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_field", remember)
        moved = augment_shapes(faces, asm, 1.0, keep_pose=False, seed=1)
    old = faces.landmarks.astype(np.float64)
    new = np.stack([asked[shape.tobytes()] for shape in old])
    b, b_new = asm.transform(old), asm.transform(new)
    deviations = np.sqrt(asm.explained_variance_)
    if align is None:
        assert (np.abs(b_new) <= np.maximum(1.5 * deviations, np.abs(b)) + 1e-9).all()
        assert 0.5 < np.std((b_new - b) / deviations) < 1.0
        residual = [shapes - asm.inverse_transform(c) for shapes, c in ((old, b), (new, b_new))]
        np.testing.assert_allclose(*residual, atol=1e-9)
    # A fraction of a pixel of 64.
    assert np.median(np.abs(moved.landmarks - new)) * 64 < 0.1
    assert np.quantile(np.abs(moved.landmarks - old), 0.9) * 64 > 1


def test_no_folds(faces, asm, monkeypatch):
    """At any strength, the area of the smallest part is bounded."""
    fields = []
    monkeypatch.setattr(
        module, "_warp", lambda image, field, real=module._warp: fields.append(field) or real(image, field)
    )
    augment_shapes(faces, asm, 6.0, keep_pose=False)
    assert min(module._areas(field).min() for field in fields) >= module._SMALLEST_AREA
    assert max(np.abs(field).max() for field in fields) > 0.05


def test_seeds(faces, asm):
    first, again = (augment_shapes(faces, asm, 0.5, seed=2) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    other = augment_shapes(faces, asm, 0.5, seed=3)
    assert (np.abs(first.landmarks - other.landmarks).max(axis=(1, 2)) > 1e-3).all()


def test_poses_are_kept_only_where_the_shape_does_not_turn(faces, asm):
    deviations = np.sqrt(asm.explained_variance_)

    def turned(keep_pose):
        """Change of the pose that a regression of these faces sees, root mean square per angle."""
        moved = augment_shapes(faces, asm, 0.5, keep_pose=keep_pose)
        before, after = (asm.transform(f.landmarks.astype(float)) / deviations for f in (faces, moved))
        design = np.concatenate([before, np.ones((len(faces), 1))], axis=1)
        slopes = np.linalg.lstsq(design, faces.pose.astype(float), rcond=None)[0][:-1]
        return moved, np.sqrt((((after - before) @ slopes) ** 2).mean(axis=0))

    kept, small = turned(True)
    dropped, large = turned(False)
    np.testing.assert_array_equal(kept.pose, faces.pose)
    assert dropped.pose is None
    assert (small < 0.35 * large).all()
    assert (small < 1.5).all()
    assert large[0] > 3


def test_faces_without_a_pose(faces, asm):
    plain = FaceCrops(faces.images, faces.landmarks, faces.transform)
    assert augment_shapes(plain.select(slice(0, 3)), asm).pose is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": -0.1}, "strength"),
        ({"strength": np.nan}, "strength"),
        ({"shape_model": "pca"}, "shape_model must be"),
        ({"n": 10}, "10 faces with a pose"),
    ],
)
def test_bad_input(faces, asm, change, message):
    arguments = {"faces": faces, "shape_model": asm, "strength": 0.5, **change}
    arguments["faces"] = faces.select(slice(0, arguments.pop("n", None)))
    with pytest.raises(ValueError, match=message):
        augment_shapes(**arguments)


def test_models_that_do_not_fit(faces):
    few = ActiveShapeModel(n_components=3).fit(faces.landmarks)
    with pytest.raises(ValueError, match="3 components"):
        augment_shapes(faces, few)
    other = ActiveShapeModel(n_components=3).fit(faces.landmarks[:, :30])
    with pytest.raises(ValueError, match="30 landmarks"):
        augment_shapes(faces, other)


def test_landmarks_beyond_the_crop(faces, asm):
    transform = CropTransform(faces.transform.center, faces.transform.side / 2, 64)
    near = FaceCrops(faces.images, faces.landmarks * 2, transform)
    wide = ActiveShapeModel(n_components=12).fit(near.landmarks)
    moved = augment_shapes(near, wide, 0.5)
    assert np.isfinite(moved.landmarks).all()
    assert np.abs(moved.landmarks - near.landmarks).max() > 0.02


@pytest.mark.real_data
def test_real_faces(data_root):
    faces = crop_faces(load_300w(data_root / "300w", "common", pose=True), 64, verbose=0)
    asm = ActiveShapeModel(n_components=0.98).fit(faces.landmarks)
    moved = augment_shapes(faces.select(slice(0, 200)), asm, 0.5)
    distance = np.linalg.norm(moved.landmarks - faces.landmarks[:200], axis=-1) * 64
    assert 0.4 < distance.mean() < 1.5


def test_landmarks_without_a_position_stay_without(faces, asm):
    landmarks = np.array(faces.landmarks[:6])
    landmarks[:, 30:34] = np.nan
    partial = FaceCrops(faces.images[:6], landmarks, faces.transform.select(slice(6)))
    moved = augment_shapes(partial, asm, 0.5)
    np.testing.assert_array_equal(np.isnan(moved.landmarks), np.isnan(landmarks))
    whole = augment_shapes(faces.select(slice(6)), asm, 0.5, keep_pose=False)
    there = ~np.isnan(landmarks)
    assert np.abs(moved.landmarks - whole.landmarks)[there].mean() < 0.005
