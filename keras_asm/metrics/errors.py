"""Landmark and head-pose errors in NumPy, in float64; and their formulas, which the streaming metrics share."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from keras_asm.landmarks import NORMALIZERS, LandmarkScheme, as_points, get_scheme
from keras_asm.landmarks.normalizers import check_count, distance_between, size

__all__ = [
    "ANGLES",
    "angle_difference",
    "area_under_ced",
    "check_threshold",
    "cumulative_error_distribution",
    "failure_rate",
    "head_pose_error",
    "mean_distance",
    "normalized_mean_error",
]

ANGLES = ("yaw", "pitch", "roll")


def mean_distance(true: Any, predicted: Any, xp: Any = np, weights: Any = None) -> Any:
    """Mean distance of the landmarks of each shape, `(..., n_landmarks, 2)` to `(...,)`.

    Args:
        true: True landmarks.
        predicted: Predicted landmarks.
        xp: The namespace that computes, `numpy` or `keras.ops`.
        weights: Of the landmarks, `(..., n_landmarks)`, for a weighted mean; 0 where a true landmark is NaN. A shape
            whose weights are all 0 has the mean 0.
    """
    if weights is None:
        return xp.mean(distance_between(predicted, true, xp=xp), axis=-1)
    counts = weights[..., None] > 0
    true = xp.where(counts, true, xp.zeros_like(true))
    predicted = xp.where(counts, predicted, xp.zeros_like(predicted))
    total = xp.sum(weights, axis=-1)
    distance = xp.sum(weights * distance_between(predicted, true, xp=xp), axis=-1)
    return distance / xp.where(total > 0, total, xp.ones_like(total))


def angle_difference(true: Any, predicted: Any, xp: Any = np) -> Any:
    """Absolute differences of angles in degrees, the short way round."""
    difference = xp.mod(xp.abs(predicted - true), 360.0)
    return xp.minimum(difference, 360.0 - difference)


def normalized_mean_error(
    y_true: Any,
    y_pred: Any,
    scheme: str | int | LandmarkScheme | None = None,
    normalizer: Any = "inter_ocular",
    weights: Any = None,
) -> np.ndarray:
    """Mean distance of the landmarks of each image, as a fraction of the size of the true face.

    `e = 1/n * sum_i ||p_i - t_i|| / d`

    with the n predicted and true landmarks `p_i` and `t_i` and the normalising distance `d` of the true
    shape. A fraction, not per cent: papers print 100 times this number.

    Args:
        y_true: True landmarks, `(..., n_landmarks, 2)` or `(..., 2 * n_landmarks)`, in a unit that is
            the same along x and y. Landmarks that are NaN have no position and do not count.
        y_pred: Predicted landmarks, in either layout and the same unit.
        scheme: Landmark scheme. By default the known scheme of that number of landmarks; `"box"` and a
            given distance need none.
        normalizer: `"inter_ocular"` (outer eye corners), `"inter_pupil"`, `"box"` (`sqrt(w * h)` of the
            landmarks' box), or the distances themselves: one positive number, or one for each image.
        weights: Weights of the landmarks, `(..., n_landmarks)`, from 0, for a weighted mean; all alike by default.

    Returns:
        Errors of the images, `(...)`; NaN, with a warning, where a face has no size, as its eye corners coincide or
        have no position, or where no landmark counts.

    Raises:
        ValueError: If the shapes differ, a coordinate is infinite or a prediction NaN, the scheme does not fit, or a
            given distance is not positive.

    Examples:
        >>> from keras_asm.metrics import normalized_mean_error
        >>> y_true = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 2.0, 2.0]]
        >>> y_pred = [[3.0, 4.0, 10.0, 10.0], [0.0, 0.0, 2.0, 2.0]]
        >>> normalized_mean_error(y_true, y_pred, normalizer="box")
        array([0.25, 0.  ])

    See Also:
        - [`NormalizedMeanError`][keras_asm.metrics.NormalizedMeanError]: the mean as a Keras metric.
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: all scores at once.
        - [Divided by what][divided-by-what]: how the normalisers compare.
    """
    true = as_points(y_true).astype(np.float64, copy=False)
    predicted = as_points(y_pred).astype(np.float64, copy=False)
    trust = _landmark_weights(true, weights)
    _check_pair(np.where(np.isnan(true), 0.0, true), predicted, "(..., n_landmarks, 2) landmarks")
    if scheme is not None:
        scheme = get_scheme(scheme)
        check_count(true.shape[-2], scheme)
    if isinstance(normalizer, str):
        distance = np.asarray(size(true, _known(normalizer), scheme))
        lacking = (distance == 0) | np.isnan(distance)
        if trust is not None:
            lacking = lacking | (trust.sum(axis=-1) == 0)
        without = int(lacking.sum())
        if without:
            warnings.warn(
                f"{without} of {distance.size} faces have no {normalizer} distance to divide by: their error is NaN, "
                "and reports leave them out.",
                UserWarning,
                stacklevel=2,
            )
            distance = np.where(lacking, np.nan, distance)
    else:
        distance = np.asarray(normalizer, dtype=np.float64)
        if distance.shape not in ((), true.shape[:-2]) or not (np.isfinite(distance) & (distance > 0)).all():
            raise ValueError(
                "Given normalizing distances must be one positive number or one for each image, "
                f"of the shape {true.shape[:-2]}. Received: {_summary(distance)}"
            )
    return np.asarray(mean_distance(true, predicted, weights=trust) / distance)


def _landmark_weights(true: np.ndarray, weights: Any) -> np.ndarray | None:
    """Weights of the landmarks, 0 where they have no position; None if all count alike."""
    nowhere = np.isnan(true).any(axis=-1)
    if weights is None:
        return (~nowhere).astype(np.float64) if nowhere.any() else None
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != nowhere.shape or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(
            f"weights must be finite numbers from 0, one a landmark: shape {nowhere.shape}. "
            f"Received: {_summary(array)}"
        )
    return np.where(nowhere, 0.0, array)


def failure_rate(errors: Any, threshold: float = 0.1) -> float:
    """Fraction of the images whose error is greater than the threshold.

    Args:
        errors: Errors of the images, of any shape, not negative.
        threshold: Positive; 0.1 by default (300W and WFLW, for the inter-ocular distance). An error equal
            to it is no failure.

    Returns:
        Between 0 and 1. `1 - failure_rate(errors, t)` is the cumulative error distribution at `t`.

    Raises:
        ValueError: If there are no errors, one is negative or not a number, or the threshold is not
            positive.

    Examples:
        >>> from keras_asm.metrics import failure_rate
        >>> failure_rate([0.02, 0.1, 0.3, 0.4])
        0.5

    See Also:
        - [`FailureRate`][keras_asm.metrics.FailureRate]: the same as a Keras metric.
        - [`normalized_mean_error`][keras_asm.metrics.normalized_mean_error]: the errors that it takes.
        - [One number or several][one-number-or-several]: when it is noise.
    """
    check_threshold(threshold)
    return float(np.mean(_checked_errors(errors) > threshold))


def area_under_ced(errors: Any, threshold: float = 0.1) -> float:
    """Area under the cumulative error distribution up to the threshold, divided by the threshold.

    `1/t * integral_0^t F(x) dx = mean(max(0, 1 - e / t))`

    where `F(x)` is the fraction of images with `e <= x`. Each image adds a unit step at its own error e to
    `F`, and the integral of that step is `t - e`: the closed form is exact, and no grid is needed.

    Args:
        errors: Errors of the images, of any shape, not negative.
        threshold: Positive; 0.1 by default.

    Returns:
        Between 0 (all images beyond the threshold) and 1 (no error at all).

    Raises:
        ValueError: As `failure_rate`.

    Examples:
        >>> from keras_asm.metrics import area_under_ced
        >>> area_under_ced([0.0, 0.05, 0.2])
        0.5

    See Also:
        - [`AreaUnderCED`][keras_asm.metrics.AreaUnderCED]: the same as a Keras metric.
        - [`cumulative_error_distribution`][keras_asm.metrics.cumulative_error_distribution]: the curve above
          the area.
        - [One number or several][one-number-or-several]: what it does not see.
    """
    check_threshold(threshold)
    return float(np.mean(np.maximum(0.0, 1.0 - _checked_errors(errors) / threshold)))


def cumulative_error_distribution(
    errors: Any, threshold: float = 0.1, n_points: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of the images whose error is at most x, as a function of x.

    Args:
        errors: Errors of the images, of any shape, not negative.
        threshold: Largest x; positive, 0.1 by default.
        n_points: By default x holds 0, each error up to the threshold and the threshold: the exact
            step function, constant to the right of each x. Otherwise a uniform grid of that many
            points from 0 to the threshold, at least 2.

    Returns:
        x, strictly increasing, and the fractions, both of the same length.

    Raises:
        ValueError: As `failure_rate`, or if the grid has fewer than 2 points.

    Examples:
        >>> from keras_asm.metrics import cumulative_error_distribution
        >>> x, fraction = cumulative_error_distribution([0.02, 0.02, 0.06, 0.5])
        >>> x.tolist(), fraction.tolist()
        ([0.0, 0.02, 0.06, 0.1], [0.0, 0.5, 0.75, 0.75])

    See Also:
        - [`plot_ced`][keras_asm.visualization.plot_ced]: draws it.
        - [`area_under_ced`][keras_asm.metrics.area_under_ced]: sums it up in one number.
    """
    check_threshold(threshold)
    ordered = np.sort(_checked_errors(errors), axis=None)
    if n_points is None:
        x = np.unique(np.concatenate([[0.0], ordered[ordered <= threshold], [float(threshold)]]))
    elif n_points < 2:
        raise ValueError(f"A grid needs at least 2 points. Received: n_points={n_points!r}")
    else:
        x = np.linspace(0.0, threshold, n_points)
    return x, np.searchsorted(ordered, x, side="right") / ordered.size


