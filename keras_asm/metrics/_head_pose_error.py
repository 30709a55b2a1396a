from typing import Any

import keras
from keras import ops

from keras_asm.metrics.functional import ANGLES


@keras.saving.register_keras_serializable(package="keras_asm")
class HeadPoseError(keras.metrics.Mean):
    """Mean over all images of `head_pose_error`, in degrees.

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
        difference = ops.mod(ops.abs(predicted - true), 360.0)
        errors = ops.minimum(difference, 360.0 - difference)
        errors = ops.mean(errors, axis=-1) if self.angle is None else errors[..., ANGLES.index(self.angle)]
        super().update_state(errors, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON-ready."""
        return {**super().get_config(), "angle": self.angle}
