"""The shape model as plain data, and the one place where its formulas are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_asm.landmarks import as_flat, as_points
from keras_asm.shape_models._missing_points import completed_points, expected_points, prior_and_noise
from keras_asm.shape_models.procrustes import align_to, undo_alignment

__all__ = ["LinearShapeModel", "count_for_accuracy"]


def count_for_accuracy(explained_variance_ratio: np.ndarray, accuracy: float) -> int:
    """The fewest components whose shares of the variance sum to more than `accuracy`.

    More than, not at least, as in scikit-learn's PCA; never more components than there are.

    Examples:
        >>> count_for_accuracy(np.array([0.5, 0.25, 0.25]), 0.7)
        2
    """
    shares = np.cumsum(explained_variance_ratio)
    return min(int(np.searchsorted(shares, accuracy, side="right")) + 1, len(shares))


@dataclass(frozen=True, eq=False)
class LinearShapeModel:
    """A fitted shape model: `S = mean + b V` with `|b_k| <= limit * sqrt(lambda_k)` (Eqs. 1-3).

    `ActiveShapeModel` learns one from shapes; the Keras layer and loss carry one in their configuration,
    so that loading them needs neither scikit-learn nor the training shapes.

    Attributes:
        mean_shape: Mean `(n_features,)`, float64; `n_features = n_landmarks * n_dims`, coordinates
            interleaved (x, y, x, y, ...).
        components: Orthonormal rows `V`, `(n_components, n_features)`.
        explained_variance: Eigenvalues `lambda`, `(n_components,)`, in squared units of the shapes.
        explained_variance_ratio: Their shares of the total variance, `(n_components,)`.
        limit: Largest coefficient in standard deviations, or None for no limit.
        reference_shape: `(n_features,)`, centred: what shapes are aligned to before they are projected;
            None where shapes are taken as they lie.
        n_dims: Coordinates of a landmark.

    Raises:
        ValueError: If the arrays do not fit together, a number is not finite, or a variance negative.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.shape_models import ActiveShapeModel, LinearShapeModel
        >>> shapes = np.random.default_rng(0).normal(size=(100, 5, 2))
        >>> model = LinearShapeModel.of(ActiveShapeModel(4).fit(shapes))
        >>> model.n_components, model.n_landmarks
        (4, 5)
        >>> smoothed = model.project(shapes.reshape(100, 10))
        >>> bool(np.allclose(model.project(smoothed), smoothed))
        True

    See Also:
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: learns one from
          shapes.
        - [`ASMProjection`][keras_asm.layers.ASMProjection]: carries one in a network.
        - [`plot_shape_modes`][keras_asm.visualization.plot_shape_modes]: draws its modes.
    """

    mean_shape: np.ndarray
    components: np.ndarray
    explained_variance: np.ndarray
    explained_variance_ratio: np.ndarray
    limit: float | None = 3.0
    reference_shape: np.ndarray | None = None
    n_dims: int = 2

    def __post_init__(self) -> None:
        k, n = np.shape(self.explained_variance)[:1] or (0,), np.shape(self.mean_shape)
        shapes = {
            "mean_shape": n if len(n) == 1 and n[0] else (self.n_dims,),
            "components": (*k, *n),
            "explained_variance": k,
            "explained_variance_ratio": k,
            "reference_shape": n,
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is None and name == "reference_shape":
                continue
            if (
                not isinstance(array, np.ndarray)
                or array.shape != shape
                or array.dtype.kind != "f"
                or not np.isfinite(array).all()
            ):
                raise ValueError(
                    f"{name} must hold finite numbers of shape {shape}, to fit the other arrays. Received: "
                    f"{getattr(array, 'dtype', type(array).__name__)} of shape {np.shape(array)}"
                )
        if (self.explained_variance < 0).any() or not (self.limit is None or 0 < self.limit < np.inf):
            raise ValueError(
                "Variances must not be negative, and the limit be a number above 0, or None. "
                f"Received: variances from {self.explained_variance.min(initial=0.0)}, limit={self.limit!r}"
            )

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.components)

    @property
    def n_features(self) -> int:
        """Number of coordinates of a shape."""
        return len(self.mean_shape)

    @property
    def n_landmarks(self) -> int:
        """Number of landmarks of a shape."""
        return self.n_features // self.n_dims

    @property
    def size(self) -> float:
        """Root mean square of a coordinate over the shapes that it was fitted on; without alignment."""
        variance = self.explained_variance.sum() / max(self.explained_variance_ratio.sum(), 1e-12)
        return float(np.sqrt((np.square(self.mean_shape).sum() + variance) / self.n_features))

    @property
    def prior(self) -> tuple[np.ndarray, float]:
        """Variances of the coefficients `lambda - s2`, `(n_components,)`, and the noise `s2`: probabilistic PCA.

        `s2` is the mean of the variances that the components leave out.
        """
        total = self.explained_variance.sum() / max(self.explained_variance_ratio.sum(), 1e-12)
        return prior_and_noise(self.explained_variance, float(total), self.n_features)

    def n_components_for(self, accuracy: float) -> int:
        """The fewest components that keep a fraction of the variance, at most those at hand.

        Args:
            accuracy: Fraction of the total variance, in (0, 1]; the paper's "PCA accuracy" over 100.

        Raises:
            ValueError: If `accuracy` is out of range or above what the components at hand keep.
        """
        if not 0.0 < accuracy <= 1.0:
            raise ValueError(f"accuracy must be in (0, 1]. Received: accuracy={accuracy}")
        kept = self.explained_variance_ratio.sum()
        if accuracy > kept * (1 + 1e-9):
            raise ValueError(
                f"This shape model keeps {kept:.4f} of the variance in its {self.n_components} components: "
                f"fit it with a larger n_components. Received: accuracy={accuracy}"
            )
        return count_for_accuracy(self.explained_variance_ratio, accuracy)

    def truncate(self, n_components: int) -> LinearShapeModel:
        """The same model with its first components only."""
        return LinearShapeModel(
            self.mean_shape,
            self.components[:n_components],
            self.explained_variance[:n_components],
            self.explained_variance_ratio[:n_components],
            self.limit,
            self.reference_shape,
            self.n_dims,
        )

    def layout(self, name: str = "landmarks") -> dict[str, Any]:
        """What `is_paired`, `as_points` and `as_flat` need to know of shapes of this model.

        Args:
            name: What an error calls the array.
        """
        model = f"The shape model has {self.n_landmarks} landmarks of {self.n_dims} coordinates"
        return {"n_dims": self.n_dims, "n_landmarks": self.n_landmarks, "name": f"{model}: {name}"}

    def encode(self, shapes: Any, xp: Any = np) -> tuple[Any, Any]:
        """Coefficients `b = (S - mean) V^T` (Eq. 2) of flat shapes, and the similarity that was removed.

        Args:
            shapes: `(..., n_features)`.
            xp: The namespace that computes, `numpy` or `keras.ops`.

        Returns:
            `b`, `(..., n_components)`, and the `Similarity` (None without alignment).
        """
        similarity = None
        if self.reference_shape is not None:
            points = xp.reshape(shapes, (*_leading(shapes, xp), self.n_landmarks, 2))
            reference = _like(self.reference_shape.reshape(-1, 2), shapes, xp)
            points, similarity = align_to(points, reference, xp)
            shapes = xp.reshape(points, (*_leading(shapes, xp), self.n_features))
        return _times(shapes - _like(self.mean_shape, shapes, xp), self.components, xp), similarity

    def constrain(self, coefficients: Any, xp: Any = np) -> Any:
        """Clip coefficients to `limit` standard deviations of each component (Eq. 3)."""
        if self.limit is None:
            return coefficients
        bound = _like(self.limit * np.sqrt(self.explained_variance), coefficients, xp)
        return xp.minimum(xp.maximum(coefficients, -bound), bound)

    def decode(self, coefficients: Any, similarity: Any = None, xp: Any = np) -> Any:
        """Flat shapes `S = mean + b V` (Eq. 1), put back where they lay if a similarity is given."""
        mean = _like(self.mean_shape, coefficients, xp)
        shapes = mean + _times(coefficients, self.components.T, xp)
        if similarity is None:
            return shapes
        points = xp.reshape(shapes, (*_leading(shapes, xp), self.n_landmarks, 2))
        return xp.reshape(undo_alignment(points, similarity, xp), (*_leading(shapes, xp), self.n_features))

    def complete(self, shapes: Any, weights: Any, xp: Any = np) -> Any:
        """Shapes with their unsure points moved to where the model expects them, given the others.

        Args:
            shapes: `(..., n_landmarks, n_dims)` or `(..., n_features)`; finite, also where a weight is 0.
            weights: `(..., n_landmarks)`, from 0 (the point is not there) to 1 (it stays where it is).
            xp: The namespace that computes, `numpy` or `keras.ops`.

        Returns:
            The completed shapes, in the form that came in.
        """
        points = as_points(shapes, xp=xp, **self.layout())
        return xp.reshape(completed_points(self, points, weights, xp), xp.shape(shapes))

    def posterior_mean(self, shapes: Any, scales: Any, xp: Any = np) -> Any:
        """The expected true shapes of measured ones; see `ActiveShapeModel.posterior_mean`.

        Args:
            shapes: `(..., n_landmarks, n_dims)` or `(..., n_features)`; finite.
            scales: Standard deviations of the errors, `(..., n_landmarks)`, in the units of the shapes.
            xp: The namespace that computes, `numpy` or `keras.ops`.

        Returns:
            The expected shapes, in the form that came in.
        """
        points = as_points(shapes, xp=xp, **self.layout())
        return xp.reshape(expected_points(self, points, scales, xp), xp.shape(shapes))

    def project(self, shapes: Any, active: Any = None, xp: Any = np) -> Any:
        """The ASM operator (Eq. 4): encode, constrain, decode.

        Args:
            shapes: `(..., n_landmarks, n_dims)` or `(..., n_features)`, any leading dimensions.
            active: How many of the components take part, a number or a scalar tensor; None: all.
            xp: The namespace that computes, `numpy` or `keras.ops`.

        Returns:
            The smoothed shapes, in the form that came in.
        """
        flat = as_flat(shapes, xp=xp, **self.layout())
        coefficients, similarity = self.encode(flat, xp)
        coefficients = self.constrain(coefficients, xp)
        if active is not None:
            taking_part = _like(np.arange(self.n_components), coefficients, xp) < active
            coefficients = xp.where(taking_part, coefficients, xp.zeros_like(coefficients))
        return xp.reshape(self.decode(coefficients, similarity, xp), xp.shape(shapes))

    def get_config(self) -> dict[str, Any]:
        """Plain lists and numbers: exact in JSON, since Python writes a float64 so that it reads back."""
        return {
            "mean_shape": self.mean_shape.tolist(),
            "components": self.components.tolist(),
            "explained_variance": self.explained_variance.tolist(),
            "explained_variance_ratio": self.explained_variance_ratio.tolist(),
            "limit": self.limit,
            "reference_shape": None if self.reference_shape is None else self.reference_shape.tolist(),
            "n_dims": self.n_dims,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LinearShapeModel:
        """The model that `get_config` described."""
        arrays = {
            name: np.asarray(config[name], dtype=np.float64)
            for name in ("mean_shape", "components", "explained_variance", "explained_variance_ratio")
        }
        arrays["components"] = arrays["components"].reshape(-1, len(arrays["mean_shape"]))
        reference = config["reference_shape"]
        return cls(
            **arrays,
            limit=config["limit"],
            reference_shape=None if reference is None else np.asarray(reference, dtype=np.float64),
            n_dims=config["n_dims"],
        )

    @classmethod
    def of(cls, shape_model: Any) -> LinearShapeModel:
        """Take what users hold, a fitted `ActiveShapeModel`, this class, or its configuration.

        Raises:
            ValueError: If it is none of these.
            sklearn.exceptions.NotFittedError: If the `ActiveShapeModel` has not been fitted.
        """
        if isinstance(shape_model, cls):
            return shape_model
        if isinstance(shape_model, Mapping):
            return cls.from_config(shape_model)
        if hasattr(shape_model, "linear_model"):
            return shape_model.linear_model()
        raise ValueError(
            "shape_model must be a fitted ActiveShapeModel, a LinearShapeModel or its configuration. "
            f"Received: {shape_model!r} of type {type(shape_model).__name__}"
        )


def _leading(array: Any, xp: Any) -> tuple[Any, ...]:
    """The dimensions before the last, unknown ones as the tensors that hold them."""
    return tuple(xp.shape(array)[:-1])


def _like(constant: np.ndarray, array: Any, xp: Any) -> Any:
    if xp is np:
        return constant
    return xp.convert_to_tensor(constant, dtype=array.dtype)


def _times(vectors: Any, rows: np.ndarray, xp: Any) -> Any:
    """`vectors @ rows.T`.

    A float32 matrix product on a GPU may round its factors to TF32's 10 bits, in TensorFlow and JAX by
    default: a tenth of a pixel in a 224-pixel crop. A sum of products is always float32, and with the few
    components of a shape model it is cheap.
    """
    if xp is np:
        return vectors @ rows.T
    return xp.sum(xp.expand_dims(vectors, -2) * _like(rows, vectors, xp), axis=-1)
