"""Reading images and cropping the faces in them."""

import math
from os import PathLike
from typing import Any

import numpy as np

from keras_asm.datasets.crop_transform import CropTransform
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.face_crops import FaceCrops
from keras_asm.datasets.landmark_dataset import LandmarkDataset

_NUMPY_PAD_MODES = {"nearest": "edge", "constant": "constant"}
# A square this many times larger than its image shows nothing, and padding it would fill the memory.
_MAX_RELATIVE_SIDE = 16


def crop_faces(
    dataset: LandmarkDataset,
    image_size: int = 224,
    *,
    margin: float = 0.25,
    fill_mode: str = "nearest",
) -> FaceCrops:
    """Cut a square around the landmarks of each face.

    The square has the centre of the landmarks' bounding box and `(1 + 2 * margin)` times its longer side.
    Where it reaches beyond the image it is padded; no face is dropped. Downscaling is antialiased.

    Args:
        dataset: The faces.
        image_size: Width and height of the crops in pixels; 224 by default.
        margin: What is added on each side of the box, as a fraction of its longer side; 0.25 by default.
        fill_mode: `"nearest"` (default) repeats the image's border where a crop reaches beyond it,
            `"constant"` fills with black.

    Returns:
        The crops, with landmarks normalised to them and the transforms that lead back.

    Raises:
        DatasetError: If an image is missing or cannot be read, or if a face lies outside its image or is
            absurdly large for it. Names the image.
        ValueError: If a setting is out of range, or the landmarks of a face are all the same.
        ImportError: If Pillow is not installed.
    """
    _check_fill_mode(fill_mode)
    transform = CropTransform.from_landmarks(dataset.landmarks, image_size, margin)
    images = np.empty((len(dataset), transform.image_size, transform.image_size, 3), dtype=np.uint8)
    for i, path in enumerate(dataset.image_paths):
        image = read_image(path)
        try:
            images[i] = crop_image(
                image, transform.center[i], transform.side[i], transform.image_size, fill_mode=fill_mode
            )
        except ValueError as error:
            raise DatasetError(str(error), path) from error
    return FaceCrops(
        images=images,
        landmarks=transform.normalize(dataset.landmarks),
        transform=transform,
        pose=dataset.pose,
        scheme=dataset.scheme,
        names=dataset.names,
    )


def crop_image(
    image: np.ndarray,
    center: Any,
    side: float,
    image_size: int,
    *,
    fill_mode: str = "nearest",
) -> np.ndarray:
    """Cut one square out of an image and resize it.

    Pixel `p` of the crop shows the source at `((p + 0.5) / image_size - 0.5) * side + center`, as
    `CropTransform` says: the resampling is exact to a fraction of a pixel, whatever the scale.

    Args:
        image: uint8 `(height, width, 3)`.
        center: Centre `(x, y)` of the square in source pixels.
        side: Side of the square in source pixels.
        image_size: Width and height of the result in pixels.
        fill_mode: `"nearest"` (default) repeats the image's border where the square reaches beyond it,
            `"constant"` fills with black.

    Returns:
        uint8 `(image_size, image_size, 3)`.

    Raises:
        ValueError: If the square does not meet the image or is over 16 times as large.
        ImportError: If Pillow is not installed.
    """
    _check_fill_mode(fill_mode)
    pillow = _pillow()
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"image must be uint8 of shape (height, width, 3). Received: {image.dtype} of shape {image.shape}"
        )
    height, width = image.shape[:2]
    if side > _MAX_RELATIVE_SIDE * max(height, width):
        raise ValueError(
            f"The face is over {_MAX_RELATIVE_SIDE} times as large as its image: expected landmarks in "
            f"pixels of this image. Received: a square of {side:g} in an image of {width} x {height} pixels"
        )
    # From pixel centres to Pillow's box, which counts from the outer edge of the first pixel.
    left, top = (float(c) + 0.5 - side / 2 for c in center)
    right, bottom = left + side, top + side
    if not (left < width and top < height and right > 0 and bottom > 0):
        raise ValueError(
            "The face lies outside its image: expected landmarks in pixels of this image. Received: a "
            f"square from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) in {width} x {height} pixels"
        )

    # The triangle filter of an antialiased resize reaches one target pixel beyond the square.
    reach = math.ceil(max(1.0, side / image_size)) + 1
    x0, y0 = math.floor(left) - reach, math.floor(top) - reach
    x1, y1 = math.ceil(right) + reach, math.ceil(bottom) + reach
    part = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    padding = ((max(-y0, 0), max(y1 - height, 0)), (max(-x0, 0), max(x1 - width, 0)), (0, 0))
    if any(before or after for before, after in padding):
        part = np.pad(part, padding, mode=_NUMPY_PAD_MODES[fill_mode])  # type: ignore[call-overload]
    box = (left - x0, top - y0, right - x0, bottom - y0)
    resized = pillow.fromarray(np.ascontiguousarray(part)).resize(
        (image_size, image_size), pillow.Resampling.BILINEAR, box=box
    )
    return np.asarray(resized)


def read_image(path: str | PathLike[str]) -> np.ndarray:
    """Read an image file as 8-bit RGB.

    Grey, palette, CMYK and 16-bit images are converted, an alpha channel is dropped. An EXIF orientation
    is not applied: landmarks refer to the pixels as they are stored.

    Args:
        path: The file, in any format that Pillow reads.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        DatasetError: If the file is missing, empty, cut off or no image. Names the file.
        ImportError: If Pillow is not installed.
    """
    pillow = _pillow()
    try:
        with pillow.open(path) as image:
            if image.mode == "I" or image.mode.startswith("I;16"):
                # Pillow clips 16-bit grey at 255 instead of scaling it.
                grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535) / 257
                return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise DatasetError("there is no such image", path) from None
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, DecompressionBombError, ...
        raise DatasetError(f"the image cannot be read ({type(error).__name__}: {error})", path) from error


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Reading images needs Pillow: pip install "keras-asm[images]"') from error
    return Image


def _check_fill_mode(fill_mode: str) -> None:
    if fill_mode not in _NUMPY_PAD_MODES:
        raise ValueError(f"fill_mode must be one of {list(_NUMPY_PAD_MODES)}. Received: {fill_mode!r}")
