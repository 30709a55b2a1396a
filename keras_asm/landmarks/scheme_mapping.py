"""Landmarks of one scheme from those of another, so that data sets can be joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from keras_asm.landmarks.landmark_scheme import LandmarkScheme
from keras_asm.landmarks.layout import as_points
from keras_asm.landmarks.schemes import get_scheme

__all__ = ["map_landmarks", "mapping_matrix"]

# A landmark of the target as the weights of landmarks of the source, which sum to 1.
_Row = dict[int, float]


def map_landmarks(
    landmarks: Any, source: str | int | LandmarkScheme, target: str | int | LandmarkScheme
) -> np.ndarray:
    """Landmarks of another scheme, each a weighted mean of those there are.

    With the weights `W` of `mapping_matrix`, `q_i = sum_j W_ij p_j`. What is known:

    | from | to | rule |
    |---|---|---|
    | `"wflw"` (98) | `"300w"` (68) | see below |
    | any | itself | as they are |

    From 98 to 68 points: every second of the 33 of the jaw; nose and mouth as they are. WFLW outlines an eyebrow
    where 300W draws a line: the line follows the *upper edge*, and its inner end is the middle of the outline's.
    WFLW divides an eyelid in quarters and 300W in thirds: a point at a third lies a third of the way from
    the quarter to the middle.

    Of the simple rules that were tried, these bring the mean shape of 1966 faces of WFLW's test set closest to that of
    300W's 3148 training faces, aligned by Procrustes. Mean distance in % of that between the outer eye corners; in
    brackets for those seen from the front (565 and 1134), whose nose is as far from either side:

    | part | distance |
    |---|---|
    | jaw | 2.9 (2.5) |
    | eyebrows | 5.0 (3.5); along the mean of both edges 5.5 (4.5), the upper edge with its own end 5.4 (3.6) |
    | nose | 1.3 (1.7) |
    | eyes | 2.0 (0.8); with points at quarters 2.6 (2.4) |
    | mouth | 3.4 (3.2) |
    | all | 3.0 (2.4) |

    What remains is also the difference of the faces: 300W's own challenging set is at 2.9 from its training set.
    The outer ends of WFLW's eyebrows lie further inward than those of 300W, which no mean of its points mends.

    Args:
        landmarks: `(..., n_source, 2)` or `(..., 2 * n_source)`, in any unit.
        source: The scheme that they have.
        target: The scheme that is asked for.

    Returns:
        Float array `(..., n_target, 2)`; NaN where one of the landmarks that a landmark is made of is NaN.

    Raises:
        ValueError: If no mapping from one to the other is known (the message lists those there are), or if the
            landmarks are not as many as the source has.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.landmarks import map_landmarks
        >>> face = np.arange(196.0).reshape(98, 2)
        >>> map_landmarks(face, "wflw", "300w")[[1, 21, 37]]
        array([[  4.        ,   5.        ],
               [ 75.        ,  76.        ],
               [122.66666667, 123.66666667]])

    See Also:
        - [`mapping_matrix`][keras_asm.landmarks.mapping_matrix]: the weights.
        - [`LandmarkScheme`][keras_asm.landmarks.LandmarkScheme]: what a scheme is.

    References:
        Wu et al., Look at Boundary: A Boundary-Aware Face Alignment Algorithm, CVPR 2018 (WFLW's 98 points).
    """
    weights = mapping_matrix(source, target)
    points = as_points(landmarks, n_landmarks=weights.shape[1])
    missing = np.isnan(points)
    mapped = np.einsum("ij,...jk->...ik", weights.astype(points.dtype), np.where(missing, 0, points))
    if missing.any():
        lost = np.einsum("ij,...jk->...ik", weights > 0, missing)
        mapped = np.where(lost, np.asarray(np.nan, mapped.dtype), mapped)
    return mapped


def mapping_matrix(source: str | int | LandmarkScheme, target: str | int | LandmarkScheme) -> np.ndarray:
    """The weights of `map_landmarks`.

    Args:
        source: The scheme of the landmarks that there are.
        target: The scheme that is asked for.

    Returns:
        Float64 `(n_target, n_source)`, read-only; none is negative and each row sums to 1.

    Raises:
        ValueError: If no mapping from one to the other is known.

    Examples:
        >>> from keras_asm.landmarks import mapping_matrix
        >>> weights = mapping_matrix("wflw", "300w")
        >>> weights.shape, bool((abs(weights.sum(axis=1) - 1) < 1e-12).all())
        ((68, 98), True)

    See Also:
        - [`map_landmarks`][keras_asm.landmarks.map_landmarks]: applies it.
        - [`get_scheme`][keras_asm.landmarks.get_scheme]: the schemes by name.
    """
    return _matrix(get_scheme(source), get_scheme(target))


@cache
def _matrix(source: LandmarkScheme, target: LandmarkScheme) -> np.ndarray:
    if source == target:
        weights = np.eye(source.n_landmarks)
    else:
        pair = next((pair for pair in _MAPPINGS if (source, target) == tuple(map(get_scheme, pair))), None)
        if pair is None:
            known = ", ".join(f"{first!r} to {second!r}" for first, second in _MAPPINGS)
            raise ValueError(
                f"Landmarks can be mapped from {known}, as get_scheme has them, and from a scheme to itself. "
                f"Received: {source.name!r} to {target.name!r}"
            )
        weights = np.zeros((target.n_landmarks, source.n_landmarks))
        for i, row in enumerate(_MAPPINGS[pair]):
            weights[i, list(row)] = list(row.values())
    weights.flags.writeable = False
    return weights


def _as_they_are(first: int, n: int, step: int = 1) -> list[_Row]:
    return [{first + step * i: 1.0} for i in range(n)]


def _eye(first: int) -> list[_Row]:
    """The six points of 300W from the eight of WFLW: corner, upper lid, corner, lower lid."""

    def third(quarter: int, middle: int) -> _Row:
        return {first + quarter: 2 / 3, first + middle: 1 / 3}

    corners = _as_they_are(first, 2, step=4)
    return [corners[0], third(1, 2), third(3, 2), corners[1], third(5, 6), third(7, 6)]


_MAPPINGS: Mapping[tuple[str, str], Sequence[_Row]] = {
    ("wflw", "300w"): [
        *_as_they_are(0, 17, step=2),
        *_as_they_are(33, 4),
        {37: 0.5, 38: 0.5},  # the inner end of the person's right eyebrow, upper and lower
        {42: 0.5, 50: 0.5},
        *_as_they_are(43, 4),
        *_as_they_are(51, 9),
        *_eye(60),
        *_eye(68),
        *_as_they_are(76, 20),
    ]
}
