"""Head-pose labels in a table beside the images."""

import csv
import math
import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._annotation_text import read_lines
from keras_asm.datasets.dataset_error import DatasetError

__all__ = ["match_pose", "read_pose_csv"]

_HEADER = ["image", "yaw", "pitch", "roll"]


def read_pose_csv(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    r"""Read head-pose labels: a CSV with the header `image,yaw,pitch,roll`.

    Args:
        path: The file. `image` is relative to its folder; the angles are degrees within +-360.

    Returns:
        `(yaw, pitch, roll)` in degrees, float64 `(3,)`, by the absolute path of the image.

    Raises:
        DatasetError: If the file is missing or malformed, an angle is not a finite number, or an image is
            listed twice. Names the file, the line and the reason.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import read_pose_csv
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "pose.csv"
        ...     _ = path.write_text("image,yaw,pitch,roll\nafw/1.jpg,-3.5,2.0,0.25\n")
        ...     list(read_pose_csv(path).values())
        [array([-3.5 ,  2.  ,  0.25])]

    See Also:
        - [`LandmarkDataset`][keras_asm.datasets.LandmarkDataset]: takes the poses as `pose`.
        - [`label_pose`][keras_asm.faces.label_pose]: makes poses where there are none.
        - [Labels from a teacher][labels-from-a-teacher]: which teachers to take.
    """
    folder = os.path.abspath(Path(path).parent)
    labels: dict[str, np.ndarray] = {}
    for position, (line, text) in enumerate(read_lines(path)):
        try:
            (row,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError) as error:
            raise DatasetError(f"malformed CSV: {error}", path, line) from None
        fields = [field.strip() for field in row]
        if not any(fields):
            continue
        if position == 0:
            if fields != _HEADER:
                raise DatasetError(f"expected the header {','.join(_HEADER)}. Received: {fields}", path, line)
            continue
        # Tables written on Windows hold backslashes.
        image = os.path.normpath(os.path.join(folder, fields[0].replace("\\", "/")))
        if image in labels:
            raise DatasetError(f"the image {fields[0]} is listed twice", path, line)
        labels[image] = _angles(fields, path, line)
    if not labels:
        raise DatasetError("expected at least one label. Received: none", path)
    return labels


def match_pose(
    images: Sequence[str | PathLike[str]], path: str | PathLike[str]
) -> tuple[np.ndarray, list[str]]:
    """The pose of each image from a table of head-pose labels, whatever format the image has there.

    Args:
        images: Paths of the images.
        path: The table, as `read_pose_csv` takes it.

    Returns:
        `(yaw, pitch, roll)` in degrees, float64 `(n, 3)`, a row of NaN where the table has none; and a note on how
        many these are, if any: a list of one or none.

    Raises:
        DatasetError: If the table is missing or malformed, or has a row for none of the images.
    """
    labels = read_pose_csv(path)
    # A copy may hold the same image in another format than the one that was labelled.
    stems = {os.path.splitext(image)[0]: angles for image, angles in labels.items()}
    wanted = [os.path.splitext(os.path.abspath(image))[0] for image in images]
    unknown = np.full(3, np.nan)
    pose = np.stack([stems.get(stem, unknown) for stem in wanted])
    unlabelled = int(np.isnan(pose).any(axis=1).sum())
    if unlabelled == len(pose):
        raise DatasetError(
            f"expected rows for the images of this data set, such as {images[0]}, with paths relative to "
            f"the folder of this file. Received: {len(labels)} rows, none of which is one of them",
            path,
        )
    return pose, [f"{unlabelled} of {len(pose)} faces have no row in {Path(path).name}"] if unlabelled else []


def _angles(fields: list[str], path: str | PathLike[str], line: int) -> np.ndarray:
    if len(fields) != len(_HEADER) or not fields[0]:
        raise DatasetError(f"expected {','.join(_HEADER)}. Received: {fields}", path, line)
    try:
        angles = np.array([float(field) for field in fields[1:]])
    except ValueError:
        raise DatasetError(f"expected three angles in degrees. Received: {fields[1:]}", path, line) from None
    if not all(math.isfinite(angle) and abs(angle) <= 360 for angle in angles):
        raise DatasetError(f"expected angles within +-360 degrees. Received: {fields[1:]}", path, line)
    return angles
