import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_asm.landmarks import LandmarkScheme, as_flat
from keras_asm.metrics import (
    area_under_ced,
    cumulative_error_distribution,
    failure_rate,
    head_pose_error,
    normalized_mean_error,
)

ERRORS = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0.0, 0.4))
ANGLES = hnp.arrays(np.float64, (5, 3), elements=st.floats(-1000.0, 1000.0))
THRESHOLDS = st.floats(0.01, 0.5)


@pytest.fixture
def faces(rng):
    true = rng.normal(size=(7, 68, 2))
    return true, true + 0.05 * rng.normal(size=true.shape)


def test_nme_is_the_loop_of_its_definition(faces):
    true, predicted = faces
    expected = []
    for t, p in zip(true, predicted, strict=True):
        distance = np.hypot(t[45, 0] - t[36, 0], t[45, 1] - t[36, 1])
        expected.append(sum(np.hypot(*(p[i] - t[i])) for i in range(68)) / 68 / distance)
    np.testing.assert_allclose(normalized_mean_error(true, predicted), expected, rtol=1e-12)
    np.testing.assert_allclose(normalized_mean_error(as_flat(true), predicted, "300w"), expected, rtol=1e-12)
    ocular = np.linalg.norm(true[:, 45] - true[:, 36], axis=-1)
    np.testing.assert_allclose(normalized_mean_error(true, predicted, None, ocular), expected, rtol=1e-12)
    np.testing.assert_allclose(normalized_mean_error(true[0], predicted[0]), expected[0], rtol=1e-12)


def test_nme_by_hand_with_each_normaliser():
    scheme = LandmarkScheme(
        "four", 4, eye_corners=(0, 1), pupils=((0, 2), (1, 3)), flip_pairs=((0, 1), (2, 3))
    )
    true = np.array([[[0.0, 0.0], [10.0, 0.0], [2.0, 4.0], [8.0, 4.0]]])
    predicted = true + np.array([3.0, 4.0])
    for normalizer, expected in [
        ("inter_ocular", 0.5),
        ("inter_pupil", 5 / 8),
        ("box", 5 / np.sqrt(40)),
        (2.0, 2.5),
        ([20.0], 0.25),
    ]:
        np.testing.assert_allclose(normalized_mean_error(true, predicted, scheme, normalizer), [expected])


@given(
    scale=st.floats(0.01, 1000.0),
    angle=st.floats(-np.pi, np.pi),
    shift=st.tuples(*[st.floats(-500.0, 500.0)] * 2),
)
def test_nme_ignores_similarities(scale, angle, shift):
    rng = np.random.default_rng(1)
    true = rng.normal(size=(3, 29, 2))
    predicted = true + 0.1 * rng.normal(size=true.shape)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = [normalized_mean_error(true @ rotation + shift, predicted @ rotation + shift, "cofw", n)
             for n in ("inter_ocular", "inter_pupil")]  # fmt: skip
    still = [normalized_mean_error(true, predicted, "cofw", n) for n in ("inter_ocular", "inter_pupil")]
    np.testing.assert_allclose(moved, still, rtol=1e-6)


@given(errors=ERRORS, threshold=THRESHOLDS)
def test_auc_is_the_integral_of_the_step_function(errors, threshold):
    x, fraction = cumulative_error_distribution(errors, threshold)
    assert (np.diff(x) > 0).all()
    assert (np.diff(fraction) >= 0).all()
    assert (x[0], x[-1]) == (0.0, threshold)
    integral = np.sum(fraction[:-1] * np.diff(x)) / threshold
    assert area_under_ced(errors, threshold) == pytest.approx(integral, abs=1e-12)


@given(errors=ERRORS, threshold=THRESHOLDS)
def test_auc_is_the_trapezoid_of_a_fine_grid(errors, threshold):
    _, fraction = cumulative_error_distribution(errors, threshold, n_points=2001)
    # Each image's step is at most one cell off.
    assert area_under_ced(errors, threshold) == pytest.approx(
        (fraction[1:] + fraction[:-1]).mean() / 2, abs=1e-3
    )


@given(errors=ERRORS, threshold=THRESHOLDS)
def test_failures_are_what_the_ced_leaves(errors, threshold):
    for n_points in (None, 11):
        _, fraction = cumulative_error_distribution(errors, threshold, n_points)
        assert failure_rate(errors, threshold) + fraction[-1] == pytest.approx(1.0, abs=1e-12)


def test_errors_may_have_any_shape():
    errors = np.array([[0.05, 0.2, 0.01], [0.07, 0.05, 0.0]])
    assert failure_rate(errors) == pytest.approx(1 / 6)
    assert area_under_ced(errors) == pytest.approx(np.mean([0.5, 0, 0.9, 0.3, 0.5, 1]))
    x, fraction = cumulative_error_distribution(errors)
    assert x.tolist() == [0.0, 0.01, 0.05, 0.07, 0.1]
    np.testing.assert_allclose(fraction, np.array([1, 2, 4, 5, 5]) / 6)


def test_an_error_at_the_threshold_is_no_failure():
    assert failure_rate([0.1, 0.1, np.nextafter(0.1, 1)]) == pytest.approx(1 / 3)
    assert failure_rate([0.08, 0.2], threshold=0.05) == 1.0
    assert area_under_ced([0.0, 0.0]) == 1.0
    assert area_under_ced([0.1, 7.0]) == 0.0


