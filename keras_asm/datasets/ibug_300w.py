"""Reader of 300W as it is distributed."""

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._protocol import check_complete
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.datasets.pose_csv import match_pose
from keras_asm.datasets.pts import image_beside, read_pts

__all__ = ["load_300w"]

_TRAIN = {"afw": 337, "helen/trainset": 2000, "lfpw/trainset": 811}
_COMMON = {"helen/testset": 330, "lfpw/testset": 224}
_CHALLENGING = {"ibug": 135}
_PRIVATE = {"01_Indoor": 300, "02_Outdoor": 300}

# Faces per folder in each subset of the protocol: 3148, 554, 135, 689 and 600.
_PROTOCOL: Mapping[str, Mapping[str, int]] = {
    "train": _TRAIN,
    "common": _COMMON,
    "challenging": _CHALLENGING,
    "full": {**_COMMON, **_CHALLENGING},
    "private": _PRIVATE,
}
# The private set comes as an archive of its own, and copies differ in the folder it is unpacked to.
_PRIVATE_PARENTS = ("", "300W", "300w", "Test", "test", "private")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def load_300w(
    root: str | PathLike[str],
    split: str = "all",
    *,
    pose: bool | str | PathLike[str] = False,
    allow_partial: bool = False,
) -> LandmarkDataset:
    """Read 300W: 68 landmarks of faces in the wild.

    Expects the folders `afw`, `helen/{trainset,testset}`, `lfpw/{trainset,testset}`, `ibug` and, for the
    private set, `01_Indoor` and `02_Outdoor` (directly in `root`, or within `300W`), each with an image
    beside each `.pts` file. The faces come in the order of these folders, sorted by name within each.

    | split | folders | faces |
    |---|---|---|
    | `train` | afw, helen/trainset, lfpw/trainset | 3148 |
    | `common` | helen/testset, lfpw/testset | 554 |
    | `challenging` | ibug | 135 |
    | `full` | common and challenging | 689 |
    | `private` | 01_Indoor, 02_Outdoor | 600 |
    | `all` | train and full | 3837 |

    Mirrored copies (`*_mirror.pts`), which some distributions add, are left out and counted in the notes,
    as are images without a `.pts` file. Names that begin with a dot are passed over.

    Args:
        root: The folder that holds the folders above.
        split: One of the splits above; `"all"` by default.
        pose: `True` reads head pose from `pose.csv` in `root`, a path from that file, `False` (default)
            reads none. See `read_pose_csv`. Faces without a row get NaN and are counted in the notes.
        allow_partial: Accept a copy in which faces are missing, and say so in the notes. A subset of which
            a whole folder is missing is then not among the `subsets`, so that it cannot be mistaken for
            the protocol's.

    Returns:
        The faces, with the subsets of the protocol that they belong to.

    Raises:
        ValueError: If `split` is none of the above.
        DatasetError: If faces of the split are missing and `allow_partial` is false, if there are more
            than the protocol has, if an annotation has no image or two, or if a file is malformed.

    Examples:
        One face stands in for the data set:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from keras_asm.datasets import load_300w, write_pts
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = Path(root) / "ibug"
        ...     folder.mkdir()
        ...     (folder / "face.jpg").touch()
        ...     write_pts(folder / "face.pts", np.zeros((68, 2)))
        ...     faces = load_300w(root, "challenging", allow_partial=True)
        >>> len(faces), faces.n_landmarks, list(faces.subsets)
        (1, 68, ['challenging'])

    See Also:
        - [`load_300w_lp`][keras_asm.datasets.load_300w_lp]: the same faces, turned to large poses.
        - [`read_pose_csv`][keras_asm.datasets.read_pose_csv]: pose labels for its images.
        - [`crop_faces`][keras_asm.faces.crop_faces]: the next step.
        - [Public data sets][public-data-sets]: what to know of each.

    References:
        Sagonas et al., 300 Faces In-the-Wild Challenge: Database and results, IMAVIS 2016.
    """
    if split not in (*_PROTOCOL, "all"):
        raise ValueError(f"split must be one of {[*_PROTOCOL, 'all']}. Received: {split!r}")
    root = Path(root)
    if not root.is_dir():
        raise DatasetError("expected the folder that holds afw, helen, lfpw and ibug", root)

    expected = dict(_PROTOCOL[split]) if split != "all" else {**_TRAIN, **_PROTOCOL["full"]}
    notes: list[str] = []
    faces: dict[str, list[tuple[Path, Path]]] = {}
    for folder in expected:
        path = _find(root, folder)
        faces[folder] = _faces(path, notes, folder) if path is not None else []
    counts = {folder: len(found) for folder, found in faces.items()}
    partial = check_complete("300W", counts, expected, split=split, allow_partial=allow_partial, path=root)
    notes = partial + notes
    folders = [folder for folder, found in faces.items() for _ in found]
    annotations, images = zip(*(face for found in faces.values() for face in found), strict=True)
    landmarks = np.stack([read_pts(path, n_landmarks=68) for path in annotations])
    angles = None
    if pose is not False:
        angles, unlabelled = match_pose(images, root / "pose.csv" if pose is True else pose)
        notes += unlabelled

    return LandmarkDataset(
        image_paths=tuple(str(path) for path in images),
        landmarks=landmarks,
        pose=angles,
        subsets={
            name: np.isin(folders, list(parts))
            for name, parts in _PROTOCOL.items()
            if set(parts) <= set(folders)
        },
        scheme="300w",
        names=tuple(f"{folder}/{path.stem}" for folder, path in zip(folders, annotations, strict=True)),
        title=f"300W ({split}{', partial' if partial else ''})",
        notes=tuple(notes),
    )


def _find(root: Path, folder: str) -> Path | None:
    parents = _PRIVATE_PARENTS if folder in _PRIVATE else ("",)
    return next((root / parent / folder for parent in parents if (root / parent / folder).is_dir()), None)


def _faces(folder: Path, notes: list[str], label: str) -> list[tuple[Path, Path]]:
    """Annotation and image of each face in a folder, sorted by name."""
    annotations: list[Path] = []
    images: dict[str, list[Path]] = {}
    mirrored = 0
    for name in sorted(os.listdir(folder)):
        path = folder / name
        suffix = path.suffix.lower()
        if name.startswith(".") or suffix not in (".pts", *_IMAGE_SUFFIXES):
            continue
        if path.stem.endswith("_mirror"):
            mirrored += suffix == ".pts"
        elif suffix == ".pts":
            annotations.append(path)
        else:
            images.setdefault(path.stem, []).append(path)

    faces = []
    for annotation in annotations:
        image = image_beside(annotation, images.pop(annotation.stem, []), _IMAGE_SUFFIXES)
        faces.append((annotation, image))
    if mirrored:
        notes.append(f"{label}: {mirrored} mirrored copies left out")
    if images:
        notes.append(f"{label}: {len(images)} images without a .pts file left out")
    return faces
