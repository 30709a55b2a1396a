"""The wing loss of landmarks."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_asm.losses.landmark_loss import WeightedLandmarks, filled, visible_loss, with_weights

__all__ = ["WingLoss", "wing_loss"]


@keras.saving.register_keras_serializable(package="keras_asm")
def wing_loss(y_true: Any, y_pred: Any, width: float = 10 / 256, curvature: float = 2 / 256) -> Any:
    """The wing loss, averaged over the last axis and not reduced further; see `WingLoss`.

    Args:
        y_true: True landmarks, `(..., 2 * n_landmarks)` or `(..., n_landmarks, 2)`.
        y_pred: Predicted landmarks, in the same form.
        width: `w`, in the units of the landmarks.
        curvature: `eps`, in the units of the landmarks.

    Returns:
        A tensor of the shape of the landmarks without the last axis.

    Raises:
        ValueError: If `width` or `curvature` is not positive and finite.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> from keras_asm.losses import wing_loss
        >>> y_true, y_pred = np.zeros((1, 2)), np.array([[0.01, 0.01]])
        >>> loss = float(keras.ops.convert_to_numpy(wing_loss(y_true, y_pred))[0])
        >>> bool(abs(loss - 10 / 256 * np.log(1 + 0.01 / (2 / 256))) < 1e-6)
        True

    See Also:
        - [`WingLoss`][keras_asm.losses.WingLoss]: the same for `compile`.
        - [`asm_assisted_loss`][keras_asm.losses.asm_assisted_loss]: takes it as its base.
    """
    _check_positive(width=width, curvature=curvature)
    x = ops.subtract(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
    error = x * ops.sign(x)  # not abs(x): its gradient at 0 is 1 on JAX, a push away from the truth
    offset = width - width * math.log1p(width / curvature)
    near, far = width * ops.log1p(error / curvature), error - offset
    return ops.mean(ops.where(error < width, near, far), axis=-1)


def _check_positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive, finite number. Received: {name}={value}")


@keras.saving.register_keras_serializable(package="keras_asm")
class WingLoss(WeightedLandmarks):
    """The wing loss of landmarks, in which small errors count for more than in an absolute error.

    ```text
    wing(x) = w ln(1 + |x| / eps)   if |x| < w
              |x| - C               otherwise,    C = w - w ln(1 + w / eps)
    L       = mean of wing(x) over the coordinates, x = G - P
    ```

    `G` are the true landmarks, `P` the predicted ones, and `C` joins the two pieces. The gradient is
    `w / (eps + |x|)` within `w`, so by default nearly 5 next to the truth, and 1 beyond `w`. At exactly 0 it
    is 0.

    The paper's `w = 10` and `eps = 2` are pixels of the network's input. Landmarks here are normalised to
    the crop, whose span is 1: the defaults are the paper's numbers on a crop of 256 pixels, and the loss is
    in units of the crop. For another size, divide by it: `10 / 64` and `2 / 64` for 64 pixels, which the
    smallest network of the paper, CNN-6, sees.

    A landmark that is NaN in the targets has no position and costs nothing: each face's loss is the mean over the
    landmarks that it has. A `sample_weight` of `(batch, n_landmarks)` weights single landmarks.

    It serves as a loss of its own and as the base of another: `ASMAssistedLoss(asm, base=WingLoss())`.

    Args:
        width: `w`, the error up to which the logarithm reaches, in the units of the landmarks.
        curvature: `eps`, in the same units; the smaller, the steeper the loss next to the truth.
        reduction: As for every Keras loss.
        name: Name of the loss.
        dtype: Float type of the computation; Keras's `floatx` by default, also under mixed precision.

    Raises:
        ValueError: If `width` or `curvature` is not positive and finite.

    Examples:
        In pixels, errors of 2 and 20 give `10 ln 2` and `20 - (10 - 10 ln 6)`:

        >>> from keras_asm import WingLoss
        >>> loss = WingLoss(width=10, curvature=2)
        >>> round(float(loss([[0.0]], [[2.0]])), 3), round(float(loss([[0.0]], [[20.0]])), 3)
        (6.931, 27.918)

        On landmarks normalised to a crop of 256 pixels:

        >>> round(256 * float(WingLoss()([[0.0]], [[2 / 256]])), 3)
        6.931

    See Also:
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: takes it as its base, with `base=WingLoss()`.
        - [`wing_loss`][keras_asm.losses.wing_loss]: the same as a function.
        - [`LandmarkLoss`][keras_asm.losses.LandmarkLoss]: for Keras's own losses.
        - [The recipe][the-recipe]: what it brings.

    References:
        Z.-H. Feng, J. Kittler, M. Awais, P. Huber, X.-J. Wu, "Wing Loss for Robust Facial Landmark
        Localisation with Convolutional Neural Networks", CVPR 2018.
    """

    def __init__(
        self,
        width: float = 10 / 256,
        curvature: float = 2 / 256,
        reduction: str | None = "sum_over_batch_size",
        name: str = "wing_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        _check_positive(width=width, curvature=curvature)
        self.width, self.curvature = float(width), float(curvature)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, or of each landmark where landmarks are paired."""
        y_true, weights = with_weights(y_true)
        y_pred = ops.convert_to_tensor(y_pred)
        y_true, there = filled(ops.convert_to_tensor(y_true))

        def base(y_true: Any, y_pred: Any) -> Any:
            return wing_loss(y_true, y_pred, self.width, self.curvature)

        return visible_loss(base, y_true, y_pred, there, weights, len(y_pred.shape) > 2)

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the loss anew."""
        return {
            **super().get_config(),
            "width": self.width,
            "curvature": self.curvature,
            "dtype": self.dtype,
        }
