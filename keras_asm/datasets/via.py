"""Reader of what the VGG Image Annotator writes."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from keras_asm.datasets._annotation_text import read_lines, shown
from keras_asm.datasets._documents import expect, parse_json, pixel, read_json, received
from keras_asm.datasets._named_landmarks import AnnotatedFace, dataset_of_faces, left_out
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme

__all__ = ["load_via"]

_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
# Image, the line of a region, its shape and its attributes
_Region = tuple[str, int | None, dict[str, Any], dict[str, Any]]


def load_via(
    path: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    attribute: str | None = None,
    landmarks: Sequence[str] | None = None,
    image_folder: str | PathLike[str] | None = None,
    allow_partial: bool = False,
) -> LandmarkDataset:
    r"""Read landmarks that were set with the VGG Image Annotator, VIA 1 or 2: a project, or an export as JSON or CSV.

    | region | is |
    |---|---|
    | `point` | a landmark, named by a region attribute; the points of an image are one face |
    | `polyline`, `polygon` | a face, whose landmarks are named 0, 1, ... |
    | `rect` | the box of the face, where an image has one of each |

    Other regions are left out and counted in the notes. Points without any attribute are named 0, 1, ... in the order
    in which they were set. VIA cannot say which points belong together: several faces in an image need polylines.
    A landmark that a face has no named point of has no position: NaN. Points that are known by their order alone must
    be as many in each face.

    VIA rounds the mouse's place to whole pixels of the image (undocumented; `_via_canvas_scale` in its source). At
    full size that is the index of the pixel that was clicked, 0-based; it is taken as it is. Browsers since 2020 show
    photographs upright, whatever their EXIF orientation: pass `exif="apply"` to `crop_faces`.

    Args:
        path: The file, `.csv` or JSON.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        attribute: The region attribute that names a point; by default the only one that the points have.
        landmarks: The names, in the order that the landmarks are to have. By default those that at least half of the
            faces have: in numeric order if all are numbers, else in the order of the first face with the most of them.
        image_folder: The folder to which images are relative; by default that of the file.
        allow_partial: Leave out faces in which a landmark is doubled or one too many, and count them in the notes,
            instead of refusing the file.

    Returns:
        The faces in the order of the file.

    Raises:
        DatasetError: If the file is missing or malformed, points have several attributes and `attribute` is not given,
            an image is missing, or a face has a landmark twice, one that is not among these, or not as many in a list.
            Names the file, the line of a CSV, and the landmark.
        ValueError: If `landmarks` has a name twice.

    Examples:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_via
        >>> def point(name, x, y):
        ...     shape = {"name": "point", "cx": x, "cy": y}
        ...     return {"shape_attributes": shape, "region_attributes": {"landmark": name}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "a.png").touch()
        ...     regions = [point("nose", 10, 20), point("chin", 11, 40)]
        ...     image = {"filename": "a.png", "size": 0, "regions": regions, "file_attributes": {}}
        ...     _ = (Path(folder) / "via.json").write_text(json.dumps({"a.png0": image}))
        ...     load_via(Path(folder) / "via.json").landmarks.tolist()
        [[[10.0, 20.0], [11.0, 40.0]]]

    See Also:
        - [`load_labelme`][keras_asm.datasets.load_labelme]: the same idea from another tool.
        - [`load_coco`][keras_asm.datasets.load_coco]: where tools name the landmarks.
        - [Annotation tools][annotation-tools]: which tool needs which reader.

    References:
        Dutta and Zisserman, The VIA Annotation Software for Images, Audio and Video, ACM Multimedia 2019; the format is
        in `ox-vgg/via`, `via-2.x.y/CodeDoc.md`.
    """
    path = Path(path)
    folder = path.parent if image_folder is None else Path(image_folder)
    regions = list(_from_csv(path) if path.suffix.lower() == ".csv" else _from_json(path))
    attributes: dict[str, int | None] = {}
    for _, line, shape, values in regions:
        if shape.get("name") == "point":
            attributes.update({name: line for name in values if name not in attributes})
    if attribute is not None:
        attributes = {attribute: None}
    if len(attributes) > 1:
        raise DatasetError(
            "expected one region attribute, the name of the landmark; pass attribute. "
            f"Received: {shown(', '.join(attributes))}",
            path,
            list(attributes.values())[1],
        )
    named_by = next(iter(attributes), None)
    faces: list[AnnotatedFace] = []
    boxes: dict[str, list[tuple[float, float, float, float]]] = {}
    of_points: dict[str, AnnotatedFace] = {}
    others = 0
    for image, line, shape, values in regions:
        kind = shape.get("name")
        if kind == "rect":
            x, y, width, height = (
                pixel(shape.get(key), key, path, line) for key in ("x", "y", "width", "height")
            )
            boxes.setdefault(image, []).append((x, y, x + width, y + height))
        elif kind == "point":
            if image not in of_points:
                of_points[image] = AnnotatedFace(image, folder, path, line, by_place=named_by is None)
                faces.append(of_points[image])
            face = of_points[image]
            name = str(len(face.points)) if named_by is None else values.get(named_by)
            if isinstance(name, int) and not isinstance(name, bool):
                name = str(name)
            if not isinstance(name, str) or not name:
                raise DatasetError(
                    f"expected a text as the attribute {named_by!r} of each point. Received: {received(name)} in "
                    f"{shown(image)}",
                    path,
                    line,
                )
            face.points.append(
                (name, (pixel(shape.get("cx"), "cx", path, line), pixel(shape.get("cy"), "cy", path, line)))
            )
        elif kind in ("polyline", "polygon"):
            xs, ys = (
                expect(shape.get(f"all_points_{axis}"), list, f"all_points_{axis}", path, line)
                for axis in "xy"
            )
            if len(xs) != len(ys) or not xs:
                raise DatasetError(f"expected as many x as y. Received: {len(xs)} and {len(ys)}", path, line)
            places = [
                (pixel(x, "x", path, line), pixel(y, "y", path, line)) for x, y in zip(xs, ys, strict=True)
            ]
            numbered: list[tuple[str, tuple[float, float] | None]] = [
                (str(i), place) for i, place in enumerate(places)
            ]
            faces.append(AnnotatedFace(image, folder, path, line, numbered, by_place=True))
        else:
            others += 1
    owners_of: dict[str, list[AnnotatedFace]] = {}
    for face in faces:
        owners_of.setdefault(face.image, []).append(face)
    for image, found in boxes.items():
        owners = owners_of.get(image, [])
        if len(owners) == len(found) == 1:
            owners[0].box = found[0]
        else:
            others += len(found)
    dataset, _ = dataset_of_faces(
        faces,
        path=path,
        title=path.name,
        scheme=scheme,
        landmarks=landmarks,
        allow_partial=allow_partial,
        notes=left_out(others, "regions that are no landmarks or boxes of a face"),
    )
    return dataset


def _from_json(path: Path) -> Iterator[_Region]:
    document = expect(read_json(path), dict, "the file", path)
    images = expect(document.get("_via_img_metadata", document), dict, "_via_img_metadata", path)
    for image in images.values():
        expect(image, dict, "an image", path)
        name = expect(image.get("filename"), str, "filename", path)
        regions = image.get("regions")
        if isinstance(regions, dict):  # of VIA 1, by number
            regions = list(regions.values())
        for region in expect(regions, list, f"regions of {shown(name)}", path):
            expect(region, dict, "a region", path)
            shape, values = (
                expect(region.get(key), dict, key, path) for key in ("shape_attributes", "region_attributes")
            )
            yield name, None, shape, values


def _from_csv(path: Path) -> Iterator[_Region]:
    columns: dict[str, int] | None = None
    for line, text in read_lines(path):
        try:
            (fields,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError) as error:
            raise DatasetError(f"malformed CSV: {error}", path, line) from None
        if columns is None:
            header = [field.strip().lstrip("#") for field in fields]
            if not set(_COLUMNS) <= set(header):
                raise DatasetError(
                    f"expected the columns {', '.join(_COLUMNS)}. Received: {shown(text)}", path, line
                )
            columns = {name: header.index(name) for name in _COLUMNS}
            n = len(header)
            continue
        if len(fields) != n:
            raise DatasetError(f"expected {n} fields. Received: {len(fields)}", path, line)
        name, shape, values = (fields[columns[key]] for key in _COLUMNS)
        shape, values = (
            expect(parse_json(cell, path, line), dict, "region attributes", path, line)
            for cell in (shape, values)
        )
        # An image without regions has a line of its own, with an empty shape
        if shape:
            yield name, line, shape, values
