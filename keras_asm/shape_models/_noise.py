"""How noisy shapes are: what no shape of a model explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_asm.shape_models.linear_shape_model import LinearShapeModel

__all__ = ["n_explained", "noise_variances"]

# Shapes at a time: each has a basis of its own, as its points are missing or turned
_CHUNK = 256


def n_explained(model: LinearShapeModel) -> int:
    """How many numbers the model describes a shape by: its components, and the similarity where shapes are aligned."""
    return model.n_components + (0 if model.reference_shape is None else 4)


def noise_variances(model: LinearShapeModel, points: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Variance of the noise of each shape's coordinates, by the residual of least squares.

    ```text
    |r|^2 / (d - p) - |a|^2 s2,    r = z - (a mean + t + b V),    p = n_explained(model)
    ```

    with `a`, `t` and `b` fitted to the `d` coordinates that are there. The noise is in what is fitted, not in what it
    is fitted by, and so biases nothing but the rotation, which the components take from the mean shape.

    Args:
        model: The shape model.
        points: `(n_samples, n_landmarks, n_dims)`; finite, also where a point is missing.
        present: Which points are there, Boolean `(n_samples, n_landmarks)`, more than `p` coordinates of each shape.

    Returns:
        `(n_samples,)`; negative by chance where there is hardly any noise.
    """
    chunks = (slice(start, start + _CHUNK) for start in range(0, len(points), _CHUNK))
    found = [_residual_variances(model, points[some], present[some]) for some in chunks]
    return np.concatenate([np.zeros(0), *found])


def _residual_variances(model: LinearShapeModel, points: np.ndarray, present: np.ndarray) -> np.ndarray:
    there = present[..., None].astype(np.float64)
    mean = there * model.mean_shape.reshape(points.shape[1:])
    basis = there[:, None] * model.components.reshape(1, -1, *points.shape[1:])
    if model.reference_shape is None:
        residual, square = there * points - mean, np.ones(len(points))
    else:
        count = there.sum(axis=1, keepdims=True)
        residual, mean = (
            there * (z - (there * z).sum(axis=1, keepdims=True) / count) for z in (points, mean)
        )
        z, m = (shapes[..., 0] + 1j * shapes[..., 1] for shapes in (residual, mean))
        a = (np.conj(m) * z).sum(axis=1, keepdims=True) / (np.abs(m) ** 2).sum(axis=1, keepdims=True)
        square = np.abs(a[:, 0]) ** 2
        turned = z * np.exp(-1j * np.angle(a))
        residual = np.stack([turned.real, turned.imag], axis=-1)
        # What a and t change: along the mean shape, around its centroid, in x and in y
        around = np.stack([-m.imag, m.real], axis=-1)
        shifts = there[:, None] * np.eye(2)[None, :, None]
        basis = np.concatenate([mean[:, None], around[:, None], shifts, basis], axis=1)
    residual = residual.reshape(len(points), -1)
    columns, _ = np.linalg.qr(np.swapaxes(basis.reshape(*basis.shape[:2], -1), 1, 2))
    residual = residual - (columns @ (residual[:, None] @ columns)[:, 0, :, None])[..., 0]
    free = points.shape[2] * present.sum(axis=1) - n_explained(model)
    return (residual**2).sum(axis=1) / free - square * model.prior[1]
