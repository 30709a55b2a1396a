"""The errors of `errors` as Keras metrics: running sums over all images, not means of batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_asm.landmarks import LandmarkScheme, as_points, get_scheme, serialize_scheme
from keras_asm.landmarks.normalizers import NORMALIZERS, reference_points, size
from keras_asm.metrics.errors import ANGLES, angle_difference, check_threshold, mean_distance

__all__ = [
    "AreaUnderCED",
    "FailureRate",
    "HeadPoseError",
    "LandmarkMetric",
    "NormalizedMeanError",
    "landmark_errors",
]


def landmark_errors(
    y_true: Any,
    y_pred: Any,
    scheme: LandmarkScheme | None,
    normalizer: str | float,
    dtype: str,
    weights: Any = None,
) -> tuple[Any, Any]:
    """`normalized_mean_error` in `keras.ops`, with the checks that shapes alone allow.

    Args:
        y_true: True landmarks, `(batch, ..., n_landmarks, 2)` or `(batch, ..., 2 * n_landmarks)`; those that are NaN do
            not count.
        y_pred: Predicted landmarks, in either layout.
        scheme: Landmark scheme, or `None`.
        normalizer: Name of a normaliser, or a distance.
        dtype: What to compute in; the inputs are cast before anything is subtracted.
        weights: Weights of the landmarks, `(batch, ..., n_landmarks)`; None: all alike.

    Returns:
        Errors, `(batch, ...)`, and which of the true faces have a size to divide by and landmarks that count.

    Raises:
        ValueError: If a shape is not one of landmarks, or the numbers of landmarks differ.
    """
    true, predicted = (
        as_points(
            ops.cast(ops.convert_to_tensor(landmarks), dtype),
            n_landmarks=None if scheme is None else scheme.n_landmarks,
            leading=1,
            name=name
            if scheme is None
            else f"Landmark scheme {scheme.name!r} has {scheme.n_landmarks} landmarks: {name}",
            xp=ops,
        )
        for name, landmarks in (("y_true", y_true), ("y_pred", y_pred))
    )
    if None not in (true.shape[-2], predicted.shape[-2]) and true.shape[-2] != predicted.shape[-2]:
        raise ValueError(
            "True and predicted shapes must have the same number of landmarks. "
            f"Received: y_true {true.shape[-2]}, y_pred {predicted.shape[-2]}"
        )
    trust = ops.cast(ops.logical_not(ops.any(ops.isnan(true), axis=-1)), dtype)
    if weights is not None:
        trust = trust * ops.cast(weights, dtype)
    mean = mean_distance(true, predicted, xp=ops, weights=trust)
    counts = ops.sum(trust, axis=-1) > 0
    if not isinstance(normalizer, str):
        return mean / normalizer, counts
    distance = size(true, normalizer, scheme, xp=ops)
    # The division is made harmless where a face has no size; its error does not count. NaN is not above 0
    sized = distance > 0
    return mean / ops.where(sized, distance, ops.ones_like(distance)), ops.logical_and(sized, counts)


def _weights(sample_weight: Any, sized: Any, errors: Any) -> Any:
    """The weight of each image: what is given, and 0 for a face without a size."""
    sized = ops.cast(sized, errors.dtype)
    if sample_weight is None:
        return sized
    weights = ops.cast(ops.convert_to_tensor(sample_weight), errors.dtype)
    if len(weights.shape) == len(errors.shape) + 1 and weights.shape[-1] == 1:
        weights = ops.squeeze(weights, axis=-1)
    if len(weights.shape) > len(errors.shape):
        raise ValueError(
            f"sample_weight must have a weight for each image, shape {tuple(errors.shape)}, or for each of its "
            f"landmarks. Received: shape {tuple(weights.shape)}"
        )
    while len(weights.shape) < len(errors.shape):
        weights = ops.expand_dims(weights, axis=-1)
    return weights * sized


class LandmarkMetric(keras.metrics.Mean):
    """Mean over all images of a score of each image's normalised error.

    The running total and the weight of the images are kept, not the means of batches, so a short last
    batch counts for what it holds. A face without a size, such as one whose eye corners coincide, does not count,
    as in `evaluate_landmarks`; nor do landmarks without a position, which are NaN.
    """

    def __init__(
        self,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None,
        normalizer: str | float,
        name: str,
        dtype: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.scheme = None if scheme is None else get_scheme(scheme)
        if normalizer not in NORMALIZERS and not (
            isinstance(normalizer, int | float) and 0 < normalizer < float("inf")
        ):
            raise ValueError(
                f"normalizer must be one of {', '.join(NORMALIZERS)} or a positive number. "
                f"Received: {normalizer!r}"
            )
        if self.scheme is not None and normalizer in ("inter_ocular", "inter_pupil"):
            reference_points(self.scheme, normalizer)
        self.normalizer = normalizer

    def _score(self, errors: Any) -> Any:
        return errors

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: True landmarks, `(batch, n_landmarks, 2)` or `(batch, 2 * n_landmarks)`.
            y_pred: Predicted landmarks, in either layout.
            sample_weight: Weights of the images, `(batch,)`, or of their landmarks, `(batch, n_landmarks)`, for a
                weighted mean over the landmarks of each image; 1 by default.
        """
        weights = None
        if sample_weight is not None:
            shape = ops.convert_to_tensor(y_pred).shape
            n_landmarks = shape[-2] if len(shape) > 2 else shape[-1] // 2
            if tuple(ops.convert_to_tensor(sample_weight).shape[1:]) == (n_landmarks,) and n_landmarks > 1:
                weights, sample_weight = sample_weight, None
        errors, sized = landmark_errors(y_true, y_pred, self.scheme, self.normalizer, self.dtype, weights)
        super().update_state(self._score(errors), _weights(sample_weight, sized, errors))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON-ready."""
        scheme = None if self.scheme is None else serialize_scheme(self.scheme)
        return {**super().get_config(), "scheme": scheme, "normalizer": self.normalizer}


@keras.saving.register_keras_serializable(package="keras_asm")
class NormalizedMeanError(LandmarkMetric):
    """Mean over all images of `normalized_mean_error`: a fraction, not per cent.

    Args:
        scheme: Landmark scheme: a name, a number of landmarks or a `LandmarkScheme`. By default the known
            scheme of the landmarks that arrive.
        normalizer: `"inter_ocular"` (the default), `"inter_pupil"`, `"box"`, or one distance for all
            images, in the unit of the landmarks: 1.0 leaves them as they are, and `1 / width` of the
            crop gives pixels.
        name: Name in the history.
        dtype: Of the computation; float32 by default, under mixed precision too.

    Raises:
        ValueError: If the scheme or the normaliser is unknown, or, when a batch is traced, the number of
            landmarks is not the scheme's.

    Examples:
        >>> from keras_asm.metrics import NormalizedMeanError
        >>> metric = NormalizedMeanError(normalizer="box")
        >>> metric.update_state([[0.0, 0.0, 10.0, 10.0]], [[3.0, 4.0, 10.0, 10.0]])
        >>> float(metric.result())
        0.25

    See Also:
        - [`normalized_mean_error`][keras_asm.metrics.normalized_mean_error]: the error of each image.
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: reports it by subset.
        - [Reading the metrics right][reading-the-metrics-right]: what the numbers can say.
    """

    def __init__(
        self,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None = None,
        normalizer: str | float = "inter_ocular",
        name: str = "normalized_mean_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(scheme, normalizer, name, dtype)


@keras.saving.register_keras_serializable(package="keras_asm")
class FailureRate(LandmarkMetric):
    """Fraction of all images whose normalised mean error is greater than the threshold.

    An image whose prediction is not a number is a failure.

    Args:
        threshold: Positive; 0.1 by default.
        scheme: As in `NormalizedMeanError`.
        normalizer: As in `NormalizedMeanError`.
        name: Name in the history.
        dtype: Of the computation; float32 by default, under mixed precision too.

    Raises:
        ValueError: As `NormalizedMeanError`, or if the threshold is not positive.

    Examples:
        >>> from keras_asm.metrics import FailureRate
        >>> metric = FailureRate(threshold=0.3, normalizer="box")
        >>> y_true = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 1.0, 1.0]]
        >>> metric.update_state(y_true, [[3.0, 4.0, 10.0, 10.0], [3.0, 4.0, 1.0, 1.0]])
        >>> float(metric.result())
        0.5

    See Also:
        - [`failure_rate`][keras_asm.metrics.failure_rate]: the same of errors that are there.
        - [`NormalizedMeanError`][keras_asm.metrics.NormalizedMeanError]: the error that it thresholds.
        - [One number or several][one-number-or-several]: when it is noise.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None = None,
        normalizer: str | float = "inter_ocular",
        name: str = "failure_rate",
        dtype: Any = None,
    ) -> None:
        super().__init__(scheme, normalizer, name, dtype)
        check_threshold(threshold)
        self.threshold = float(threshold)

    def _score(self, errors: Any) -> Any:
        # Not `errors > threshold`, which is false for NaN.
        return ops.where(errors <= self.threshold, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON-ready."""
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="keras_asm")
class AreaUnderCED(LandmarkMetric):
    """Area under the cumulative error distribution of all images, `mean(max(0, 1 - e / t))`.

    Exact, since the closed form is a mean over images; see `area_under_ced`. An image whose prediction
    is not a number adds nothing.

    Args:
        threshold: Positive; 0.1 by default.
        scheme: As in `NormalizedMeanError`.
        normalizer: As in `NormalizedMeanError`.
        name: Name in the history.
        dtype: Of the computation; float32 by default, under mixed precision too.

    Raises:
        ValueError: As `NormalizedMeanError`, or if the threshold is not positive.

    Examples:
        >>> from keras_asm.metrics import AreaUnderCED
        >>> metric = AreaUnderCED(threshold=0.5, normalizer="box")
        >>> metric.update_state([[0.0, 0.0, 10.0, 10.0]], [[3.0, 4.0, 10.0, 10.0]])
        >>> float(metric.result())
        0.5

    See Also:
        - [`area_under_ced`][keras_asm.metrics.area_under_ced]: the same of errors that are there.
        - [`FailureRate`][keras_asm.metrics.FailureRate]: what the area leaves out.
        - [One number or several][one-number-or-several]: what it does not see.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None = None,
        normalizer: str | float = "inter_ocular",
        name: str = "area_under_ced",
        dtype: Any = None,
    ) -> None:
        super().__init__(scheme, normalizer, name, dtype)
        check_threshold(threshold)
        self.threshold = float(threshold)

    def _score(self, errors: Any) -> Any:
        # The comparison is false for NaN, which backends' maximum treats each in its own way.
        return ops.where(errors <= self.threshold, 1.0 - errors / self.threshold, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON-ready."""
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="keras_asm")
class HeadPoseError(keras.metrics.Mean):
    """Mean over all images of `head_pose_error`, in degrees; images whose pose is NaN do not count.

    Args:
        angle: `"yaw"`, `"pitch"` or `"roll"`; by default the mean of the three.
        name: Name in the history; `"head_pose_error"` or, of one angle, `"yaw_error"` and so on.
        dtype: Of the computation; float32 by default, under mixed precision too.

    Raises:
        ValueError: If the angle is unknown or, when a batch is traced, the last axis is not 3.

    Examples:
        >>> from keras_asm.metrics import HeadPoseError
        >>> metric = HeadPoseError(angle="yaw")
        >>> metric.update_state([[179.0, 10.0, -5.0]], [[-179.0, 4.0, -5.0]])
        >>> float(metric.result())
        2.0

    See Also:
        - [`head_pose_error`][keras_asm.metrics.head_pose_error]: the error of each image and angle.
        - [`HeadPoseLoss`][keras_asm.losses.HeadPoseLoss]: the loss to train with.
        - [Head pose][head-pose]: conventions and errors.
    """

    def __init__(self, angle: str | None = None, name: str | None = None, dtype: Any = None) -> None:
        if angle is not None and angle not in ANGLES:
            raise ValueError(f"angle must be one of {', '.join(ANGLES)} or None. Received: {angle!r}")
        super().__init__(name=name or f"{angle or 'head_pose'}_error", dtype=dtype)
        self.angle = angle

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: True yaw, pitch and roll in degrees, `(batch, 3)`.
            y_pred: Predicted angles, likewise.
            sample_weight: Weights of the images, `(batch,)`; 1 by default.
        """
        true, predicted = (ops.cast(ops.convert_to_tensor(y), self.dtype) for y in (y_true, y_pred))
        for name, tensor in (("y_true", true), ("y_pred", predicted)):
            if len(tensor.shape) < 2 or tensor.shape[-1] not in (3, None):
                raise ValueError(
                    f"{name} must hold yaw, pitch and roll: shape (batch, 3). "
                    f"Received: shape {tuple(tensor.shape)}"
                )
        known = ops.logical_not(ops.any(ops.isnan(true), axis=-1))
        errors = angle_difference(ops.where(known[..., None], true, ops.zeros_like(true)), predicted, xp=ops)
        errors = ops.mean(errors, axis=-1) if self.angle is None else errors[..., ANGLES.index(self.angle)]
        super().update_state(errors, _weights(sample_weight, known, errors))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON-ready."""
        return {**super().get_config(), "angle": self.angle}
