"""Reader of the YouTube Faces key points as a public repository holds them."""

import hashlib
import shutil
import zipfile
import zlib
from os import PathLike
from pathlib import Path, PurePosixPath

import numpy as np

from keras_asm._whole_files import replacing_folder
from keras_asm.datasets._protocol import check_complete
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.datasets.landmark_table import read_landmark_table
from keras_asm.datasets.pose_csv import match_pose

__all__ = ["load_youtube_faces"]

# The tables of the repository; its test folder holds 2308 images, of which only these are labelled.
_SIZES = {"training": 3462, "test": 770}
_COMMIT = "6e55adc6bd032d9fb1ad41a4c3e68aae847cdf81"
_URL = f"https://github.com/udacity/P1_Facial_Keypoints/archive/{_COMMIT}.zip"
# What Git calls the folder `data` at that commit: a hash over the names and contents of all its files.
# (That of the archive would change with the tool that packs it.)
_DATA_TREE = "aea36aec26ed02864050feb0144a7fcfae5b45c4"


def load_youtube_faces(
    root: str | PathLike[str],
    split: str = "all",
    *,
    download: bool = False,
    pose: bool | str | PathLike[str] = False,
    allow_partial: bool = False,
) -> LandmarkDataset:
    r"""Read key points of YouTube Faces: 68 landmarks of frames of videos.

    Expects what the folder `data` of the repository `udacity/P1_Facial_Keypoints` holds: `training`, `test`,
    and for each a table such as `training_frames_keypoints.csv`. Coordinates are 0-based. The groups are the
    people. The published split has the same people on both sides, so for anything but a comparison with
    published figures split by person:

        train, test = load_youtube_faces(root).split_by_group(0.8)

    | split | faces |
    |---|---|
    | `training` | 3462 |
    | `test` | 770 |
    | `all` | 4232 |

    Args:
        root: The folder that holds the folders and tables above.
        split: One of the splits above; `"all"` by default.
        download: Whether to fetch the data (about 340 MB) into `root` if there is nothing yet, through
            `keras.utils.get_file`. Every file is checked against the repository's own hash. What fails leaves
            no half-written folder, and running it again goes on from what was fetched whole.
        pose: `True` reads head pose from `pose.csv` in `root`, a path from that file, `False` (default)
            reads none. See `read_pose_csv`. Faces without a row get NaN and are counted in the notes.
        allow_partial: Accept a copy in which faces are missing, and say so in the notes.

    Returns:
        The faces in the order of the tables, with the published split as subsets.

    Raises:
        ValueError: If `split` is none of the above.
        DatasetError: If faces are missing and `allow_partial` is false, if there are more than published, if an
            image is missing, a table is malformed, or the download fails or is not what the repository holds.

    Examples:
        One face stands in for the data set:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_youtube_faces
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "test").mkdir()
        ...     (Path(root) / "test" / "A_Person_00.jpg").touch()
        ...     rows = [",".join(map(str, ["", *range(136)])), ",".join(["A_Person_00.jpg", *["5.0"] * 136])]
        ...     _ = (Path(root) / "test_frames_keypoints.csv").write_text("\n".join(rows))
        ...     faces = load_youtube_faces(root, "test", allow_partial=True)
        >>> faces.groups, faces.landmarks[0, 0].tolist()
        (('A_Person',), [5.0, 5.0])

    See Also:
        - [`LandmarkDataset`][keras_asm.datasets.LandmarkDataset]: its `split_by_group` keeps each person on
          one side.
        - [Public data sets][public-data-sets]: what to know of each.

    References:
        Wolf et al., Face Recognition in Unconstrained Videos with Matched Background Similarity, CVPR 2011.
    """
    if split not in (*_SIZES, "all"):
        raise ValueError(f"split must be one of {[*_SIZES, 'all']}. Received: {split!r}")
    root = Path(root)
    if download and not (root.is_dir() and any(root.iterdir())):
        _download(root)
    if not root.is_dir():
        raise DatasetError("expected the folder that holds training, test and their tables", root)

    expected = dict(_SIZES) if split == "all" else {split: _SIZES[split]}
    folders: list[str] = []
    names: list[str] = []
    points: list[np.ndarray] = []
    for folder in expected:
        rows = read_landmark_table(root / f"{folder}_frames_keypoints.csv", root / folder, 68)
        folders += [folder] * len(rows.names)
        names += rows.names
        points.append(rows.landmarks)
    counts = {folder: folders.count(folder) for folder in expected}
    notes = check_complete(
        "the YouTube Faces key points", counts, expected, allow_partial=allow_partial, path=root
    )
    partial = bool(notes)
    images = [str(root / folder / name) for folder, name in zip(folders, names, strict=True)]
    angles = None
    if pose is not False:
        angles, unlabelled = match_pose(images, root / "pose.csv" if pose is True else pose)
        notes += unlabelled
    return LandmarkDataset(
        image_paths=tuple(images),
        landmarks=np.concatenate(points),
        pose=angles,
        subsets={folder: np.array([other == folder for other in folders]) for folder in expected},
        scheme="300w",
        names=tuple(f"{folder}/{Path(name).stem}" for folder, name in zip(folders, names, strict=True)),
        title=f"YouTube Faces key points ({split}{', partial' if partial else ''})",
        notes=tuple(notes),
        # Person_Name_07.jpg
        groups=tuple(Path(name).stem.rpartition("_")[0] for name in names),
    )


