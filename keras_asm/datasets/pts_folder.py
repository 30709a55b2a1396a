"""Reader of a folder of `.pts` files."""

import os
import shutil
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np

from keras_asm._whole_files import replacing_folder
from keras_asm.datasets._annotation_text import check_pixels
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.datasets.pts import image_beside, read_pts, write_pts
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["load_pts_folder", "write_pts_folder"]

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
            the others, or has no image or several, or if coordinates are fractions of the image. Names the file,
            and the line where one is at fault.

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

    See Also:
        - [`write_pts_folder`][keras_asm.datasets.write_pts_folder]: writes such a folder.
        - [`read_pts`][keras_asm.datasets.read_pts]: reads one file.
        - [`load_table`][keras_asm.datasets.load_table]: one CSV file for all faces instead.
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
        landmarks.append(read_pts(annotation, n_landmarks))
        n_landmarks = len(landmarks[0])  # All as the first.
        paths.append(image)
    points = np.stack(landmarks)
    check_pixels(points + 1, root)  # as they stand in the files
    return LandmarkDataset(
        image_paths=tuple(str(path) for path in paths),
        landmarks=points,
        scheme=scheme,
        names=tuple(path.relative_to(root).with_suffix("").as_posix() for path in annotations),
        title=root.resolve().name,
        notes=(f"{len(images)} images without a .pts file left out",) if images else (),
    )


def write_pts_folder(root: str | PathLike[str], dataset: LandmarkDataset) -> None:
    """Write a data set as a folder of `.pts` files, each beside a copy of its image; `load_pts_folder` reads it back.

    A file is called as its face, with the folders that the name has and without the image's suffix; it is read back
    in the order of these names. Landmarks are written to a millionth of a pixel. Pose, boxes, visibility, groups and
    subsets have no place in this format and are left behind; `write_coco` keeps them.

    Args:
        root: The folder; it must not be there yet, or be empty. It appears when it is complete.
        dataset: The faces. An image with several of them is copied for each.

    Raises:
        ValueError: If two faces would have the same file, or a name leads out of the folder.
        DatasetError: If an image cannot be copied, or its suffix is not that of an image that `load_pts_folder` takes.
            Names the image.
        FileExistsError: If there is something in the folder already.

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from keras_asm.datasets import LandmarkDataset, load_pts_folder, write_pts_folder
        >>> Path("photo.png").touch()
        >>> hands = LandmarkDataset(("photo.png",), np.array([[[10.0, 20.5], [30.0, 40.0]]]), names=("hand",))
        >>> write_pts_folder("hands", hands)
        >>> load_pts_folder("hands").landmarks.tolist()
        [[[10.0, 20.5], [30.0, 40.0]]]

    See Also:
        - [`load_pts_folder`][keras_asm.datasets.load_pts_folder]: reads it back.
        - [`write_coco`][keras_asm.datasets.write_coco]: keeps boxes, visibility, pose and groups too.
    """
    root = Path(root)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(f"expected a folder that is new or empty. Received: {root}")
    stems: dict[str, str] = {}
    files: list[str] = []
    for name in dataset.names or ():
        # Names are the images' paths where none are given
        stem = PurePosixPath(Path(name).name if Path(name).is_absolute() else name.replace("\\", "/"))
        if stem.suffix.lower() in _IMAGE_SUFFIXES:
            stem = stem.with_suffix("")
        if stem.is_absolute() or not stem.name or any(part.startswith(".") for part in stem.parts):
            raise ValueError(f"expected names of files within the folder, not hidden. Received: {name!r}")
        other = stems.setdefault(str(stem).lower(), str(stem))
        if len(stems) <= len(files):
            raise ValueError(
                f"expected names that differ in more than suffix and case. Received: {name!r}, {other!r}"
            )
        files.append(str(stem))
    with replacing_folder(root) as folder:
        for key, image, points in zip(files, dataset.image_paths, dataset.landmarks, strict=True):
            suffix = Path(image).suffix
            if suffix.lower() not in _IMAGE_SUFFIXES:
                raise DatasetError(
                    f"expected an image as {', '.join(_IMAGE_SUFFIXES)}. Received: {suffix!r}", image
                )
            write_pts(folder / f"{key}.pts", points)
            try:
                shutil.copyfile(image, folder / f"{key}{suffix}")
            except OSError as error:
                raise DatasetError(f"the image cannot be copied: {error.strerror}", image) from None
