"""Reader of the XML that CVAT exports."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from keras_asm.datasets._annotation_text import parse_pixels, shown
from keras_asm.datasets._documents import Element, read_xml
from keras_asm.datasets._named_landmarks import AnnotatedFace, dataset_of_faces, left_out
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme

__all__ = ["load_cvat"]


def load_cvat(
    path: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    label: str | None = None,
    landmarks: Sequence[str] | None = None,
    image_folder: str | PathLike[str] | None = None,
    allow_partial: bool = False,
) -> LandmarkDataset:
    r"""Read landmarks from an export of CVAT in the format *CVAT for images 1.1*.

    | in an `<image>` | is |
    |---|---|
    | `<skeleton label="face">` with `<points label="nose" points="x,y">` | a face; the inner labels name landmarks |
    | `<points label="face" points="x,y;x,y;...">` | a face; landmarks are named 0, 1, ... |
    | `<points label="nose" points="x,y">` | a landmark; those of an image, or of a `group_id` in it, are a face |
    | `<box>` | the box of the face of its `group_id`; without one, the only box of an image with one face |

    A point of a skeleton that is `outside`, and a landmark that a face has no point of, have no position: NaN. Shapes
    of several points must have as many in each face. A point that is `occluded` is hidden; of a face drawn as one
    shape the mark says nothing of its points, and is passed over. Other shapes are left out and counted in the notes.

    CVAT's coordinates run from 0 at the outer edge of the first pixel to the image's width, as the example in its
    documentation has them. 0.5 is subtracted, of boxes too, so that integers are pixel centres. It shows photographs
    upright, whatever their EXIF orientation (since 2022): pass `exif="apply"` to `crop_faces`.

    Args:
        path: The file, `annotations.xml`.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        label: Which skeletons, or shapes of several points, are the faces; needed where there are several labels.
        landmarks: The names, in the order that the landmarks are to have. By default those that at least half of the
            faces have: in numeric order if all are numbers, else in the order of the first face with the most of them.
        image_folder: The folder to which images are relative; by default `images` beside the file, which is where
            CVAT puts them, or the file's folder if there is none.
        allow_partial: Leave out faces in which a landmark is doubled or one too many, and count them in the notes,
            instead of refusing the file.

    Returns:
        The faces in the order of the file.

    Raises:
        DatasetError: If the file is missing or malformed, has a document type, is an export for video, or mixes
            several kinds of faces without a `label`; if an image is missing, or a face has a landmark twice, one that
            is not among these, or not as many in a list. Names the file, the line and the landmark.
        ValueError: If `landmarks` has a name twice.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_cvat
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "a.png").touch()
        ...     path = Path(folder) / "annotations.xml"
        ...     points = '<points label="face" points="10.50,20.50;30.00,40.00" occluded="0"/>'
        ...     image = f'<image id="0" name="a.png" width="64" height="64">{points}</image>'
        ...     _ = path.write_text(f"<annotations><version>1.1</version>{image}</annotations>")
        ...     load_cvat(path).landmarks.tolist()
        [[[10.0, 20.0], [29.5, 39.5]]]

    See Also:
        - [`load_coco`][keras_asm.datasets.load_coco]: CVAT's other export with names of landmarks.
        - [`crop_faces`][keras_asm.faces.crop_faces]: `exif="apply"` turns photographs as CVAT shows them.
        - [Annotation tools][annotation-tools]: which tool needs which reader.

    References:
        https://docs.cvat.ai/docs/other/xml_format: in its example, lines end at y = 0.00 and y = 1200.00 of an image
        that is 1200 pixels high. Orientation: `cvat-ai/cvat`, pull request 4529.
    """
    path = Path(path)
    root = read_xml(path, "annotations")
    tracks = root.all("track")
    if tracks:
        raise DatasetError(
            "expected an export as 'CVAT for images 1.1'. Received: one for video, with <track>",
            path,
            tracks[0].line,
        )
    folder = Path(image_folder) if image_folder is not None else path.parent / "images"
    if image_folder is None and not folder.is_dir():
        folder = path.parent
    images = root.all("image")
    kinds = dict.fromkeys(_kind(shape) for image in images for shape in image.all("skeleton", "points"))
    if label is not None:
        kinds = {kind: None for kind in kinds if kind == label}
    if len(kinds) > 1:
        listed = ", ".join("single points" if kind is None else shown(kind) for kind in kinds)
        raise DatasetError(
            f"expected faces of one kind; pass the label of those to read. Received: {listed}", path
        )
    if not kinds:
        what = "skeletons or points" + ("" if label is None else f" with the label {label!r}")
        raise DatasetError(f"expected {what}. Received: none", path)
    faces: list[AnnotatedFace] = []
    others = 0
    for image in images:
        found, passed = _faces(image, next(iter(kinds)), folder, path)
        faces += found
        others += passed
    dataset, _ = dataset_of_faces(
        faces,
        path=path,
        title=path.name,
        scheme=scheme,
        landmarks=landmarks,
        allow_partial=allow_partial,
        notes=left_out(others, "shapes that are no landmarks or boxes of a face"),
    )
    return dataset


def _kind(shape: Element) -> str | None:
    """The label of a shape that is a face of its own; `None` for a single point."""
    alone = shape.tag == "points" and len(_points(shape)) == 1
    return None if alone else shape.text("label")


def _faces(image: Element, kind: str | None, folder: Path, path: Path) -> tuple[list[AnnotatedFace], int]:
    """The faces of an image, and how many of its shapes belong to none."""
    name = image.text("name")
    faces: list[AnnotatedFace] = []
    groups: dict[str, AnnotatedFace] = {}
    shapes = image.all("skeleton", "points")
    mine = [shape for shape in shapes if _kind(shape) == kind]
    for shape in mine:
        group = shape.attributes.get("group_id", "")
        if kind is not None or group not in groups:
            faces.append(AnnotatedFace(name, folder, path, shape.line))
            groups[group] = faces[-1]
        face = groups[group] if kind is None else faces[-1]
        for point in shape.all("points") if shape.tag == "skeleton" else [shape]:
            places = [None] if point.flag("outside") else _points(point)
            alone = shape.tag == "skeleton" or kind is None
            if alone and len(places) != 1:
                raise DatasetError(f"expected one point. Received: {len(places)}", path, point.line)
            names = [point.text("label")] if alone else [str(i) for i in range(len(places))]
            face.by_place = not alone
            face.points += zip(names, places, strict=True)
            if alone and point.flag("occluded"):
                face.hidden.add(names[0])
    others = len(image.children) - len(mine) - len(image.all("tag"))
    boxes: dict[str, list[Element]] = {}
    for box in image.all("box"):
        boxes.setdefault(box.attributes.get("group_id", ""), []).append(box)
    for group, found in boxes.items():
        owner = groups.get(group) if group else faces[0] if len(faces) == 1 else None
        if owner is None or (not group and len(found) > 1):
            continue
        if len(found) > 1 or owner.box is not None:
            raise DatasetError("expected one box for a face. Received: another", path, found[-1].line)
        left, top, right, bottom = (value - 0.5 for value in found[0].pixels("xtl", "ytl", "xbr", "ybr"))
        owner.box = (left, top, right, bottom)
        others -= 1
    return faces, others


def _points(shape: Element) -> list[tuple[float, float]]:
    points = []
    for pair in shape.text("points").split(";"):
        fields = pair.split(",")
        if len(fields) != 2:
            raise DatasetError(
                f"expected points as 'x,y;x,y'. Received: {shown(pair)}", shape.path, shape.line
            )
        x, y = parse_pixels(fields, shape.path, shape.line)
        # From the outer edge of the first pixel to its centre
        points.append((x - 0.5, y - 0.5))
    return points
