"""Reading images and cropping the faces in them."""

import hashlib
import math
import os
import warnings
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
from keras_asm.landmarks import landmark_boxes

__all__ = ["crop_faces", "crop_image", "detect_boxes", "jitter_boxes", "read_image"]

_NUMPY_PAD_MODES = {"nearest": "edge", "constant": "constant"}
# A square this many times larger than its image shows nothing, and padding it would fill the memory.
_MAX_RELATIVE_SIDE = 16
_FACES_PER_TASK = 16
_EXIF = ("ignore", "apply")
_ORIENTATION_TAG = 0x0112


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
    exif: str | None = None,
    verbose: int = 1,
) -> FaceCrops:
    """Cut a square around the box of each face.

    The square has the centre of the box and `(1 + 2 * margin)` times its longer side. Where it reaches
    beyond the image it is padded; no face is dropped. Downscaling is antialiased. Landmarks may lie outside
    of their crop where the box is not theirs; they are kept as they are. Those without a position stay NaN, and the
    box of a face's landmarks is that of the others.

    Images are read by as many threads as there are cores. With `cache`, the crops are kept in a file and
    read from there as they are needed, so that a set may be larger than the memory: the images of the result
    are a read-only memory map. What has been cut in a run that was killed is not cut again. An entry belongs
    to the crops' size, squares and filling, to whether an EXIF orientation is applied, and to the path, size and
    time of change of each image file; when one of these changes, a new entry is made beside the old one. Remove
    the folder to free its space.

    Cameras store photographs as the sensor lies, with a tag that says how to turn them. Landmarks of public data sets
    refer to the pixels as they are stored. Landmarks that were set in a program that shows images upright, as LabelMe,
    CVAT and browsers do, refer to the upright image.

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
        exif: `"ignore"` takes the pixels as they are stored, `"apply"` turns them upright by their EXIF orientation;
            landmarks and boxes are taken to be those of the same pixels. `None` (default) ignores the orientation too,
            and warns if an image that is read has one.
        verbose: 1 (default) shows a progress bar, 0 does not.

    Returns:
        The crops, with landmarks normalised to them and the transforms that lead back.

    Raises:
        DatasetError: If an image is missing or cannot be read, if a detector does not find a face, or if a
            face lies outside its image or is absurdly large for it. Names the image.
        ValueError: If a setting is out of range, the landmarks of a face are all the same, or the data set
            has no boxes where they are asked for.
        ImportError: If Pillow is not installed.

    Warns:
        UserWarning: If `exif` is `None` and images have an EXIF orientation; says how many. Crops that come from the
            cache have been warned of when they were made.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from keras_asm.datasets import LandmarkDataset
        >>> from keras_asm.faces import crop_faces
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (100, 80)).save(f"{folder}/face.png")
        ...     faces = LandmarkDataset([f"{folder}/face.png"], [[[30, 20], [70, 20], [50, 60]]])
        ...     crops = crop_faces(faces, image_size=32, verbose=0)
        >>> crops.images.shape, bool(np.allclose(crops.landmarks[0, 0], -1 / 3))
        ((1, 32, 32, 3), True)
        >>> bool(np.allclose(crops.transform.undo(crops.landmarks), faces.landmarks))
        True

    See Also:
        - [`FaceCrops`][keras_asm.faces.FaceCrops]: what it returns.
        - [`detect_boxes`][keras_asm.faces.detect_boxes]: boxes as they will be in use.
        - [`LandmarkBatches`][keras_asm.faces.LandmarkBatches]: feeds the crops to `fit`.
        - [Boxes][boxes]: which box to crop around.
    """
    _check_fill_mode(fill_mode)
    _check_exif(exif)
    _pillow()
    with _TurnedImages(exif) as turned:
        corners = _boxes(dataset, boxes, turned, verbose)
        if jitter is not None:
            if np.shape(jitter) != (2,):
                raise ValueError(f"jitter must be a pair, (shift, scale). Received: {jitter!r}")
            shift, scale = jitter
            corners = jitter_boxes(corners, shift, scale, seed=seed)
        transform = CropTransform.from_boxes(corners, image_size, margin)
        return FaceCrops(
            images=_cut(dataset.image_paths, transform, fill_mode, cache, turned, verbose),
            landmarks=transform.normalize(dataset.landmarks),
            transform=transform,
            pose=dataset.pose,
            scheme=dataset.scheme,
            names=dataset.names,
        )


