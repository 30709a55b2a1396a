"""Reader of COFW as it is distributed."""

import contextlib
import hashlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm._whole_files import replacing_folder
from keras_asm.datasets._mat import mat_numbers
from keras_asm.datasets._protocol import check_complete
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset

__all__ = ["load_cofw"]

_N_LANDMARKS = 29
_SIZES = {"train": 1345, "test": 507}
# Of an image, or the annotations of all; damage must not fill the memory
_MAX_BYTES = 1 << 26
_SUFFIXES = {"train": "Tr", "test": "T"}


def load_cofw(
    root: str | PathLike[str],
    split: str,
    *,
    image_folder: str | PathLike[str] | None = None,
    allow_partial: bool = False,
) -> LandmarkDataset:
    """Read COFW: 29 landmarks, of each whether it is hidden, and a box, of partly covered faces.

    Expects `COFW_train_color.mat` and `COFW_test_color.mat`, or the grey `COFW_train.mat` and
    `COFW_test.mat`: MATLAB files of format 7.3 that hold `IsTr`, `phisTr` and `bboxesTr` (`IsT`, `phisT` and
    `bboxesT` for the test set). A row of `phis` is 29 times x, 29 times y, 29 times 1 where the point is
    hidden; one of `bboxes` is left, top, width and height. Coordinates are taken as MATLAB's, 1-based; 1 is
    subtracted. A point whose x and y are -1 has no position and is NaN.

    The images are within the file. They are written as PNG once, to a folder that carries a hash of the file
    in its name and appears only when it is complete.

    | split | faces |
    |---|---|
    | `train` | 1345 |
    | `test` | 507 |

    Args:
        root: The folder that holds the files, those in colour preferred, or one of the files.
        split: `"train"` or `"test"`. `LandmarkDataset.concatenate` makes one of both.
        image_folder: Where the folder of images is put; by default beside the file.
        allow_partial: Accept a file in which faces are missing, and say so in the notes.

    Returns:
        The faces with boxes and visibility, and the split as their subset.

    Raises:
        ValueError: If `split` is neither of the two.
        DatasetError: If the file is missing or malformed, faces are missing and `allow_partial` is false, or
            there are more than the protocol has. Names the file.
        ImportError: If Pillow is not installed.

    Examples:
        One face stands in for the data set:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import h5py
        >>> import numpy as np
        >>> from keras_asm.datasets import load_cofw
        >>> with tempfile.TemporaryDirectory() as root:
        ...     with h5py.File(Path(root) / "COFW_test.mat", "w") as file:
        ...         file["image"] = np.zeros((8, 8), dtype="uint8")
        ...         file["IsT"] = np.array([[file["image"].ref]], dtype=h5py.ref_dtype)
        ...         file["phisT"] = np.ones((87, 1))
        ...         file["bboxesT"] = np.ones((4, 1))
        ...     faces = load_cofw(root, "test", allow_partial=True)
        >>> len(faces), faces.landmarks[0, 0].tolist(), bool(faces.visibility.any())
        (1, [0.0, 0.0], False)

    See Also:
        - [`load_wflw`][keras_asm.datasets.load_wflw]: occlusion as an attribute of the whole face.
        - [`get_scheme`][keras_asm.landmarks.get_scheme]: the 29 landmarks, as `"cofw"`.
        - [Public data sets][public-data-sets]: what to know of each.

    References:
        Burgos-Artizzu et al., Robust Face Landmark Estimation under Occlusion, ICCV 2013.
    """
    if split not in _SIZES:
        raise ValueError(f"split must be one of {list(_SIZES)}. Received: {split!r}")
    path = _find(Path(root), split)
    suffix = _SUFFIXES[split]
    h5py, pillow = _packages()
    try:
        with open(path, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:12]
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror}", path) from None
    parent = path.parent if image_folder is None else Path(image_folder)
    folder = parent / f"{path.stem}_images_{digest}"
    try:
        with h5py.File(path, "r") as file:
            values = {
                name: _within(file, name, path)[()].T
                for name in (f"phis{suffix}", f"bboxes{suffix}")
                if name in file
            }
            phis = mat_numbers(values, f"phis{suffix}", (None, 3 * _N_LANDMARKS), path)
            n = len(phis)
            boxes = mat_numbers(values, f"bboxes{suffix}", (n, 4), path)
            if f"Is{suffix}" not in file or _within(file, f"Is{suffix}", path).size != n:
                raise DatasetError(f"expected {n} images in Is{suffix}", path)
            notes = check_complete(
                "COFW",
                {split: n},
                {split: _SIZES[split]},
                split=split,
                allow_partial=allow_partial,
                path=path,
            )
            hidden = phis[:, 2 * _N_LANDMARKS :]
            if not np.isin(hidden, (0, 1)).all():
                raise DatasetError(
                    f"expected 0 or 1 in the last {_N_LANDMARKS} of each row of phis{suffix}", path
                )
            if (boxes[:, 2:] < 0).any():
                raise DatasetError(f"expected a width and height of at least 0 in bboxes{suffix}", path)
            if not folder.is_dir():
                _unpack(file, file[f"Is{suffix}"], folder, path, pillow)
    except DatasetError:
        raise
    except Exception as error:
        # On damaged files h5py raises OSError, KeyError, ValueError, RuntimeError, TypeError, ...
        raise DatasetError(
            f"not a readable MATLAB 7.3 file ({type(error).__name__}: {error})", path
        ) from error

    names = tuple(f"{split}/{i:04d}" for i in range(n))
    x, y = phis[:, :_N_LANDMARKS], phis[:, _N_LANDMARKS : 2 * _N_LANDMARKS]
    landmarks = np.stack([x, y], axis=-1) - 1.0
    landmarks[(landmarks == -2).all(axis=-1)] = np.nan
    corner = boxes[:, :2] - 1.0
    return LandmarkDataset(
        image_paths=tuple(str(folder / f"{i:04d}.png") for i in range(n)),
        landmarks=landmarks,
        boxes=np.concatenate([corner, corner + boxes[:, 2:]], axis=1),
        visibility=hidden == 0,
        subsets={split: np.ones(n, dtype=bool)},
        scheme="cofw",
        names=names,
        title=f"COFW ({split}{', partial' if notes else ''})",
        notes=tuple(notes),
    )


