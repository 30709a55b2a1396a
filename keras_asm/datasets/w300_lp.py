"""Reader of 300W-LP as it is distributed."""

import os
import re
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._mat import mat_numbers, pose_from_para, read_mat
from keras_asm.datasets._protocol import check_complete
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset

__all__ = ["load_300w_lp"]

# The mirrored folders hold as many: 61225 twice, 122450.
_FOLDERS = {"AFW": 5207, "HELEN": 37676, "IBUG": 1786, "LFPW": 16556}
_VARIANTS = ("2d", "3d")


def load_300w_lp(
    root: str | PathLike[str],
    landmarks: str = "2d",
    *,
    flipped: bool = True,
    allow_partial: bool = False,
) -> LandmarkDataset:
    """Read 300W-LP: 68 landmarks and head pose of faces of 300W, turned to large poses.

    Expects the folders `AFW`, `HELEN`, `IBUG`, `LFPW` and, for mirrored copies, the same with `_Flip`, each
    with an image (`.jpg`) beside each `.mat`. The pose is `Pose_Para`'s, in degrees. Coordinates in the files
    are 1-based, as in 300W; 1 is subtracted. `roi` is the square of the original photograph that the image
    shows, not a face's box, and is not read.

    | landmarks | read from | meaning |
    |---|---|---|
    | `2d` | `pt2d` of the `.mat` | those of 300W, whose jaw follows the visible outline |
    | `3d` | `pts_3d` of `landmarks/<folder>/<name>_pts.mat` | projected points of a 3-D face |

    Faces made from one photograph, mirrored ones among them, are one group: split by group, so that no
    photograph is on both sides.

    Args:
        root: The folder that holds the folders above.
        landmarks: `"2d"` (default) or `"3d"`.
        flipped: Whether the mirrored copies are read; `True` by default.
        allow_partial: Accept a copy in which faces are missing, and say so in the notes.

    Returns:
        The faces in the order of the folders, sorted by name within each. The subsets are `AFW`, `HELEN`,
        `IBUG` and `LFPW` with their mirrored copies, `flipped`, and `within_99` (yaw, pitch and roll within
        +-99 degrees). A landmark of `pt2d` whose x or y is -1 has no position and is NaN.

    Raises:
        ValueError: If `landmarks` is neither of the two.
        DatasetError: If faces are missing and `allow_partial` is false, if there are more than the data set
            has, if an annotation has no image, or if a file is malformed. Names the file.

    Examples:
        One face stands in for the data set:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from scipy.io import savemat
        >>> from keras_asm.datasets import load_300w_lp
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = Path(root) / "AFW"
        ...     folder.mkdir()
        ...     (folder / "AFW_1_0.jpg").touch()
        ...     savemat(folder / "AFW_1_0.mat", {"pt2d": np.ones((2, 68)), "Pose_Para": np.zeros((1, 7))})
        ...     faces = load_300w_lp(root, flipped=False, allow_partial=True)
        >>> len(faces), faces.landmarks[0, 0].tolist(), faces.pose.shape
        (1, [0.0, 0.0], (1, 3))

    See Also:
        - [`load_aflw2000_3d`][keras_asm.datasets.load_aflw2000_3d]: the faces that such networks are tested
          on.
        - [`load_300w`][keras_asm.datasets.load_300w]: the photographs that it was made from.
        - [Public data sets][public-data-sets]: what to know of each.

    References:
        Zhu et al., Face Alignment Across Large Poses: A 3D Solution, CVPR 2016.
    """
    if landmarks not in _VARIANTS:
        raise ValueError(f"landmarks must be one of {list(_VARIANTS)}. Received: {landmarks!r}")
    root = Path(root)
    if not root.is_dir():
        raise DatasetError("expected the folder that holds AFW, HELEN, IBUG and LFPW", root)
    expected = {**_FOLDERS, **({f"{name}_Flip": n for name, n in _FOLDERS.items()} if flipped else {})}
    faces: list[tuple[str, str]] = []
    counts = {}
    for folder in expected:
        path = root / folder
        files = set(os.listdir(path)) if path.is_dir() else set()
        stems = sorted(name[:-4] for name in files if name.endswith(".mat") and not name.startswith("."))
        counts[folder] = len(stems)
        for stem in stems:
            if f"{stem}.jpg" not in files:
                raise DatasetError(
                    f"expected {stem}.jpg beside the annotation. Received: none", path / f"{stem}.mat"
                )
        faces += [(folder, stem) for stem in stems]
    notes = check_complete("300W-LP", counts, expected, allow_partial=allow_partial, path=root)
    partial = bool(notes)

    points = np.empty((len(faces), 68, 2))
    pose = np.empty((len(faces), 3))
    for i, (folder, stem) in enumerate(faces):
        path = root / folder / f"{stem}.mat"
        values = read_mat(path, ("Pose_Para", "pt2d"))
        pose[i] = pose_from_para(values, path)
        if landmarks == "2d":
            points[i] = mat_numbers(values, "pt2d", (2, 68), path).T
        else:
            path = root / "landmarks" / folder / f"{stem}_pts.mat"
            points[i] = mat_numbers(read_mat(path, ("pts_3d",)), "pts_3d", (68, 2), path)

    if landmarks == "2d":
        points[(points == -1).any(axis=-1)] = np.nan
    sources = np.array([folder.removesuffix("_Flip") for folder, _ in faces])
    mirrored = np.array([folder.endswith("_Flip") for folder, _ in faces])
    return LandmarkDataset(
        image_paths=tuple(str(root / folder / f"{stem}.jpg") for folder, stem in faces),
        landmarks=points - 1.0,
        pose=pose,
        subsets={
            **{name: sources == name for name in _FOLDERS if (sources == name).any()},
            "flipped": mirrored,
            "within_99": np.abs(pose).max(axis=1) <= 99,
        },
        scheme="300w",
        names=tuple(f"{folder}/{stem}" for folder, stem in faces),
        title=f"300W-LP ({landmarks}{', partial' if partial else ''})",
        notes=tuple(notes),
        # The last number of a name counts the poses made from one photograph.
        groups=tuple(
            f"{source}/{re.sub('_[0-9]+$', '', stem)}"
            for source, (_, stem) in zip(sources.tolist(), faces, strict=True)
        ),
    )
