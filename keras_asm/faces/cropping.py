"""Reading images and cropping the faces in them."""

import hashlib
import math
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import Any

import keras
import numpy as np

from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.faces._crop_cache import cached_images
from keras_asm.faces.crop_transform import CropTransform
from keras_asm.faces.face_crops import FaceCrops

__all__ = ["crop_faces", "crop_image", "detect_boxes", "jitter_boxes", "read_image"]

_NUMPY_PAD_MODES = {"nearest": "edge", "constant": "constant"}
# A square this many times larger than its image shows nothing, and padding it would fill the memory.
_MAX_RELATIVE_SIDE = 16
_FACES_PER_TASK = 16


def crop_faces(
    dataset: LandmarkDataset,
    image_size: int = 224,
    *,
    margin: float = 0.25,
    boxes: str | np.ndarray | Callable[[np.ndarray], Any] = "landmarks",
    jitter: tuple[float, float] | None = None,
    seed: int = 0,
    fill_mode: str = "nearest",
    cache: str | PathLike[str] | None = None,
    verbose: int = 1,
) -> FaceCrops:
    """Cut a square around the box of each face.

    The square has the centre of the box and `(1 + 2 * margin)` times its longer side. Where it reaches
    beyond the image it is padded; no face is dropped. Downscaling is antialiased. Landmarks may lie outside
    of their crop where the box is not theirs; they are kept as they are.

    Images are read by as many threads as there are cores. With `cache`, the crops are kept in a file and
    read from there as they are needed, so that a set may be larger than the memory: the images of the result
    are a read-only memory map. What has been cut in a run that was killed is not cut again. An entry belongs
    to the crops' size, squares and filling, and to the path, size and time of change of each image file; when
    one of these changes, a new entry is made beside the old one. Remove the folder to free its space.

    Args:
        dataset: The faces.
        image_size: Width and height of the crops in pixels; 224 by default.
        margin: What is added on each side of the box, as a fraction of its longer side; 0.25 by default.
        boxes: `"landmarks"` (default) takes the bounding boxes of the landmarks, `"given"` those of the data
            set. An array `(n, 4)` of `left, top, right, bottom` in source pixels is taken as it is; a
            detector is a callable as `detect_boxes` has it, and must find every face.
        jitter: `(shift, scale)` of `jitter_boxes`, which moves and scales each box at random, as detectors do.
            `None` (default) leaves the boxes where they are.
        seed: Seed of the jitter. 0 by default.
        fill_mode: `"nearest"` (default) repeats the image's border where a crop reaches beyond it,
            `"constant"` fills with black.
        cache: Folder for the crops; made if there is none. `None` (default) keeps them in memory.
        verbose: 1 (default) shows a progress bar, 0 does not.

    Returns:
        The crops, with landmarks normalised to them and the transforms that lead back.

    Raises:
        DatasetError: If an image is missing or cannot be read, if a detector does not find a face, or if a
            face lies outside its image or is absurdly large for it. Names the image.
        ValueError: If a setting is out of range, the landmarks of a face are all the same, or the data set
            has no boxes where they are asked for.
        ImportError: If Pillow is not installed.
    """
    _check_fill_mode(fill_mode)
    _pillow()
    corners = _boxes(dataset, boxes, verbose)
    if jitter is not None:
        if np.shape(jitter) != (2,):
            raise ValueError(f"jitter must be a pair, (shift, scale). Received: {jitter!r}")
        shift, scale = jitter
        corners = jitter_boxes(corners, shift, scale, seed=seed)
    transform = CropTransform.from_boxes(corners, image_size, margin)
    return FaceCrops(
        images=_cut(dataset.image_paths, transform, fill_mode, cache, verbose),
        landmarks=transform.normalize(dataset.landmarks),
        transform=transform,
        pose=dataset.pose,
        scheme=dataset.scheme,
        names=dataset.names,
    )