def _find(root: Path, split: str) -> Path:
    if root.is_file():
        return root
    candidates = [root / f"COFW_{split}_color.mat", root / f"COFW_{split}.mat"]
    for path in candidates:
        if path.is_file():
            return path
    raise DatasetError(f"expected {candidates[0].name} or {candidates[1].name} in this folder", root)


def _unpack(file: Any, references: Any, folder: Path, path: Path, pillow: Any) -> None:
    """Write the images into a folder that is there when all of them are."""
    with _writing(folder), replacing_folder(folder) as unfinished:
        for i, reference in enumerate(references[()].ravel()):
            pillow.fromarray(_image(file, reference, i, path)).save(unfinished / f"{i:04d}.png")


def _image(file: Any, reference: Any, index: int, path: Path) -> np.ndarray:
    try:
        # MATLAB's order of axes is the other way round.
        image = np.ascontiguousarray(np.asarray(_within(file, reference, path)[()]).T)
    except OSError as error:
        raise DatasetError(f"image {index} of the file cannot be read ({error})", path) from error
    if (
        image.dtype != np.uint8
        or 0 in image.shape
        or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    ):
        raise DatasetError(
            f"expected image {index} as uint8 (height, width) or (height, width, 3). "
            f"Received: {image.dtype} of shape {image.shape}",
            path,
        )
    return image


def _within(file: Any, name: Any, path: Path) -> Any:
    """An array of the file, if it lies within the file and is no larger than COFW's can be."""
    import h5py

    link = file.get(name, getlink=True) if isinstance(name, str) else None
    found = None if isinstance(link, h5py.ExternalLink | h5py.SoftLink) else file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise DatasetError(
            "expected arrays within this file. Received: one that is elsewhere, or a group", path
        )
    if found.nbytes > _MAX_BYTES:
        raise DatasetError(f"expected arrays of at most {_MAX_BYTES} bytes. Received: {found.nbytes}", path)
    return found


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tells a folder that cannot be written from a file that cannot be read."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"the images cannot be written ({error.strerror}). Pass another image_folder", folder
        ) from error


def _packages() -> tuple[Any, Any]:
    import h5py  # Keras depends on it

    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Reading images needs Pillow: pip install "keras-asm[images]"') from error
    return h5py, Image
