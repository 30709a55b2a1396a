"""Trained weights that come with the package."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PRETRAINED", "pretrained_file"]

_FOLDER = Path(__file__).parent / "weights"

PRETRAINED: Mapping[str, str] = {
    "asmnet-photos": "d6c7ba9608359c2478ec57bef6307f3c4124b06176457d93b7fd6fa20f1e2741",
    "asmnet-drawn": "73538162ae605c1bd729a91ee2f6f77e4ccc6364fdf134d8a0f2dcd62c463be7",
}
"""SHA-256 of `weights/NAME.keras` by name, the default of `LandmarkPredictor` first."""


def pretrained_file(name: str | None = None) -> Path:
    """The file of a trained network that comes with the package.

    | name | trained on | terms of the weights |
    |---|---|---|
    | `"asmnet-photos"` | photographs of 300W, AFLW2000-3D, YouTube Faces and WFLW | research only, as those data sets |
    | `"asmnet-drawn"` | drawn faces (`synthetic_faces`) alone | Apache-2.0, as the code |

    Both are ASMNet for 68 landmarks and head pose. "Trained weights" in the documentation has their errors and limits.

    Args:
        name: Its name; `None` (default) for the one that `LandmarkPredictor` takes.

    Returns:
        Path of a `.keras` file with a description, which `LandmarkPredictor` and `keras.models.load_model` read.

    Raises:
        ValueError: If there is none of that name, or the file is not the one that was packed.
        FileNotFoundError: If the file is missing from the installation.

    Examples:
        >>> from keras_asm.applications import pretrained_file
        >>> pretrained_file("asmnet-drawn").name
        'asmnet-drawn.keras'

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: takes these names too.
        - [`ASMNet`][keras_asm.applications.ASMNet]: starts from these weights with `weights="asmnet-photos"`.
        - [Trained weights][trained-weights]: their errors and limits.
    """
    name = next(iter(PRETRAINED)) if name is None else name
    if name not in PRETRAINED:
        raise ValueError(f"The trained networks are {', '.join(map(repr, PRETRAINED))}. Received: {name!r}")
    path = _FOLDER / f"{name}.keras"
    if not path.is_file():
        raise FileNotFoundError(f"The installation of keras-asm is not whole. Received: no file {path}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != PRETRAINED[name]:
        raise ValueError(
            f"{path} must be the file that came with the package, of SHA-256 {PRETRAINED[name]}. Received: {found}"
        )
    return path
