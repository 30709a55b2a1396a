"""The landmark schemes that data sets of faces use, as data.

Sources of the index tables: the annotation figures of the data sets' authors, checked for 68 and 98
points against the data sets' own shapes (a mirrored, re-ordered mean shape is the mean shape), for 29
against the mean shape that ASMNet's authors published, and for 106 against two public tables that agree:
the flip pairs of MMPose (`open-mmlab/mmpose: configs/_base_/datasets/lapa.py`) and the named points of
the scheme's own authors (`JDAI-CV/FaceX-Zoo: face_sdk/utils/lms_trans.py`, 1-based).
"""

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from keras_asm.landmarks.landmark_scheme import LandmarkScheme

__all__ = ["SCHEMES", "get_scheme", "serialize_scheme"]


def _span(first: int, last: int) -> tuple[int, ...]:
    """Both ends included, upward or downward."""
    step = 1 if last >= first else -1
    return tuple(range(first, last + step, step))


def _mirror(left: Iterable[int], right: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(left, right, strict=True))


_IBUG_68 = LandmarkScheme(
    name="300w",
    n_landmarks=68,
    eye_corners=(36, 45),
    pupils=(_span(36, 41), _span(42, 47)),
    flip_pairs=(
        *_mirror(_span(0, 7), _span(16, 9)),
        *_mirror(_span(17, 21), _span(26, 22)),
        *_mirror(_span(31, 32), _span(35, 34)),
        *_mirror(_span(36, 39), _span(45, 42)),
        *_mirror(_span(40, 41), _span(47, 46)),
        *_mirror(_span(48, 50), _span(54, 52)),
        *_mirror(_span(58, 59), _span(56, 55)),
        *_mirror(_span(60, 61), _span(64, 63)),
        (67, 65),
    ),
    groups={
        "jaw": _span(0, 16),
        "right_eyebrow": _span(17, 21),
        "left_eyebrow": _span(22, 26),
        "nose": _span(27, 35),
        "right_eye": _span(36, 41),
        "left_eye": _span(42, 47),
        "mouth": _span(48, 67),
    },
    lines=(
        (_span(0, 16), False),
        (_span(17, 21), False),
        (_span(22, 26), False),
        (_span(27, 30), False),
        (_span(31, 35), False),
        (_span(36, 41), True),
        (_span(42, 47), True),
        (_span(48, 59), True),
        (_span(60, 67), True),
    ),
)

_WFLW_98 = LandmarkScheme(
    name="wflw",
    n_landmarks=98,
    eye_corners=(60, 72),
    pupils=((96,), (97,)),
    flip_pairs=(
        *_mirror(_span(0, 15), _span(32, 17)),
        *_mirror(_span(33, 37), _span(46, 42)),
        *_mirror(_span(38, 41), _span(50, 47)),
        *_mirror(_span(55, 56), _span(59, 58)),
        *_mirror(_span(60, 64), _span(72, 68)),
        *_mirror(_span(65, 67), _span(75, 73)),
        *_mirror(_span(76, 78), _span(82, 80)),
        *_mirror(_span(86, 87), _span(84, 83)),
        *_mirror(_span(88, 89), _span(92, 91)),
        (95, 93),
        (96, 97),
    ),
    groups={
        "jaw": _span(0, 32),
        "right_eyebrow": _span(33, 41),
        "left_eyebrow": _span(42, 50),
        "nose": _span(51, 59),
        "right_eye": _span(60, 67),
        "left_eye": _span(68, 75),
        "mouth": _span(76, 95),
        "pupils": (96, 97),
    },
    lines=(
        (_span(0, 32), False),
        (_span(33, 41), True),
        (_span(42, 50), True),
        (_span(51, 54), False),
        (_span(55, 59), False),
        (_span(60, 67), True),
        (_span(68, 75), True),
        (_span(76, 87), True),
        (_span(88, 95), True),
    ),
)

# COFW goes from pair to pair: eyebrow ends, eyebrow middles (top, bottom; top, bottom), eye corners,
# eyelids (top, bottom; top, bottom), pupils, nose, mouth, chin.
_COFW_29 = LandmarkScheme(
    name="cofw",
    n_landmarks=29,
    eye_corners=(8, 9),
    pupils=((16,), (17,)),
    flip_pairs=(
        (0, 1),
        (2, 3),
        (4, 6),
        (5, 7),
        (8, 9),
        (10, 11),
        (12, 14),
        (13, 15),
        (16, 17),
        (18, 19),
        (22, 23),
    ),
    groups={
        "jaw": (28,),
        "right_eyebrow": (0, 2, 4, 5),
        "left_eyebrow": (1, 3, 6, 7),
        "nose": _span(18, 21),
        "right_eye": (8, 10, 12, 13),
        "left_eye": (9, 11, 14, 15),
        "mouth": _span(22, 27),
        "pupils": (16, 17),
    },
    lines=(
        ((0, 4, 2, 5), True),
        ((3, 6, 1, 7), True),
        ((18, 20, 19, 21), True),
        ((8, 12, 10, 13), True),
        ((11, 14, 9, 15), True),
        ((22, 24, 23, 27), True),
        ((22, 25, 23, 26), True),
    ),
)

