"""What a predictor has found in pictures, and files of it."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np

from keras_asm._whole_files import replacing_file
from keras_asm.datasets import DatasetError, LandmarkDataset
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["Face", "Predictions", "parse_rows", "read_table", "table_header", "table_rows", "write_table"]

_BOX = ("left", "top", "right", "bottom")
_POSE = ("yaw", "pitch", "roll")


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a picture.

    Attributes:
        landmarks: Float64 `(n_landmarks, 2)`, x and y in pixels of the picture, 0-based, integers at pixel centres.
        box: Left, top, right and bottom of the face in the same pixels, `(4,)`: what the crop was cut around.
        pose: Yaw, pitch and roll in degrees, `(3,)`; `None` if the network has no pose.
        confidence: Probability in (0, 1) that the landmarks are right, as `fit_confidence` has it; `None` if the
            network has not been calibrated.
        landmark_scales: How far each landmark may be off, in pixels of the picture, `(n_landmarks,)`; `None` if the
            network does not say it. It is the scale of the distribution that the network learned by: the expected
            absolute error of a coordinate (Laplace) or its standard deviation (Gauss).

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import Face
        >>> face = Face(landmarks=np.zeros((68, 2)), box=np.array([10.0, 10.0, 50.0, 60.0]))
        >>> face.landmarks.shape, face.pose is None, face.confidence is None
        ((68, 2), True, True)

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: finds it.
        - [`TrackedFace`][keras_asm.inference.TrackedFace]: a face of a video.
        - [`draw_faces`][keras_asm.visualization.draw_faces]: draws it.
    """

    landmarks: np.ndarray
    box: np.ndarray
    pose: np.ndarray | None = None
    confidence: float | None = None
    landmark_scales: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Predictions(Sequence[list[Face]]):
    """The faces of several pictures: a sequence of the list of faces of each, in the order of the pictures.

    Attributes:
        pictures: Path of each picture; for a picture that is not a file, its number in `<>`.
        faces: The faces of each picture, none where there are none and where it could not be read.
        scheme: Scheme of the landmarks.
        unreadable: Why a picture could not be read, by its path.

    Examples:
        >>> from keras_asm.inference import Face, Predictions
        >>> face = Face(landmarks=np.zeros((68, 2)), box=np.array([0.0, 0.0, 9.0, 9.0]))
        >>> found = Predictions(("a.png", "b.png"), ([face], []), "300w")
        >>> len(found), len(found[0]), len(found[1]), found.n_faces
        (2, 1, 0, 1)
        >>> found.to_dataset().names
        ('a',)

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: makes them of a list of pictures.
        - [`write_table`][keras_asm.inference.write_table]: writes them to a file.
        - [Many pictures][many-pictures]: a folder into a table.
    """

    pictures: tuple[str, ...]
    faces: tuple[list[Face], ...]
    scheme: LandmarkScheme
    unreadable: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", tuple(self.pictures))
        object.__setattr__(self, "faces", tuple(self.faces))
        object.__setattr__(self, "scheme", get_scheme(self.scheme))
        if len(self.pictures) != len(self.faces):
            raise ValueError(
                f"Every picture must have a list of faces. Received: {len(self.pictures)} pictures and "
                f"{len(self.faces)} lists"
            )

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, index: int) -> list[Face]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[list[Face]]: ...
    def __getitem__(self, index: Any) -> Any:
        """The faces of one picture; of a slice, the lists alone."""
        return self.faces[index]

    def __iter__(self) -> Iterator[list[Face]]:
        return iter(self.faces)

    def __str__(self) -> str:
        bad = f", {len(self.unreadable)} could not be read" if self.unreadable else ""
        return f"{self.n_faces} faces in {len(self)} pictures{bad}"

    @property
    def n_faces(self) -> int:
        """Faces of all pictures together."""
        return sum(map(len, self.faces))

    def to_dataset(self, title: str = "Predictions") -> LandmarkDataset:
        """The faces as a data set, for the writers of `keras_asm.datasets`.

            write_coco("faces.json", predictions.to_dataset())
            write_pts_folder("faces", predictions.to_dataset())

        Faces are named after their pictures, with the folders that differ and without the suffix; where a picture has
        several, `_1`, `_2` and so on follow. Pictures without a face are left out, and counted in the notes.

        The landmarks are those of upright pictures, as the predictor reads them by default. Where a picture has an EXIF
        orientation, `crop_faces` needs `exif="apply"`.

        Args:
            title: Of the data set.

        Raises:
            ValueError: If there is no face.
        """
        pairs = [
            (path, i, face)
            for path, faces in zip(self.pictures, self.faces, strict=True)
            for i, face in enumerate(faces)
        ]
        if not pairs:
            raise ValueError(f"A data set needs at least one face. Received: none in {len(self)} pictures")
        poses = [face.pose for *_, face in pairs]
        empty = sum(not faces for faces in self.faces) - len(self.unreadable)
        notes = [f"{empty} pictures without a face left out"] * (empty > 0)
        notes += [f"{len(self.unreadable)} pictures that cannot be read left out"] * bool(self.unreadable)
        return LandmarkDataset(
            image_paths=tuple(path for path, *_ in pairs),
            landmarks=np.stack([face.landmarks for *_, face in pairs]),
            pose=np.stack([np.full(3, np.nan) if pose is None else pose for pose in poses]),
            scheme=self.scheme,
            names=tuple(_names(self.pictures, self.faces)),
            title=title,
            notes=tuple(notes),
            boxes=np.stack([face.box for *_, face in pairs]),
        )


