"""What the numbers of a landmark scheme mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["LandmarkScheme", "Line"]

Line = tuple[tuple[int, ...], bool]
"""Indices that are joined in order, and whether the last is joined to the first."""


@dataclass(frozen=True)
class LandmarkScheme:
    """The indices of a landmark scheme, as data; every index is 0-based.

    *Left* and *right* in the names of groups are the person's own. In pairs, the landmark on the
    image's left (the person's right) comes first.

    Attributes:
        name: Name of the scheme; unique among those that are used together.
        n_landmarks: Number of landmarks, at least 1.
        eye_corners: The two outer eye corners, whose distance is the inter-ocular distance. `None`
            for shapes without eyes.
        pupils: Two sets of indices; the mean of each is a pupil. Schemes that do not mark pupils give
            the eye's outline. `None` for shapes without eyes.
        flip_pairs: Pairs of landmarks that change places when the image is mirrored. A landmark in no
            pair lies on the axis of symmetry and stays. Eye corners, and pupils of one landmark, are pairs by
            definition and need not be given.
        groups: Named sets of landmarks, such as `"nose"`.
        lines: What to join when a shape is drawn: `(indices, closed)`.

    Raises:
        ValueError: If an index lies outside the scheme, a flip pair repeats a landmark or
            contradicts eye corners or pupils, or a group or line is empty.

    Examples:
        >>> from keras_asm.landmarks import LandmarkScheme
        >>> square = LandmarkScheme("square", 4, flip_pairs=((0, 1), (3, 2)), lines=(((0, 1, 2, 3), True),))
        >>> square.flip_permutation
        array([1, 0, 3, 2])

    See Also:
        - [`get_scheme`][keras_asm.landmarks.get_scheme]: the known ones by name.
        - [`mirror_landmarks`][keras_asm.landmarks.mirror_landmarks]: what the pairs are for.
        - [`normalizing_distance`][keras_asm.landmarks.normalizing_distance]: what the eyes are for.
        - [A scheme of your own][a-scheme-of-your-own]: for points that are not those of a face.
    """

    name: str
    n_landmarks: int
    eye_corners: tuple[int, int] | None = None
    pupils: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    flip_pairs: tuple[tuple[int, int], ...] = ()
    # A mapping has no hash; name, count and pairs tell schemes apart well enough.
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        if self.n_landmarks < 1:
            raise ValueError(
                f"A landmark scheme needs at least 1 landmark. Received: n_landmarks={self.n_landmarks!r}"
            )

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if self.eye_corners is not None:
            put("eye_corners", _pair(self._indices("eye_corners", self.eye_corners), "eye_corners", int))
        if self.pupils is not None:
            put("pupils", _pair([self._indices("pupils", p) for p in self.pupils], "pupils", tuple))
        put(
            "flip_pairs",
            tuple(_pair(self._indices("flip_pairs", p), "flip_pairs", int) for p in self.flip_pairs),
        )
        put("flip_pairs", (*self.flip_pairs, *self._pairs_of_the_eyes()))
        flipped = [i for pair in self.flip_pairs for i in pair]
        if len(set(flipped)) != len(flipped):
            repeated = sorted({i for i in flipped if flipped.count(i) > 1})
            raise ValueError(f"A landmark may be in one flip pair only. Received: {repeated} more than once")
        put(
            "groups",
            MappingProxyType({str(k): self._indices(f"group {k!r}", v) for k, v in self.groups.items()}),
        )
        put("lines", tuple((self._indices("lines", line), bool(closed)) for line, closed in self.lines))

    def _pairs_of_the_eyes(self) -> list[tuple[int, int]]:
        """Flip pairs that eye corners and pupils imply, as far as they are not given."""
        partner = {i: j for pair in self.flip_pairs for i, j in (pair, pair[::-1])}
        implied: list[tuple[int, int]] = []
        eyes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        if self.eye_corners is not None:
            eyes.append(((self.eye_corners[0],), (self.eye_corners[1],)))
        if self.pupils is not None:
            eyes.append(self.pupils)
        for right, left in eyes:
            if {partner.get(i) for i in right} == set(left):
                continue
            if len(right) == len(left) == 1 and not {right[0], left[0]} & partner.keys():
                implied.append((right[0], left[0]))
                partner |= {right[0]: left[0], left[0]: right[0]}
                continue
            raise ValueError(
                f"Eye corners and pupils change places when an image is mirrored, so flip_pairs must pair {right} with "
                f"{left} in landmark scheme {self.name!r}. Received: flip_pairs={self.flip_pairs}"
            )
        return implied

    def _indices(self, what: str, values: Iterable[int]) -> tuple[int, ...]:
        indices = tuple(int(i) for i in values)
        if not indices or min(indices) < 0 or max(indices) >= self.n_landmarks:
            raise ValueError(
                f"{what} of landmark scheme {self.name!r} must hold indices from 0 to "
                f"{self.n_landmarks - 1}. Received: {indices}"
            )
        return indices

    @cached_property
    def flip_permutation(self) -> np.ndarray:
        """Where each landmark of the mirrored shape comes from: an involution, int `(n_landmarks,)`.

        `mirrored[i] = reflect(original[flip_permutation[i]])`.
        """
        permutation = np.arange(self.n_landmarks)
        for i, j in self.flip_pairs:
            permutation[i], permutation[j] = j, i
        permutation.flags.writeable = False
        return permutation

    def get_config(self) -> dict[str, Any]:
        """Everything the scheme holds, as plain JSON-ready lists."""
        return {
            "name": self.name,
            "n_landmarks": self.n_landmarks,
            "eye_corners": None if self.eye_corners is None else list(self.eye_corners),
            "pupils": None if self.pupils is None else [list(p) for p in self.pupils],
            "flip_pairs": [list(p) for p in self.flip_pairs],
            "groups": {k: list(v) for k, v in self.groups.items()},
            "lines": [[list(indices), closed] for indices, closed in self.lines],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "LandmarkScheme":
        """The inverse of `get_config`."""
        return cls(**config)

    def __reduce__(self) -> tuple[Callable[..., "LandmarkScheme"], tuple[dict[str, Any]]]:
        # A read-only mapping can be neither pickled nor deep-copied.
        return type(self).from_config, (self.get_config(),)


def _pair(values: Iterable[Any], what: str, kind: type) -> tuple[Any, Any]:
    pair = tuple(kind(v) for v in values)
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(f"{what} must be two different entries. Received: {pair}")
    return pair
