import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from keras_asm.landmarks import SCHEMES, LandmarkScheme, as_points, get_scheme

ALL = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=lambda s: s.name)


@ALL
def test_flip_is_an_involution_that_keeps_the_scheme(scheme):
    flip = scheme.flip_permutation
    np.testing.assert_array_equal(flip[flip], np.arange(scheme.n_landmarks))
    i, j = scheme.eye_corners
    assert flip[i] == j
    assert sorted(flip[list(scheme.pupils[0])]) == sorted(scheme.pupils[1])


@ALL
def test_groups_are_a_partition_that_mirrors_to_itself(scheme):
    members = sorted(i for group in scheme.groups.values() for i in group)
    assert members == list(range(scheme.n_landmarks))
    for name, group in scheme.groups.items():
        other = name.replace("right", "L").replace("left", "right").replace("L", "left")
        assert sorted(scheme.flip_permutation[list(group)]) == sorted(scheme.groups[other])


@ALL
def test_drawing_mirrors_to_itself(scheme):
    def edges(flip):
        joined = set()
        for indices, closed in scheme.lines:
            ends = zip(indices, (*indices[1:], indices[0]) if closed else indices[1:], strict=False)
            joined |= {frozenset((int(flip[i]), int(flip[j]))) for i, j in ends}
        return joined

    assert edges(np.arange(scheme.n_landmarks)) == edges(scheme.flip_permutation)


@pytest.mark.parametrize(
    ("name", "n_landmarks", "eye_corners", "n_on_the_axis"),
    [
        ("300w", 68, (36, 45), 10),
        ("wflw", 98, (60, 72), 10),
        ("cofw", 29, (8, 9), 7),
        ("106", 106, (66, 79), 10),
    ],
)
def test_published_numbers(name, n_landmarks, eye_corners, n_on_the_axis):
    scheme = get_scheme(name)
    assert (scheme.name, scheme.n_landmarks, scheme.eye_corners) == (name, n_landmarks, eye_corners)
    assert n_landmarks - 2 * len(scheme.flip_pairs) == n_on_the_axis


def test_106_agrees_with_the_schemes_own_authors():
    # FaceX-Zoo's 25 named points, converted from 1-based: eye centres, brow ends, mouth corners, alae, eyes.
    flip = get_scheme("106").flip_permutation
    for i, j in [(104, 105), (33, 46), (37, 42), (35, 44), (84, 90), (62, 58), (70, 75), (72, 81), (66, 79)]:
        assert (flip[i], flip[j]) == (j, i)
    for middle in (51, 54, 87, 93, 98, 60, 16):
        assert flip[middle] == middle


def _mean_shape(shapes):
    low, high = shapes.min(axis=1, keepdims=True), shapes.max(axis=1, keepdims=True)
    return ((shapes - low) / (high - low) - 0.5).mean(axis=0)


def _check_symmetry(mean, scheme, tolerance):
    mean = mean - [mean[:, 0].mean(), 0]
    mirrored = mean * [-1, 1]
    assert np.abs(mirrored[scheme.flip_permutation] - mean).max() < tolerance
    # The best of all one-to-one assignments of the mirrored shape to the shape.
    _, best = linear_sum_assignment(np.linalg.norm(mean[:, None] - mirrored[None], axis=-1) ** 2)
    np.testing.assert_array_equal(best, scheme.flip_permutation)
    centre, right, left = (mean[list(s)].mean(axis=0) for s in (scheme.groups["nose"], *scheme.pupils))
    assert right[0] < centre[0] < left[0]
    assert right[1] < centre[1]


@pytest.mark.real_data
def test_real_mean_shapes_are_symmetric(data_root):
    with np.load(data_root / "shapes" / "300w_68.npz") as shapes:
        _check_symmetry(_mean_shape(shapes["train"]), get_scheme(68), 0.03)
    with np.load(data_root / "shapes" / "wflw_98_test_subsets.npz") as shapes:
        _check_symmetry(_mean_shape(shapes["landmarks"]), get_scheme(98), 0.03)
    # The authors stored 0.5 - (p - min) / (max - min).
    mean = -as_points(np.load(data_root / "reference_pca" / "cofw_meanvector_90.npy"))
    _check_symmetry(mean, get_scheme(29), 0.03)


@pytest.mark.real_data
def test_real_eyes_hold_their_pupils(data_root):
    with np.load(data_root / "shapes" / "wflw_98_test_subsets.npz") as shapes:
        mean = _mean_shape(shapes["landmarks"])
    scheme = get_scheme("wflw")
    for pupil, eye in zip(scheme.pupils, ("right_eye", "left_eye"), strict=True):
        outline = mean[list(scheme.groups[eye])]
        assert (outline.min(axis=0) < mean[pupil[0]]).all()
        assert (mean[pupil[0]] < outline.max(axis=0)).all()


def test_get_scheme():
    mine = LandmarkScheme("mine", 5)
    assert get_scheme(mine) is mine
    assert get_scheme(98) is get_scheme("wflw")
    for unknown in ("ibug", 67, None):
        with pytest.raises(ValueError, match=r"'300w' \(68 landmarks\).*Received"):
            get_scheme(unknown)


@pytest.mark.parametrize(
    ("name", "meant"), [("ibug", "300w"), ("WFLW_", "wflw"), ("lapa", "106"), ("cowf", "cofw")]
)
def test_names_in_any_case_and_near_matches(name, meant):
    assert get_scheme("300W") is get_scheme("300w")
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'.*Received: '{name}'"):
        get_scheme(name)