def detect_boxes(
    dataset: LandmarkDataset,
    detector: Callable[[np.ndarray], Any],
    *,
    exif: str | None = None,
    verbose: int = 1,
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
        exif: As in `crop_faces`, which should be given the same.
        verbose: 1 (default) shows a progress bar, 0 does not.

    Returns:
        Float64 `(n, 4)`, rows of NaN where no face was found.

    Raises:
        DatasetError: If an image is missing or cannot be read, or the detector returns anything else. Names
            the image.
        ValueError: If `exif` is none of the two.
        ImportError: If Pillow is not installed.

    Warns:
        UserWarning: As `crop_faces`.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from keras_asm.datasets import LandmarkDataset
        >>> from keras_asm.faces import detect_boxes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (100, 80)).save(f"{folder}/face.png")
        ...     faces = LandmarkDataset([f"{folder}/face.png"], np.zeros((1, 68, 2)))
        ...     detect_boxes(faces, lambda image: [10, 10, 50, 60], verbose=0)
        array([[10., 10., 50., 60.]])

    See Also:
        - [`jitter_boxes`][keras_asm.faces.jitter_boxes]: imitates a detector where there is none.
        - [`correct_boxes`][keras_asm.inference.correct_boxes]: moves the boxes to where the landmarks lie.
    """
    _check_exif(exif)
    with _TurnedImages(exif) as turned:
        return _detected(dataset, detector, turned, verbose)


def _detected(
    dataset: LandmarkDataset, detector: Callable[[np.ndarray], Any], turned: "_TurnedImages", verbose: int
) -> np.ndarray:
    found = np.full((len(dataset), 4), np.nan)
    progress = _Progress(len(dataset), verbose)
    for i, path in enumerate(dataset.image_paths):
        box = detector(turned.read(path))
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

    See Also:
        - [`detect_boxes`][keras_asm.faces.detect_boxes]: the boxes of a real detector.
        - [`LandmarkAugmentation`][keras_asm.layers.LandmarkAugmentation]: moves the crop anew in every epoch.
        - [Boxes][boxes]: which box to crop around.
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

    Examples:
        >>> import numpy as np
        >>> from keras_asm.faces import crop_image
        >>> image = np.zeros((60, 80, 3), dtype="uint8")
        >>> image[20:40, 30:50] = 255
        >>> crop = crop_image(image, center=(39.5, 29.5), side=20, image_size=10)
        >>> crop.shape, int(crop[5, 5, 0])
        ((10, 10, 3), 255)

    See Also:
        - [`crop_faces`][keras_asm.faces.crop_faces]: does it for a data set.
        - [`CropTransform`][keras_asm.faces.CropTransform]: takes landmarks there and back.
        - [`read_image`][keras_asm.faces.read_image]: reads what it cuts from.
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


def read_image(source: Any, exif: str = "ignore") -> np.ndarray:
    """Read an image file, or take an image that has been read, as 8-bit RGB.

    Grey, palette, CMYK, 16-bit and float images are converted, an alpha channel is dropped, and of several frames
    the first is taken.

    | numbers | are taken as |
    |---|---|
    | Boolean | black and white |
    | 16-bit | 0 to 65535 |
    | other integers | 0 to 255 |
    | float | 0 to 1, if none is above 1; otherwise 0 to 255 |

    Args:
        source: The file, in any format that Pillow reads; an image of Pillow's; or an array `(height, width)` or
            `(height, width, channels)`, with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 channels (RGB and alpha).
        exif: `"ignore"` (default) leaves the pixels as they are stored, to which the landmarks of data sets refer.
            `"apply"` turns them upright by the EXIF orientation, as viewers do. Arrays have none.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        DatasetError: If the file is missing, empty, cut off or no image. Names the file.
        ValueError: If `exif` is none of the two, or an array has another shape or numbers out of range.
        ImportError: If Pillow is not installed.

    Examples:
        >>> from keras_asm.faces import read_image
        >>> read_image(np.array([[0.0, 0.5, 1.0]]))[..., 0]
        array([[  0, 128, 255]], dtype=uint8)

    See Also:
        - [`crop_image`][keras_asm.faces.crop_image]: cuts a square out of it.
        - [`find_pictures`][keras_asm.inference.find_pictures]: the files of a folder.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: reads pictures by itself.
    """
    if exif not in _EXIF:
        raise ValueError(f"exif must be one of {list(_EXIF)}. Received: {exif!r}")
    if isinstance(source, str | PathLike):
        return _read(source, exif)[0]
    if hasattr(source, "getexif"):
        try:
            return _upright(source, exif)[0]
        except Exception as error:  # Pillow decodes when pixels are asked for
            raise DatasetError(f"the image cannot be read ({type(error).__name__}: {error})") from error
    return _rgb_of_array(source)


def _read(path: str | PathLike[str], exif: str) -> tuple[np.ndarray, int]:
    """The image, and its EXIF orientation from 1 (upright) to 8."""
    pillow = _pillow()
    try:
        with pillow.open(path) as image:
            return _upright(image, exif)
    except FileNotFoundError:
        raise DatasetError("there is no such image", path) from None
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, DecompressionBombError, ...
        raise DatasetError(f"the image cannot be read ({type(error).__name__}: {error})", path) from error


def _upright(image: Any, exif: str) -> tuple[np.ndarray, int]:
    # Pillow turns TIFF by itself when it decodes it, and drops the tag. Of other formats the tag is read last:
    # PNG is decoded for it, and Pillow raises the error of a damaged file only once.
    before = _orientation(image) if image.format == "TIFF" else 1
    pixels = _rgb(image)
    after = _orientation(image)
    if exif == "apply":
        pixels = _turned(pixels, after)
    elif after == 1:  # what decoding has turned
        pixels = _turned(pixels, {6: 8, 8: 6}.get(before, before))
    return pixels, max(before, after)


def _rgb(image: Any) -> np.ndarray:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey at 255 instead of scaling it.
        grey = np.clip(np.asarray(image).astype(np.int64), 0, 65535) / 257
        return np.repeat(np.round(grey).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode == "F":  # which Pillow would clip at 255 too, so that 0 to 1 is black
        return _rgb_of_array(np.asarray(image))
    return np.array(image.convert("RGB"))


def _rgb_of_array(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or 0 in array.shape:
        raise ValueError(
            "An image must be a path, an image of Pillow's, or an array (height, width) or (height, width, channels) "
            f"with 1 to 4 channels. Received: {type(values).__name__} of shape {array.shape}"
        )
    array = array[..., : 1 if array.shape[2] < 3 else 3]
    if array.dtype == bool:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = np.rint(array / 257).astype(np.uint8)
    elif array.dtype != np.uint8:
        if array.dtype.kind not in "fiu":
            raise ValueError(f"An image must consist of numbers. Received: an array of {array.dtype}")
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 255):  # NaN compares as False
            raise ValueError(
                "Numbers of an image must lie within 0 to 255, or 0 to 1 for floats, or be uint16. "
                f"Received: {array.dtype} from {low} to {high}"
            )
        scale = 255.0 if array.dtype.kind == "f" and high <= 1 else 1.0
        array = np.rint(array * scale).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def _orientation(image: Any) -> int:
    try:
        tag = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damage in what is not needed to read the pixels
        return 1
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels as EXIF says: 2 and 4 mirror, 3 is half a turn, 6 and 8 a quarter, 5 and 7 mirror along a diagonal."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


class _TurnedImages:
    """Reads images, and warns at the end of those with an orientation, if nobody has said what it means."""

    def __init__(self, exif: str | None) -> None:
        self.exif = exif or "ignore"
        self._warn = exif is None
        self._found: dict[str, None] = {}

    def read(self, path: str) -> np.ndarray:
        if not self._warn:
            return _read(path, self.exif)[0]
        image, orientation = _read(path, self.exif)
        if orientation != 1:
            self._found[path] = None
        return image

    def __enter__(self) -> "_TurnedImages":
        return self

    def __exit__(self, *_: object) -> None:
        # After an error too: a face that lies outside its image may be the consequence
        if self._found:
            warnings.warn(
                f"{len(self._found)} images have an EXIF orientation, and it is not applied. That is right where "
                "landmarks refer to the pixels as they are stored, as in public data sets, and wrong where they were "
                "set in a program that shows images upright. Pass exif='ignore' or exif='apply' to say which. "
                f"Received: {min(self._found)}, for one",
                stacklevel=3,  # whoever called crop_faces or detect_boxes
            )


def _boxes(dataset: LandmarkDataset, boxes: Any, turned: _TurnedImages, verbose: int) -> np.ndarray:
    if callable(boxes):
        corners = _detected(dataset, boxes, turned, verbose)
        missing = (
            "in which the detector found no face; detect_boxes says which, to leave them out or fill them in"
        )
    elif isinstance(boxes, str):
        if boxes == "landmarks":
            corners = landmark_boxes(dataset.landmarks)
            missing = "without a landmark that has a position; leave them out with select, or give boxes"
        elif boxes != "given":
            raise ValueError(
                f"boxes must be 'landmarks', 'given', an array (n, 4) or a detector. Received: {boxes!r}"
            )
        elif dataset.boxes is None:
            raise ValueError(
                "boxes='given' needs a data set with boxes; boxes='landmarks' needs none. "
                f"Received: {dataset.title!r} without boxes"
            )
        else:
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
    turned: _TurnedImages,
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
                    known, image = paths[i], turned.read(paths[i])
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
    return cached_images(cache, shape, fill, _content(paths, transform, fill_mode, turned.exif))


def _content(paths: Sequence[str], transform: CropTransform, fill_mode: str, exif: str) -> dict[str, Any]:
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
        # Only where it changes the pixels, so that entries of before are still found
        **({"exif": exif} if exif != "ignore" else {}),
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


def _check_exif(exif: str | None) -> None:
    if exif is not None and exif not in _EXIF:
        raise ValueError(f"exif must be one of {list(_EXIF)}, or None. Received: {exif!r}")


def _check_fill_mode(fill_mode: str) -> None:
    if fill_mode not in _NUMPY_PAD_MODES:
        raise ValueError(f"fill_mode must be one of {list(_NUMPY_PAD_MODES)}. Received: {fill_mode!r}")
