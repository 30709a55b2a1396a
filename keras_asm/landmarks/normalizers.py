"""The distances by which landmark errors are divided."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_asm.landmarks.landmark_scheme import LandmarkScheme
from keras_asm.landmarks.layout import as_points
from keras_asm.landmarks.schemes import get_scheme

__all__ = [
    "NORMALIZERS",
    "check_count",
    "distance_between",
    "landmark_boxes",
    "normalizing_distance",
    "reference_points",
    "size",
]

NORMALIZERS = ("inter_ocular", "inter_pupil", "box")
"""Names of the normalising distances."""


def normalizing_distance(
    landmarks: Any,
    scheme: str | int | LandmarkScheme | None = None,
    normalizer: str = "inter_ocular",
) -> np.ndarray:
    """The size of each shape, in the unit of its landmarks.

    | `normalizer`     | distance                                                       |
    |------------------|----------------------------------------------------------------|
    | `"inter_ocular"` | between the outer eye corners (300W, WFLW)                     |
    | `"inter_pupil"`  | between the pupils                                             |
    | `"box"`          | `sqrt(width * height)` of the landmarks' bounding box          |

    Args:
        landmarks: True shapes, `(..., n_landmarks, 2)` or `(..., 2 * n_landmarks)`.
        scheme: Landmark scheme. By default the known scheme of that number of landmarks; `"box"`
            needs none.
        normalizer: Which distance.

    Returns:
        Positive array `(...,)`.

    Raises:
        ValueError: If the normaliser is unknown, the scheme lacks the points or has another number of
            them, or a distance is zero, infinite or not a number.

    Examples:
        >>> from keras_asm.landmarks import normalizing_distance
        >>> normalizing_distance([[[0.0, 0.0], [4.0, 0.0], [2.0, 9.0]]], normalizer="box")
        array([6.])

    See Also:
        - [`normalized_mean_error`][keras_asm.metrics.normalized_mean_error]: divides by it.
        - [`landmark_boxes`][keras_asm.landmarks.landmark_boxes]: boxes instead of their size.
        - [Divided by what][divided-by-what]: how the normalisers compare.
    """
    points = as_points(landmarks)
    if normalizer not in NORMALIZERS:
        raise ValueError(f"normalizer must be one of {', '.join(NORMALIZERS)}. Received: {normalizer!r}")
    if scheme is not None:
        scheme = get_scheme(scheme)
        check_count(points.shape[-2], scheme)
    distance = size(points, normalizer, scheme)
    bad = ~(np.isfinite(distance) & (distance > 0))
    if bad.any():
        where = np.argwhere(np.atleast_1d(bad))[0]
        raise ValueError(
            f"Every {normalizer} distance must be a positive number; {int(bad.sum())} of {bad.size} are not. "
            f"Received: {np.atleast_1d(distance)[tuple(where)]} for shape {', '.join(map(str, where))}"
        )
    return distance


def size(points: Any, normalizer: str, scheme: LandmarkScheme | None = None, xp: Any = np) -> Any:
    """The normalising distance of each shape, unchecked.

    Args:
        points: Shapes `(..., n_landmarks, 2)`.
        normalizer: One of `NORMALIZERS`.
        scheme: Landmark scheme; `None` (default) takes the known one of that number of landmarks.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        `(...,)`.

    Raises:
        ValueError: If the scheme lacks the points, or none is known.
    """
    if normalizer == "box":
        # Landmarks without a position, NaN, are left out; a face of none has no size
        there = xp.logical_not(xp.isnan(points))
        low = xp.min(xp.where(there, points, xp.full_like(points, np.inf)), axis=-2)
        high = xp.max(xp.where(there, points, xp.full_like(points, -np.inf)), axis=-2)
        sides = xp.where(high >= low, high - low, xp.zeros_like(high))
        return xp.sqrt(sides[..., 0] * sides[..., 1])
    first, second = reference_points(scheme or _known_scheme(points.shape[-2], normalizer), normalizer)
    left, right = (xp.mean(xp.take(points, np.array(part), axis=-2), axis=-2) for part in (first, second))
    return distance_between(left, right, xp=xp)


def _known_scheme(n_landmarks: int, normalizer: str) -> LandmarkScheme:
    try:
        return get_scheme(n_landmarks)
    except ValueError as error:
        raise ValueError(
            f"normalizer={normalizer!r} needs a landmark scheme that names the eyes: pass scheme=, or "
            f"normalizer='box', which needs none. {error} landmarks"
        ) from None


def landmark_boxes(landmarks: Any) -> np.ndarray:
    """The bounding boxes of landmarks; those without a position, NaN, are left out.

    Args:
        landmarks: `(..., n_landmarks, 2)` or `(..., 2 * n_landmarks)`.

    Returns:
        Left, top, right and bottom, `(..., 4)`; NaN where no landmark has a position.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.landmarks import landmark_boxes
        >>> landmark_boxes([[3.0, 1.0], [np.nan, np.nan], [0.0, 2.0]])
        array([0., 1., 3., 2.])

    See Also:
        - [`normalizing_distance`][keras_asm.landmarks.normalizing_distance]: the size of such a box, with
          `"box"`.
        - [`crop_faces`][keras_asm.faces.crop_faces]: cuts around them.
    """
    points = as_points(landmarks)
    return np.concatenate([np.fmin.reduce(points, axis=-2), np.fmax.reduce(points, axis=-2)], axis=-1)


def distance_between(first: Any, second: Any, xp: Any = np) -> Any:
    """Euclidean distances of points `(..., n_dims)`: `(...,)`."""
    return xp.sqrt(xp.sum(xp.square(first - second), axis=-1))


def reference_points(scheme: LandmarkScheme, normalizer: str) -> tuple[list[int], list[int]]:
    """The two sets of landmarks between whose means `"inter_ocular"` or `"inter_pupil"` is measured."""
    if normalizer == "inter_ocular" and scheme.eye_corners is not None:
        return [scheme.eye_corners[0]], [scheme.eye_corners[1]]
    if normalizer == "inter_pupil" and scheme.pupils is not None:
        return list(scheme.pupils[0]), list(scheme.pupils[1])
    raise ValueError(
        f"normalizer={normalizer!r} needs eyes; normalizer='box' does not. "
        f"Received: landmark scheme {scheme.name!r}, which names none"
    )


def check_count(n_landmarks: int, scheme: LandmarkScheme) -> None:
    """Raises if a shape has not as many landmarks as its scheme."""
    if n_landmarks != scheme.n_landmarks:
        raise ValueError(
            f"Landmark scheme {scheme.name!r} has {scheme.n_landmarks} landmarks. Received: {n_landmarks}"
        )
