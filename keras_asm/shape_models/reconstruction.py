"""What a shape model does to shapes, known before any training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_asm.landmarks import LandmarkScheme, normalizing_distance
from keras_asm.shape_models.linear_shape_model import LinearShapeModel

__all__ = ["ReconstructionReport", "ReconstructionRow", "reconstruction_report"]

# Shapes drawn like the fitted ones leave a squared residual whose mean is the variance left out (ratio 1).
# Sampling and outliers move the ratio a little; a rotation by 15 degrees makes it many times larger.
_STRANGE = 2.0


@dataclass(frozen=True)
class ReconstructionRow:
    """`ASM(G)` against `G` for one accuracy.

    Attributes:
        accuracy: Fraction of the variance asked for.
        n_components: Components that keep it.
        mean_error: Mean over shapes of the NME between `ASM(G)` and `G`, a fraction.
        max_error: The largest of these errors.
        limited_shapes: Fraction of shapes with at least one coefficient at its limit.
        limited_coefficients: Fraction of all coefficients at their limit.

    See Also:
        - [`ReconstructionReport`][keras_asm.shape_models.reconstruction.ReconstructionReport]: the table of
          such rows.
    """

    accuracy: float
    n_components: int
    mean_error: float
    max_error: float
    limited_shapes: float
    limited_coefficients: float


@dataclass(frozen=True)
class ReconstructionReport:
    """A table of `ReconstructionRow`s; print it, or take `to_dict()` for JSON.

    Attributes:
        rows: One row an accuracy, in the order asked for.
        n_shapes: Number of shapes measured.
        normalizer: What distances are divided by.
        limit: Largest coefficient in standard deviations, or None.
        residual_ratio: Mean squared distance of these shapes from what the fitted components span, over the
            same for the shapes they were fitted on: 1 where they are alike.

    See Also:
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: makes it with
          `reconstruction_report`.
        - [Before any training][before-any-training]: how to read it.
    """

    rows: tuple[ReconstructionRow, ...]
    n_shapes: int
    normalizer: str
    limit: float | None
    residual_ratio: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        limit = "no limit" if self.limit is None else f"limit {self.limit:g} sd"
        lines = [
            f"ASM(G) against G, {self.n_shapes} shapes, {limit}, NME by {self.normalizer}",
            f"{'accuracy':>8} {'components':>10} {'NME %':>7} {'max %':>7} "
            f"{'shapes limited':>15} {'coefs limited':>13}",
        ]
        lines += [
            f"{row.accuracy:8.2%} {row.n_components:10d} {100 * row.mean_error:7.2f} {100 * row.max_error:7.2f} "
            f"{row.limited_shapes:15.1%} {row.limited_coefficients:13.2%}"
            for row in self.rows
        ]
        return "\n".join(lines)


def reconstruction_report(
    model: LinearShapeModel,
    shapes: np.ndarray,
    scheme: str | LandmarkScheme | None,
    accuracies: Sequence[float],
    n_components: int,
) -> ReconstructionReport:
    """Measure `ASM(G)` against `G`; `ActiveShapeModel.reconstruction_report` is the way to it.

    Sizes are taken in the x-y plane, errors in all dimensions.

    Args:
        model: The shape model with all of its components.
        shapes: Flat shapes, `(n_samples, n_features)`.
        scheme: Names the eye corners for the NME; None normalises by the landmarks' bounding box.
        accuracies: Fractions of the variance.
        n_components: How many components the fitted model keeps, for the comparison with its own shapes.
    """
    points = shapes.reshape(len(shapes), model.n_landmarks, model.n_dims)
    normalizer = "box" if scheme is None else "inter_ocular"
    distance = normalizing_distance(points[..., :2], scheme, normalizer)

    coefficients, similarity = model.encode(shapes)
    bound = np.inf if model.limit is None else model.limit * np.sqrt(model.explained_variance)
    limited = np.abs(coefficients) > bound
    rows = []
    for accuracy in accuracies:
        count = model.n_components_for(accuracy)
        projected = model.truncate(count).project(points)
        error = np.linalg.norm(projected - points, axis=-1).mean(axis=-1) / distance
        rows.append(
            ReconstructionRow(
                accuracy=float(accuracy),
                n_components=count,
                mean_error=float(error.mean()),
                max_error=float(error.max()),
                limited_shapes=float(limited[:, :count].any(axis=1).mean()),
                limited_coefficients=float(limited[:, :count].mean()),
            )
        )
    ratio = _residual_ratio(model.truncate(n_components), shapes, coefficients[:, :n_components], similarity)
    if ratio > _STRANGE:
        warnings.warn(
            f"These shapes lie {ratio:.1f} times as far (mean squared distance) from the shape model as the shapes "
            "that it was fitted on: it does not span them, and ASM(G) will be far from G. Fit it on shapes as the "
            "network will see them (same crop, same units, same augmentation), or use align='procrustes'.",
            UserWarning,
            stacklevel=3,
        )
    return ReconstructionReport(tuple(rows), len(shapes), normalizer.replace("_", "-"), model.limit, ratio)


def _residual_ratio(
    model: LinearShapeModel, shapes: np.ndarray, coefficients: np.ndarray, similarity: Any
) -> float:
    """Squared residual of these shapes over that of the fitted ones, both outside the kept components."""
    kept = model.explained_variance_ratio.sum()
    total_variance = model.explained_variance.sum() / kept
    expected = total_variance * (1 - kept)
    if similarity is not None:
        # Both are measured in the aligned frame, where the variances are.
        square_scale = (similarity.real**2 + similarity.imag**2)[..., 0]
    else:
        square_scale = np.ones(len(shapes))
    residual = shapes - model.decode(coefficients, similarity)
    observed = float(np.mean(square_scale * np.sum(residual**2, axis=1)))
    # Where all components are kept both vanish but for rounding: such a model spans the space or its shapes.
    floor = 1e-9 * total_variance
    return (observed + floor) / (expected + floor)
