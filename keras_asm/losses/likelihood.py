"""The likelihood of landmarks whose network says how sure it is of each."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_asm.landmarks import as_flat, split_log_scale
from keras_asm.losses.landmark_loss import WeightedLandmarks, filled, with_weights

__all__ = ["LandmarkLikelihoodLoss", "landmark_likelihood_loss"]

_DISTRIBUTIONS = ("laplace", "gaussian")


def landmark_likelihood_loss(y_true: Any, y_pred: Any, distribution: str = "laplace") -> Any:
    """`-log p(G)` of each coordinate, not reduced; see `LandmarkLikelihoodLoss`.

    Args:
        y_true: True landmarks, finite, `(batch, n_landmarks, 2)` or `(batch, 2 * n_landmarks)`.
        y_pred: Predicted landmarks and log scales side by side, `(batch, 3 * n_landmarks)`.
        distribution: `"laplace"` or `"gaussian"`.

    Returns:
        `(batch, n_landmarks, 2)`.

    Raises:
        ValueError: If the distribution is unknown, or the landmarks do not fit each other.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> from keras_asm.losses import landmark_likelihood_loss
        >>> y_true = np.array([[0.0, 0.0]])
        >>> y_pred = np.array([[1.0, 0.0, 0.0]])  # x is off by 1, and the log scale is 0
        >>> keras.ops.convert_to_numpy(landmark_likelihood_loss(y_true, y_pred)).round(3).tolist()  # |e| + log 2
        [[[1.693, 0.693]]]

    See Also:
        - [`LandmarkLikelihoodLoss`][keras_asm.losses.LandmarkLikelihoodLoss]: the same for `compile`.
        - [`split_log_scale`][keras_asm.landmarks.split_log_scale]: takes the predictions apart.
    """
    _check(distribution)
    landmarks, log_scale = split_log_scale(y_pred)
    n_landmarks = log_scale.shape[-1]
    y_true = as_flat(y_true, n_landmarks=n_landmarks, leading=1, name="y_true", xp=ops)
    x = ops.reshape(y_true - landmarks, (-1, n_landmarks, 2))
    s = ops.expand_dims(log_scale, -1)
    if distribution == "laplace":
        error = x * ops.sign(x)  # not abs(x): its gradient at 0 is 1 on JAX
        return error * ops.exp(-s) + s + math.log(2)
    return ops.square(x * ops.exp(-s)) / 2 + s + math.log(2 * math.pi) / 2


def _check(distribution: str) -> None:
    if distribution not in _DISTRIBUTIONS:
        raise ValueError(
            f"distribution must be one of {', '.join(_DISTRIBUTIONS)}. Received: {distribution!r}"
        )


@keras.saving.register_keras_serializable(package="keras_asm")
class LandmarkLikelihoodLoss(WeightedLandmarks):
    r"""The negative log-likelihood of landmarks, from which a network learns how far each may be off.

    ```text
    laplace:   -log p(G) = |G - P| / exp(s) + s + log(2)
    gaussian:  -log p(G) = (G - P)^2 / (2 exp(2 s)) + s + log(2 pi) / 2
    L = mean over the coordinates
    ```

    `G` are the true landmarks and `P` the predicted ones; `s` is the predicted log scale, one for the two coordinates
    of a landmark. The scale `exp(s)` is in the units of the landmarks. Under `"laplace"` it is the expected absolute
    error of a coordinate, and the standard deviation is `sqrt(2)` times it. Under `"gaussian"` it is the standard
    deviation. Laplace has the heavier tails: a few large errors move it less.

    It is the loss of one output that holds both, `(batch, 3 * n_landmarks)`: the flat landmarks, then the log scales.
    Networks made with `include_uncertainty=True` have it, as `"uncertain_landmarks"`; its target is the true landmarks.

    It serves as the base of another too: `ASMAssistedLoss(asm, base=LandmarkLikelihoodLoss())` on this output is
    `-log p(G) - alpha log p(ASM(G))`. The scales then also cover `ASM(G)`, until alpha is 0.

    A landmark that is NaN in the targets has no position and costs nothing: each face's loss is the mean over the
    landmarks that it has. A `sample_weight` of `(batch, n_landmarks)` weights single landmarks.

    Args:
        distribution: `"laplace"` (default) or `"gaussian"`.
        reduction: As for every Keras loss.
        name: Name of the loss.
        dtype: Float type of the computation; Keras's `floatx` by default, also under mixed precision.

    Raises:
        ValueError: If the distribution is unknown; at the first step, if the output does not hold three numbers for
            each true landmark.

    Examples:
        One landmark at the origin, predicted at (0.02, 0) with a scale of 0.01:

        >>> import numpy as np
        >>> from keras_asm.losses import LandmarkLikelihoodLoss
        >>> loss = LandmarkLikelihoodLoss("laplace")
        >>> value = loss(np.zeros((1, 2)), np.array([[0.02, 0.0, np.log(0.01)]]))
        >>> bool(np.isclose(value, (2 + 0) / 2 + np.log(2 * 0.01)))
        True

    See Also:
        - [`ASMNet`][keras_asm.applications.ASMNet]: has the output that it needs, with
          `include_uncertainty=True`.
        - [`split_log_scale`][keras_asm.landmarks.split_log_scale]: takes the predictions apart.
        - [`fit_scale_factor`][keras_asm.evaluation.fit_scale_factor]: calibrates the scales afterwards.
        - [How sure a landmark is][how-sure-a-landmark-is]: from training to a picture.

    References:
        A. Kendall, Y. Gal, "What uncertainties do we need in Bayesian deep learning for computer vision?", NIPS 2017.
    """

    def __init__(
        self,
        distribution: str = "laplace",
        reduction: str | None = "sum_over_batch_size",
        name: str = "landmark_likelihood_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        _check(distribution)
        self.distribution = distribution

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, not reduced."""
        y_true, weights = with_weights(y_true)
        y_pred = ops.convert_to_tensor(y_pred)
        return self.visible(*filled(ops.convert_to_tensor(y_true)), y_pred, weights)

    def visible(self, y_true: Any, there: Any, y_pred: Any, weights: Any) -> Any:
        """The loss of each sample over the coordinates that are there; what `visible_loss` is for other losses.

        Args:
            y_true: True landmarks, finite, in either form.
            there: Which coordinates have a position, in the same form.
            y_pred: Predicted landmarks and log scales, `(batch, 3 * n_landmarks)`.
            weights: `(batch, n_landmarks)`, or None.

        Returns:
            `(batch,)`.
        """
        losses = landmark_likelihood_loss(y_true, y_pred, self.distribution)
        there = ops.reshape(ops.cast(there, losses.dtype), (-1, *losses.shape[1:]))
        count = ops.sum(there, axis=(1, 2))
        losses = losses * there
        if weights is not None:
            losses = losses * ops.expand_dims(ops.cast(weights, losses.dtype), -1)
        return ops.sum(losses, axis=(1, 2)) / ops.maximum(count, 1)

    def _n_landmarks(self, shape: Any) -> int:
        return shape[-1] // 3

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the loss anew."""
        return {**super().get_config(), "distribution": self.distribution, "dtype": self.dtype}
