"""Reader of tables of landmarks: a line per face, with its image and its coordinates."""

import csv
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_asm.datasets._annotation_text import (
    check_pixels,
    is_image,
    is_number,
    parse_pixels,
    read_lines,
    shown,
)
from keras_asm.datasets._table_columns import TableColumns, interleaved_columns, named_columns
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["TableRows", "load_table", "read_landmark_table"]


class TableRows(NamedTuple):
    """What a table holds.

    Attributes:
        names: The images as the table names them.
        landmarks: Float64 `(n, n_landmarks, 2)`.
        boxes: Float64 `(n, 4)`, or `None`.
        visibility: Boolean `(n, n_landmarks)`, or `None`.
    """

    names: tuple[str, ...]
    landmarks: np.ndarray
    boxes: np.ndarray | None
    visibility: np.ndarray | None


def load_table(
    path: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    image_folder: str | PathLike[str] | None = None,
) -> LandmarkDataset:
    r"""Read one's own landmarks, of faces or of anything else, from a CSV with a line per face.

    Coordinates are pixels, 0-based, taken as they are. Columns are taken by their names, in any order:

    | columns | what they are |
    |---|---|
    | `image`, `file_name`, `path`, ... | the image; the first column if none has such a name |
    | `x1,y1,x2,y2`, `x_0,x_1,y_0,y_1`, `1_x`, `lm_0_x` | landmarks, in the order of their numbers |
    | `nose_x,nose_y`, `x,y` | landmarks, in the order of their first columns |
    | `v1`, `nose_v` | 1 visible, 0 hidden; in a table with a 2, as in COCO: 2 visible, 1 hidden, 0 no position |
    | `left,top,right,bottom`, `left,top,width,height`, `x_min,y_min,x_max,y_max` | the face's box, as it is |

    Without a header, with the plain numbers 0, 1, 2, ... as names, or with `x,y,x,y,...`, the columns are an image
    and x and y of each landmark, interleaved. A first line that names an existing image is data. Fields may be quoted.

    A landmark whose x and y are both empty, or both `nan`, has no position and is NaN.

    Args:
        path: The table.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        image_folder: The folder to which images are relative; by default that of the table.

    Returns:
        The faces in the order of the table, with boxes and visibility if it has them.

    Raises:
        DatasetError: If the table is missing or malformed, has a column that is not recognised, another separator
            than a comma, or coordinates that are fractions of the image, or if an image is missing. Names the
            file, the line and the reason.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_table
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "hand.png").touch()
        ...     path = Path(folder) / "hands.csv"
        ...     _ = path.write_text("image,x1,x2,y1,y2,v1,v2\nhand.png,10,30,20.5,40,1,0\n")
        ...     hands = load_table(path)
        >>> print(hands)
        hands.csv: 1 sample, 2 landmarks (no scheme), no pose, 50.0% of landmarks hidden
        >>> hands.landmarks[0].tolist()
        [[10.0, 20.5], [30.0, 40.0]]

    See Also:
        - [`load_pts_folder`][keras_asm.datasets.load_pts_folder]: landmarks in a file for each image.
        - [`load_coco`][keras_asm.datasets.load_coco]: landmarks from an annotation tool.
        - [`LandmarkDataset`][keras_asm.datasets.LandmarkDataset]: what it returns, and how to make one of
          arrays.
        - [Tables][tables]: names of the columns.
    """
    path = Path(path)
    folder = path.parent if image_folder is None else Path(image_folder)
    rows = read_landmark_table(path, folder, None if scheme is None else get_scheme(scheme).n_landmarks)
    return LandmarkDataset(
        image_paths=tuple(str(folder / name) for name in rows.names),
        landmarks=rows.landmarks,
        boxes=rows.boxes,
        visibility=rows.visibility,
        scheme=scheme,
        names=rows.names,
        title=path.name,
    )


