"""The loss of head-pose angles."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_asm.losses._base import BaseLoss, call_base, get_base, serialize_base

__all__ = ["HeadPoseLoss"]


@keras.saving.register_keras_serializable(package="keras_asm")
class HeadPoseLoss(keras.losses.Loss):
    """A base loss of head-pose angles in units of `scale` degrees, by default their mean squared error.

    ```text
    L = base(G / scale, P / scale)
      = mean(((P - G) / scale)^2)    by default  (Eq. 11)
    ```

    Angles are tens of degrees where normalised landmarks are fractions of one: without the scale, the
    paper's weights 1 and 0.5 of the two losses (Eq. 12) would leave the landmarks no say.

    A face with an angle that is NaN has no known pose: it costs nothing and has no gradient, so that faces with and
    without a pose can share a batch.

    Args:
        scale: Degrees that count as one; the default puts a profile view at 1.
        base: What compares angles: a Keras loss, its name, its configuration, or a registered function
            `(y_true, y_pred) -> loss` that reduces the last axis. Thresholds of its own (the delta of Huber)
            are in units of `scale` too. A loss object's own reduction is not used.
        reduction: As for every Keras loss.
        name: Name of the loss.
        dtype: Float type of the computation; Keras's `floatx` by default, also under mixed precision.

    Raises:
        ValueError: If `scale` is not positive or there is no such `base`; at the first step, if there are
            not three angles.

    Examples:
        >>> from keras_asm import HeadPoseLoss
        >>> round(float(HeadPoseLoss()([[0.0, 0.0, 0.0]], [[90.0, 90.0, 0.0]])), 4)
        0.6667
        >>> round(float(HeadPoseLoss(base="mean_absolute_error")([[0.0, 0.0, 0.0]], [[90.0, 45.0, 0.0]])), 4)
        0.5

    See Also:
        - [`HeadPoseError`][keras_asm.metrics.HeadPoseError]: the error in degrees, to report.
        - [`label_pose`][keras_asm.faces.label_pose]: where the poses come from.
        - [Faces without a pose][faces-without-a-pose]: how they are left out.
    """

    def __init__(
        self,
        scale: float = 90.0,
        base: str | dict[str, Any] | BaseLoss = "mean_squared_error",
        reduction: str | None = "sum_over_batch_size",
        name: str = "head_pose_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not scale > 0:
            raise ValueError(f"scale must be a positive number of degrees. Received: scale={scale}")
        self.scale = float(scale)
        self.base = get_base(base)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, `(batch,)`."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        for name, angles in (("y_true", y_true), ("y_pred", y_pred)):
            if len(angles.shape) == 0 or angles.shape[-1] != 3:
                raise ValueError(
                    "Head pose must have three angles (yaw, pitch, roll) on its last axis. "
                    f"Received: {name} of shape {tuple(angles.shape)}"
                )
        there = ops.logical_not(ops.any(ops.isnan(y_true), axis=-1, keepdims=True))
        y_true = ops.where(there, y_true, ops.zeros_like(y_true))
        # The short way round: -179 is 2 degrees from 179. Whole turns have no gradient
        difference = y_pred - y_true
        difference = difference - 360.0 * ops.round(difference / 360.0)
        difference = ops.where(there, difference, ops.zeros_like(difference))
        if self.base is keras.losses.mean_squared_error:
            # The difference itself rounds once less, which shows where the two are close
            return ops.mean(ops.square(difference / self.scale), axis=-1)
        return call_base(self.base, y_true / self.scale, (y_true + difference) / self.scale)

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the loss anew."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "base": serialize_base(self.base),
            "dtype": self.dtype,
        }
