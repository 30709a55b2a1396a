"""What the columns of a table of landmarks hold, by their names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

from keras_asm.datasets._annotation_text import shown
from keras_asm.datasets.dataset_error import DatasetError

__all__ = ["TableColumns", "interleaved_columns", "named_columns"]

_IMAGE = {"image", "img", "file", "filename", "filepath", "path", "imagename", "imagepath", "imagefile"}
_SEPARATOR = r"[_\-. ]"
_CORNERS = {"left": 0, "xmin": 0, "top": 1, "ymin": 1, "right": 2, "xmax": 2, "bottom": 3, "ymax": 3}
_SIZES = {"width": 2, "height": 3}
# Which coordinate of a box is meant where the column says that it is one
_OF_A_BOX = {"x": "left", "y": "top", "x1": "left", "y1": "top", "x2": "right", "y2": "bottom", "w": "width"}
_OF_A_BOX |= {"h": "height"}
# The names of a coordinate: x1, x_1, 1x, lm_1_x, nose_x, x_nose, noseX, x
_COORDINATES = (
    rf"(?i:(?P<axis>[xyv]){_SEPARATOR}?(?P<key>[0-9]*))",
    rf"(?i:(?P<key>.*[0-9]){_SEPARATOR}?(?P<axis>[xyv]))",
    rf"(?i:(?P<key>.+){_SEPARATOR}(?P<axis>[xyv]|visible|visibility))",
    rf"(?i:(?P<axis>[xyv]){_SEPARATOR}(?P<key>.+))",
    r"(?P<key>.*[a-z])(?P<axis>[XYV])",
)


@dataclass(frozen=True)
class TableColumns:
    """The positions of what a line of a table holds.

    Attributes:
        names: The header, or names made up where there is none.
        image: Position of the image.
        coordinates: Positions of x and y of each landmark, interleaved.
        visibility: Position of each landmark's visibility, -1 where it has none; empty if none has.
        box: Positions of left, top, and right and bottom or width and height; empty if there is no box.
        box_has_size: Whether the last two of the box are its width and height.
    """

    names: tuple[str, ...]
    image: int
    coordinates: tuple[int, ...]
    visibility: tuple[int, ...] = ()
    box: tuple[int, ...] = ()
    box_has_size: bool = False


def interleaved_columns(n: int) -> TableColumns:
    """An image and `n` coordinates, x and y interleaved."""
    return TableColumns(
        names=("image", *(f"coordinate {i}" for i in range(1, n + 1))),
        image=0,
        coordinates=tuple(range(1, n + 1)),
    )


def named_columns(names: Sequence[str], path: str | PathLike[str], line: int) -> TableColumns:
    """What a header says.

    Args:
        names: The header's fields.
        path: The file, for the error.
        line: The header's line, for the error.

    Returns:
        The positions. Numbered landmarks are in the order of their numbers, named ones in that of their first column.

    Raises:
        DatasetError: If a name is not recognised or stands twice, a landmark lacks its x or y, a box is not whole, or
            the first column holds the numbers of the rows.
    """

    def wrong(reason: str) -> DatasetError:
        return DatasetError(f"{reason}. Received: {shown(','.join(names))}", path, line)

    # Plain numbers, or x,y,x,y,...: there is nothing to tell the landmarks by but their places
    rest = [name.strip().lower() for name in names[1:]]
    alternating = len(rest) > 2 and rest == ["x", "y"] * (len(rest) // 2)
    if rest == [str(i) for i in range(len(rest))] or alternating:
        if not rest or len(rest) % 2:
            raise wrong(
                "expected an image and an x and a y of each landmark; if the first column numbers the rows, leave it "
                "out, with to_csv(..., index=False) where pandas has written it"
            )
        return interleaved_columns(len(rest))

    images = [i for i, name in enumerate(names) if _squeezed(name) in _IMAGE]
    if len(images) > 1:
        raise wrong(f"expected one column with the image, not {len(images)}")
    if images and images[0] and names[0].strip().lower() in ("", "index", "unnamed: 0"):
        raise wrong(
            "the first column holds the numbers of the rows; leave it out, with to_csv(..., index=False) where "
            "pandas has written it"
        )
    image = images[0] if images else 0
    positions: dict[tuple[str, str], int] = {}
    corners: dict[int, int] = {}
    sizes: dict[int, int] = {}
    unknown: list[str] = []
    for i, name in enumerate(names):
        if i == image:
            continue
        side = _squeezed(name)
        if side.startswith(("box", "bbox", "face")):
            bare = re.sub("b?box|face", "", side, count=1)
            side = _OF_A_BOX.get(bare, bare) if "box" in side else bare
        if side in _CORNERS or side in _SIZES:
            known, place = (corners, _CORNERS[side]) if side in _CORNERS else (sizes, _SIZES[side])
            if place in known:
                raise wrong(f"the column {name!r} says what {names[known[place]]!r} does")
            known[place] = i
            continue
        found = next(filter(None, (re.fullmatch(pattern, name.strip()) for pattern in _COORDINATES)), None)
        if found is None:
            unknown.append(name)
            continue
        key, axis = found["key"].lower(), found["axis"].lower()[0]
        key = re.sub(r"[0-9]+", lambda digits: digits[0].lstrip("0") or "0", key)  # x01 is x1
        if (key, axis) in positions:
            raise wrong(f"the columns {names[positions[key, axis]]!r} and {name!r} are the same coordinate")
        positions[key, axis] = i
    landmarks = list(dict.fromkeys(key for key, axis in positions if axis != "v"))
    lacking = [(key, axis) for key in landmarks for axis in "xy" if (key, axis) not in positions]
    if unknown:
        expected = [names[positions[key, "x" if axis == "y" else "y"]] for key, axis in lacking]
        expected = [_other_axis(name) for name in expected]
        raise wrong(_unknown_columns(unknown, expected))
    if lacking:
        key, axis = lacking[0]
        raise wrong(f"expected an x and a y of each landmark, and there is no {axis} of landmark {key!r}")
    orphans = [key for key, axis in positions if axis == "v" and key not in landmarks]
    if orphans:
        raise wrong(f"there is a visibility and no x and y of landmark {orphans[0]!r}")
    if not landmarks:
        raise wrong("expected an x and a y of each landmark, such as x1,y1,x2,y2")
    order = _in_order(landmarks)
    box = {**corners, **sizes}
    if box and (len(corners) + len(sizes) != 4 or set(box) != {0, 1, 2, 3} or len(sizes) not in (0, 2)):
        raise wrong("expected a box as left,top,right,bottom or left,top,width,height")
    visible = tuple(positions.get((key, "v"), -1) for key in order)
    return TableColumns(
        names=tuple(name.strip() for name in names),
        image=image,
        coordinates=tuple(positions[key, axis] for key in order for axis in "xy"),
        visibility=visible if max(visible) >= 0 else (),
        box=tuple(box[i] for i in sorted(box)),
        box_has_size=bool(sizes),
    )


def _squeezed(name: str) -> str:
    return re.sub(_SEPARATOR, "", name.strip().lower())


def _other_axis(name: str) -> str:
    """The name of the y that belongs to an x, and the other way round."""
    swap = str.maketrans("xyXY", "yxYX")
    if re.match(rf"[xyXY]({_SEPARATOR}|\d|$)", name):
        return name[0].translate(swap) + name[1:]
    return name[:-1] + name[-1].translate(swap)


def _in_order(landmarks: list[str]) -> list[str]:
    """By number, if they are numbers behind the same word; else as they are."""
    numbers = [re.fullmatch(r"([^0-9]*)([0-9]{1,9})", key) for key in landmarks]
    if len({found and found[1] for found in numbers}) > 1 or numbers[0] is None:
        return landmarks
    return sorted(landmarks, key=lambda key: int(re.sub("[^0-9]", "", key)))


def _unknown_columns(unknown: list[str], expected: list[str]) -> str:
    listed = ", ".join(shown(name) for name in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
    candidates = [*expected, *sorted(_IMAGE), *_CORNERS, *_SIZES]
    near = dict.fromkeys(
        match
        for name in unknown[:5]
        for match in difflib.get_close_matches(name.strip().lower()[:40], candidates, n=2, cutoff=0.7)
    )
    hint = f" (near: {', '.join(near)})" if near else ""
    return (
        f"{len(unknown)} of the columns are not recognised: {listed}{hint}. Expected an image; coordinates such as "
        "x1,y1 or nose_x,nose_y; their visibility such as v1 or nose_v; a box left,top,right,bottom or "
        "left,top,width,height; take other columns out"
    )