@given(a=ANGLES, b=ANGLES)
def test_pose_error_is_symmetric_and_at_most_180(a, b):
    error = head_pose_error(a, b)
    np.testing.assert_array_equal(error, head_pose_error(b, a))
    assert ((error >= 0) & (error <= 180)).all()
    # The angle between two unit vectors.
    cosine = np.clip(np.cos(np.radians(a - b)), -1, 1)
    np.testing.assert_allclose(np.cos(np.radians(error)), cosine, atol=1e-9)


@given(a=ANGLES, b=ANGLES, turns=st.integers(-3, 3))
def test_pose_error_wraps_at_360_degrees(a, b, turns):
    np.testing.assert_allclose(head_pose_error(a, b + 360.0 * turns), head_pose_error(a, b), atol=1e-9)


def test_pose_error_wraps_at_nothing_else():
    # Not at 180 degrees, nor at the +-99 degrees to which some networks bin.
    error = head_pose_error([[100.0, -100.0, 0.0]], [[-80.0, -10.0, 90.0]])
    assert error.tolist() == [[180.0, 90.0, 90.0]]


def test_weights_are_those_of_an_average(faces, rng):
    true, predicted = faces
    weights = rng.uniform(0, 3, size=(7, 68))
    ocular = np.hypot(*(true[:, 45] - true[:, 36]).T)
    expected = np.average(np.hypot(*np.moveaxis(predicted - true, -1, 0)), axis=1, weights=weights) / ocular
    np.testing.assert_allclose(normalized_mean_error(true, predicted, weights=weights), expected, rtol=1e-12)
    # Few faces of many small weights: the sum of a shape's may be below 1
    few = normalized_mean_error(true, predicted, weights=weights * 1e-6)
    np.testing.assert_allclose(few, expected, rtol=1e-12)


class TestBadInput:
    def test_shapes(self, faces):
        true, predicted = faces
        with pytest.raises(
            ValueError,
            match=r"^True and predicted \(..., n_landmarks, 2\) landmarks .*y_true \(7, 68, 2\), y_pred \(7, 67, 2\)",
        ):
            normalized_mean_error(true, predicted[:, :67])
        with pytest.raises(ValueError, match=r"Received: shape \(7, 135\)"):
            normalized_mean_error(true, as_flat(predicted)[:, :-1])
        with pytest.raises(ValueError, match=r"has 98 landmarks. Received: 68"):
            normalized_mean_error(true, predicted, "wflw")
        with pytest.raises(ValueError, match=r"Received: shape \(2, 4\)"):
            head_pose_error(np.zeros((2, 4)), np.zeros((2, 4)))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, faces, value):
        true, predicted = faces
        predicted[3, 5, 1] = value
        with pytest.raises(ValueError, match=r"y_pred must be finite.*first at \(3, 5, 1\)"):
            normalized_mean_error(true, predicted)
        if np.isinf(value):  # NaN says that a true landmark has no position
            with pytest.raises(ValueError, match="y_true must be finite"):
                normalized_mean_error(predicted, true)
        with pytest.raises(ValueError, match=r"^y_pred must be finite \(..., 3\) angles\. Received"):
            head_pose_error([[0.0, 0.0, 0.0]], [[0.0, value, 0.0]])

    @pytest.mark.parametrize("normalizer", [0.0, -1.0, np.nan, np.ones(6), np.ones((7, 1)), "face"])
    def test_normalizer(self, faces, normalizer):
        with pytest.raises(ValueError, match="Received"):
            normalized_mean_error(*faces, normalizer=normalizer)

    def test_what_is_wrong_with_an_array_is_told(self, faces):
        distances = np.array([1.0, 0.5, np.nan, 2.0, np.inf, 0.0, -1.0])
        told = (
            r"of the shape \(7,\). Received: shape \(7,\); 1 NaN, the first at \(2\); "
            r"1 infinite, the first at \(4\); 2 not positive, the first at \(5\)$"
        )
        with pytest.raises(ValueError, match=told):
            normalized_mean_error(*faces, normalizer=distances)
        with pytest.raises(ValueError, match=r"shape \(\); 1 not positive, the first at \(0\)$"):
            normalized_mean_error(*faces, normalizer=-1.0)

    @pytest.mark.parametrize("bad", [-1e-9, np.nan, np.inf])
    def test_weights(self, faces, bad):
        weights = np.ones((7, 68))
        with pytest.raises(ValueError, match=r"one a landmark: shape \(7, 68\). Received: shape \(7, 67\)$"):
            normalized_mean_error(*faces, weights=weights[:, :67])
        weights[3, 2] = bad
        with pytest.raises(ValueError, match=r"weights must be finite numbers from 0.*first at \(3, 2\)"):
            normalized_mean_error(*faces, weights=weights)

    @pytest.mark.parametrize("errors", [[], [np.nan], [-0.1], np.zeros((0, 3))])
    @pytest.mark.parametrize("function", [failure_rate, area_under_ced, cumulative_error_distribution])
    def test_errors(self, function, errors):
        with pytest.raises(ValueError, match=r"none of them negative or NaN.*Received"):
            function(errors)

    @pytest.mark.parametrize("threshold", [0, -0.1, np.nan, np.inf, "0.1", None])
    @pytest.mark.parametrize("function", [failure_rate, area_under_ced, cumulative_error_distribution])
    def test_threshold(self, function, threshold):
        with pytest.raises(ValueError, match=r"threshold must be a positive number. Received"):
            function([0.1], threshold)

    def test_grid(self):
        with pytest.raises(ValueError, match="n_points=1"):
            cumulative_error_distribution([0.1], n_points=1)
