"""Reader of the XML of dlib's imglab."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from keras_asm.datasets._documents import read_xml
from keras_asm.datasets._named_landmarks import AnnotatedFace, dataset_of_faces, left_out
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme

__all__ = ["load_imglab"]


def load_imglab(
    path: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    landmarks: Sequence[str] | None = None,
    image_folder: str | PathLike[str] | None = None,
    allow_partial: bool = False,
) -> LandmarkDataset:
    r"""Read landmarks from the XML of dlib's imglab, which dlib's shape predictors are trained on.

    A `<box top left width height>` of an `<image file>` is a face, and each `<part name x y>` in it a landmark. Boxes
    without parts, and those with `ignore='1'`, are left out and counted in the notes. A landmark that a box has no
    part of has no position: NaN.

    Parts are pixel indices, 0-based, and taken as they are. dlib's rectangles hold their first and last pixel: the
    box of the outer edges of these, `left - 0.5` to `left + width - 0.5`, is the face's. A file that declares
    ISO-8859-1, as imglab does, is read as UTF-8, which is what it holds where file names are UTF-8.

    Args:
        path: The file.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        landmarks: The names of the parts, in the order that the landmarks are to have. By default those that at least
            half of the faces have: in numeric order if all are numbers, else in the order of the first face with the
            most of them.
        image_folder: The folder to which images are relative; by default that of the file.
        allow_partial: Leave out faces in which a landmark is doubled or one too many, and count them in the notes,
            instead of refusing the file.

    Returns:
        The faces in the order of the file, with their boxes.

    Raises:
        DatasetError: If the file is missing or malformed or has a document type, an image is missing, or a face has
            a landmark twice or one that is not among these. Names the file, the line and the landmark.
        ValueError: If `landmarks` has a name twice.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_imglab
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "a.png").touch()
        ...     path = Path(folder) / "faces.xml"
        ...     parts = "<part name='0' x='12' y='20'/><part name='1' x='14' y='25'/>"
        ...     box = f"<box top='10' left='5' width='20' height='30'>{parts}</box>"
        ...     _ = path.write_text(f"<dataset><images><image file='a.png'>{box}</image></images></dataset>")
        ...     faces = load_imglab(path)
        >>> faces.landmarks.tolist(), faces.boxes.tolist()
        ([[[12.0, 20.0], [14.0, 25.0]]], [[4.5, 9.5, 24.5, 39.5]])

    See Also:
        - [`load_pts_folder`][keras_asm.datasets.load_pts_folder]: one file for each image instead.
        - [Annotation tools][annotation-tools]: which tool needs which reader.

    References:
        Format and rectangles: `davisking/dlib`, `dlib/data_io/image_dataset_metadata.{h,cpp}`.
    """
    path = Path(path)
    folder = path.parent if image_folder is None else Path(image_folder)
    faces: list[AnnotatedFace] = []
    ignored = without = 0
    for images in read_xml(path, "dataset").all("images"):
        for image in images.all("image"):
            for box in image.all("box"):
                left, top, width, height = box.pixels("left", "top", "width", "height")
                if box.flag("ignore"):
                    ignored += 1
                    continue
                face = AnnotatedFace(image.text("file"), folder, path, box.line)
                for part in box.all("part"):
                    x, y = part.pixels("x", "y")
                    face.points.append((part.text("name"), (x, y)))
                if not face.points:
                    without += 1
                    continue
                face.box = (left - 0.5, top - 0.5, left + width - 0.5, top + height - 0.5)
                faces.append(face)
    notes = [*left_out(ignored, "boxes to be ignored"), *left_out(without, "boxes without parts")]
    dataset, _ = dataset_of_faces(
        faces,
        path=path,
        title=path.name,
        scheme=scheme,
        landmarks=landmarks,
        allow_partial=allow_partial,
        notes=notes,
    )
    return dataset
