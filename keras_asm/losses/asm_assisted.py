"""The loss that compares a prediction with the true and with the smoothed landmarks."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_asm.landmarks import as_flat, as_points, is_paired, split_log_scale
from keras_asm.losses._base import BaseLoss, get_base, serialize_base
from keras_asm.losses.landmark_loss import WeightedLandmarks, filled, visible_loss, with_weights
from keras_asm.losses.likelihood import LandmarkLikelihoodLoss
from keras_asm.losses.scheduled_value import Quantity
from keras_asm.shape_models import LinearShapeModel

__all__ = ["ASMAssistedLoss", "asm_assisted_loss"]


def asm_assisted_loss(
    y_true: Any,
    y_pred: Any,
    shape_model: LinearShapeModel,
    alpha: Any = 1.0,
    base: BaseLoss = keras.losses.mean_squared_error,
    n_components: Any = None,
    normalize: bool = False,
    weights: Any = None,
) -> Any:
    """`base(G, P) + alpha * base(ASM(G), P)`, not reduced (Eqs. 7-9).

    Args:
        y_true: True landmarks `G`, `(batch, 2 * n_landmarks)` or `(batch, n_landmarks, 2)`; NaN where they have no
            position.
        y_pred: Predicted landmarks `P`, in either form; with their log scales if `base` is a `LandmarkLikelihoodLoss`.
        shape_model: The linear shape model, in the units of the landmarks.
        alpha: Weight of the smoothed landmarks, a number or a scalar tensor.
        base: A loss or a function of true and predicted values that reduces the last axis at most.
        n_components: How many of the model's components smooth, a number or a scalar tensor; None: all.
        normalize: Divide the sum by `1 + alpha`.
        weights: Weights of the landmarks, `(batch, n_landmarks)`; None: all 1.

    Returns:
        A tensor of the shape that `base` gives.

    Examples:
        In a training loop of your own, alpha is an argument of the step:

        >>> import keras
        >>> import numpy as np
        >>> from keras_asm import ActiveShapeModel
        >>> from keras_asm.losses import asm_assisted_loss
        >>> shapes = np.random.default_rng(0).normal(size=(50, 6))
        >>> model = ActiveShapeModel(2).fit(shapes).linear_model()
        >>> loss = asm_assisted_loss(shapes, shapes, model, alpha=2.0)  # where P = G: alpha * base(ASM(G), G)
        >>> expected = 2 * np.mean((model.project(shapes) - shapes) ** 2, axis=-1)
        >>> bool(np.allclose(keras.ops.convert_to_numpy(loss), expected, rtol=1e-4))
        True

    See Also:
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: the same for `compile`, with a schedule of
          alpha.
        - [Alpha and its schedules][alpha-and-its-schedules]: what alpha does.
    """
    if y_pred.shape[-1] == 3 and shape_model.n_features != 3 and shape_model.n_dims != 3:
        raise ValueError(
            "The assisted loss compares landmarks, and y_pred has the shape of a head pose: a model of several outputs "
            "needs a dictionary of losses, {'landmarks': ASMAssistedLoss(...), 'pose': HeadPoseLoss()}. "
            f"Received: y_pred of shape {tuple(y_pred.shape)}"
        )
    landmarks = split_log_scale(y_pred)[0] if isinstance(base, LandmarkLikelihoodLoss) else y_pred
    paired = is_paired(landmarks.shape, **shape_model.layout("y_pred, the model's output,"))
    as_predicted = as_points if paired else as_flat
    y_true = as_predicted(y_true, xp=ops, **shape_model.layout("y_true"))
    y_true, there = filled(y_true)
    smoothed = _smoothed(shape_model, y_true, there, weights, n_components, paired)
    to_truth, to_smoothed = (
        base.visible(target, there, y_pred, weights)
        if isinstance(base, LandmarkLikelihoodLoss)
        else visible_loss(base, target, y_pred, there, weights, paired)
        for target in (y_true, smoothed)
    )
    alpha = ops.cast(alpha, y_pred.dtype)
    total = to_truth + alpha * to_smoothed
    return total / (1 + alpha) if normalize else total


def _smoothed(
    model: LinearShapeModel, y_true: Any, there: Any, weights: Any, n_components: Any, paired: bool
) -> Any:
    """`ASM(G)`, of faces with missing or weighted landmarks that of the completed ones."""
    points = there if paired else ops.reshape(there, (-1, model.n_landmarks, model.n_dims))
    trust = ops.cast(ops.all(points, axis=-1), y_true.dtype)
    if weights is not None:
        trust = trust * ops.cast(weights, y_true.dtype)
        largest = ops.max(trust, axis=-1, keepdims=True)
        trust = trust / ops.where(largest > 0, largest, ops.ones_like(largest))

    def completed() -> Any:
        # In half precision, no backend solves linear systems well, and JAX none
        half = keras.backend.standardize_dtype(y_true.dtype) in ("float16", "bfloat16")
        dtype = "float32" if half else y_true.dtype
        found = model.complete(ops.cast(y_true, dtype), ops.cast(trust, dtype), xp=ops)
        return ops.cast(found, y_true.dtype)

    # Batches of whole faces, which are most, are spared the solution of as many linear systems
    known = ops.cond(ops.any(trust < 1.0), completed, lambda: y_true)
    return model.project(known, active=n_components, xp=ops)


@keras.saving.register_keras_serializable(package="keras_asm")
class ASMAssistedLoss(WeightedLandmarks):
    r"""The ASM-assisted loss of landmarks.

    ```text
    L = base(G, P) + alpha * base(ASM(G), P)     (Eqs. 7-9)
    ```

    `G` are the true landmarks, `P` the predicted ones and `ASM(G)` the true ones as the shape model sees
    them, which are easier to learn first. For a squared error this equals `(1 + alpha) * base(T, P)` plus a
    constant, with the target `T = (G + alpha * ASM(G)) / (1 + alpha)`: a constant alpha of 0.5 leaves the
    optimum a third of the way from `G` to `ASM(G)`; let alpha end at 0 to remove that.

    `alpha` is constant unless a schedule drives it: add `AlphaStepSchedule()`, or one of its relatives, to
    the callbacks of `fit`. Assigning `loss.alpha` works between runs too, once a schedule has bound the
    loss to a model; before that, the value is built into the step when `fit` compiles it.

    The sum weighs more the larger alpha is. Beside another loss, such as that of the head pose, alpha then also
    changes how much the other counts, and Adam, which divides out the scale of gradients over the last thousand
    steps, takes each fall of alpha as a smaller learning rate for a while. With `normalize`, the loss is a weighted
    mean instead, `L / (1 + alpha)`, and alpha moves the target and nothing else.

    The shape model must be fitted on landmarks in the units of the targets (for the networks here:
    normalised to the crop), and as the network sees them: where an augmentation turns or shifts the faces, on those
    of `LandmarkAugmentation.augment_landmarks`, or aligned. One loss object belongs to one model at a time.

    A landmark that is NaN in the targets has no position. It costs nothing, in either term; each face's loss is the
    mean over the landmarks that it has, and `ASM(G)` is fitted to those. A `sample_weight` of `(batch, n_landmarks)`
    weights single landmarks, in the loss and in what `ASM(G)` is fitted to; one of `(batch,)` weights faces. As
    everywhere in Keras, weighted losses are not divided by the weights' sum.

    Args:
        shape_model: A fitted `ActiveShapeModel`, a `LinearShapeModel`, or its configuration.
        alpha: Weight of the smoothed landmarks, at least 0.
        base: What compares landmarks: a Keras loss, its name, or a registered function `(y_true, y_pred) -> loss`
            that reduces the last axis at most. A loss object's own reduction is not used. With a
            `LandmarkLikelihoodLoss`, the output is that of a network with `include_uncertainty=True`.
        normalize: Divide by `1 + alpha`; the paper does not.
        reduction: As for every Keras loss.
        name: Name of the loss.
        dtype: Float type of the computation; Keras's `floatx` by default, also under mixed precision.

    Raises:
        ValueError: If `alpha` is negative or not finite; at the first step, if the landmarks and the shape
            model differ in number.

    Examples:
        >>> import numpy as np
        >>> from keras_asm import ActiveShapeModel, ASMAssistedLoss
        >>> shapes = np.random.default_rng(0).normal(size=(50, 4, 2)).astype("float32")
        >>> asm = ActiveShapeModel(n_components=3).fit(shapes)
        >>> loss = ASMAssistedLoss(asm, alpha=2.0)
        >>> G, P = shapes[:8], shapes[8:16]
        >>> expected = np.mean((G - P) ** 2) + 2 * np.mean((asm.project(G) - P) ** 2)
        >>> bool(np.isclose(loss(G, P), expected, rtol=1e-5))
        True

    See Also:
        - [`AlphaStepSchedule`][keras_asm.callbacks.AlphaStepSchedule]: sets alpha in each epoch.
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: smooths the
          landmarks.
        - [`asm_assisted_loss`][keras_asm.losses.asm_assisted_loss]: the same as a function.
        - [Alpha and its schedules][alpha-and-its-schedules]: when it helps, and when not.

    References:
        A. P. Fard, H. Abdollahi, M. Mahoor, "ASMNet: a lightweight deep neural network for face alignment
        and pose estimation", CVPRW 2021, section 3.3.
    """

    def __init__(
        self,
        shape_model: Any,
        alpha: float = 1.0,
        base: str | dict[str, Any] | BaseLoss = "mean_squared_error",
        normalize: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "asm_assisted_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.shape_model = LinearShapeModel.of(shape_model)
        self.base = get_base(base)
        self.normalize = bool(normalize)
        # What schedules may drive, by name; no n_components: all take part
        self.quantities = {"alpha": Quantity(_checked_alpha(alpha)), "n_components": Quantity()}

    @property
    def alpha(self) -> float:
        """Weight of the smoothed landmarks."""
        alpha = self.quantities["alpha"].value
        assert alpha is not None
        return alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        self.quantities["alpha"].value = _checked_alpha(value)

    @property
    def n_components(self) -> int:
        """How many of the shape model's components smooth the true landmarks."""
        value = self.quantities["n_components"].value
        return self.shape_model.n_components if value is None else round(value)

    @n_components.setter
    def n_components(self, value: int) -> None:
        if not 1 <= value <= self.shape_model.n_components:
            raise ValueError(
                f"n_components must be in 1 .. {self.shape_model.n_components}, the components of the shape model. "
                f"Received: n_components={value}"
            )
        self.quantities["n_components"].value = float(value)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, not reduced."""
        y_true, weights = with_weights(y_true)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        for quantity in self.quantities.values():
            quantity.observe(y_true)
        return asm_assisted_loss(
            y_true,
            y_pred,
            self.shape_model,
            self.quantities["alpha"].in_step,
            self.base,
            self.quantities["n_components"].in_step,
            self.normalize,
            weights,
        )

    def _n_landmarks(self, shape: Any) -> int:
        return self.shape_model.n_landmarks

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the loss anew, the shape model as plain lists and alpha as it is now."""
        return {
            "shape_model": self.shape_model.get_config(),
            "alpha": self.alpha,
            "base": serialize_base(self.base),
            "normalize": self.normalize,
            "reduction": self.reduction,
            "name": self.name,
            "dtype": self.dtype,
        }


def _checked_alpha(alpha: float) -> float:
    if not (math.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha must be a finite number, at least 0. Received: alpha={alpha}")
    return float(alpha)
