"""What the readers of text annotations share: lines, numbers, and what is wrong with them."""

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from keras_asm.datasets.dataset_error import DatasetError

__all__ = ["PIXEL_LIMIT", "is_number", "parse_pixels", "read_lines", "shown"]

# `float` also takes "nan", "1_0" and digits of other scripts, none of which an annotation tool writes.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# No image is a million pixels wide; larger numbers are damage.
PIXEL_LIMIT = 1e6


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
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError("there is no such file", path) from None
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror}", path) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError("expected a text file. Received: bytes that are not UTF-8", path, line) from None
    # `splitlines` would also break at form feeds and the like, and shift the line numbers.
    rows = re.split(r"\r\n|\n|\r", text)
    return [(i, row.strip(" \t")) for i, row in enumerate(rows, start=1) if row.strip(" \t")]


def parse_pixels(fields: Sequence[str], path: str | PathLike[str], line: int) -> list[float]:
    """Pixel coordinates from their decimal text.

    Args:
        fields: One number each, blanks around it allowed.
        path: The file they are from, for the error.
        line: The line they are from, for the error.

    Returns:
        As many numbers, finite and within a million pixels.

    Raises:
        DatasetError: If a field is not such a number.
    """
    numbers = []
    for i, field in enumerate(fields, start=1):
        text = field.strip()
        if not _NUMBER.fullmatch(text):
            raise DatasetError(f"expected a number as coordinate {i}. Received: {shown(text)}", path, line)
        number = float(text)
        if not abs(number) <= PIXEL_LIMIT:
            raise DatasetError(f"expected pixels within {PIXEL_LIMIT:g}. Received: {shown(text)}", path, line)
        numbers.append(number)
    return numbers


def is_number(text: str) -> bool:
    """Whether a field holds a decimal number."""
    return _NUMBER.fullmatch(text.strip()) is not None


def shown(text: str) -> str:
    """A piece of a file for an error message, cut where it is long."""
    return repr(text if len(text) <= 40 else text[:40] + "...")
