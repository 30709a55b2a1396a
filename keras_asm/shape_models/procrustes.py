"""Similarity alignment of 2-D shapes in closed form (Procrustes analysis).

A 2-D shape is a complex vector `z = x + iy`, and a similarity of the plane is `z -> a z + t` with complex
`a` (scale and rotation) and `t` (shift). The best rotation is then the phase of an inner product, and the
mean shape an eigenvector of one Hermitian matrix: nothing here iterates or loops over shapes.

References:
    J. T. Kent, "The complex Bingham distribution and shape analysis", JRSS B 56 (1994): the full
    Procrustes mean as an eigenvector.
    I. L. Dryden and K. V. Mardia, *Statistical Shape Analysis*, chapters 3, 4 and 8.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from keras_asm.landmarks import as_points

__all__ = ["ProcrustesSums", "Similarity", "align_to", "procrustes_mean", "undo_alignment"]


class Similarity(NamedTuple):
    """The similarity `w = a (z - c)` of each shape: `a = real + i imag`, `c` the shape's centroid.

    Attributes:
        real: `scale * cos(angle)`, shape `(..., 1)`.
        imag: `scale * sin(angle)`, shape `(..., 1)`.
        centroid: Shape `(..., 1, 2)`, in the units of the shapes.
    """

    real: Any
    imag: Any
    centroid: Any


def align_to(shapes: Any, reference: Any, xp: Any = np) -> tuple[Any, Similarity]:
    """Move each shape onto a centred reference: same centroid, same size, best rotation.

    With the complex inner product `<u, v> = sum conj(u) v` and the size `|z| = sqrt(<z, z>)` (centroid size),

    ```text
    a = (|m| / |z - c|) <z - c, m> / |<z - c, m>|
    ```

    Sizes are made equal, as menpo does, rather than scaled for least squares: the scale then stays away from
    zero however little a shape resembles the reference, so that `undo_alignment` never magnifies rounding.

    Args:
        shapes: `(..., n_landmarks, 2)`.
        reference: `(n_landmarks, 2)`, centred at the origin.
        xp: The namespace that computes, `numpy` or `keras.ops`; the formula is the same for both.

    Returns:
        The aligned shapes, `(..., n_landmarks, 2)`, and the `Similarity` that `undo_alignment` reverts.
        A shape whose points all coincide has no size or rotation: `a = 0`, and undoing it gives its centroid.
    """
    centroid = xp.mean(shapes, axis=-2, keepdims=True)
    x, y = _coordinates(shapes - centroid)
    mean_x, mean_y = reference[:, 0], reference[:, 1]
    # conj(z) m = (x - iy)(mean_x + i mean_y), summed over the landmarks
    real = xp.sum(x * mean_x + y * mean_y, axis=-1, keepdims=True)
    imag = xp.sum(x * mean_y - y * mean_x, axis=-1, keepdims=True)
    square_size = xp.sum(x * x + y * y, axis=-1, keepdims=True)
    square_inner = real * real + imag * imag
    square_reference = xp.sum(reference * reference)
    # Coordinates that differ by less than a millionth of themselves differ by rounding in float32
    square_distance = xp.sum(shapes * shapes, axis=(-2, -1))[..., None]
    # and a shape that is orthogonal to the reference has no best rotation
    degenerate = (square_size <= 1e-12 * square_distance) | (
        square_inner <= 1e-24 * square_size * square_reference
    )
    # The division is made harmless before it happens: `where` alone would let NaN into the gradient
    one = xp.ones_like(square_size)  # of its own type: a number may turn float16 into float32, or be refused
    scale = xp.sqrt(square_reference) / xp.sqrt(xp.where(degenerate, one, square_size))
    phase = xp.where(degenerate, 0 * one, one) / xp.sqrt(xp.where(degenerate, one, square_inner))
    real, imag = real * phase * scale, imag * phase * scale
    aligned = xp.stack([real * x - imag * y, imag * x + real * y], axis=-1)
    return aligned, Similarity(real, imag, centroid)


def undo_alignment(aligned: Any, similarity: Similarity, xp: Any = np) -> Any:
    """Bring aligned shapes back: `z = w / a + c`, the inverse of `align_to`.

    Args:
        aligned: `(..., n_landmarks, 2)`.
        similarity: What `align_to` returned for these shapes.
        xp: `numpy` or `keras.ops`.

    Returns:
        Shapes `(..., n_landmarks, 2)` where the originals lay.
    """
    real, imag, centroid = similarity
    x, y = _coordinates(aligned)
    # 1 / a = conj(a) / |a|^2, and 0 for a = 0
    square_scale = real * real + imag * imag
    square_scale = xp.where(square_scale > 0, square_scale, xp.ones_like(square_scale))
    real, imag = real / square_scale, -imag / square_scale
    return xp.stack([real * x - imag * y, imag * x + real * y], axis=-1) + centroid


def procrustes_mean(shapes: np.ndarray) -> np.ndarray:
    """The full Procrustes mean of 2-D shapes, upright and in the shapes' own units.

    With centred shapes `z_i` of unit size, the mean is the unit vector that maximises `m* S m`,
    `S = sum_i z_i z_i*`: the first eigenvector of `S`. Eigenvectors have no rotation or size of their own;
    the mean takes the shapes' average rotation and their root-mean-square centroid size.

    Args:
        shapes: `(n_samples, n_landmarks, 2)`, float64.

    Returns:
        The mean shape, `(n_landmarks, 2)`, centred at the origin.

    Raises:
        ValueError: If a shape has all its landmarks in one point.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.shape_models import procrustes_mean
        >>> square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
        >>> moved = np.stack([square + 5, square @ [[0, 1], [-1, 0]], square @ [[0, -1], [1, 0]]])
        >>> abs(np.linalg.norm(procrustes_mean(moved), axis=1)).round(6)  # as large as the squares
        array([1.414214, 1.414214, 1.414214, 1.414214])

    See Also:
        - [`ProcrustesSums`][keras_asm.shape_models.ProcrustesSums]: for shapes that do not fit in one memory.
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: aligns to it, with
          `align="procrustes"`.
        - [Rotated and scaled shapes][rotated-and-scaled-shapes]: when to align.
    """
    return ProcrustesSums.of(shapes).mean()


@dataclasses.dataclass(frozen=True)
class ProcrustesSums:
    """All that the Procrustes mean needs of shapes, as sums: those of parts of a set add up to those of the set.

    This is the first of two passes over shapes that do not fit in one memory. The second is `ActiveShapeModel.fit` with
    the `reference` found here, and `ActiveShapeModel.merge`.

    Attributes:
        n_samples: Number of shapes.
        outer: `sum_i z_i z_i*` of the centred shapes of unit size, complex, `(n_landmarks, n_landmarks)`.
        total: `sum_i z_i`, complex, `(n_landmarks,)`.
        square_size: Sum of the squared centroid sizes, in squared units of the shapes.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.shape_models import ProcrustesSums, procrustes_mean
        >>> shapes = np.random.default_rng(0).normal(size=(60, 5, 2)) + np.arange(10).reshape(5, 2)
        >>> sums = ProcrustesSums.of(shapes[:20]) + ProcrustesSums.of(shapes[20:])
        >>> bool(np.allclose(sums.mean(), procrustes_mean(shapes), rtol=0, atol=1e-12))
        True

    See Also:
        - [`procrustes_mean`][keras_asm.shape_models.procrustes_mean]: for shapes that fit in one memory.
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: takes the mean as
          `reference`.
        - [With alignment: two passes][with-alignment-two-passes]: the whole procedure.
    """

    n_samples: int
    outer: np.ndarray
    total: np.ndarray
    square_size: float

    @classmethod
    def of(cls, shapes: Any) -> ProcrustesSums:
        """The sums over some shapes.

        Args:
            shapes: `(n_samples, n_landmarks, 2)` or `(n_samples, 2 * n_landmarks)`, without missing points.

        Raises:
            ValueError: If a shape has all its landmarks in one point, or a coordinate is not finite.
        """
        shapes = as_points(np.asarray(shapes, dtype=np.float64))
        if not np.isfinite(shapes).all():
            raise ValueError(
                "Procrustes alignment needs shapes without missing points. Received: "
                f"{np.count_nonzero(~np.isfinite(shapes))} NaN or infinite values of {shapes.size}"
            )
        z = np.ascontiguousarray(shapes).view(np.complex128)[..., 0]
        distance = np.linalg.norm(z, axis=1)
        z = z - z.mean(axis=1, keepdims=True)
        size = np.linalg.norm(z, axis=1)
        degenerate = np.flatnonzero(size <= 1e-6 * distance)
        if degenerate.size:
            raise ValueError(
                "Procrustes alignment needs shapes of some extent, but all landmarks coincide in "
                f"{degenerate.size} of {len(shapes)} shapes. Received: first such shape at index {degenerate[0]}"
            )
        unit = z / size[:, None]
        # z z* = (x x' + y y') + i (y x' - x y'): one symmetric real product has all four, at half the operations
        xy = unit.view(np.float64)
        products = xy.T @ xy
        real = products[::2, ::2] + products[1::2, 1::2]
        outer = real + 1j * (products[1::2, ::2] - products[::2, 1::2])
        return cls(len(shapes), outer, unit.sum(axis=0), float(np.sum(size**2)))

    def __add__(self, other: ProcrustesSums) -> ProcrustesSums:
        return ProcrustesSums(
            self.n_samples + other.n_samples,
            self.outer + other.outer,
            self.total + other.total,
            self.square_size + other.square_size,
        )

    def mean(self) -> np.ndarray:
        """The full Procrustes mean, `(n_landmarks, 2)`: see `procrustes_mean`."""
        _, vectors = np.linalg.eigh(self.outer)
        mean = vectors[:, -1]
        rotation = mean.conj() @ self.total
        mean = mean * (rotation / abs(rotation) if abs(rotation) > 0 else 1.0)
        mean = mean * np.sqrt(self.square_size / self.n_samples)
        return np.stack([mean.real, mean.imag], axis=-1)


def _coordinates(points: Any) -> tuple[Any, Any]:
    return points[..., 0], points[..., 1]
