"""From named landmarks of annotation tools to a data set: what their readers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._annotation_text import check_pixels, is_image, shown
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["AnnotatedFace", "dataset_of_faces", "left_out"]


@dataclass
class AnnotatedFace:
    """A face as an annotation tool has it.

    Attributes:
        image: The image as the file names it.
        folder: What the image is relative to.
        path: The file.
        line: The line, if there is one to name.
        points: Names and pixel coordinates in the order of the file; `None` for one that has no position.
        hidden: Names of the landmarks that are known to be hidden.
        box: Left, top, right, bottom.
        by_place: Whether the names are only the places of the points in a list, which would not show a gap.
    """

    image: str
    folder: Path
    path: str | PathLike[str]
    line: int | None = None
    points: list[tuple[str, tuple[float, float] | None]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    box: tuple[float, float, float, float] | None = None
    by_place: bool = False

    def fault(self, order: Sequence[str], asked_for: bool) -> str | None:
        """What keeps the face from having some of these landmarks, each once, and no others.

        A landmark that the face does not name has no position, unless points are known by their places alone.
        """
        names = [name for name, _ in self.points]
        counts = Counter(names)
        twice = [name for name in counts if counts[name] > 1]
        expected = set(order)
        extra = [name for name in counts if name not in expected]
        nowhere = [name for name, _ in self.points] if all(p is None for _, p in self.points) else []
        missing = [name for name in order if name not in counts]
        unknown = "that is not among those asked for" if asked_for else "that most faces lack"
        for kind, found in (
            ("twice", twice),
            (unknown, extra),
            ("without a position, as all others", nowhere),
        ):
            if found:
                return f"the landmark {shown(found[0])} {kind}"
        if missing and self.by_place:
            return f"{len(counts)} of {len(order)} points in a list, which does not tell which are missing"
        return None


def dataset_of_faces(
    faces: Sequence[AnnotatedFace],
    *,
    path: str | PathLike[str],
    title: str,
    scheme: str | LandmarkScheme | None,
    landmarks: Sequence[str] | None,
    allow_partial: bool,
    notes: Sequence[str] = (),
) -> tuple[LandmarkDataset, list[int]]:
    """Faces that have the same landmarks, in one order; one that a face does not name has no position there.

    Args:
        faces: The faces, in their order.
        path: What was read, for errors that concern all of it.
        title: Of the data set.
        scheme: Of the landmarks.
        landmarks: The names in the order that is asked for; `None` takes the names that at least half of the faces
            have, by number if all are numbers, else in the order of the first face that has most of them.
        allow_partial: Whether faces with doubled or other landmarks, or none at all, are left out.
        notes: What was left out before.

    Returns:
        The data set, and the positions in `faces` of those that it holds.

    Raises:
        DatasetError: If there is no face, an image is missing, a landmark is doubled or not one of the other faces',
            landmarks are not as many as the scheme has, or fractions of the image.
        ValueError: If `landmarks` has a name twice or is a text.
    """
    if isinstance(landmarks, str) or (landmarks is not None and len(set(landmarks)) != len(landmarks)):
        raise ValueError(f"landmarks must be a sequence of different names. Received: {landmarks!r}")
    if not faces:
        raise DatasetError(f"expected at least one face with landmarks. Received: none{_listed(notes)}", path)
    order = _names_of_most(faces) if landmarks is None else list(landmarks)
    if scheme is not None and len(order) != get_scheme(scheme).n_landmarks:
        wanted = get_scheme(scheme)
        raise DatasetError(
            f"the scheme {wanted.name!r} has {wanted.n_landmarks} landmarks. Received: {len(order)}: "
            f"{shown(', '.join(order))}",
            path,
        )
    kept: list[int] = []
    for i, face in enumerate(faces):
        fault = face.fault(order, landmarks is not None)
        if fault is None:
            kept.append(i)
        elif not allow_partial:
            raise DatasetError(
                f"expected each face to have no landmarks but the same {len(order)}, once; pass allow_partial=True to "
                f"leave the others out, or all names as landmarks=[...]. Received: a face of {shown(face.image)} with "
                f"{fault}",
                face.path,
                face.line,
            )
    lacking = len(faces) - len(kept)
    if not kept:
        raise DatasetError(
            f"expected a face with the landmarks {shown(', '.join(order))}. Received: {len(faces)} faces, none of "
            f"which has only these, each once",
            path,
        )
    for face in (faces[i] for i in kept):
        if not is_image(face.folder, face.image):
            raise DatasetError(
                f"expected an image within {face.folder}. Received: {shown(face.image)}, which is not there",
                face.path,
                face.line,
            )
        if face.box is not None and (face.box[0] > face.box[2] or face.box[1] > face.box[3]):
            raise DatasetError(
                f"expected a box with left <= right and top <= bottom. Received: {face.box}",
                face.path,
                face.line,
            )
    images = [faces[i].image.replace("\\", "/") for i in kept]
    places = [dict(faces[i].points) for i in kept]
    points = np.array(
        [[place.get(name) or (np.nan, np.nan) for name in order] for place in places], dtype=np.float64
    )
    check_pixels(points, faces[kept[0]].path, faces[kept[0]].line)
    hidden = np.array([[name in faces[i].hidden for name in order] for i in kept])
    boxes = [faces[i].box or (np.nan,) * 4 for i in kept]
    counts = Counter(images)
    seen: Counter[str] = Counter()
    names = []
    for image in images:
        # An image may hold several faces, so that its name alone is not one's own.
        names.append(f"{image}#{seen[image]}" if counts[image] > 1 else image)
        seen[image] += 1
    dataset = LandmarkDataset(
        image_paths=tuple(str(faces[i].folder / image) for i, image in zip(kept, images, strict=True)),
        landmarks=points,
        scheme=scheme,
        names=tuple(names),
        title=title,
        notes=(
            *notes,
            *left_out(lacking, f"of {len(faces)} faces, whose landmarks are not those of the others"),
        ),
        boxes=np.array(boxes),
        visibility=~hidden if hidden.any() else None,
    )
    return dataset, kept


def left_out(count: int, what: str) -> list[str]:
    """A note on what a reader passed over: a list of one, or none.

    Args:
        count: How many there are.
        what: What they are.
    """
    return [f"{count} {what} left out"] if count else []


def _listed(notes: Sequence[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""


def _names_of_most(faces: Sequence[AnnotatedFace]) -> list[str]:
    """Names that at least half of the faces have: another may be misspelt.

    One that exactly half have may still be, if the other half has it in another spelling. Of these, the names of one
    face are taken, that of the most of them.
    """
    names = [dict.fromkeys(name for name, _ in face.points) for face in faces]
    counts = Counter(name for own in names for name in own)
    order = [name for name in counts if 2 * counts[name] > len(faces)]
    halves = {name for name in counts if 2 * counts[name] == len(faces)}
    if halves:
        of_each = [[name for name in own if name in halves] for own in names]
        fullest = max(of_each, key=len)
        order += fullest
    wanted = set(order)
    of_each = [[name for name in own if name in wanted] for own in names]
    fullest = max(of_each, key=len)  # the first of equals
    order = list(dict.fromkeys([*fullest, *order]))
    if all(name.isdecimal() and name.isascii() and len(name) < 10 for name in order):
        order.sort(key=int)
    return order