def read_landmark_table(
    path: str | PathLike[str], image_folder: Path, n_landmarks: int | None = None
) -> TableRows:
    """What a table holds; see `load_table`.

    Args:
        path: The table.
        image_folder: The folder to which images are relative.
        n_landmarks: How many landmarks there must be; `None` takes what the header or first line has.

    Returns:
        The rows in their order.

    Raises:
        DatasetError: As `load_table`.
    """
    names: list[str] = []
    points: list[list[float]] = []
    boxes: list[list[float]] = []
    flags: list[list[str]] = []
    lines: list[int] = []
    columns: TableColumns | None = None
    for position, (line, text) in enumerate(read_lines(path)):
        try:
            (fields,) = csv.reader([text], strict=True, skipinitialspace=True)
        except (csv.Error, ValueError) as error:
            raise DatasetError(f"malformed CSV: {error}", path, line) from None
        fields = [field.strip() for field in fields]
        if position == 0:
            _check_separator(text, fields, image_folder, path, line)
            if not is_image(image_folder, fields[0]) and _is_header(fields):
                columns = named_columns(fields, path, line)
                _check_count(len(columns.coordinates), n_landmarks, path, line)
                continue
            if fields[0].isdecimal() and len(fields) > 1 and is_image(image_folder, fields[1]):
                raise DatasetError(
                    "the first column numbers the rows; leave it out, with to_csv(..., index=False) where pandas has "
                    f"written it. Received: {shown(text)}",
                    path,
                    line,
                )
        if columns is None:
            _check_count(len(fields) - 1, n_landmarks, path, line)
            columns = interleaved_columns(len(fields) - 1)
        if len(fields) != len(columns.names):
            n = len(columns.names) - 1
            plain = columns.coordinates == tuple(range(1, n + 1))
            expected = f"{n} coordinates, of {n // 2} landmarks" if plain else f"{n} cells beside the image's"
            raise DatasetError(f"expected {expected}. Received: {len(fields) - 1}", path, line)
        # Tables written on Windows hold backslashes.
        name = fields[columns.image].replace("\\", "/")
        if not is_image(image_folder, name):
            raise DatasetError(
                f"expected an image within {image_folder}. Received: {shown(name)}, which is not there",
                path,
                line,
            )
        points.append(_cells(fields, columns.coordinates, columns, path, line, gaps=True))
        if columns.box:
            corners = _cells(fields, columns.box, columns, path, line)
            boxes.append(_box(corners, columns.box_has_size, path, line))
        if columns.visibility:
            flags.append([_flag(fields, i, columns.names, path, line) for i in columns.visibility])
        names.append(name)
        lines.append(line)
    if not names:
        raise DatasetError("expected at least one line with an image and its landmarks. Received: none", path)
    landmarks = np.array(points).reshape(len(points), -1, 2)
    visibility = None
    if flags:
        visibility, nowhere = _visible(flags)
        landmarks[nowhere] = np.nan
    check_pixels(landmarks, path, lines[0])
    return TableRows(tuple(names), landmarks, np.array(boxes) if boxes else None, visibility)


def _is_header(fields: list[str]) -> bool:
    numbered = fields[1:] == [str(i) for i in range(len(fields) - 1)]
    return not fields[0] or numbered or not any(is_number(field) for field in fields[1:])


def _check_separator(
    text: str, fields: list[str], image_folder: Path, path: str | PathLike[str], line: int
) -> None:
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if separator in fields[0] and text.count(separator) > 1 and not is_image(image_folder, fields[0]):
            raise DatasetError(
                f"expected commas between the fields, and this table has {name}. To rewrite it: pandas.read_csv(path, "
                f"sep={separator!r}).to_csv(path, index=False), with decimal=',' in the first where numbers have "
                f"commas. Received: {shown(text)}",
                path,
                line,
            )


def _check_count(n: int, n_landmarks: int | None, path: str | PathLike[str], line: int) -> None:
    if n_landmarks is None and (n == 0 or n % 2):
        raise DatasetError(
            f"expected an image and an x and y of each landmark. Received: {n} coordinates", path, line
        )
    if n_landmarks is not None and n != 2 * n_landmarks:
        raise DatasetError(
            f"expected {2 * n_landmarks} coordinates, of {n_landmarks} landmarks. Received: {n}", path, line
        )


def _cells(
    fields: list[str],
    positions: tuple[int, ...],
    columns: TableColumns,
    path: str | PathLike[str],
    line: int,
    gaps: bool = False,
) -> list[float]:
    names = [columns.names[i] for i in positions]
    return parse_pixels([fields[i] for i in positions], path, line, names, gaps)


def _box(values: list[float], has_size: bool, path: str | PathLike[str], line: int) -> list[float]:
    left, top, right, bottom = values
    if has_size:
        right, bottom = left + right, top + bottom
    if right < left or bottom < top:
        shape = "a width and height from 0" if has_size else "left <= right and top <= bottom"
        raise DatasetError(f"expected a box with {shape}. Received: {values}", path, line)
    return [left, top, right, bottom]


def _flag(fields: list[str], i: int, names: tuple[str, ...], path: str | PathLike[str], line: int) -> str:
    if i < 0:
        return ""
    flag = {"true": "1", "false": "0", "1.0": "1", "0.0": "0", "2.0": "2"}.get(fields[i].lower(), fields[i])
    if flag not in ("0", "1", "2"):
        raise DatasetError(
            f"expected 0, 1 or 2 as visibility {names[i]}. Received: {shown(fields[i])}", path, line
        )
    return flag


def _visible(flags: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Which landmarks are not hidden, and which have no position, as COCO's flags say."""
    array = np.array(flags)
    if not (array == "2").any():
        return array != "0", np.zeros(array.shape, dtype=bool)
    return array != "1", array == "0"
