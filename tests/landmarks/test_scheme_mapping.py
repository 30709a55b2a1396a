import numpy as np
import pytest

from keras_asm.datasets import load_wflw
from keras_asm.landmarks import (
    SCHEMES,
    LandmarkScheme,
    get_scheme,
    map_landmarks,
    mapping_matrix,
    normalizing_distance,
)
from keras_asm.shape_models.procrustes import align_to, procrustes_mean


def test_weights_are_means_that_mirror():
    weights = mapping_matrix("wflw", "300w")
    assert weights.shape == (68, 98)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-15)
    source, target = get_scheme("wflw").flip_permutation, get_scheme("300w").flip_permutation
    np.testing.assert_array_equal(weights[target][:, source], weights)


def test_landmarks_stay_within_their_part():
    weights = mapping_matrix(98, 68)
    for name, members in get_scheme("300w").groups.items():
        for i in members:
            assert set(np.flatnonzero(weights[i])) <= set(get_scheme("wflw").groups[name])
    # What both schemes have: eye corners, chin, tip of the nose, mouth corners
    for i, j in {36: 60, 45: 72, 39: 64, 42: 68, 8: 16, 30: 54, 33: 57, 48: 76, 54: 82, 51: 79}.items():
        assert weights[i, j] == 1


def test_shapes_and_types(rng):
    face = rng.normal(size=(98, 2)).astype(np.float32)
    mapped = map_landmarks(face, "wflw", "300w")
    assert (mapped.shape, mapped.dtype) == ((68, 2), np.float32)
    np.testing.assert_allclose(mapped[19], face[35])
    np.testing.assert_allclose(mapped[21], (face[37] + face[38]) / 2, rtol=1e-6)
    np.testing.assert_allclose(mapped[40], (2 * face[65] + face[66]) / 3, rtol=1e-5)
    np.testing.assert_array_equal(map_landmarks(np.stack([face, face]).reshape(2, -1), 98, 68)[1], mapped)
    np.testing.assert_array_equal(map_landmarks(face, "wflw", "wflw"), face)
    with pytest.raises(ValueError, match="read-only"):
        mapping_matrix("wflw", "300w")[0] = 0


def test_unknown_pairs_are_refused_by_name():
    for source, target in (("300w", "wflw"), ("cofw", "300w"), ("106", "wflw")):
        with pytest.raises(ValueError, match=rf"from 'wflw' to '300w'.*Received: '{source}' to '{target}'"):
            map_landmarks(np.zeros((SCHEMES[source].n_landmarks, 2)), source, target)
    impostor = LandmarkScheme("wflw", 98)  # the name alone does not make it WFLW's
    with pytest.raises(ValueError, match="Received: 'wflw' to '300w'"):
        mapping_matrix(impostor, "300w")
    with pytest.raises(ValueError, match="Received: shape"):
        map_landmarks(np.zeros((68, 2)), "wflw", "300w")


def _distance(shapes: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Of the mean shapes' landmarks, in % of the distance of the outer eye corners."""
    aligned, _ = align_to(procrustes_mean(shapes)[None], reference)
    scale = normalizing_distance(reference, "300w")
    return 100 * np.linalg.norm(aligned[0] - reference, axis=-1) / scale


@pytest.mark.real_data
def test_mean_shape_of_wflw_comes_close_to_that_of_300w(data_root):
    with np.load(data_root / "shapes/300w_68.npz") as shapes:
        reference = procrustes_mean(shapes["train"].astype(np.float64))
    with np.load(data_root / "shapes/wflw_98_test_subsets.npz") as shapes:
        wflw = shapes["landmarks"].astype(np.float64)
    groups = {name: list(indices) for name, indices in get_scheme("300w").groups.items()}
    distance = _distance(map_landmarks(wflw, "wflw", "300w"), reference)
    found = {name: distance[indices].mean() for name, indices in groups.items()}
    # Measured 2.86, 5.01, 5.00, 1.32, 2.11, 1.97 and 3.37
    bounds = {"jaw": 2.95, "right_eyebrow": 5.1, "left_eyebrow": 5.1, "nose": 1.4, "right_eye": 2.2}
    bounds |= {"left_eye": 2.1, "mouth": 3.45}
    for name, bound in bounds.items():
        assert found[name] < bound, found
    assert distance.mean() < 3.05

    # The rules that were not taken are worse where they differ
    both_edges = mapping_matrix("wflw", "300w").copy()
    both_edges[17:27] = 0
    for i in range(5):
        for row, upper in ((17 + i, 33 + i), (26 - i, 46 - i)):
            lower = {33: 33, 46: 46}.get(upper, 42 - i if row < 22 else 46 + i)
            both_edges[row, upper] += 0.5
            both_edges[row, lower] += 0.5
    quarters = mapping_matrix("wflw", "300w").copy()
    quarters[36:48] = 0
    for row, column in zip(range(36, 48), (60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75), strict=True):
        quarters[row, column] = 1
    brows, eyes = slice(17, 27), slice(36, 48)
    assert _distance(both_edges @ wflw, reference)[brows].mean() > distance[brows].mean() + 0.4
    assert _distance(quarters @ wflw, reference)[eyes].mean() > distance[eyes].mean() + 0.5


@pytest.mark.real_data
def test_faces_seen_from_the_front_come_closer(data_root):
    """Those whose tip of the nose is about as far from either end of the jaw."""

    def frontal(shapes, nose, right, left):
        first, second = (np.linalg.norm(shapes[:, nose] - shapes[:, end], axis=1) for end in (right, left))
        return shapes[np.abs(first - second) < 0.12 * (first + second)]

    with np.load(data_root / "shapes/300w_68.npz") as shapes:
        ours = frontal(shapes["train"].astype(np.float64), 30, 0, 16)
    with np.load(data_root / "shapes/wflw_98_test_subsets.npz") as shapes:
        theirs = frontal(shapes["landmarks"].astype(np.float64), 54, 0, 32)
    assert (len(theirs), len(ours)) == (565, 1134)
    distance = _distance(map_landmarks(theirs, "wflw", "300w"), procrustes_mean(ours))
    # Measured 2.43 of all, 3.49 of the eyebrows and 0.75 of the eyes
    assert distance.mean() < 2.5
    assert distance[17:27].mean() < 3.55
    assert distance[36:48].mean() < 0.8


@pytest.mark.real_data
def test_real_faces(data_root):
    faces = load_wflw(data_root / "wflw_sample", "test", allow_partial=True)
    mapped = faces.to_scheme("300w")
    scale = normalizing_distance(faces.landmarks, "wflw")
    np.testing.assert_allclose(normalizing_distance(mapped.landmarks, "300w"), scale)
    # The middles of the eyes' outlines are the same to 2 % of their distance
    ours, theirs = get_scheme("300w"), get_scheme("wflw")
    for part in ("right_eye", "left_eye"):
        first = mapped.landmarks[:, list(ours.groups[part])].mean(axis=1)
        second = faces.landmarks[:, list(theirs.groups[part])].mean(axis=1)
        assert (np.linalg.norm(first - second, axis=1) < 0.02 * scale).all()
