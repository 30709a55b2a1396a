"""Reader of a folder of `.pts` files."""

import os
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.datasets.pts import image_beside, read_pts
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["load_pts_folder"]

_IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def load_pts_folder(root: str | PathLike[str], scheme: str | LandmarkScheme | None = None) -> LandmarkDataset:
    """Read one's own landmarks, of faces or of anything else, from a folder of `.pts` files.

    Takes every `.pts` file in the folder and the folders within it, with an image of the same name beside
    each. All must have as many landmarks. Images without a `.pts` file are left out and counted in the notes;
    names that begin with a dot are passed over.

    Args:
        root: The folder.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.

    Returns:
        The faces, sorted by folder and name.

    Raises:
        DatasetError: If there is no `.pts` file, one is malformed or has another number of landmarks than
            the others, or has no image or several. Names the file, and the line where one is at fault.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_pts_folder, write_pts
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_pts(Path(folder) / "hand.pts", [[10.0, 20.5], [30.0, 40.0]])
        ...     (Path(folder) / "hand.png").touch()
        ...     hands = load_pts_folder(folder)
        >>> hands.names, hands.landmarks.tolist()
        (('hand',), [[[10.0, 20.5], [30.0, 40.0]]])
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError("expected a folder of .pts files", root)
    annotations: list[Path] = []
    images: dict[Path, list[Path]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder) / name
            if name.startswith("."):
                continue
            if path.suffix.lower() == ".pts":
                annotations.append(path)
            elif path.suffix.lower() in _IMAGE_SUFFIXES:
                images.setdefault(path.with_suffix(""), []).append(path)
    if not annotations:
        raise DatasetError("expected at least one .pts file. Received: none", root)

    n_landmarks = None if scheme is None else get_scheme(scheme).n_landmarks
    landmarks: list[np.ndarray] = []
    paths: list[Path] = []
    for annotation in annotations:
        image = image_beside(annotation, images.pop(annotation.with_suffix(""), []), _IMAGE_SUFFIXES)
        points = read_pts(annotation, n_landmarks)
        n_landmarks = len(points)  # All as the first.
        landmarks.append(points)
        paths.append(image)
    return LandmarkDataset(
        image_paths=tuple(str(path) for path in paths),
        landmarks=np.stack(landmarks),
        scheme=scheme,
        names=tuple(path.relative_to(root).with_suffix("").as_posix() for path in annotations),
        title=root.resolve().name,
        notes=(f"{len(images)} images without a .pts file left out",) if images else (),
    )
