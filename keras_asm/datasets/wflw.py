"""Reader of WFLW as it is distributed."""

from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._annotation_text import is_image, parse_pixels, read_lines, shown
from keras_asm.datasets._protocol import check_complete
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset

__all__ = ["load_wflw"]

_N_LANDMARKS = 98
_N_NUMBERS = 2 * _N_LANDMARKS + 4
# In the order of the columns, with the faces of each in the test set.
_ATTRIBUTES = {
    "pose": 326,
    "expression": 314,
    "illumination": 698,
    "make-up": 206,
    "occlusion": 736,
    "blur": 773,
}
_SIZES = {"train": 7500, "test": 2500}


def load_wflw(root: str | PathLike[str], split: str, *, allow_partial: bool = False) -> LandmarkDataset:
    """Read WFLW: 98 landmarks, a box and six attributes of faces in the wild.

    Expects `WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt` and
    `WFLW_images`. A line of a list holds 98 times `x y`, the box (left, top, right, bottom), six attributes
    that are 0 or 1, and the image. Coordinates are taken as they are, 0-based. Faces come in the order of the
    list; an image may hold several.

    | split | faces | pose | expression | illumination | make-up | occlusion | blur |
    |---|---|---|---|---|---|---|---|
    | `train` | 7500 | | | | | | |
    | `test` | 2500 | 326 | 314 | 698 | 206 | 736 | 773 |

    Args:
        root: The folder that holds the two folders above.
        split: `"train"` or `"test"`. `LandmarkDataset.concatenate` makes one of both.
        allow_partial: Accept a list in which faces are missing, and say so in the notes. The subsets then
            hold those that are there.

    Returns:
        The faces with their boxes. The subsets are the split and the attributes; those of the test set are
        the subsets of the protocol.

    Raises:
        ValueError: If `split` is neither of the two.
        DatasetError: If the list is missing or malformed, an image is missing, faces are missing and
            `allow_partial` is false, or there are more than the protocol has. Names the file and the line.

    Examples:
        One face stands in for the data set:

        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_wflw
        >>> with tempfile.TemporaryDirectory() as root:
        ...     lists = Path(root) / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
        ...     images = Path(root) / "WFLW_images"
        ...     lists.mkdir(parents=True)
        ...     images.mkdir()
        ...     (images / "face.jpg").touch()
        ...     line = " ".join(["8 9"] * 98 + ["0 0 20 20", "0 0 0 0 1 0", "face.jpg"])  # the face is occluded
        ...     _ = (lists / "list_98pt_rect_attr_test.txt").write_text(line)
        ...     faces = load_wflw(root, "test", allow_partial=True)
        >>> len(faces), faces.landmarks[0, 0].tolist(), len(faces.subset("occlusion"))
        (1, [8.0, 9.0], 1)

    See Also:
        - [`get_scheme`][keras_asm.landmarks.get_scheme]: the 98 landmarks, as `"wflw"`.
        - [`map_landmarks`][keras_asm.landmarks.map_landmarks]: turns them into the 68 of 300W.
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: takes the attributes as subsets.
        - [Public data sets][public-data-sets]: what to know of each.

    References:
        Wu et al., Look at Boundary: A Boundary-Aware Face Alignment Algorithm, CVPR 2018.
    """
    if split not in _SIZES:
        raise ValueError(f"split must be one of {list(_SIZES)}. Received: {split!r}")
    root = Path(root)
    if not root.is_dir():
        raise DatasetError("expected the folder that holds WFLW_annotations and WFLW_images", root)
    folder = root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    path = folder / f"list_98pt_rect_attr_{split}.txt"
    images_folder = root / "WFLW_images"

    numbers: list[list[float]] = []
    attributes: list[list[bool]] = []
    names: list[str] = []
    for line, row in read_lines(path):
        # An image's name may hold blanks.
        fields = row.split(maxsplit=_N_NUMBERS + len(_ATTRIBUTES))
        if len(fields) != _N_NUMBERS + len(_ATTRIBUTES) + 1:
            raise DatasetError(
                f"expected {_N_NUMBERS} numbers, {len(_ATTRIBUTES)} attributes and an image. "
                f"Received: {len(fields)} fields",
                path,
                line,
            )
        values = parse_pixels(fields[:_N_NUMBERS], path, line)
        left, top, right, bottom = values[-4:]
        if not (left <= right and top <= bottom):
            raise DatasetError(
                f"expected a box left, top, right, bottom. Received: {' '.join(fields[_N_NUMBERS - 4 : _N_NUMBERS])}",
                path,
                line,
            )
        flags = fields[_N_NUMBERS:-1]
        if not set(flags) <= {"0", "1"}:
            raise DatasetError(
                f"expected {len(_ATTRIBUTES)} attributes, each 0 or 1. Received: {shown(' '.join(flags))}",
                path,
                line,
            )
        if not is_image(images_folder, fields[-1]):
            raise DatasetError(
                f"expected an image within {images_folder}. Received: {shown(fields[-1])}, which is not there",
                path,
                line,
            )
        numbers.append(values)
        attributes.append([flag == "1" for flag in flags])
        names.append(fields[-1])

    notes = check_complete(
        "WFLW",
        {split: len(names)},
        {split: _SIZES[split]},
        split=split,
        allow_partial=allow_partial,
        path=path,
    )
    masks = np.array(attributes, dtype=bool).T
    if split == "test" and not notes:
        for (attribute, count), mask in zip(_ATTRIBUTES.items(), masks, strict=True):
            if mask.sum() != count:
                raise DatasetError(
                    f"the protocol has {count} faces of the test set with the attribute {attribute}, and "
                    f"these are {mask.sum()}",
                    path,
                )

    values_array = np.array(numbers)
    return LandmarkDataset(
        image_paths=tuple(str(images_folder / name) for name in names),
        landmarks=values_array[:, :-4].reshape(-1, _N_LANDMARKS, 2),
        boxes=values_array[:, -4:],
        subsets={
            split: np.ones(len(names), dtype=bool),
            **dict(zip(_ATTRIBUTES, masks, strict=True)),
        },
        scheme="wflw",
        # An image may hold several faces, so that its name alone is not one's own.
        names=tuple(f"{name}#{i}" for i, name in enumerate(names)),
        title=f"WFLW ({split}{', partial' if notes else ''})",
        notes=tuple(notes),
    )