def _download(root: Path) -> None:
    """Fetch, unpack, check, and only then put the folder where it belongs."""
    import keras

    by_hand = f"To do it by hand, unpack {_URL} and pass its folder data as root"
    try:
        archive = Path(
            keras.utils.get_file(
                fname=f"P1_Facial_Keypoints-{_COMMIT}.zip", origin=_URL, cache_subdir="keras_asm"
            )
        )
    except Exception as error:  # get_file raises a bare Exception
        raise DatasetError(f"the download failed ({error}). Run it again. {by_hand}", root) from error
    root.parent.mkdir(parents=True, exist_ok=True)
    with replacing_folder(root) as unpacked:
        try:
            with zipfile.ZipFile(archive) as file:
                for member in file.infolist():
                    # <repository>-<commit>/data/training/Name_00.jpg; nothing else, and nothing outside.
                    parts = PurePosixPath(member.filename).parts[1:]
                    if member.is_dir() or parts[:1] != ("data",) or len(parts) > 3 or ".." in parts:
                        continue
                    target = unpacked.joinpath(*parts[1:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file.open(member) as source, open(target, "wb") as sink:
                        shutil.copyfileobj(source, sink)
            received = _git_tree(unpacked).hex() if any(unpacked.iterdir()) else "no folder data"
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
            received = f"{type(error).__name__}: {error}"
        if received != _DATA_TREE:
            # Else the next run would take it from the cache again.
            archive.unlink(missing_ok=True)
            raise DatasetError(
                f"the download is not what the repository holds: expected {_DATA_TREE} as the hash of its folder "
                f"data. Received: {received}. It is deleted; run it again. {by_hand}",
                archive,
            )


def _git_tree(folder: Path) -> bytes:
    """The hash by which Git names a folder of plain files and folders: SHA-1 over names and hashes."""
    entries = []
    for path in folder.iterdir():
        if path.is_dir():
            # Git sorts folders as if their names ended in a slash.
            entries.append((f"{path.name}/", b"40000 " + path.name.encode() + b"\0" + _git_tree(path)))
        else:
            blob = path.read_bytes()
            digest = hashlib.sha1(b"blob %d\0" % len(blob) + blob, usedforsecurity=False).digest()
            entries.append((path.name, b"100644 " + path.name.encode() + b"\0" + digest))
    tree = b"".join(entry for _, entry in sorted(entries, key=lambda item: item[0].encode()))
    return hashlib.sha1(b"tree %d\0" % len(tree) + tree, usedforsecurity=False).digest()
