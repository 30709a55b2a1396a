"""The ASM operator as a Keras layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_asm.landmarks import is_paired
from keras_asm.shape_models import LinearShapeModel

__all__ = ["ASMProjection"]


@keras.saving.register_keras_serializable(package="keras_asm")
class ASMProjection(keras.layers.Layer):
    """Replace shapes by the nearest plausible ones: `ASM(S)` of Eq. 4, differentiable and without weights.

    ```text
    b = (S - mean) V^T,   ASM(S) = mean + clip(b, -limit sqrt(lambda), limit sqrt(lambda)) V
    ```

    The operator is that of `ActiveShapeModel.project`, aligned where the model is. It computes in float32
    at least; under mixed precision only its output is rounded.

    Args:
        shape_model: A fitted `ActiveShapeModel`, a `LinearShapeModel`, or its configuration.
        **kwargs: As for every Keras layer.

    Call arguments:
        inputs: `(..., 2 * n_landmarks)` or `(..., n_landmarks, 2)`, any leading dimensions.

    Raises:
        ValueError: If, when called, the inputs have another number of landmarks than the shape model.

    Examples:
        >>> import numpy as np
        >>> from keras_asm import ActiveShapeModel, ASMProjection
        >>> shapes = np.random.default_rng(0).normal(size=(50, 4, 2)).astype("float32")
        >>> asm = ActiveShapeModel(n_components=3).fit(shapes)
        >>> bool(np.allclose(ASMProjection(asm)(shapes), asm.project(shapes), atol=1e-5))
        True

    See Also:
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: smooths the targets and leaves the network as
          it is.
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: its `project` does
          the same with NumPy.
        - [`ShapeDecoder`][keras_asm.layers.ShapeDecoder]: builds shapes of components from the start.
        - [Inside a network][inside-a-network]: when to use it.
    """

    def __init__(self, shape_model: Any, **kwargs: Any) -> None:
        # Without autocast the inputs keep their precision: a float16 landmark is 0.1 px off at 224 px.
        super().__init__(autocast=False, **kwargs)
        self.shape_model = LinearShapeModel.of(shape_model)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the inputs are shapes of this model."""
        is_paired(input_shape, **self.shape_model.layout())
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The projected shapes, in the form of the inputs."""
        shapes = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        return ops.cast(self.shape_model.project(shapes, xp=ops), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the layer anew, the shape model as plain lists."""
        return {**super().get_config(), "shape_model": self.shape_model.get_config()}
