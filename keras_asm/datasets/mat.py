"""What the readers of MATLAB files share (format 5; COFW's are HDF5)."""

import io
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.datasets.annotation_text import PIXEL_LIMIT
from keras_asm.datasets.dataset_error import DatasetError


def read_mat(path: str | PathLike[str], names: Sequence[str]) -> dict[str, Any]:
    """Read some variables of a MATLAB 5 file; nothing in it is executed or unpickled.

    Args:
        path: The file.
        names: The variables.

    Returns:
        Those of the variables that are there.

    Raises:
        DatasetError: If the file is missing, cut off or no such file.
    """
    from scipy.io import loadmat

    try:
        file = io.BytesIO(Path(path).read_bytes())
    except FileNotFoundError:
        raise DatasetError("there is no such file", path) from None
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror}", path) from None
    try:
        return {name: value for name, value in loadmat(file, variable_names=names).items() if name in names}
    except Exception as error:
        # On damaged files SciPy raises ValueError, TypeError, zlib.error, MemoryError, ...
        raise DatasetError(f"not a readable MATLAB 5 file ({type(error).__name__}: {error})", path) from error


def mat_numbers(
    values: Mapping[str, Any], name: str, shape: tuple[int | None, ...], path: str | PathLike[str]
) -> np.ndarray:
    """A variable as finite numbers within a million.

    Args:
        values: The variables of a file.
        name: Which of them.
        shape: What its shape must be; `None` for an axis of any length above 0.
        path: The file, for the error.

    Returns:
        Float64 of that shape.

    Raises:
        DatasetError: If the variable is not there, not numeric, of another shape, not finite or too large.
    """
    expected = f"expected {name} of shape ({', '.join('any' if n is None else str(n) for n in shape)})"
    if name not in values:
        raise DatasetError(f"{expected}. Received: no such variable", path)
    array = np.asarray(values[name])
    fits = array.ndim == len(shape) and all(
        n > 0 if wanted is None else n == wanted for n, wanted in zip(array.shape, shape, strict=True)
    )
    if array.dtype.kind not in "fiu" or not fits:
        raise DatasetError(f"{expected}. Received: {array.dtype} of shape {array.shape}", path)
    numbers = array.astype(np.float64)
    if not (np.abs(numbers) <= PIXEL_LIMIT).all():  # NaN compares as False
        raise DatasetError(f"expected {name} to be finite and within {PIXEL_LIMIT:g}", path)
    return numbers


def pose_from_para(values: Mapping[str, Any], path: str | PathLike[str]) -> np.ndarray:
    """`(yaw, pitch, roll)` in degrees from `Pose_Para`, which begins with pitch, yaw, roll in radians.

    Args:
        values: The variables of a file.
        path: The file, for the error.

    Returns:
        Float64 `(3,)`.

    Raises:
        DatasetError: If there is no `Pose_Para` of shape (1, 7), or an angle is beyond ten turns.
    """
    pitch, yaw, roll = np.degrees(mat_numbers(values, "Pose_Para", (1, 7), path)[0, :3])
    # AFLW2000-3D itself holds fits that went wrong, of up to 17 radians.
    if max(abs(yaw), abs(pitch), abs(roll)) > 3600:
        raise DatasetError(
            "expected pitch, yaw and roll in radians as the first of Pose_Para. "
            f"Received: {pitch:g}, {yaw:g}, {roll:g} degrees",
            path,
        )
    return np.array([yaw, pitch, roll])
