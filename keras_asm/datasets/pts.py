"""The `.pts` format of 300W: landmarks as text, 1-based pixels."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm._whole_files import replacing_file
from keras_asm.datasets._annotation_text import (
    PIXEL_LIMIT,
    is_gap,
    is_number,
    parse_pixels,
    read_lines,
    shown,
)
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.landmarks import as_points

__all__ = ["image_beside", "read_pts", "write_pts"]

_COUNT = re.compile(r"\d{1,9}", re.ASCII)


def read_pts(path: str | PathLike[str], n_landmarks: int | None = None) -> np.ndarray:
    r"""Read a `.pts` file.

    The file holds `version: 1`, `n_points: n` and, in braces, a line `x y` per landmark, 1-based; 1 is
    subtracted. A line `nan nan` is a landmark without a position. Windows line ends, a byte-order mark, and extra
    blanks and blank lines are taken.

    Args:
        path: The file.
        n_landmarks: How many landmarks there must be; `None` takes what the file says.

    Returns:
        Float64 `(n_landmarks, 2)`, x and y in pixels, 0-based; NaN where a landmark has no position.

    Raises:
        DatasetError: If the file is missing, cut off or malformed, its count is wrong, or a number is
            infinite or beyond a million pixels. Names the file, the line and the reason.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import read_pts
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "face.pts"
        ...     _ = path.write_text("version: 1\nn_points: 2\n{\n1.0 1.0\n31.5 11.25\n}\n")
        ...     read_pts(path)
        array([[ 0.  ,  0.  ],
               [30.5 , 10.25]])

    See Also:
        - [`write_pts`][keras_asm.datasets.write_pts]: the inverse.
        - [`load_pts_folder`][keras_asm.datasets.load_pts_folder]: reads a whole folder of them.

    References:
        Sagonas et al., 300 Faces In-the-Wild Challenge: Database and results, IMAVIS 2016.
    """
    lines = read_lines(path)
    if not lines:
        raise DatasetError("expected 'version: 1'. Received: an empty file", path)

    count, start = _read_header(lines, path)
    if n_landmarks is not None and count != n_landmarks:
        raise DatasetError(f"expected {n_landmarks} landmarks. Received: n_points {count}", path, lines[1][0])

    points: list[tuple[float, float]] = []
    for position in range(start, len(lines)):
        number, row = lines[position]
        if row == "}":
            if len(points) != count:
                raise DatasetError(
                    f"n_points says {count}, and the braces hold {len(points)} landmarks", path, number
                )
            if position + 1 < len(lines):
                number, row = lines[position + 1]
                raise DatasetError(f"expected nothing after '}}'. Received: {shown(row)}", path, number)
            # 1-based in the file.
            return np.array(points, dtype=np.float64) - 1.0
        if len(points) == count:
            raise DatasetError(f"expected '}}' after {count} landmarks. Received: {shown(row)}", path, number)
        points.append(_read_point(row, path, number))
    raise DatasetError(
        f"the file is cut off: expected {count} landmarks and '}}'. Received: {len(points)} landmarks",
        path,
        lines[-1][0],
    )


def write_pts(path: str | PathLike[str], landmarks: Any) -> None:
    """Write a `.pts` file, to a millionth of a pixel: the inverse of `read_pts`.

    Args:
        path: The file; overwritten.
        landmarks: `(n_landmarks, 2)` or `(2 * n_landmarks,)`, x and y in pixels, 0-based; two NaN where a landmark has
            no position.

    Raises:
        ValueError: If the landmarks have another shape, are infinite, half NaN or beyond a million pixels.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import write_pts
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "face.pts"
        ...     write_pts(path, [[0.0, 0.0], [30.5, 10.25]])
        ...     print(path.read_text())
        version: 1
        n_points: 2
        {
        1.000000 1.000000
        31.500000 11.250000
        }
        <BLANKLINE>

    See Also:
        - [`read_pts`][keras_asm.datasets.read_pts]: the inverse.
        - [`write_pts_folder`][keras_asm.datasets.write_pts_folder]: writes a whole data set.
    """
    points = as_points(landmarks)
    if points.ndim != 2:
        raise ValueError(f"landmarks must have the shape (n_landmarks, 2). Received: shape {points.shape}")
    nowhere = np.isnan(points).all(axis=-1, keepdims=True)
    if not ((np.abs(points) < PIXEL_LIMIT - 1) | nowhere).all():  # NaN compares as False
        raise ValueError(
            f"Landmarks must be finite and within {PIXEL_LIMIT:g} pixels. Received: values from {points.min()} "
            f"to {points.max()}"
        )
    rows = "".join(f"{x:.6f} {y:.6f}\n" for x, y in points.astype(np.float64) + 1.0)
    text = f"version: 1\nn_points: {len(points)}\n{{\n{rows}}}\n"
    with replacing_file(path, "w", encoding="ascii", newline="\n") as file:
        file.write(text)


def image_beside(annotation: Path, candidates: Sequence[Path], suffixes: Sequence[str]) -> Path:
    """The one image that belongs to a `.pts` file.

    Args:
        annotation: The file.
        candidates: Images of its name.
        suffixes: What they may end in, for the error.

    Raises:
        DatasetError: If there is none, or several.
    """
    if len(candidates) != 1:
        raise DatasetError(
            f"expected one image of this name ({', '.join(suffixes)}) beside the annotation. "
            f"Received: {[path.name for path in candidates] or 'none'}",
            annotation,
        )
    return candidates[0]


def _read_header(lines: list[tuple[int, str]], path: str | PathLike[str]) -> tuple[int, int]:
    """The count, and the position of the first line within the braces."""
    expected = ("version", "n_points")
    values: list[str] = []
    for name, (number, row) in zip(expected, lines, strict=False):
        key, colon, value = row.partition(":")
        if key.strip() != name or not colon:
            raise DatasetError(f"expected '{name}: ...'. Received: {shown(row)}", path, number)
        values.append(value.strip())
    if len(lines) <= len(expected):
        raise DatasetError("the file is cut off within its first three lines", path, lines[-1][0])
    if values[0] not in ("1", "1.0"):
        raise DatasetError(f"expected version 1. Received: {shown(values[0])}", path, lines[0][0])
    if not _COUNT.fullmatch(values[1]) or int(values[1]) == 0:
        raise DatasetError(
            f"n_points must be a whole number above 0. Received: {shown(values[1])}", path, lines[1][0]
        )
    number, row = lines[2]
    if row != "{":
        raise DatasetError(f"expected '{{'. Received: {shown(row)}", path, number)
    return int(values[1]), 3


def _read_point(row: str, path: str | PathLike[str], number: int) -> tuple[float, float]:
    fields = row.split()
    if len(fields) != 2 or not (all(map(is_number, fields)) or all(map(is_gap, fields))):
        raise DatasetError(f"expected two numbers 'x y'. Received: {shown(row)}", path, number)
    x, y = parse_pixels(fields, path, number, gaps=True)
    return x, y
