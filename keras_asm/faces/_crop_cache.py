"""Images in a memory-mapped file that survives interruptions."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm._whole_files import replacing_file

__all__ = ["cached_images"]

# Part of every key: raise it when the same settings come to give other pixels.
_FORMAT = 1
_SECONDS_BETWEEN_NOTES = 5.0


def cached_images(
    folder: str | PathLike[str],
    shape: tuple[int, ...],
    fill: Callable[[np.ndarray, int], Generator[int, None, None]],
    content: Mapping[str, Any],
) -> np.ndarray:
    """Images that are made once and kept, as a read-only memory map.

    An entry is a folder `crops-KEY` with `images.npy` and `content.json`, where `KEY` is a hash of shape and
    content. It is made under the name `crops-KEY.partial` and renamed when it is complete, so an entry that is
    there is whole. A note of how many images are done lies beside those of a partial one, from where a later
    call goes on. Two processes that ask for the same entry wait for each other (not on Windows, which lacks
    the locks that end with their process). An entry whose files do not fit its key is made anew.

    Args:
        folder: Where the entries lie; made if there is none.
        shape: Shape of the images, the number of them first.
        fill: Called with a writeable uint8 array of this shape and the number of images that are done
            already; writes the others in order and yields how many are done.
        content: What decides how the images look; plain data.

    Returns:
        uint8, of this shape.

    Raises:
        OSError: If the folder cannot be written, or its disk has no space for the images.
    """
    described = {"format": _FORMAT, "shape": list(shape), **content}
    key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    entry = Path(folder) / f"crops-{key}"
    images = _open(entry, described, "r")
    if images is not None:
        return images
    os.makedirs(folder, exist_ok=True)
    with _locked(Path(folder) / f"crops-{key}.lock"):
        images = _open(entry, described, "r")  # by a process that had the lock before
        if images is None:
            if entry.exists():
                shutil.rmtree(entry)
            _make(entry, described, fill)
            images = _open(entry, described, "r")
    if images is None:
        raise OSError(f"What was just written cannot be read back. Received: {entry}")
    return images


def _make(
    entry: Path, described: dict[str, Any], fill: Callable[[np.ndarray, int], Generator[int, None, None]]
) -> None:
    partial = entry.with_name(entry.name + ".partial")
    done = _read_note(partial / "done.json")
    images = _open(partial, described, "r+") if 0 < done <= described["shape"][0] else None
    if images is None:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        done = 0
        images = np.lib.format.open_memmap(
            partial / "images.npy", mode="w+", dtype=np.uint8, shape=tuple(described["shape"])
        )
        if hasattr(os, "posix_fallocate"):
            # A full disk is then an error here, and not a signal that ends the process while it writes.
            with open(partial / "images.npy", "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        _write(partial / "content.json", described)
    noted = time.monotonic()
    with contextlib.closing(fill(images, done)) as progress:
        for count in progress:
            if time.monotonic() - noted > _SECONDS_BETWEEN_NOTES:
                # First the images, then the note that says that they are there.
                images.flush()
                _write(partial / "done.json", count)
                noted = time.monotonic()
    images.flush()
    del images  # Windows renames no folder with an open file
    (partial / "done.json").unlink(missing_ok=True)
    partial.rename(entry)


def _open(entry: Path, described: dict[str, Any], mode: Any) -> np.memmap | None:
    """The images of an entry, or `None` if it is not there or not whole."""
    try:
        with open(entry / "content.json", encoding="utf-8") as file:
            if json.load(file) != described:
                return None
        # Reads the header, and maps no file that is shorter than it says.
        images = np.lib.format.open_memmap(entry / "images.npy", mode=mode)
    except (OSError, ValueError):
        return None
    return images if images.shape == tuple(described["shape"]) and images.dtype == np.uint8 else None


def _read_note(path: Path) -> int:
    try:
        with open(path, encoding="utf-8") as file:
            return int(json.load(file))
    except (OSError, ValueError, TypeError):
        return 0


def _write(path: Path, value: Any) -> None:
    with replacing_file(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed or the process ends, however it ends
        yield
