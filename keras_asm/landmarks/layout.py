"""The two layouts of a landmark array: paired and flat."""

from typing import Any

import numpy as np


def as_points(landmarks: Any, n_dims: int = 2) -> np.ndarray:
    """Landmarks in the paired layout.

    An array whose last axis has `n_dims` entries, and that has another axis before it, is paired
    already. Any other is flat, x and y interleaved.

    Args:
        landmarks: Array `(..., n_landmarks, n_dims)` or `(..., n_dims * n_landmarks)`.
        n_dims: Coordinates per landmark; 2 by default.

    Returns:
        Float array `(..., n_landmarks, n_dims)`; a view where the input is a float array.

    Raises:
        ValueError: If the number of flat coordinates is no multiple of `n_dims`, or there are none.

    Examples:
        >>> from keras_asm.landmarks import as_points
        >>> as_points([1.0, 2.0, 3.0, 4.0])
        array([[1., 2.],
               [3., 4.]])
    """
    array = np.asarray(landmarks)
    if not np.issubdtype(array.dtype, np.floating):
        array = _to_float(array)
    if array.ndim == 0 or array.shape[-1] == 0 or array.shape[-1] % n_dims:
        raise ValueError(
            f"Landmarks must have the shape (..., n_landmarks, {n_dims}) or (..., {n_dims} * n_landmarks). "
            f"Received: shape {array.shape}"
        )
    if array.ndim >= 2 and array.shape[-1] == n_dims:
        if array.shape[-2] == 0:
            raise ValueError(f"At least one landmark is needed. Received: shape {array.shape}")
        return array
    return array.reshape(*array.shape[:-1], array.shape[-1] // n_dims, n_dims)


def as_flat(landmarks: Any, n_dims: int = 2) -> np.ndarray:
    """Landmarks in the flat layout, x and y interleaved: the inverse of `as_points`.

    Args:
        landmarks: Array `(..., n_landmarks, n_dims)` or `(..., n_dims * n_landmarks)`.
        n_dims: Coordinates per landmark; 2 by default.

    Returns:
        Float array `(..., n_dims * n_landmarks)`.

    Raises:
        ValueError: As `as_points`.

    Examples:
        >>> from keras_asm.landmarks import as_flat
        >>> as_flat([[1.0, 2.0], [3.0, 4.0]])
        array([1., 2., 3., 4.])
    """
    points = as_points(landmarks, n_dims)
    return points.reshape(*points.shape[:-2], points.shape[-2] * n_dims)


def _to_float(array: np.ndarray) -> np.ndarray:
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"Landmarks must be numbers. Received: an array of dtype {array.dtype} and shape {array.shape}"
        ) from None
