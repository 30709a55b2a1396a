"""A base loss over the landmarks that have a position: what the losses of landmarks share, and the loss itself."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_asm.landmarks import as_flat, as_points, is_paired
from keras_asm.losses._base import BaseLoss, call_base, get_base, serialize_base

__all__ = ["LandmarkLoss", "WeightedLandmarks", "filled", "visible_loss", "with_weights"]


def with_weights(y_true: Any) -> tuple[Any, Any]:
    """True landmarks, and their weights if `WeightedLandmarks` has put them beside them; otherwise None."""
    return (y_true["landmarks"], y_true["weights"]) if isinstance(y_true, dict) else (y_true, None)


def filled(y_true: Any) -> tuple[Any, Any]:
    """True landmarks with 0 for NaN, and where they are not NaN.

    What is NaN is replaced before anything is computed with it: a NaN that is only masked afterwards would still reach
    the gradient, as 0 times NaN.
    """
    there = ops.logical_not(ops.isnan(y_true))
    return ops.where(there, y_true, ops.zeros_like(y_true)), there


def visible_loss(base: BaseLoss, y_true: Any, y_pred: Any, there: Any, weights: Any, paired: bool) -> Any:
    """A base loss, not reduced, in which each face counts alike however many of its coordinates are there.

    Where a coordinate is not there, truth and prediction are both set to 0, which costs nothing under a loss of their
    difference. A face's loss is then divided by the fraction of its coordinates that are there. A face of none costs 0.

    With weights, the loss of each landmark is multiplied by its own, as Keras multiplies by sample weights: the sum is
    not divided by that of the weights.

    Args:
        base: A loss that averages the last axis, and is 0 where truth and prediction agree.
        y_true: True landmarks, finite, in the form of `y_pred`.
        y_pred: Predicted landmarks, `(batch, n_landmarks, n_dims)` or flat.
        there: Which coordinates have a position, of the same shape.
        weights: `(batch, n_landmarks)`, or None.
        paired: Which of the two forms it is.

    Returns:
        What `base` gives: `(batch,)` for flat landmarks, `(batch, n_landmarks)` for paired ones.
    """
    y_true = ops.where(there, y_true, ops.zeros_like(y_true))
    y_pred = ops.where(there, y_pred, ops.zeros_like(y_pred))
    axes = (-2, -1) if paired else (-1,)
    # By the count, not the mean, which would not be exactly 1 for a whole face in every compiled step
    count = ops.sum(ops.cast(there, y_pred.dtype), axis=axes)
    n_coordinates = math.prod(y_pred.shape[axis] for axis in axes)
    scale = ops.where(count > 0, n_coordinates / ops.maximum(count, 1), ops.zeros_like(count))
    if weights is None:
        losses = call_base(base, y_true, y_pred)
        return losses * _on_the_left(scale, losses)
    n_landmarks = weights.shape[-1]
    if not paired:
        shape = (-1, n_landmarks, y_pred.shape[-1] // n_landmarks)
        y_true, y_pred = ops.reshape(y_true, shape), ops.reshape(y_pred, shape)
    losses = call_base(base, y_true, y_pred)
    losses = losses * _on_the_left(ops.cast(weights, losses.dtype), losses) * _on_the_left(scale, losses)
    return losses if paired else ops.mean(losses, axis=1)


def _on_the_left(factor: Any, losses: Any) -> Any:
    """A factor for the first axes of losses, made to be multiplied with them."""
    while len(factor.shape) < len(losses.shape):
        factor = ops.expand_dims(factor, -1)
    return factor


class WeightedLandmarks(keras.losses.Loss):
    """A loss whose `sample_weight` may be that of single landmarks, `(batch, n_landmarks)`.

    Subclasses have a `call` that gives its `y_true` to `with_weights`.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss; weights of landmarks go along with the true landmarks."""
        shape = None if sample_weight is None else ops.shape(ops.convert_to_tensor(sample_weight))
        n_landmarks = self._n_landmarks(ops.convert_to_tensor(y_pred).shape)
        if shape is not None and len(shape) == 2 and shape[1] == n_landmarks and n_landmarks != 1:
            # A dictionary, which Keras maps over, and as which no landmarks come
            y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
            return super().__call__({"landmarks": y_true, "weights": sample_weight}, y_pred)
        return super().__call__(y_true, y_pred, sample_weight)

    def _n_landmarks(self, shape: Any) -> int:
        """How many landmarks predictions of this shape hold."""
        return shape[-2] if len(shape) > 2 else shape[-1] // 2


@keras.saving.register_keras_serializable(package="keras_asm")
class LandmarkLoss(WeightedLandmarks):
    """Any loss of landmarks, over those that have a position.

    A landmark that is NaN in the targets has no position and costs nothing: each face's loss is the mean over the
    landmarks that it has. `ASMAssistedLoss` and `WingLoss` do so by themselves; this is for Keras's own losses and
    yours.

    A `sample_weight` of `(batch, n_landmarks)` weights single landmarks, one of `(batch,)` faces. As everywhere in
    Keras, the weighted losses are not divided by the weights' sum, unless `reduction="mean_with_sample_weight"`.

    Args:
        base: What compares landmarks: a Keras loss, its name, its configuration, or a registered function
            `(y_true, y_pred) -> loss` that averages the last axis and is 0 where both agree. A loss object's own
            reduction is not used.
        reduction: As for every Keras loss.
        name: Name of the loss.
        dtype: Float type of the computation; Keras's `floatx` by default, also under mixed precision.

    Raises:
        ValueError: If there is no such `base`; at the first step, if the outputs are not landmarks.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.losses import LandmarkLoss
        >>> loss = LandmarkLoss("mean_squared_error")
        >>> y_true = np.array([[0.0, 0.0, np.nan, np.nan], [0.0, 0.0, 1.0, 1.0]])
        >>> round(float(loss(y_true, np.array([[2.0, 0.0, 5.0, 5.0], [0.0, 0.0, 1.0, 1.0]]))), 4)  # (4 / 2 + 0) / 2
        1.0

    See Also:
        - [`WingLoss`][keras_asm.losses.WingLoss]: leaves out missing landmarks by itself.
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: leaves out missing landmarks by itself.
        - [Partly annotated faces][partly-annotated-faces]: what such faces are worth.
    """

    def __init__(
        self,
        base: str | dict[str, Any] | BaseLoss = "mean_squared_error",
        reduction: str | None = "sum_over_batch_size",
        name: str = "landmark_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.base = get_base(base)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, or of each landmark where landmarks are paired; not reduced."""
        y_true, weights = with_weights(y_true)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        paired = is_paired(y_pred.shape, leading=1, name="y_pred")
        y_true = (as_points if paired else as_flat)(y_true, leading=1, name="y_true", xp=ops)
        y_true, there = filled(y_true)
        return visible_loss(self.base, y_true, y_pred, there, weights, paired)

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the loss anew."""
        return {**super().get_config(), "base": serialize_base(self.base), "dtype": self.dtype}
