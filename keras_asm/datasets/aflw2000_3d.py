"""Reader of AFLW2000-3D as it is distributed."""

import os
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._mat import mat_numbers, pose_from_para, read_mat
from keras_asm.datasets._protocol import check_complete
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset

__all__ = ["load_aflw2000_3d"]

_SIZE = 2000
_WITHIN_99 = 1969
_YAW_RANGES = ((0, 30), (30, 60), (60, 90))
# `pt2d` holds AFLW's own 21 annotations, which are -1 where hidden. These of them are points of the 68-point
# scheme, found as the nearest ones over all faces; the others are pupils, ears and the middle of the mouth.
_AFLW_TO_68 = {
    0: 17,
    1: 19,
    2: 21,
    3: 22,
    4: 24,
    5: 26,
    6: 36,
    8: 39,
    9: 42,
    11: 45,
    13: 31,
    14: 30,
    15: 35,
    17: 48,
    19: 54,
    20: 8,
}


def load_aflw2000_3d(
    root: str | PathLike[str],
    *,
    reannotated: bool | str | PathLike[str] = False,
    allow_partial: bool = False,
) -> LandmarkDataset:
    """Read AFLW2000-3D: 68 landmarks and head pose of faces in all poses.

    Expects an image (`.jpg`) beside each `.mat`. The landmarks are the first two rows of `pt3d_68`, a 3-D face
    model's points as projected, so that a hidden point lies where it is behind the head. They are 1-based (the
    model's projection is mirrored as `height + 1 - y`); 1 is subtracted. The pose is `Pose_Para`'s, in degrees.
    `roi` is the square of the original photograph that the image shows, not a face's box, and is not read.

    A landmark is marked as hidden where AFLW's annotators left out the one of their 21 points that is the
    same: 16 of the 68 can be marked, and of the others nothing is known. A point of `pt3d_68` whose x and y are -1
    has no position and is NaN.

    | subset | faces |
    |---|---|
    | all | 2000 |
    | `within_99`: yaw, pitch and roll within +-99 degrees, on which head pose is evaluated | 1969 |
    | `yaw_0_30`, `yaw_30_60`, `yaw_60_90`: of these, by the size of the yaw, each without its upper end | |
    | `within_30`: yaw, pitch and roll within +-30 degrees | |

    Args:
        root: The folder that holds the `.mat` files.
        reannotated: `True` takes the landmarks from `reannotated_2d_68.npz` in `root`, a path from that file:
            `names` (of the images, without `.jpg`) and `landmarks` `(n, 68, 2)`, 0-based pixels. `False`
            (default) takes `pt3d_68`.
        allow_partial: Accept a copy in which faces are missing, and say so in the notes.

    Returns:
        The faces, sorted by name.

    Raises:
        DatasetError: If faces are missing and `allow_partial` is false, if there are more than the protocol
            has, if an annotation has no image, or if a file is malformed. Names the file.

    Examples:
        One face stands in for the data set:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from scipy.io import savemat
        >>> from keras_asm.datasets import load_aflw2000_3d
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "image00002.jpg").touch()
        ...     values = {"pt3d_68": np.ones((3, 68)), "Pose_Para": np.zeros((1, 7)), "pt2d": np.ones((2, 21))}
        ...     savemat(Path(root) / "image00002.mat", values)
        ...     faces = load_aflw2000_3d(root, allow_partial=True)
        >>> len(faces), faces.landmarks[0, 0].tolist(), faces.pose.shape
        (1, [0.0, 0.0], (1, 3))

    See Also:
        - [`load_300w_lp`][keras_asm.datasets.load_300w_lp]: faces to train on, with landmarks and pose of the
          same kind.
        - [`HeadPoseError`][keras_asm.metrics.HeadPoseError]: the error that the data set is used for.
        - [Public data sets][public-data-sets]: what to know of each.

    References:
        Zhu et al., Face Alignment Across Large Poses: A 3D Solution, CVPR 2016.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError("expected the folder that holds AFLW2000-3D's .mat files", root)
    files = {name for name in os.listdir(root) if not name.startswith(".")}
    stems = sorted(Path(name).stem for name in files if name.endswith(".mat"))
    notes = check_complete(
        "AFLW2000-3D", {"all": len(stems)}, {"all": _SIZE}, allow_partial=allow_partial, path=root
    )
    partial = bool(notes)

    landmarks = np.empty((len(stems), 68, 2))
    pose = np.empty((len(stems), 3))
    visibility = np.ones((len(stems), 68), dtype=bool)
    unmarked = 0
    for i, stem in enumerate(stems):
        path = root / f"{stem}.mat"
        if f"{stem}.jpg" not in files:
            raise DatasetError(f"expected {stem}.jpg beside the annotation. Received: none", path)
        values = read_mat(path, ("Pose_Para", "pt3d_68", "pt2d"))
        pose[i] = pose_from_para(values, path)
        landmarks[i] = mat_numbers(values, "pt3d_68", (3, 68), path)[:2].T - 1.0
        landmarks[i][(landmarks[i] == -2).all(axis=-1)] = np.nan
        annotated = mat_numbers(values, "pt2d", (2, None), path)
        if annotated.shape[1] == 21:
            hidden = annotated[0] == -1
            visibility[i, list(_AFLW_TO_68.values())] = ~hidden[list(_AFLW_TO_68)]
        else:
            # Two files hold 23, in an order that is not documented.
            unmarked += 1

    angles = np.abs(pose)
    within = angles.max(axis=1) <= 99
    if not partial and within.sum() != _WITHIN_99:
        raise DatasetError(
            f"the protocol has {_WITHIN_99} faces within +-99 degrees, and these are {within.sum()}", root
        )
    if unmarked:
        notes.append(f"of {unmarked} faces it is not known which landmarks are hidden")
    if reannotated is not False:
        path = root / "reannotated_2d_68.npz" if reannotated is True else Path(reannotated)
        landmarks = _reannotated(path, stems)
    return LandmarkDataset(
        image_paths=tuple(str(root / f"{stem}.jpg") for stem in stems),
        landmarks=landmarks,
        pose=pose,
        visibility=visibility,
        subsets={
            "within_99": within,
            **{
                f"yaw_{low}_{high}": within & (angles[:, 0] >= low) & (angles[:, 0] < high)
                for low, high in _YAW_RANGES
            },
            "within_30": angles.max(axis=1) <= 30,
        },
        scheme="300w",
        names=tuple(stems),
        title=f"AFLW2000-3D ({'re-annotated' if reannotated is not False else 'pt3d_68'}"
        f"{', partial' if partial else ''})",
        notes=tuple(notes),
    )


def _reannotated(path: Path, stems: list[str]) -> np.ndarray:
    """The re-annotated landmarks of these faces."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = {name: archive[name] for name in ("names", "landmarks")}
    except FileNotFoundError:
        raise DatasetError("there is no such file", path) from None
    except Exception as error:
        # On damaged files NumPy raises OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, ...
        reason = f"expected an .npz with names and landmarks ({type(error).__name__}: {str(error)[:200]})"
        raise DatasetError(reason, path) from error
    points = mat_numbers(values, "landmarks", (None, 68, 2), path)
    names = values["names"]
    if names.dtype.kind != "U" or names.shape != points.shape[:1]:
        raise DatasetError(
            f"expected {len(points)} names, one per face. Received: {names.dtype} of shape {names.shape}",
            path,
        )
    rows = {name: i for i, name in enumerate(names.tolist())}
    lacking = [stem for stem in stems if stem not in rows]
    if lacking:
        raise DatasetError(
            f"expected landmarks of all faces. Received: none of {len(lacking)}, the first {lacking[0]}", path
        )
    return points[[rows[stem] for stem in stems]]
