"""Files and folders that are written whole or not at all, whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import IO, Any

__all__ = ["replacing_file", "replacing_folder"]


@contextlib.contextmanager
def replacing_file(path: str | PathLike[str], mode: str = "wb", **kwargs: Any) -> Iterator[IO[Any]]:
    """Open a file that takes the place of `path` when the block ends, and only then.

    Args:
        path: The file; replaced if it is there, its folder made if there is none.
        mode: As for `open`; `"wb"` by default.
        **kwargs: As for `open`.

    Yields:
        The open file. If the block fails, what it wrote is removed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since only within a file system a file is replaced in one step
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with open(part, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: str | PathLike[str]) -> Iterator[Path]:
    """Make a folder that takes the name `path` when the block ends, and only then.

    Args:
        path: The folder; it must not be there yet, or be empty.

    Yields:
        A new folder, beside where it will be. If the block fails, it is removed; what a killed process left is
        removed by the next.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if target.is_dir():
            target.rmdir()  # not every system renames onto a folder
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
