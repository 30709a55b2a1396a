"""Weights that come with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["pretrained_file"]

_FOLDER = Path(__file__).parent / "weights"
# SHA-256 of `weights/NAME.keras` by name, the default first. A file is added by putting it there, with its description
# (`write_model_info`) and its model card, and its sum here.
_CHECKSUMS: Mapping[str, str] = {}


def pretrained_file(name: str | None = None) -> Path:
    """The file of a network that comes with the package.

    Args:
        name: Its name; `None` (default) for the default one.

    Returns:
        Path of a `.keras` file with a description.

    Raises:
        ValueError: If there is none of that name, or none at all, or the file is not the one that was packed.
        FileNotFoundError: If the file is missing from the installation.
    """
    if not _CHECKSUMS:
        raise ValueError(
            "This version of keras-asm comes without trained weights: pass a model, or the path of a .keras file that "
            f"LandmarkPredictor.save has written. Received: model={name!r}"
        )
    name = next(iter(_CHECKSUMS)) if name is None else name
    if name not in _CHECKSUMS:
        raise ValueError(f"The networks of this version are {', '.join(_CHECKSUMS)}. Received: {name!r}")
    path = _FOLDER / f"{name}.keras"
    if not path.is_file():
        raise FileNotFoundError(f"The installation of keras-asm is not whole. Received: no file {path}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _CHECKSUMS[name]:
        raise ValueError(
            f"{path} must be the file that came with the package, of SHA-256 {_CHECKSUMS[name]}. Received: {found}"
        )
    return path
