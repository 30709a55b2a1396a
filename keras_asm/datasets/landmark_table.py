"""Reader of tables of landmarks: a line per face, with its image and its coordinates."""

import csv
from os import PathLike
from pathlib import Path

import numpy as np

from keras_asm.datasets._annotation_text import is_number, parse_pixels, read_lines, shown
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["load_table", "read_landmark_table"]


def load_table(
    path: str | PathLike[str],
    scheme: str | LandmarkScheme | None = None,
    *,
    image_folder: str | PathLike[str] | None = None,
) -> LandmarkDataset:
    r"""Read one's own landmarks, of faces or of anything else, from a CSV with a line `image, x1, y1, x2, ...` each.

    The coordinates are pixels, 0-based, and every line has as many. A header is recognised: a first line that
    names no image, or whose columns are names or the numbers 0, 1, 2, ... Fields may be quoted.

    Args:
        path: The table.
        scheme: Scheme of the landmarks, or its name; by default none, and any number of landmarks.
        image_folder: The folder to which images are relative; by default that of the table.

    Returns:
        The faces in the order of the table.

    Raises:
        DatasetError: If the table is missing or malformed, or an image is missing. Names the file, the line and
            the reason.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.datasets import load_table
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "hand.png").touch()
        ...     path = Path(folder) / "hands.csv"
        ...     _ = path.write_text("image,x1,y1,x2,y2\nhand.png,10,20.5,30,40\n")
        ...     hands = load_table(path)
        >>> print(hands)
        hands.csv: 1 faces, 2 landmarks (no scheme), no pose
    """
    path = Path(path)
    folder = path.parent if image_folder is None else Path(image_folder)
    names, points = read_landmark_table(
        path, folder, None if scheme is None else get_scheme(scheme).n_landmarks
    )
    return LandmarkDataset(
        image_paths=tuple(str(folder / name) for name in names),
        landmarks=points,
        scheme=scheme,
        names=names,
        title=path.name,
    )


def read_landmark_table(
    path: str | PathLike[str], image_folder: Path, n_landmarks: int | None = None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Images and landmarks of a table; see `load_table`.

    Args:
        path: The table.
        image_folder: The folder to which images are relative.
        n_landmarks: How many landmarks there must be; `None` takes what the first line has.

    Returns:
        The images as the table names them, and float64 `(n, n_landmarks, 2)`.

    Raises:
        DatasetError: As `load_table`.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    for position, (line, text) in enumerate(read_lines(path)):
        try:
            (fields,) = csv.reader([text], strict=True, skipinitialspace=True)
        except (csv.Error, ValueError) as error:
            raise DatasetError(f"malformed CSV: {error}", path, line) from None
        name, coordinates = fields[0].strip(), [field.strip() for field in fields[1:]]
        if position == 0 and _is_header(name, coordinates):
            continue
        if n_landmarks is None:
            if not coordinates or len(coordinates) % 2:
                raise DatasetError(
                    "expected an image and an x and y of each landmark. "
                    f"Received: {len(coordinates)} coordinates",
                    path,
                    line,
                )
            n_landmarks = len(coordinates) // 2
        if len(coordinates) != 2 * n_landmarks:
            raise DatasetError(
                f"expected {2 * n_landmarks} coordinates, of {n_landmarks} landmarks. "
                f"Received: {len(coordinates)}",
                path,
                line,
            )
        # Tables written on Windows hold backslashes.
        name = name.replace("\\", "/")
        # A name that is too long for a file, or holds a zero byte, raises instead of being absent.
        try:
            there = bool(name) and (image_folder / name).is_file()
        except (OSError, ValueError):
            there = False
        if not there:
            raise DatasetError(
                f"expected an image within {image_folder}. Received: {shown(name)}, which is not there",
                path,
                line,
            )
        rows.append(parse_pixels(coordinates, path, line))
        names.append(name)
    if not rows:
        raise DatasetError("expected at least one line with an image and its landmarks. Received: none", path)
    return tuple(names), np.array(rows).reshape(len(rows), -1, 2)


def _is_header(name: str, columns: list[str]) -> bool:
    numbered = columns == [str(i) for i in range(len(columns))]
    return not name or numbered or not any(is_number(column) for column in columns)