def write_table(path: str | PathLike[str], predictions: Predictions) -> None:
    """Write predictions as a table, CSV with a head line; `read_table` reads it back.

    A row is a face: `picture`, `n_faces` (of this picture), `face` (its number, from 0), the box (`left`, `top`,
    `right`, `bottom`), `yaw`, `pitch`, `roll`, `confidence`, `x0`, `y0`, `x1`, ..., and `error`. If a face has the
    scales of its landmarks, `scale0`, `scale1`, ... stand before `error`. What is not known is empty. A picture without
    a face has a row too, and one that could not be read a row with the reason. Numbers are written so that they come
    back exactly.

    Args:
        path: The file; replaced, whole or not at all.
        predictions: What `LandmarkPredictor` has found.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from keras_asm.inference import Face, Predictions, read_table, write_table
        >>> face = Face(landmarks=np.full((68, 2), 1 / 3), box=np.array([0.0, 0.0, 9.0, 9.0]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_table(f"{folder}/found.csv", Predictions(("a.png",), ([face],), "300w"))
        ...     again = read_table(f"{folder}/found.csv", "300w")
        >>> again.pictures, bool((again[0][0].landmarks == face.landmarks).all())
        (('a.png',), True)

    See Also:
        - [`read_table`][keras_asm.inference.read_table]: reads it back.
        - [`Predictions`][keras_asm.inference.Predictions]: what it writes.
    """
    with replacing_file(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        scales = any(face.landmark_scales is not None for faces in predictions.faces for face in faces)
        writer.writerow(table_header(predictions.scheme, scales))
        for picture, faces in zip(predictions.pictures, predictions.faces, strict=True):
            writer.writerows(
                table_rows(
                    picture,
                    faces,
                    predictions.scheme.n_landmarks,
                    predictions.unreadable.get(picture, ""),
                    scales,
                )
            )


def read_table(path: str | PathLike[str], scheme: str | int | LandmarkScheme) -> Predictions:
    """Read what `write_table` has written.

    Args:
        path: The file.
        scheme: Scheme of the landmarks, or its name.

    Raises:
        DatasetError: If the file is missing, damaged or of another number of landmarks. Names the line.

    Examples:
        >>> from keras_asm.inference import Face, Predictions, read_table, write_table
        >>> face = Face(np.full((68, 2), 0.1), np.array([0.0, 0.0, 9.0, 9.0]), np.array([30.0, 0.0, 0.0]))
        >>> write_table("faces.csv", Predictions(("a.png", "b.png"), ([face], []), "300w"))
        >>> found = read_table("faces.csv", "300w")
        >>> found[0][0].pose.tolist(), found[0][0].confidence, found[1]
        ([30.0, 0.0, 0.0], None, [])

    See Also:
        - [`write_table`][keras_asm.inference.write_table]: writes it.
        - [`Predictions`][keras_asm.inference.Predictions]: what it returns.
    """
    scheme = get_scheme(scheme)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            pictures, unreadable, whole = parse_rows(file, path, scheme)
    except FileNotFoundError:
        raise DatasetError("there is no such table", path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"the table cannot be read ({error})", path) from None
    if not whole:
        raise DatasetError("the table is cut off", path)
    return Predictions(tuple(pictures), tuple(pictures.values()), scheme, unreadable)


def table_header(scheme: LandmarkScheme, scales: bool = False) -> list[str]:
    """The names of the columns; of the landmarks' scales too, if faces have them."""
    n = scheme.n_landmarks
    coordinates = [f"{axis}{i}" for i in range(n) for axis in "xy"]
    coordinates += [f"scale{i}" for i in range(n if scales else 0)]
    return ["picture", "n_faces", "face", *_BOX, *_POSE, "confidence", *coordinates, "error"]


def table_rows(
    picture: str, faces: Sequence[Face], n_landmarks: int, error: str = "", scales: bool = False
) -> list[list[Any]]:
    """The rows of one picture, at least one."""
    n_scales = n_landmarks if scales else 0
    if not faces:
        return [[picture, 0, *[""] * (9 + 2 * n_landmarks + n_scales), error]]
    return [
        [
            picture,
            len(faces),
            i,
            *face.box.tolist(),
            *([""] * 3 if face.pose is None else face.pose.tolist()),
            "" if face.confidence is None else face.confidence,
            *face.landmarks.ravel().tolist(),
            *([""] * n_scales if face.landmark_scales is None else face.landmark_scales.tolist()[:n_scales]),
            "",
        ]
        for i, face in enumerate(faces)
    ]


def parse_rows(
    lines: Any, path: str | PathLike[str], scheme: LandmarkScheme
) -> tuple[dict[str, list[Face]], dict[str, str], bool]:
    """Faces by picture, errors by picture, and whether the last picture is whole.

    A picture at the end that is not whole is left out, as a process leaves one that is killed while it writes.
    """
    reader = csv.reader(lines)
    header = table_header(scheme)
    rows = enumerate(reader, start=1)
    found = next(rows, (1, []))[1]
    if found == table_header(scheme, scales=True):
        header = found
    if found != header:
        raise DatasetError(
            f"expected a table of {scheme.n_landmarks} landmarks with {len(header)} columns. "
            f"Received: {len(found)} columns",
            path,
            1,
        )
    pictures: dict[str, list[Face]] = {}
    unreadable: dict[str, str] = {}
    open_picture, missing, broken = "", 0, None
    for number, row in rows:
        if broken is not None:
            raise DatasetError(
                f"expected {len(header)} columns of numbers. Received: {broken[1]}", path, broken[0]
            )
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} columns")
            picture, count, index = row[0], int(row[1]), row[2]
            if missing and (picture != open_picture):
                raise ValueError(f"{picture!r} before the last face of {open_picture!r}")
            if not missing:
                if picture in pictures:
                    raise ValueError(f"{picture!r} twice")
                pictures[picture] = []
                open_picture, missing = picture, count
            if count:
                if int(index) != len(pictures[picture]):
                    raise ValueError(f"face {index} after {len(pictures[picture])} faces")
                pictures[picture].append(_face(row[3:-1], scheme.n_landmarks))
                missing -= 1
            elif row[-1]:
                unreadable[picture] = row[-1]
        except ValueError as error:
            broken = number, error
    if broken is not None or missing:
        if missing:
            pictures.pop(open_picture)
        return pictures, unreadable, False
    return pictures, unreadable, True