def detect_boxes(
    dataset: LandmarkDataset, detector: Callable[[np.ndarray], Any], *, verbose: int = 1
) -> np.ndarray:
    """Run a face detector over a data set.

    Detectors miss faces. Here a miss is a row of NaN, to be counted, left out or filled in:

        boxes = detect_boxes(faces, detector)
        found = np.isfinite(boxes).all(axis=1)
        crops = crop_faces(faces.select(found), boxes=boxes[found])

    Args:
        dataset: The faces.
        detector: Called with one image, uint8 `(height, width, 3)`, RGB. Returns `left, top, right, bottom`
            in its pixels, or `None` where it finds no face. Which of several faces is meant is for the
            detector to choose.
        verbose: 1 (default) shows a progress bar, 0 does not.

    Returns:
        Float64 `(n, 4)`, rows of NaN where no face was found.

    Raises:
        DatasetError: If an image is missing or cannot be read, or the detector returns anything else. Names
            the image.
        ImportError: If Pillow is not installed.
    """
    found = np.full((len(dataset), 4), np.nan)
    progress = _Progress(len(dataset), verbose)
    for i, path in enumerate(dataset.image_paths):
        box = detector(read_image(path))
        if box is not None:
            corners = np.asarray(box, dtype=np.float64)
            if corners.shape != (4,) or not np.isfinite(corners).all() or (corners[2:] <= corners[:2]).any():
                raise DatasetError(
                    "A detector must return left < right and top < bottom as (left, top, right, bottom), or "
                    f"None. Received: {box!r}",
                    path,
                )
            found[i] = corners
        progress.update(i + 1)
    return found


