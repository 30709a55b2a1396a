"""What the readers of MATLAB files share (format 5; COFW's are HDF5)."""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.datasets._annotation_text import PIXEL_LIMIT
from keras_asm.datasets.dataset_error import DatasetError

__all__ = ["mat_numbers", "pose_from_para", "read_mat"]

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
# How numbers are stored, by the type in an element's tag.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
# Classes of arrays: double, single and integers; the others are cells, structures, text and sparse arrays.
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800
# The annotations of a face take some ten thousand bytes; damage must not fill the memory.
_MAX_BYTES = 1 << 26


def read_mat(path: str | PathLike[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read some numeric arrays of a MATLAB 5 file.

    A small reader of its own, because that of SciPy (1.17) crashes the process on some damaged files. Nothing
    but arrays of real numbers is read.

    Args:
        path: The file.
        names: The variables.

    Returns:
        Those of the variables that are there and numeric.

    Raises:
        DatasetError: If the file is missing, cut off or no such file.

    References:
        MATLAB: MAT-File Format (version 5).
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DatasetError("there is no such file", path) from None
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror}", path) from None
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER_BYTES])
    if order is None:
        raise DatasetError("not a readable MATLAB 5 file: its header is not one", path)
    try:
        found = (_array(body, order, names) for body in _matrices(data, order))
        return {name: array for name, array in found if array is not None}
    except (ValueError, zlib.error) as error:
        raise DatasetError(f"not a readable MATLAB 5 file: {error}", path) from None


def _matrices(data: bytes, order: str) -> Iterator[bytes]:
    """The contents of the arrays of a file."""
    for kind, body in _elements(data[_HEADER_BYTES:], order, aligned=False):
        if kind == _COMPRESSED:
            inflater = zlib.decompressobj()
            body = inflater.decompress(body, _MAX_BYTES)
            if not inflater.eof:
                raise ValueError("a compressed array is cut off or too large")
            kind, body = next(_elements(body, order), (0, b""))
        if kind == _MATRIX:
            yield body


def _elements(data: bytes, order: str, aligned: bool = True) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element. Within an array they begin at multiples of 8 bytes."""
    position = 0
    while position < len(data):
        if position + 8 > len(data):
            raise ValueError("an element is cut off")
        kind, size = (int(n) for n in np.frombuffer(data, f"{order}u4", 2, position))
        if kind >> 16:  # up to four bytes, within the tag
            kind, size = kind & 0xFFFF, kind >> 16
            start, step = position + 4, 8
        else:
            start = position + 8
            step = 8 + (size if not aligned else -(-size // 8) * 8)
        if start + size > len(data) or (step == 8 and size > 4):
            raise ValueError("an element is cut off")
        yield kind, data[start : start + size]
        position += step


def _array(body: bytes, order: str, names: Sequence[str]) -> tuple[str, np.ndarray | None]:
    """Name and numbers of an array; no numbers if it is not asked for, or has none."""
    parts = _elements(body, order)
    _, flags = next(parts, (0, b""))
    _, axes = next(parts, (0, b""))
    _, label = next(parts, (0, b""))
    name = label.decode("latin-1")
    if len(flags) < 4 or len(axes) % 4:
        raise ValueError("an array's header is malformed")
    flag = int(np.frombuffer(flags, f"{order}u4", 1)[0])
    if name not in names or flag & 0xFF not in _NUMERIC_CLASSES or flag & _COMPLEX:
        return name, None
    shape = tuple(np.frombuffer(axes, f"{order}i4").tolist())
    kind, content = next(parts, (0, b""))
    if kind not in _STORED:
        raise ValueError(f"{name} is stored as an unknown type {kind}")
    dtype = np.dtype(order + _STORED[kind])
    if min(shape, default=-1) < 0 or len(shape) > 32 or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"{name} has {len(content)} bytes for a shape of {shape}")
    return name, np.frombuffer(content, dtype).reshape(shape, order="F")


def mat_numbers(
    values: Mapping[str, Any], name: str, shape: tuple[int | None, ...], path: str | PathLike[str]
) -> np.ndarray:
    """A variable as finite numbers within a million.

    Args:
        values: The variables of a file.
        name: Which of them.
        shape: What its shape must be; `None` for an axis of any length above 0.
        path: The file, for the error.

    Returns:
        Float64 of that shape.

    Raises:
        DatasetError: If the variable is not there, not numeric, of another shape, not finite or too large.
    """
    expected = f"expected {name} of shape ({', '.join('any' if n is None else str(n) for n in shape)})"
    if name not in values:
        raise DatasetError(f"{expected}. Received: no such variable", path)
    array = np.asarray(values[name])
    fits = array.ndim == len(shape) and all(
        n > 0 if wanted is None else n == wanted for n, wanted in zip(array.shape, shape, strict=True)
    )
    if array.dtype.kind not in "fiu" or not fits:
        raise DatasetError(f"{expected}. Received: {array.dtype} of shape {array.shape}", path)
    numbers = array.astype(np.float64)
    if not (np.abs(numbers) <= PIXEL_LIMIT).all():  # NaN compares as False
        raise DatasetError(f"expected {name} to be finite and within {PIXEL_LIMIT:g}", path)
    return numbers


def pose_from_para(values: Mapping[str, Any], path: str | PathLike[str]) -> np.ndarray:
    """`(yaw, pitch, roll)` in degrees from `Pose_Para`, which begins with pitch, yaw, roll in radians.

    Args:
        values: The variables of a file.
        path: The file, for the error.

    Returns:
        Float64 `(3,)`.

    Raises:
        DatasetError: If there is no `Pose_Para` of shape (1, 7), or an angle is beyond ten turns.
    """
    pitch, yaw, roll = np.degrees(mat_numbers(values, "Pose_Para", (1, 7), path)[0, :3])
    # AFLW2000-3D itself holds fits that went wrong, of up to 17 radians.
    if max(abs(yaw), abs(pitch), abs(roll)) > 3600:
        raise DatasetError(
            "expected pitch, yaw and roll in radians as the first of Pose_Para. "
            f"Received: {pitch:g}, {yaw:g}, {roll:g} degrees",
            path,
        )
    return np.array([yaw, pitch, roll])
