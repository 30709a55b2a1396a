"""The layouts of a landmark array: the one place where they are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["as_flat", "as_points", "is_paired", "split_log_scale"]


def is_paired(
    shape: Sequence[int | None],
    n_dims: int = 2,
    *,
    n_landmarks: int | None = None,
    leading: int = 0,
    name: str = "Landmarks",
) -> bool:
    """Whether an array holds landmarks as `(..., n_landmarks, n_dims)`; otherwise they are flat.

    If the number of landmarks is known, the shape says it all. If it is not, an array whose last axis has
    `n_dims` entries, and that has enough axes before it, is paired.

    Args:
        shape: The array's shape; unknown dimensions are `None`.
        n_dims: Coordinates per landmark; 2 by default.
        n_landmarks: Number of landmarks; `None` (default) if any will do.
        leading: Axes that there must be before those of the landmarks, at least: 1 for a batch. 0 by
            default.
        name: What the error calls the array.

    Raises:
        ValueError: If the array is neither paired nor flat, or holds no landmarks or another number of them.

    Examples:
        >>> from keras_asm.landmarks import is_paired
        >>> is_paired((50, 68, 2)), is_paired((50, 136)), is_paired((50, 2)), is_paired((50, 2), leading=1)
        (True, False, True, False)

    See Also:
        - [`as_points`][keras_asm.landmarks.as_points]: makes landmarks paired.
        - [`as_flat`][keras_asm.landmarks.as_flat]: makes them flat.
    """
    shape = tuple(shape)
    last, before = (shape[-1] if shape else 0), (shape[-2] if len(shape) > 1 else None)
    room = len(shape) >= leading + 2 and last == n_dims
    flat = len(shape) >= leading + 1
    count: int | str
    if n_landmarks is None:
        paired = room and before != 0
        flat = flat and not room and (last is None or (last > 0 and last % n_dims == 0))
        count, flat_count = "n_landmarks", f"{n_dims} * n_landmarks"
    else:
        # An unknown axis before the last is the batch's where a flat array would fit as well: a single landmark
        flat = flat and last in (n_landmarks * n_dims, None) and not (room and before == n_landmarks)
        paired = room and not flat and before in (n_landmarks, None)
        count, flat_count = n_landmarks, str(n_landmarks * n_dims)
    if not (paired or flat):
        axes = "batch, " * leading if leading else "..., "
        raise ValueError(
            f"{name} must have the shape ({axes}{count}, {n_dims}) or ({axes}{flat_count}). "
            f"Received: shape {shape}"
        )
    return paired


def as_points(
    landmarks: Any,
    n_dims: int = 2,
    *,
    n_landmarks: int | None = None,
    leading: int = 0,
    name: str = "Landmarks",
    xp: Any = np,
) -> Any:
    """Landmarks in the paired layout; `is_paired` says which of the two they come in.

    Args:
        landmarks: Array `(..., n_landmarks, n_dims)` or `(..., n_dims * n_landmarks)`, x and y interleaved.
        n_dims: Coordinates per landmark; 2 by default.
        n_landmarks: Number of landmarks; `None` (default) if any will do.
        leading: Axes that there must be before those of the landmarks, at least.
        name: What an error calls the array.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        Float array `(..., n_landmarks, n_dims)`; where NumPy computes, a view if the input is a float array.

    Raises:
        ValueError: If the array is neither paired nor flat, or holds no landmarks or another number of them.

    Examples:
        >>> from keras_asm.landmarks import as_points
        >>> as_points([1.0, 2.0, 3.0, 4.0])
        array([[1., 2.],
               [3., 4.]])

    See Also:
        - [`as_flat`][keras_asm.landmarks.as_flat]: the inverse.
        - [`is_paired`][keras_asm.landmarks.is_paired]: tells which layout an array has.
    """
    array = _floats(landmarks) if xp is np else landmarks
    if is_paired(array.shape, n_dims, n_landmarks=n_landmarks, leading=leading, name=name):
        return array
    if n_landmarks is None:
        n_landmarks = -1 if array.shape[-1] is None else array.shape[-1] // n_dims
    return xp.reshape(array, (*xp.shape(array)[:-1], n_landmarks, n_dims))


def as_flat(
    landmarks: Any,
    n_dims: int = 2,
    *,
    n_landmarks: int | None = None,
    leading: int = 0,
    name: str = "Landmarks",
    xp: Any = np,
) -> Any:
    """Landmarks in the flat layout, x and y interleaved: the inverse of `as_points`.

    Args:
        landmarks: Array `(..., n_landmarks, n_dims)` or `(..., n_dims * n_landmarks)`.
        n_dims: Coordinates per landmark; 2 by default.
        n_landmarks: As in `as_points`.
        leading: As in `as_points`.
        name: As in `as_points`.
        xp: As in `as_points`.

    Returns:
        Float array `(..., n_dims * n_landmarks)`.

    Raises:
        ValueError: As `as_points`.

    Examples:
        >>> from keras_asm.landmarks import as_flat
        >>> as_flat([[1.0, 2.0], [3.0, 4.0]])
        array([1., 2., 3., 4.])

    See Also:
        - [`as_points`][keras_asm.landmarks.as_points]: the inverse.
        - [`is_paired`][keras_asm.landmarks.is_paired]: tells which layout an array has.
    """
    array = _floats(landmarks) if xp is np else landmarks
    if not is_paired(array.shape, n_dims, n_landmarks=n_landmarks, leading=leading, name=name):
        return array
    n_landmarks = n_landmarks or array.shape[-2]
    return xp.reshape(array, (*xp.shape(array)[:-2], -1 if n_landmarks is None else n_landmarks * n_dims))


def split_log_scale(uncertain_landmarks: Any) -> tuple[Any, Any]:
    """Landmarks and their log scales, of an output that holds both side by side.

    Args:
        uncertain_landmarks: Array or tensor `(..., 3 * n_landmarks)`: flat landmarks of the plane, then a log scale for
            each, as networks with `include_uncertainty=True` give them.

    Returns:
        Landmarks `(..., 2 * n_landmarks)`, and log scales `(..., n_landmarks)`: natural logarithms of what the
        landmarks may be off, in the units of the landmarks.

    Raises:
        ValueError: If the last axis does not hold three numbers a landmark.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.landmarks import split_log_scale
        >>> landmarks, log_scale = split_log_scale(np.array([[0.1, 0.2, -0.1, 0.2, -3.0, -4.0]]))
        >>> landmarks.tolist(), log_scale.tolist()
        ([[0.1, 0.2, -0.1, 0.2]], [[-3.0, -4.0]])

    See Also:
        - [`LandmarkLikelihoodLoss`][keras_asm.losses.LandmarkLikelihoodLoss]: trains such an output.
        - [`fit_scale_factor`][keras_asm.evaluation.fit_scale_factor]: calibrates the scales.
        - [How sure a landmark is][how-sure-a-landmark-is]: from training to a picture.
    """
    size = uncertain_landmarks.shape[-1] if len(uncertain_landmarks.shape) else 0
    if not size or size % 3:
        raise ValueError(
            "Landmarks with their log scales must have the shape (..., 3 * n_landmarks). "
            f"Received: shape {tuple(uncertain_landmarks.shape)}"
        )
    return uncertain_landmarks[..., : 2 * size // 3], uncertain_landmarks[..., 2 * size // 3 :]


def _floats(landmarks: Any) -> np.ndarray:
    array = np.asarray(landmarks)
    if np.issubdtype(array.dtype, np.floating):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"Landmarks must be numbers. Received: an array of dtype {array.dtype} and shape {array.shape}"
        ) from None
