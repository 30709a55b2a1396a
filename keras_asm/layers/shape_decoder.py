"""From coefficients to landmarks: the fixed linear map at the end of a network."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_asm.landmarks import as_flat
from keras_asm.shape_models import LinearShapeModel

__all__ = ["ShapeDecoder"]


@keras.saving.register_keras_serializable(package="keras_asm")
class ShapeDecoder(keras.layers.Layer):
    """Turn coefficients into landmarks, `S = mean + z B`: what a network predicts is then of size 1.

    A layer `Dense(n_coefficients)` before it predicts `z`. The map does not learn, and it is linear, so
    `fold_shape_decoder` makes one dense layer of the two once the network is trained.

    The rows of `B` come from one of two places:

    - `from_landmarks`: `z` has an entry for each coordinate, in standard deviations of this coordinate over the
      training landmarks. `B` is diagonal, and is kept as a vector.
    - `from_shape_model`: `z` has an entry for each component `v_k` of a shape model, in its standard deviations:
      `B_k = sqrt(lambda_k) v_k` (Eq. 1 of the paper, with `b_k = sqrt(lambda_k) z_k`). With a component for each
      coordinate it reaches every shape, with fewer only those that the components span.

    The mean and `B` are weights that do not learn. So a weights file holds them, and a network that is loaded from it
    predicts what was trained, whatever landmarks its decoder was made from.

    Args:
        mean_shape: `(n_features,)` or `(n_landmarks, n_dims)`, in the units of the landmarks, such as normalised ones.
        basis: `B` in the same units, `(n_coefficients, n_features)`, or `(n_features,)` where it is diagonal.
        **kwargs: As for every Keras layer.

    Call arguments:
        inputs: Coefficients `z`, `(..., n_coefficients)`, any leading dimensions. The output is flat landmarks
            `(..., n_features)`, in float32 at least; under mixed precision too.

    Raises:
        ValueError: If the mean and the basis do not fit, or hold a value that is not finite; if, when called, the
            inputs have another number of coefficients.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.layers import ShapeDecoder
        >>> decoder = ShapeDecoder(mean_shape=[0.0, 1.0], basis=[0.5, 2.0])
        >>> np.asarray(decoder(np.array([[0.0, 0.0], [1.0, -1.0]]))).tolist()
        [[0.0, 1.0], [0.5, -1.0]]
        >>> landmarks = np.random.default_rng(0).normal(size=(50, 5, 2))
        >>> ShapeDecoder.from_landmarks(landmarks).n_coefficients
        10

    See Also:
        - [`ASMNet`][keras_asm.applications.ASMNet]: takes one as `shape_decoder`.
        - [`fold_shape_decoder`][keras_asm.model_tools.fold_shape_decoder]: takes it out of the trained
          network.
        - [`ASMProjection`][keras_asm.layers.ASMProjection]: limits shapes instead.
        - [The last layer learns too fast][the-last-layer-learns-too-fast]: what it brings.
    """

    def __init__(self, mean_shape: Any, basis: Any, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        mean_shape = np.asarray(mean_shape, dtype=np.float64).reshape(-1)
        basis = np.asarray(basis, dtype=np.float64)
        if basis.ndim not in (1, 2) or basis.shape[-1] != len(mean_shape) or not basis.size:
            raise ValueError(
                f"basis must have the shape (n_coefficients, {len(mean_shape)}) or ({len(mean_shape)},), as the mean "
                f"shape has {len(mean_shape)} coordinates. Received: shape {basis.shape}"
            )
        for name, values in (("mean_shape", mean_shape), ("basis", basis)):
            if not np.isfinite(values).all():
                raise ValueError(
                    f"{name} must be finite. Received: {int((~np.isfinite(values)).sum())} values not"
                )
        self._mean_shape, self._basis = mean_shape, basis
        self.n_coefficients, self.n_features = len(basis), len(mean_shape)

    @classmethod
    def from_landmarks(cls, landmarks: Any, **kwargs: Any) -> Self:
        """A decoder with the mean and the standard deviation of each coordinate of training landmarks.

        Args:
            landmarks: `(n, n_landmarks, n_dims)` or `(n, n_features)`, n at least 2, as the network will predict them;
                those that are NaN have no position and do not count.
            **kwargs: As for every Keras layer.

        Raises:
            ValueError: If there are fewer than two shapes, or none that differs from the others, or a landmark is
                missing in all.
        """
        landmarks = np.asarray(landmarks, dtype=np.float64)
        flat = as_flat(landmarks, leading=1)
        nowhere = np.isnan(flat).all(axis=0)
        if nowhere.any():
            raise ValueError(
                "Each landmark must be there in at least one shape: leave the others out, or complete the shapes. "
                f"Received: {int(nowhere.sum())} coordinates that are missing in all, the first at index "
                f"{int(np.argmax(nowhere))}"
            )
        deviations = np.nanstd(flat, axis=0) if len(flat) > 1 else np.zeros(flat.shape[-1])
        if not deviations.any():
            raise ValueError(
                f"landmarks must be two shapes at least that are not the same. Received: shape {landmarks.shape}"
            )
        # A coordinate that never moves in training stays within reach
        return cls(np.nanmean(flat, axis=0), np.maximum(deviations, 1e-3 * deviations.max()), **kwargs)

    @classmethod
    def from_shape_model(cls, shape_model: Any, **kwargs: Any) -> Self:
        """A decoder with the mean and the components of a shape model, each times its standard deviation.

        Args:
            shape_model: A fitted `ActiveShapeModel`, a `LinearShapeModel`, or its configuration; one without
                alignment, since an aligned one says nothing of where a shape lies.
            **kwargs: As for every Keras layer.

        Raises:
            ValueError: If the shape model is aligned.
        """
        model = LinearShapeModel.of(shape_model)
        if model.reference_shape is not None:
            raise ValueError(
                "shape_model must be fitted with align=None: the decoder has to say where a shape lies, how large it "
                "is and how it is turned. Received: an aligned one"
            )
        return cls(model.mean_shape, np.sqrt(model.explained_variance)[:, None] * model.components, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check the inputs, and make the weights that do not learn."""
        if not input_shape or input_shape[-1] != self.n_coefficients:
            raise ValueError(
                f"The decoder takes coefficients of shape (..., {self.n_coefficients}). Received: shape {input_shape}"
            )
        # "float32" under mixed precision, "float64" where the user computes in float64
        dtype = keras.backend.result_type(self.variable_dtype, "float32")
        fixed = {"dtype": dtype, "trainable": False, "autocast": False}
        self.mean_shape = self.add_weight(
            self._mean_shape.shape, initializer=_constant(self._mean_shape), name="mean_shape", **fixed
        )
        self.basis = self.add_weight(
            self._basis.shape, initializer=_constant(self._basis), name="basis", **fixed
        )
        self.built = True

    def call(self, inputs: Any) -> Any:
        """The landmarks of the coefficients."""
        z = ops.cast(inputs, self.mean_shape.dtype)
        return self.mean_shape + (z * self.basis if self._basis.ndim == 1 else ops.matmul(z, self.basis))

    def compute_output_spec(self, inputs: Any) -> Any:
        """Shape and dtype of the landmarks."""
        return keras.KerasTensor(
            (*inputs.shape[:-1], self.n_features),
            dtype=keras.backend.result_type(self.variable_dtype, "float32"),
        )

    def affine_map(self) -> tuple[np.ndarray, np.ndarray]:
        """The map as it is now, after weights may have been loaded: `B` as a matrix, and the mean.

        Returns:
            `(n_coefficients, n_features)` and `(n_features,)`, float64.
        """
        mean_shape, basis = self._values()
        return np.diag(basis) if basis.ndim == 1 else basis, mean_shape

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the layer anew, as plain lists."""
        mean_shape, basis = self._values()
        return {**super().get_config(), "mean_shape": mean_shape.tolist(), "basis": basis.tolist()}

    def _values(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.built:
            return self._mean_shape, self._basis
        mean_shape, basis = (
            ops.convert_to_numpy(w).astype(np.float64) for w in (self.mean_shape, self.basis)
        )
        return mean_shape, basis


def _constant(values: np.ndarray) -> Any:
    return lambda shape, dtype: ops.convert_to_tensor(values, dtype=dtype)
