"""COCO's key points: reading and writing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm._whole_files import replacing_file
from keras_asm.datasets._annotation_text import shown
from keras_asm.datasets._documents import expect, pixel, read_json, received
from keras_asm.datasets._named_landmarks import AnnotatedFace, dataset_of_faces, left_out
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme, get_scheme, landmark_boxes

__all__ = ["load_coco", "write_coco"]

# What LandmarkDataset knows and COCO has no place for goes into an object of this name, which others pass over.
_OWN = "keras_asm"


def load_coco(
    path: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    category: str | None = None,
    landmarks: Sequence[str] | None = None,
    image_folder: str | PathLike[str] | None = None,
    allow_partial: bool = False,
) -> LandmarkDataset:
    r"""Read key points in COCO's format, as `write_coco`, CVAT, Label Studio and others write them.

    A JSON object with `images` (`id`, `file_name`), `categories` (`id`, `name`, `keypoints`: the names of the
    landmarks) and `annotations`, each a face: `image_id`, `category_id`, `keypoints` (x, y and v of each landmark)
    and `bbox` (left, top, width, height). Images without an annotation, and annotations of other categories, are left
    out and counted in the notes.

    | v | meaning | here |
    |---|---|---|
    | 2 | labelled and visible | visible |
    | 1 | labelled but not visible | hidden |
    | 0 | not labelled, x = y = 0 | no position: NaN |

    Key points are *0-indexed*, and taken as they are: integers are pixel centres. Boxes are measured from the image's
    top left corner; 0.5 is subtracted from their edges.

    Args:
        path: The file.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        category: The name of the category to read; needed where several have key points.
        landmarks: The names of the key points, in the order that the landmarks are to have; by default the
            category's.
        image_folder: The folder to which `file_name` is relative; by default that of the file.
        allow_partial: Leave out faces of which no key point is labelled, and count them in the notes, instead of
            refusing the file.

    Returns:
        The faces in the order of the annotations, with boxes, and with visibility if a landmark is hidden. Pose,
        groups, subsets and names if `write_coco` has put them there.

    Raises:
        DatasetError: If the file is missing or malformed, there is no such category or several, an image is missing,
            or a face has no landmark. Names the file and the landmark.
        ValueError: If `landmarks` has a name twice.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from keras_asm.datasets import LandmarkDataset, load_coco, write_coco
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "a.png").touch()
        ...     image = str(Path(folder) / "a.png")
        ...     faces = LandmarkDataset((image,), np.array([[[10.0, 20.5], [30.0, 40.0]]]))
        ...     write_coco(Path(folder) / "faces.json", faces, image_sizes=False)
        ...     load_coco(Path(folder) / "faces.json").landmarks.tolist()
        [[[10.0, 20.5], [30.0, 40.0]]]

    See Also:
        - [`write_coco`][keras_asm.datasets.write_coco]: writes the same format.
        - [`load_table`][keras_asm.datasets.load_table]: CSV, where no annotation tool is used.
        - [Annotation tools][annotation-tools]: which tool needs which reader.

    References:
        https://cocodataset.org/#format-data: "0-indexed location x,y and a visibility flag v", boxes "measured from the
        top left image corner". detectron2 (`data/datasets/coco.py`) reads it so too: key points are pixel indices, to
        which it adds 0.5, and boxes are not.
    """
    path = Path(path)
    folder = path.parent if image_folder is None else Path(image_folder)
    document = expect(read_json(path), dict, "the file", path)
    images = {}
    for image in _objects(document, "images", path):
        key = _identity(image.get("id"), "an image's id", path)
        if key in images:
            raise DatasetError(f"expected each image's id once. Received: {received(key)} twice", path)
        images[key] = expect(image.get("file_name"), str, "file_name", path)
    identity, names = _category(document, category, path)

    faces: list[AnnotatedFace] = []
    extras: list[dict[str, Any]] = []
    others = 0
    for annotation in _objects(document, "annotations", path):
        if _identity(annotation.get("category_id"), "category_id", path) != identity:
            others += 1
            continue
        image_id = _identity(annotation.get("image_id"), "image_id", path)
        if image_id not in images:
            raise DatasetError(f"expected the id of one of the images. Received: {received(image_id)}", path)
        face = AnnotatedFace(images[image_id], folder, path)
        values = expect(annotation.get("keypoints", []), list, "keypoints", path)
        if values and len(values) != 3 * len(names):
            raise DatasetError(
                f"expected x, y and v of {len(names)} key points. Received: {len(values)} numbers", path
            )
        for name, x, y, v in zip(names, values[::3], values[1::3], values[2::3], strict=False):
            if isinstance(v, bool) or v not in (0, 1, 2):
                raise DatasetError(f"expected 0, 1 or 2 as v. Received: {received(v)}", path)
            place = (pixel(x, "x", path), pixel(y, "y", path))
            face.points.append((name, place if v else None))
            if v == 1:
                face.hidden.add(name)
        extra = expect(annotation.get(_OWN, {}), dict, _OWN, path)
        box = annotation.get("bbox")
        if box is not None and extra.get("box", True):
            if len(expect(box, list, "bbox", path)) != 4:
                raise DatasetError(
                    f"expected left, top, width and height as bbox. Received: {len(box)}", path
                )
            left, top, width, height = (pixel(value, "bbox", path) for value in box)
            # From the outer edge of the first pixel to its centre
            face.box = (left - 0.5, top - 0.5, left + width - 0.5, top + height - 0.5)
        faces.append(face)
        extras.append(extra)

    unused = len(images) - len({face.image for face in faces})
    notes = left_out(max(unused, 0), "images without a face")
    notes += left_out(others, "annotations of other categories")
    title = expect(document.get("info") or {}, dict, "info", path).get("description")
    dataset, kept = dataset_of_faces(
        faces,
        path=path,
        title=title if isinstance(title, str) and title else path.name,
        scheme=scheme,
        landmarks=names if landmarks is None else landmarks,
        allow_partial=allow_partial,
        notes=notes,
    )
    return _with_extras(dataset, [extras[i] for i in kept], path)


def write_coco(
    path: str | PathLike[str],
    dataset: LandmarkDataset,
    *,
    category: str = "face",
    image_folder: str | PathLike[str] | None = None,
    image_sizes: bool = True,
) -> None:
    """Write a data set as COCO's key points; `load_coco` reads it back.

    The category's `keypoints` are named after the scheme's groups, such as `jaw_0` and `nose_3`, and its `skeleton`
    joins what the scheme's `lines` join (COCO counts from 1). Hidden landmarks have v = 1, those without a position
    x = y = v = 0, all others 2. Where a face has no box, `bbox` is that of its landmarks, since other programs need
    one. Names, pose, groups and subsets go into an object `keras_asm` of each annotation. Coordinates are written
    exactly; boxes come back to rounding.

    Args:
        path: The file; overwritten, whole or not at all.
        dataset: The faces.
        category: What they are called.
        image_folder: What `file_name` is to be relative to; by default the file's folder.
        image_sizes: Write `width` and `height` of each image, which most programs expect. Reads the images' headers,
            and needs Pillow. `True` by default.

    Raises:
        DatasetError: If an image's size cannot be read. Names the image.
        ImportError: If Pillow is not installed and `image_sizes` is true.

    Examples:
        >>> import json
        >>> import numpy as np
        >>> from keras_asm.datasets import LandmarkDataset, write_coco
        >>> faces = LandmarkDataset(("a.png",), np.array([[[10.0, 20.5], [30.0, 40.0]]]))
        >>> write_coco("faces.json", faces, image_sizes=False)
        >>> json.load(open("faces.json"))["annotations"][0]["keypoints"]
        [10.0, 20.5, 2, 30.0, 40.0, 2]

    See Also:
        - [`load_coco`][keras_asm.datasets.load_coco]: reads it back.
        - [`write_pts_folder`][keras_asm.datasets.write_pts_folder]: a simpler format, which keeps the
          landmarks alone.
        - [Annotation tools][annotation-tools]: the programs that read it.
    """
    base = Path(path).parent if image_folder is None else Path(image_folder)
    images = {image: i for i, image in enumerate(dict.fromkeys(dataset.image_paths), start=1)}
    names, skeleton = _names_and_skeleton(dataset)
    visible = np.ones(dataset.landmarks.shape[:2], bool) if dataset.visibility is None else dataset.visibility
    flags = np.where(dataset.has_position, np.where(visible, 2, 1), 0)
    triples = np.concatenate([np.nan_to_num(dataset.landmarks), flags[..., None]], axis=-1)
    has_pose = dataset.has_pose
    annotations = []
    for i, image in enumerate(dataset.image_paths):
        own: dict[str, Any] = {"name": (dataset.names or ())[i]}
        if dataset.boxes is not None and np.isfinite(dataset.boxes[i]).all():
            left, top, right, bottom = dataset.boxes[i].tolist()
        else:
            # (0, 0) for a face of which nothing has a position
            left, top, right, bottom = np.nan_to_num(landmark_boxes(dataset.landmarks[i])).tolist()
            own["box"] = False
        if has_pose[i] and dataset.pose is not None:
            own["pose"] = dataset.pose[i].tolist()
        if dataset.groups is not None:
            own["group"] = dataset.groups[i]
        if dataset.subsets:
            own["subsets"] = {name: bool(mask[i]) for name, mask in dataset.subsets.items()}
        width, height = float(right - left), float(bottom - top)
        annotations.append(
            {
                "id": i + 1,
                "image_id": images[image],
                "category_id": 1,
                "keypoints": [value for x, y, v in triples[i].tolist() for value in (x, y, int(v))],
                "num_keypoints": int((flags[i] > 0).sum()),
                # From the centre of the first pixel to its outer edge
                "bbox": [float(left) + 0.5, float(top) + 0.5, width, height],
                "area": width * height,
                "iscrowd": 0,
                _OWN: own,
            }
        )
    document = {
        "info": {"description": dataset.title},
        "images": [
            {
                "id": number,
                "file_name": Path(os.path.relpath(image, base)).as_posix(),
                **(_size(image) if image_sizes else {}),
            }
            for image, number in images.items()
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": category, "keypoints": names, "skeleton": skeleton}],
    }
    with replacing_file(path, "w", encoding="utf-8", newline="\n") as file:
        json.dump(document, file)


def _objects(document: Mapping[str, Any], key: str, path: Path) -> list[dict[str, Any]]:
    return [expect(item, dict, f"each of {key}", path) for item in expect(document.get(key), list, key, path)]


def _identity(value: Any, what: str, path: Path) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DatasetError(f"expected an integer as {what}. Received: {received(value)}", path)
    return value


def _category(document: Mapping[str, Any], wanted: str | None, path: Path) -> tuple[int | str, list[str]]:
    """The id of the category to read, and the names of its key points."""
    found: dict[str, tuple[int | str, list[str]]] = {}
    for entry in _objects(document, "categories", path):
        if not entry.get("keypoints"):
            continue
        names = expect(entry["keypoints"], list, "keypoints of a category", path)
        for name in names:
            expect(name, str, "the name of a key point", path)
        if len(set(names)) < len(names):
            raise DatasetError(f"expected each key point once. Received: {shown(', '.join(names))}", path)
        title = expect(entry.get("name"), str, "a category's name", path)
        found[title] = _identity(entry.get("id"), "a category's id", path), names
    if wanted is not None:
        found = {name: value for name, value in found.items() if name == wanted}
    if len(found) != 1:
        which = (
            "one category with key points" if wanted is None else f"the category {wanted!r}, with key points"
        )
        hint = "; pass category" if len(found) > 1 else ""
        raise DatasetError(
            f"expected {which}{hint}. Received: {shown(', '.join(found)) if found else 'none'}", path
        )
    return next(iter(found.values()))


def _with_extras(dataset: LandmarkDataset, extras: list[dict[str, Any]], path: Path) -> LandmarkDataset:
    """Put back what `write_coco` has written beside COCO's own fields."""
    if not any(extras):
        return dataset
    pose = np.full((len(dataset), 3), np.nan)
    masks: dict[str, np.ndarray] = {}
    names = list(dataset.names or ())
    groups = []
    for i, extra in enumerate(extras):
        names[i] = expect(extra.get("name", names[i]), str, "a name", path)
        if extra.get("pose") is not None:
            if len(expect(extra["pose"], list, "a pose", path)) != 3:
                raise DatasetError(
                    f"expected yaw, pitch and roll. Received: {len(extra['pose'])} numbers", path
                )
            pose[i] = [pixel(value, "an angle", path) for value in extra["pose"]]
        for name, member in expect(extra.get("subsets", {}), dict, "subsets", path).items():
            if not isinstance(member, bool):
                raise DatasetError(f"expected true or false for a subset. Received: {received(member)}", path)
            masks.setdefault(name, np.zeros(len(dataset), dtype=bool))[i] = member
        if "group" in extra:
            groups.append(expect(extra["group"], str, "a group", path))
    return LandmarkDataset(
        image_paths=dataset.image_paths,
        landmarks=dataset.landmarks,
        pose=pose,
        subsets=masks,
        scheme=dataset.scheme,
        names=tuple(names),
        title=dataset.title,
        notes=dataset.notes,
        boxes=dataset.boxes,
        visibility=dataset.visibility,
        groups=tuple(groups) if len(groups) == len(dataset) else None,
    )


def _names_and_skeleton(dataset: LandmarkDataset) -> tuple[list[str], list[list[int]]]:
    names = [f"landmark_{i}" for i in range(dataset.n_landmarks)]
    if dataset.scheme is None:
        return names, []
    scheme = get_scheme(dataset.scheme)
    for group, indices in scheme.groups.items():
        for number, i in enumerate(indices):
            names[i] = f"{group}_{number}"
    skeleton = [
        [i + 1, j + 1]
        for line, closed in scheme.lines
        for i, j in zip(line, (*line[1:], line[0]) if closed else line[1:], strict=False)
    ]
    return names, skeleton


def _size(image: str) -> dict[str, int]:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Image sizes need Pillow: pip install "keras-asm[images]"') from error
    try:
        with Image.open(image) as opened:
            return {"width": opened.width, "height": opened.height}
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, ...
        raise DatasetError(
            f"the image's size cannot be read ({type(error).__name__}); image_sizes=False writes none", image
        ) from error
