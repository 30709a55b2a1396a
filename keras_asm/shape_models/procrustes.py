"""Similarity alignment of 2-D shapes in closed form (full Procrustes analysis).

A 2-D shape is a complex vector `z = x + iy`, and a similarity of the plane is `z -> a z + t` with complex
`a` (scale and rotation) and `t` (shift). This turns the search for the best similarity into linear least
squares, and the mean shape into one Hermitian eigenvector: nothing here iterates or loops over shapes.

References:
    J. T. Kent, "The complex Bingham distribution and shape analysis", JRSS B 56 (1994): the full
    Procrustes mean as an eigenvector.
    I. L. Dryden and K. V. Mardia, *Statistical Shape Analysis*, chapters 3, 4 and 8.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Similarity", "align_to", "procrustes_mean", "undo_alignment"]


class Similarity(NamedTuple):
    """The similarity `w = a (z - c)` of each shape: `a = real + i imag`, `c` the shape's centroid.

    Attributes:
        real: `scale * cos(angle)`, shape `(..., 1)`.
        imag: `scale * sin(angle)`, shape `(..., 1)`.
        centroid: shape `(..., 1, 2)`, in the units of the shapes.
    """

    real: Any
    imag: Any
    centroid: Any


def align_to(shapes: Any, reference: Any, xp: Any = np) -> tuple[Any, Similarity]:
    """Move each shape onto a centred reference by its least-squares similarity.

    Minimises `sum_l |a (z_l - c) - m_l|^2`, whose solution is `a = <z - c, m> / <z - c, z - c>` with the
    complex inner product `<u, v> = sum conj(u) v`.

    Args:
        shapes: `(..., n_landmarks, 2)`.
        reference: `(n_landmarks, 2)`, centred at the origin.
        xp: the namespace that computes, `numpy` or `keras.ops`; the formula is the same for both.

    Returns:
        The aligned shapes, `(..., n_landmarks, 2)`, and the `Similarity` that `undo_alignment` reverts.
        A shape whose points all coincide has no orientation: it is aligned to the origin.
    """
    centroid = xp.mean(shapes, axis=-2, keepdims=True)
    x, y = _coordinates(shapes - centroid)
    mean_x, mean_y = reference[:, 0], reference[:, 1]
    square_norm = xp.sum(x * x + y * y, axis=-1, keepdims=True)
    # conj(z) m = (x - iy)(mean_x + i mean_y), summed over the landmarks
    safe_norm = xp.maximum(square_norm, _TINY)
    real = xp.sum(x * mean_x + y * mean_y, axis=-1, keepdims=True) / safe_norm
    imag = xp.sum(x * mean_y - y * mean_x, axis=-1, keepdims=True) / safe_norm
    aligned = xp.stack([real * x - imag * y, imag * x + real * y], axis=-1)
    return aligned, Similarity(real, imag, centroid)


def undo_alignment(aligned: Any, similarity: Similarity, xp: Any = np) -> Any:
    """Bring aligned shapes back: `z = w / a + c`, the inverse of `align_to`.

    Args:
        aligned: `(..., n_landmarks, 2)`.
        similarity: what `align_to` returned for these shapes.
        xp: `numpy` or `keras.ops`.

    Returns:
        Shapes `(..., n_landmarks, 2)` where the originals lay.
    """
    real, imag, centroid = similarity
    x, y = _coordinates(aligned)
    # 1 / a = conj(a) / |a|^2
    square_scale = xp.maximum(real * real + imag * imag, _TINY)
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
        ValueError: a shape has all its landmarks in one point.
    """
    centred = shapes - shapes.mean(axis=1, keepdims=True)
    z = centred[..., 0] + 1j * centred[..., 1]
    size = np.linalg.norm(z, axis=1, keepdims=True)
    extent = np.abs(shapes).max(axis=(1, 2), initial=0.0, keepdims=True)[:, :, 0]
    degenerate = np.flatnonzero(size <= 1e-12 * np.maximum(extent, np.finfo(float).tiny))
    if degenerate.size:
        raise ValueError(
            "Procrustes alignment needs shapes of some extent, but all landmarks coincide in "
            f"{degenerate.size} of {len(shapes)} shapes. Received: first such shape at index {degenerate[0]}"
        )
    unit = z / size
    _, vectors = np.linalg.eigh(unit.T @ unit.conj())
    mean = vectors[:, -1]
    rotation = np.sum(mean.conj() @ unit.T)
    mean = mean * (rotation / abs(rotation) if abs(rotation) > 0 else 1.0) * np.sqrt(np.mean(size**2))
    return np.stack([mean.real, mean.imag], axis=-1)


def _coordinates(points: Any) -> tuple[Any, Any]:
    return points[..., 0], points[..., 1]


# Smallest divisor: representable in float32 and float64, far below any squared extent of a real shape.
_TINY = 1e-30
