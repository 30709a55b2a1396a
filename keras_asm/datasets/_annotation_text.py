"""What the readers of text annotations share: lines, numbers, and what is wrong with them."""

import math
import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets.dataset_error import DatasetError

__all__ = [
    "PIXEL_LIMIT",
    "check_pixels",
    "is_gap",
    "is_image",
    "is_number",
    "parse_pixels",
    "read_lines",
    "read_text",
    "shown",
]

# `float` also takes "nan", "1_0" and digits of other scripts, none of which an annotation tool writes.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# No image is a million pixels wide; larger numbers are damage.
PIXEL_LIMIT = 1e6


def read_text(path: str | PathLike[str]) -> str:
    """The text of a UTF-8 file, without its byte-order mark.

    Args:
        path: The file.

    Returns:
        The text.

    Raises:
        DatasetError: If the file is missing, cannot be read or is not UTF-8.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError("there is no such file", path) from None
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror}", path) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError("expected a text file. Received: bytes that are not UTF-8", path, line) from None


def read_lines(path: str | PathLike[str]) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, stripped, each with its number from 1.

    Any line end and a byte-order mark are taken.

    Args:
        path: The file.

    Returns:
        Pairs of a number and a line.

    Raises:
        DatasetError: If the file is missing, cannot be read or is not UTF-8.
    """
    text = read_text(path)
    # `splitlines` would also break at form feeds and the like, and shift the line numbers.
    rows = re.split(r"\r\n|\n|\r", text)
    return [(i, row.strip(" \t")) for i, row in enumerate(rows, start=1) if row.strip(" \t")]


def parse_pixels(
    fields: Sequence[str],
    path: str | PathLike[str],
    line: int,
    names: Sequence[str] | None = None,
    gaps: bool = False,
) -> list[float]:
    """Pixel coordinates from their decimal text.

    Args:
        fields: One number each, blanks around it allowed.
        path: The file they are from, for the error.
        line: The line they are from, for the error.
        names: What the error calls each; by default by its place.
        gaps: Whether the fields are x and y in turn, and both of a pair may be empty or NaN: no position.

    Returns:
        As many numbers, finite and within a million pixels, or two NaN for a pair without a position.

    Raises:
        DatasetError: If a field is not such a number.
    """
    numbers = []
    for i, field in enumerate(fields):
        text = field.strip()
        if gaps and is_gap(text) and is_gap(fields[i ^ 1]):
            numbers.append(math.nan)
            continue
        if not _NUMBER.fullmatch(text):
            name = f"coordinate {i + 1}" if names is None else names[i]
            point = " with a decimal point" if _NUMBER.fullmatch(text.replace(",", ".")) else ""
            raise DatasetError(f"expected a number{point} as {name}. Received: {shown(text)}", path, line)
        number = float(text)
        if not abs(number) <= PIXEL_LIMIT:
            raise DatasetError(f"expected pixels within {PIXEL_LIMIT:g}. Received: {shown(text)}", path, line)
        numbers.append(number)
    return numbers


def check_pixels(points: np.ndarray, path: str | PathLike[str], line: int | None = None) -> None:
    """Refuse landmarks that are fractions of their images.

    Args:
        points: All landmarks of a file, `(..., 2)`.
        path: The file, for the error.
        line: The line of the first, for the error.

    Raises:
        DatasetError: If all lie between 0 and 1, or about there.
    """
    points = points[~np.isnan(points)]
    # a half more, for readers that move the origin
    if points.size and points.min() >= -0.6 and points.max() <= 1.6:
        raise DatasetError(
            "expected pixels, and these seem to be fractions of the image: multiply x by its width and y by its "
            f"height. Received: coordinates from {points.min():g} to {points.max():g}",
            path,
            line,
        )


def is_image(folder: Path, name: str) -> bool:
    """Whether there is a file of this name.

    Args:
        folder: Where it should be.
        name: What a file of annotations calls it.
    """
    # A name that is too long for a file, or holds a zero byte, raises instead of being absent.
    try:
        return bool(name) and (folder / name.replace("\\", "/")).is_file()
    except (OSError, ValueError):
        return False


def is_number(text: str) -> bool:
    """Whether a field holds a decimal number."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_gap(text: str) -> bool:
    """Whether a field says that there is no number: it is empty or NaN."""
    return text.strip().lower() in ("", "nan")


def shown(text: str) -> str:
    """A piece of a file for an error message, cut where it is long."""
    return repr(text if len(text) <= 40 else text[:40] + "...")