def _face(fields: list[str], n_landmarks: int) -> Face:
    fields, last = fields[: 8 + 2 * n_landmarks], fields[8 + 2 * n_landmarks :]
    scales = np.array([float(value) for value in last]) if any(last) else None
    pose = None if not any(fields[4:7]) else np.array([float(value) for value in fields[4:7]])
    numbers = np.array([float(value) for value in fields[:4] + fields[8:]])
    confidence = float(fields[7]) if fields[7] else None
    if not (np.isfinite(numbers).all() and (confidence is None or math.isfinite(confidence))):
        raise ValueError("a number that is not finite")
    if scales is not None and not (np.isfinite(scales) & (scales >= 0)).all():
        raise ValueError("a scale that is not a finite number from 0")
    return Face(numbers[4:].reshape(-1, 2), numbers[:4], pose, confidence, scales)


def _names(pictures: Sequence[str], faces: Sequence[Sequence[Face]]) -> Iterator[str]:
    """A name for each face, all different, which are good names of files too."""
    folders = {os.path.dirname(os.path.abspath(path)) for path in pictures}
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # several drives
        common = os.path.dirname(os.path.abspath(pictures[0]))
    used: set[str] = set()
    for path, found in zip(pictures, faces, strict=True):
        relative = Path(os.path.relpath(os.path.abspath(path), common))
        for i in range(len(found)):
            number = f"_{i + 1}" if len(found) > 1 else ""
            name = relative.with_name(relative.stem + number).as_posix()
            if name.lower() in used:  # of another suffix: a.jpg, a.png
                name = relative.with_name(f"{relative.stem}_{relative.suffix[1:]}{number}").as_posix()
            while name.lower() in used:
                name += "_"
            used.add(name.lower())
            yield name