# 74 and 83 are the middles of the eye openings, 104 and 105 the pupils themselves.
_JD_106 = LandmarkScheme(
    name="106",
    n_landmarks=106,
    eye_corners=(66, 79),
    pupils=((104,), (105,)),
    flip_pairs=(
        *_mirror(_span(0, 15), _span(32, 17)),
        *_mirror(_span(33, 37), _span(46, 42)),
        *_mirror(_span(38, 41), _span(50, 47)),
        *_mirror(_span(55, 59), _span(65, 61)),
        *_mirror(_span(66, 70), _span(79, 75)),
        *_mirror(_span(71, 73), _span(82, 80)),
        (74, 83),
        *_mirror(_span(84, 86), _span(90, 88)),
        *_mirror(_span(94, 95), _span(92, 91)),
        *_mirror(_span(96, 97), _span(100, 99)),
        (103, 101),
        (104, 105),
    ),
    groups={
        "jaw": _span(0, 32),
        "right_eyebrow": _span(33, 41),
        "left_eyebrow": _span(42, 50),
        "nose": _span(51, 65),
        "right_eye": _span(66, 74),
        "left_eye": _span(75, 83),
        "mouth": _span(84, 103),
        "pupils": (104, 105),
    },
    lines=(
        (_span(0, 32), False),
        (_span(33, 41), True),
        (_span(42, 50), True),
        (_span(51, 54), False),
        (_span(55, 65), False),
        (_span(66, 73), True),
        (_span(75, 82), True),
        (_span(84, 95), True),
        (_span(96, 103), True),
    ),
)

SCHEMES: Mapping[str, LandmarkScheme] = MappingProxyType(
    {scheme.name: scheme for scheme in (_IBUG_68, _WFLW_98, _COFW_29, _JD_106)}
)
"""The schemes by name: `"300w"` (68 points), `"wflw"` (98), `"cofw"` (29), `"106"` (JD-landmark, LaPa)."""


# What people call them elsewhere
_OTHER_NAMES = {
    "ibug": "300w",
    "ibug68": "300w",
    "dlib": "300w",
    "multi-pie": "300w",
    "aflw2000": "300w",
    "300w-lp": "300w",
    "wflw98": "wflw",
    "jd-landmark": "106",
    "lapa": "106",
}


def get_scheme(scheme: str | int | LandmarkScheme | Mapping[str, Any]) -> LandmarkScheme:
    """A landmark scheme, by name, by number of landmarks, or from its configuration.

    Args:
        scheme: A name in `SCHEMES`, in any case, a number of landmarks that one of them has, what
            `serialize_scheme` gave, or a scheme, which is returned as it is.

    Returns:
        The scheme.

    Raises:
        ValueError: If there is none of that name or number; the message lists those there are.

    Examples:
        >>> from keras_asm.landmarks import get_scheme
        >>> get_scheme("wflw").eye_corners, get_scheme(68).name
        ((60, 72), '300w')

    See Also:
        - [`LandmarkScheme`][keras_asm.landmarks.LandmarkScheme]: what it returns, and how to make your own.
        - [`serialize_scheme`][keras_asm.landmarks.serialize_scheme]: the inverse.
    """
    if isinstance(scheme, LandmarkScheme):
        return scheme
    if isinstance(scheme, Mapping):
        return LandmarkScheme.from_config(scheme)
    if isinstance(scheme, str) and scheme.lower() in SCHEMES:
        return SCHEMES[scheme.lower()]
    for known in SCHEMES.values():
        if known.n_landmarks == scheme:
            return known
    names = ", ".join(f"{name!r} ({known.n_landmarks} landmarks)" for name, known in SCHEMES.items())
    meant = ""
    if isinstance(scheme, str):
        near = difflib.get_close_matches(scheme.lower(), [*SCHEMES, *_OTHER_NAMES], n=1, cutoff=0.6)
        meant = "".join(f" Did you mean {_OTHER_NAMES.get(name, name)!r}?" for name in near)
    raise ValueError(
        "A landmark scheme is named by its name or its number of landmarks, or given as a LandmarkScheme. "
        f"Known: {names}.{meant} Received: {scheme!r}"
    )


def serialize_scheme(scheme: LandmarkScheme) -> str | dict[str, Any]:
    """What a configuration keeps of a scheme: the name of a known one, all of any other.

    Args:
        scheme: A landmark scheme.

    Returns:
        A JSON-ready value that `get_scheme` turns back into an equal scheme.

    Examples:
        >>> from keras_asm.landmarks import get_scheme, serialize_scheme
        >>> serialize_scheme(get_scheme(29))
        'cofw'

    See Also:
        - [`get_scheme`][keras_asm.landmarks.get_scheme]: the inverse.
        - [`LandmarkScheme`][keras_asm.landmarks.LandmarkScheme]: what it takes.
    """
    return scheme.name if SCHEMES.get(scheme.name) == scheme else scheme.get_config()