def jitter_boxes(boxes: Any, shift: float = 0.05, scale: float = 0.1, *, seed: int = 0) -> np.ndarray:
    """Move and scale boxes at random, about as much as detectors disagree.

    With the longer side `a` of a box and independent uniform `u` in [-1, 1), its centre moves by
    `(shift * a * u_1, shift * a * u_2)` and its sides are multiplied by `1 + scale * u_3`.

    Args:
        boxes: `(n, 4)`, `left, top, right, bottom`.
        shift: Largest shift in x and in y, as a fraction of the longer side, from 0; 0.05 by default.
        scale: Largest relative change of size, from 0 and below 1; 0.1 by default.
        seed: Seed of the draws, which depend on it and on the place of a box in the array. 0 by default.

    Returns:
        Float64 `(n, 4)`.

    Raises:
        ValueError: If a number is out of range or `boxes` has another shape.

    Examples:
        >>> from keras_asm.faces import jitter_boxes
        >>> jitter_boxes([[10, 20, 50, 60]], shift=0.1, scale=0.0, seed=1).round(2)
        array([[10.09, 23.6 , 50.09, 63.6 ]])
    """
    corners = np.asarray(boxes, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise ValueError(f"boxes must have the shape (n, 4). Received: shape {corners.shape}")
    if not (0 <= shift < math.inf and 0 <= scale < 1):
        raise ValueError(
            f"Expected a shift from 0 and a scale from 0 and below 1. Received: shift={shift!r}, scale={scale!r}"
        )
    draws = 2 * np.random.default_rng(seed).random((len(corners), 3)) - 1
    half = (corners[:, 2:] - corners[:, :2]) / 2
    center = (corners[:, 2:] + corners[:, :2]) / 2 + 2 * shift * half.max(axis=1, keepdims=True) * draws[
        :, :2
    ]
    half = half * (1 + scale * draws[:, 2:])
    return np.concatenate([center - half, center + half], axis=1)


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
        image: Uint8 `(height, width, 3)`.
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


def _boxes(dataset: LandmarkDataset, boxes: Any, verbose: int) -> np.ndarray:
    if callable(boxes):
        corners = detect_boxes(dataset, boxes, verbose=verbose)
        missing = (
            "in which the detector found no face; detect_boxes says which, to leave them out or fill them in"
        )
    elif isinstance(boxes, str):
        if boxes == "landmarks":
            return np.concatenate([dataset.landmarks.min(axis=1), dataset.landmarks.max(axis=1)], axis=1)
        if boxes != "given":
            raise ValueError(
                f"boxes must be 'landmarks', 'given', an array (n, 4) or a detector. Received: {boxes!r}"
            )
        if dataset.boxes is None:
            raise ValueError(
                "boxes='given' needs a data set with boxes; boxes='landmarks' needs none. "
                f"Received: {dataset.title!r} without boxes"
            )
        corners = dataset.boxes
        missing = "without a box; leave them out with select, or take boxes='landmarks'"
    else:
        corners = np.asarray(boxes, dtype=np.float64)
        missing = "without a box (NaN); leave them out of both with select"
        if corners.shape != (len(dataset), 4):
            raise ValueError(
                f"boxes must have the shape ({len(dataset)}, 4), one box per face. "
                f"Received: shape {corners.shape}"
            )
    without = np.flatnonzero(np.isnan(corners).any(axis=1))
    if len(without):
        raise DatasetError(
            f"Every face needs a box. Received: {len(without)} of {len(dataset)} faces {missing}. "
            "This is the first of them",
            dataset.image_paths[without[0]],
        )
    return corners


def _cut(
    paths: Sequence[str],
    transform: CropTransform,
    fill_mode: str,
    cache: str | PathLike[str] | None,
    verbose: int,
) -> np.ndarray:
    size = transform.image_size
    shape = (len(paths), size, size, 3)

    def fill(images: np.ndarray, first: int) -> Generator[int, None, None]:
        """Cut the faces from `first` on; gives how many are done, from time to time."""

        def cut(start: int) -> int:
            stop = min(start + _FACES_PER_TASK, len(paths))
            known, image = "", np.empty(0)
            for i in range(start, stop):
                if paths[i] != known:  # several faces of a picture usually stand together
                    known, image = paths[i], read_image(paths[i])
                try:
                    images[i] = crop_image(
                        image, transform.center[i], transform.side[i], size, fill_mode=fill_mode
                    )
                except ValueError as error:
                    raise DatasetError(str(error), paths[i]) from error
            return stop

        progress = _Progress(len(paths), verbose)
        # Threads, since Pillow decodes and resizes without Python's lock; processes were not faster.
        executor = ThreadPoolExecutor()
        try:
            for done in executor.map(cut, range(first, len(paths), _FACES_PER_TASK)):
                progress.update(done)
                yield done
        finally:
            executor.shutdown(cancel_futures=True)

    if cache is None:
        images = np.empty(shape, dtype=np.uint8)
        for _ in fill(images, 0):
            pass
        return images
    return cached_images(cache, shape, fill, _content(paths, transform, fill_mode))


def _content(paths: Sequence[str], transform: CropTransform, fill_mode: str) -> dict[str, Any]:
    """What decides how the crops look."""
    files = hashlib.sha256()
    known: dict[str, bytes] = {}
    for path in paths:
        if path not in known:
            try:
                stat = os.stat(path)
            except OSError as error:
                reason = "there is no such image" if isinstance(error, FileNotFoundError) else str(error)
                raise DatasetError(reason, path) from None
            known[path] = f"{os.path.abspath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode()
        files.update(known[path])
    squares = hashlib.sha256(transform.center.tobytes() + transform.side.tobytes())
    return {
        "fill_mode": fill_mode,
        "image_files": files.hexdigest(),
        "squares": squares.hexdigest(),
    }


class _Progress:
    """A progress bar, drawn twice a second: each drawing is a line where output goes to a file."""

    def __init__(self, n: int, verbose: int) -> None:
        self._bar = keras.utils.Progbar(n, verbose=1, interval=0.5, unit_name="face") if verbose else None

    def update(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Reading images needs Pillow: pip install "keras-asm[images]"') from error
    return Image


def _check_fill_mode(fill_mode: str) -> None:
    if fill_mode not in _NUMPY_PAD_MODES:
        raise ValueError(f"fill_mode must be one of {list(_NUMPY_PAD_MODES)}. Received: {fill_mode!r}")