def head_pose_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Absolute differences of yaw, pitch and roll, the short way round.

    `e = min(|p - t| mod 360, 360 - |p - t| mod 360)`, for each angle by itself.

    Args:
        y_true: True angles, `(..., 3)`: yaw, pitch, roll, in degrees.
        y_pred: Predicted angles, likewise.

    Returns:
        Errors in degrees, `(..., 3)`, between 0 and 180.

    Raises:
        ValueError: If the shapes differ or do not end in 3, or an angle is not finite.

    Examples:
        >>> from keras_asm.metrics import head_pose_error
        >>> head_pose_error([[179.0, 10.0, -5.0]], [[-179.0, 4.0, -5.0]])
        array([[2., 6., 0.]])

    See Also:
        - [`HeadPoseError`][keras_asm.metrics.HeadPoseError]: the mean as a Keras metric.
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: all scores at once.
        - [Head pose][head-pose]: conventions and errors.
    """
    true, predicted = (np.asarray(y, dtype=np.float64) for y in (y_true, y_pred))
    _check_pair(true, predicted, "(..., 3) angles")
    if true.ndim == 0 or true.shape[-1] != 3:
        raise ValueError(f"Head poses must have the shape (..., 3). Received: shape {true.shape}")
    return angle_difference(true, predicted)


def check_threshold(threshold: Any) -> None:
    """Raises unless the threshold is a positive, finite number."""
    if not (isinstance(threshold, int | float | np.number) and np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold must be a positive number. Received: {threshold!r}")


def _checked_errors(errors: Any) -> np.ndarray:
    array = np.asarray(errors, dtype=np.float64)
    if array.size == 0 or not (array >= 0).all():
        raise ValueError(
            f"Errors must be at least one number, none of them negative or NaN. Received: {_summary(array)}"
        )
    return array


def _known(normalizer: str) -> str:
    if normalizer not in NORMALIZERS:
        raise ValueError(f"normalizer must be one of {', '.join(NORMALIZERS)}. Received: {normalizer!r}")
    return normalizer


def _check_pair(true: np.ndarray, predicted: np.ndarray, what: str) -> None:
    if true.shape != predicted.shape:
        raise ValueError(
            f"True and predicted {what} must have one shape. "
            f"Received: y_true {true.shape}, y_pred {predicted.shape}"
        )
    for name, array in (("y_true", true), ("y_pred", predicted)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite {what}. Received: {_summary(array)}")


def _summary(array: np.ndarray) -> str:
    """Says what is wrong with an array without printing it."""
    parts = [f"shape {array.shape}"]
    for name, bad in (("NaN", np.isnan(array)), ("infinite", np.isinf(array)), ("not positive", array <= 0)):
        if bad.any():
            first = ", ".join(map(str, np.argwhere(np.atleast_1d(bad))[0]))
            parts.append(f"{int(bad.sum())} {name}, the first at ({first})")
    return "; ".join(parts)
