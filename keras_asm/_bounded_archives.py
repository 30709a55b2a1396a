"""Zip archives from elsewhere, read within bounds: what a file says of the size of its contents is not believed."""

from __future__ import annotations

import io
import os
import zipfile
from os import PathLike

import numpy as np

__all__ = ["read_arrays", "read_member"]


def read_member(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, most: int) -> bytes:
    """The content of a member, at most so many bytes.

    Raises:
        ValueError: If it is larger, damaged, encrypted, or packed in a way that is not known here.
    """
    try:
        with archive.open(member) as stream:
            content = stream.read(most + 1)
    except Exception as error:  # zipfile and each decompressor have their own kinds
        raise ValueError(f"a member cannot be read ({type(error).__name__}: {error})") from error
    if len(content) > most:
        raise ValueError(f"a member has over {most} bytes")
    return content


def read_arrays(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file that `numpy.savez` wrote, which does not compress; never pickled objects.

    No more bytes are read than the file has: a compressed file is refused where it expands.

    Raises:
        ValueError: If the file is no such archive, or is damaged.
    """
    arrays: dict[str, np.ndarray] = {}
    left = os.path.getsize(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                content = read_member(archive, member, left)
                left -= len(content)
                name = member.filename.removesuffix(".npy")
                arrays[name] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except ValueError:
        raise
    except Exception as error:  # BadZipFile; MemoryError and OverflowError of a header that claims too much
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return arrays
