"""Reader of what LabelMe writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from keras_asm.datasets._annotation_text import shown
from keras_asm.datasets._documents import expect, pixel, read_json, received
from keras_asm.datasets._named_landmarks import AnnotatedFace, dataset_of_faces, left_out
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme

__all__ = ["load_labelme"]


def load_labelme(
    root: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    landmarks: Sequence[str] | None = None,
    allow_partial: bool = False,
) -> LandmarkDataset:
    r"""Read landmarks that were set with LabelMe: a folder of JSON files, one for each image.

    Takes every `.json` in the folder and the folders within it. A shape of the type `point` is a landmark, its
    `label` the landmark's name. Shapes of the same `group_id` are a face; where an image has one face, none is
    needed. The `rectangle` of the same group is the face's box. Other shapes, and files without points, are left out
    and counted in the notes. The image is `imagePath`, relative to the file; an embedded one is not used. A landmark
    that a face has no point of has no position: NaN.

    LabelMe stores the place of the mouse on the image as it is drawn, with 0 at the outer edge of the first pixel
    (undocumented; its canvas draws the image at 0 and lets points be set up to its width). 0.5 is subtracted, so that
    integers are pixel centres. It shows photographs upright, whatever their EXIF orientation: pass `exif="apply"` to
    `crop_faces`.

    Args:
        root: The folder.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        landmarks: The labels, in the order that the landmarks are to have. By default those that at least half of the
            faces have: in numeric order if all are numbers, else in the order of the first face with the most of them.
        allow_partial: Leave out faces in which a landmark is doubled or one too many, and count them in the notes,
            instead of refusing the folder.

    Returns:
        The faces, sorted by folder and file, group by group.

    Raises:
        DatasetError: If there is no such file, one is malformed, an image is missing, or a face has a landmark twice
            or one that is not among these. Names the file and the landmark.
        ValueError: If `landmarks` has a name twice.

    Examples:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_labelme
        >>> def point(label, x, y):
        ...     return {"label": label, "points": [[x, y]], "group_id": None, "shape_type": "point", "flags": {}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "a.png").touch()
        ...     shapes = [point("nose", 10.5, 20.5), point("chin", 11.5, 40)]
        ...     text = json.dumps({"version": "5.5.0", "shapes": shapes, "imagePath": "a.png"})
        ...     _ = (Path(folder) / "a.json").write_text(text)
        ...     load_labelme(folder).landmarks.tolist()
        [[[10.0, 20.0], [11.0, 39.5]]]

    See Also:
        - [`load_via`][keras_asm.datasets.load_via]: the same idea from another tool.
        - [`load_cvat`][keras_asm.datasets.load_cvat]: the same idea from another tool.
        - [Annotation tools][annotation-tools]: which tool needs which reader.

    References:
        Format and conventions: `wkentaro/labelme`, `examples/primitives/primitives.json`, `labelme/widgets/canvas.py`,
        and `apply_exif_orientation` in `labelme/utils/image.py`.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError("expected a folder of LabelMe's .json files", root)
    files = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [
            Path(folder) / name
            for name in sorted(names)
            if name.lower().endswith(".json") and not name.startswith(".")
        ]
    if not files:
        raise DatasetError("expected at least one .json file. Received: none", root)
    faces: list[AnnotatedFace] = []
    others = empty = 0
    for path in files:
        found, passed = _faces(path)
        faces += found
        others += passed
        empty += not found
    notes = left_out(others, "shapes that are no points or boxes of a face")
    notes += left_out(empty, "files without points")
    dataset, _ = dataset_of_faces(
        faces,
        path=root,
        title=root.resolve().name,
        scheme=scheme,
        landmarks=landmarks,
        allow_partial=allow_partial,
        notes=notes,
    )
    return dataset


def _faces(path: Path) -> tuple[list[AnnotatedFace], int]:
    """The faces of a file, and how many of its shapes belong to none."""
    document = expect(read_json(path), dict, "the file", path)
    image = expect(document.get("imagePath"), str, "imagePath", path)
    faces: dict[int | None, AnnotatedFace] = {}
    boxes: dict[int | None, list[list[tuple[float, float]]]] = {}
    others = 0
    for shape in expect(document.get("shapes"), list, "shapes", path):
        expect(shape, dict, "a shape", path)
        kind = shape.get("shape_type", "polygon")
        if kind not in ("point", "rectangle"):
            others += 1
            continue
        label = expect(shape.get("label"), str, "a shape's label", path)
        group = shape.get("group_id")
        if group is not None and (isinstance(group, bool) or not isinstance(group, int)):
            raise DatasetError(f"expected an integer or null as group_id. Received: {received(group)}", path)
        points = [_point(point, path) for point in expect(shape.get("points"), list, "points", path)]
        if len(points) != (1 if kind == "point" else 2):
            raise DatasetError(
                f"expected {'one point' if kind == 'point' else 'two corners'} of the {kind} {shown(label)}. "
                f"Received: {len(points)}",
                path,
            )
        if kind == "point":
            face = faces.setdefault(group, AnnotatedFace(image, path.parent, path))
            face.points.append((label, points[0]))
        else:
            boxes.setdefault(group, []).append(points)
    for group, found in boxes.items():
        if group in faces and len(found) == 1:
            (x0, y0), (x1, y1) = found[0]
            faces[group].box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        elif group in faces and group is not None:
            raise DatasetError(f"expected one rectangle in group {group}. Received: {len(found)}", path)
        else:
            others += len(found)
    order = sorted(faces, key=lambda group: (group is not None, group or 0))
    return [faces[group] for group in order], others


def _point(value: Any, path: Path) -> tuple[float, float]:
    if len(expect(value, list, "a point", path)) != 2:
        raise DatasetError(f"expected x and y of a point. Received: {received(value)}", path)
    # From the outer edge of the first pixel to its centre
    return pixel(value[0], "x", path) - 0.5, pixel(value[1], "y", path) - 0.5
