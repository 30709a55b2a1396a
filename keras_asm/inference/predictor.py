"""From pictures to landmarks and head pose."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_asm.applications import PRETRAINED, pretrained_file
from keras_asm.datasets import DatasetError
from keras_asm.faces import CropTransform, crop_image, read_image
from keras_asm.inference._partial_table import PartialTable, part_path
from keras_asm.inference.confidence import shape_distance
from keras_asm.inference.detectors import get_detector
from keras_asm.inference.exported import ExportedModel, is_exported
from keras_asm.inference.model_info import LandmarkModelInfo, read_model_info, write_model_info
from keras_asm.inference.results import Face, Predictions, write_table
from keras_asm.landmarks import as_flat, as_points, mirror_landmarks, split_log_scale
from keras_asm.pose import mirror_pose

__all__ = ["LandmarkPredictor", "find_pictures"]

_IMAGE_SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
# Sizes of the batches that a network sees, besides the largest: one face, or a group of people. Each size is compiled
# once; any other would be compiled again.
_SMALL_BATCHES = (1, 8)
_READ_AHEAD = 4  # pictures
_MOST_HELD = 256 * 2**20  # bytes of pictures that wait to be cropped anew
_FAR = 4.0  # in sides of the crop, of a face's farthest landmark; untrained networks stay nearer

Detector = Callable[[np.ndarray], Any]


class LandmarkPredictor:
    """Finds the faces of pictures, their landmarks and their head poses.

    What comes back is in pixels of the picture: `x` right and `y` down, 0-based, integers at pixel centres. Pictures
    are taken upright, by their EXIF orientation. A crop is only shifted and scaled, so the pose is that in the picture.

    | input | result |
    |---|---|
    | a path, an array or an image of Pillow's (what `read_image` takes) | a list of `Face`, empty if there is none |
    | a list of these, or an array `(n, height, width, channels)` | `Predictions`, a list of faces for each |
    | a folder | `Predictions` of all pictures in it and in its folders, sorted |

    Faces are in the order of the detector. A network sees batches of a few fixed sizes (1, 8 and `batch_size`, filled
    up by repetition), so it is compiled a few times and no more.

    Args:
        model: Name of a network that comes with the package (see `pretrained_file`; the first one by default), path of
            a model with a description (see `LandmarkModelInfo`), be it a `.keras` file or an exported one
            (`ExportedModel` lists the formats), a Keras model, or any function of images
            `(n, image_size, image_size, 3)`, float32 in the description's range, that returns what a Keras model does.
        detector: Any callable that takes a picture, uint8 `(height, width, 3)`, and returns the boxes of its faces,
            `(n, 4)`, left, top, right and bottom in its pixels. They stand for bounding boxes of landmarks; the
            detectors of `keras_asm.inference` are corrected for that. `"yunet"`, `"dlib"` and `"mtcnn"` name these. By
            default YuNet, when a detector is first needed.
        info: What the network's inputs and outputs mean. By default what lies in the model's file or beside it.
        flip_test: Average the prediction with that of the mirrored picture, as `predict_with_flip` does. Lowers the
            error and costs a second pass. `False` by default.
        refine: How often each face is cropped anew by the landmarks that were found, and predicted again. A detector's
            box is off by a few percent, that of a turned face by more. A second look takes back a part of what this
            costs, and doubles the time of the network. 0 by default.
        project: Put implausible shapes back by the description's shape model. `False` by default. The confidence is
            that of the shape before.
        batch_size: Faces that the network sees at a time, at most; 32 by default.
        exif: `"apply"` (default) turns pictures upright by their EXIF orientation, `"ignore"` takes the pixels as they
            are stored, to which the landmarks of data sets refer.

    Attributes:
        info: The description.
        model: The Keras model or function.

    Raises:
        ValueError: If the description is missing or does not fit the model, or a setting is out of range.
        FileNotFoundError: If there is no such file.

    Examples:
        >>> import keras
        >>> from keras_asm import ASMNet
        >>> from keras_asm.inference import LandmarkModelInfo, LandmarkPredictor
        >>> net = ASMNet(input_shape=(32, 32, 3), width_multiplier=0.35)  # or a trained one
        >>> predictor = LandmarkPredictor(net, info=LandmarkModelInfo("300w", image_size=32))
        >>> photo = np.zeros((120, 160, 3), dtype="uint8")
        >>> face, = predictor(photo, boxes=[[40, 20, 100, 90]])
        >>> face.landmarks.shape, face.pose.shape
        ((68, 2), (3,))
        >>> predictor.save("net.keras")
        >>> LandmarkPredictor("net.keras").info.image_size
        32

    See Also:
        - [`LandmarkTracker`][keras_asm.inference.LandmarkTracker]: the same for videos.
        - [`Face`][keras_asm.inference.Face]: what it finds.
        - [`pretrained_file`][keras_asm.applications.pretrained_file]: the networks that come with the
          package.
        - [From a picture to landmarks][from-a-picture-to-landmarks]: detectors, confidence and networks of
          yours.
    """

    def __init__(
        self,
        model: Any = None,
        detector: Detector | str | None = None,
        *,
        info: LandmarkModelInfo | None = None,
        flip_test: bool = False,
        refine: int = 0,
        project: bool = False,
        batch_size: int = 32,
        exif: str = "apply",
    ) -> None:
        if model is None or (isinstance(model, str) and model in PRETRAINED):
            model = pretrained_file(model)
            _say_terms(read_model_info(model).notice)
        if isinstance(model, str | PathLike):
            if info is None:
                info = read_model_info(model)
            elif not os.path.exists(model):
                raise FileNotFoundError(f"There is no such model. Received: {model}")
            model = (
                ExportedModel(model) if is_exported(model) else keras.models.load_model(model, compile=False)
            )
        if info is None:
            raise ValueError(
                "A model alone does not say what its outputs mean: pass info=LandmarkModelInfo(scheme=..., "
                f"image_size=..., crop_margin=...), with the values of its training. Received: info=None with {model!r}"
            )
        if not isinstance(info, LandmarkModelInfo):
            raise ValueError(f"info must be a LandmarkModelInfo. Received: {info!r}")
        if not callable(model):
            raise ValueError(f"model must be a path, a Keras model or a function. Received: {model!r}")
        if not (detector is None or isinstance(detector, str) or callable(detector)):
            raise ValueError(f"detector must be a callable or a name. Received: {detector!r}")
        if project and info.shape_model is None:
            raise ValueError(
                "project=True needs a description with a shape model. Received: one with shape_model=None"
            )
        if int(refine) != refine or refine < 0:
            raise ValueError(f"refine must be a whole number, at least 0. Received: {refine!r}")
        if int(batch_size) != batch_size or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number above 0. Received: {batch_size!r}")
        if exif not in ("apply", "ignore"):
            raise ValueError(f"exif must be 'apply' or 'ignore'. Received: {exif!r}")
        self.model = model
        self.info = info
        self.flip_test = flip_test
        self.refine = int(refine)
        self.project = project
        self.batch_size = int(batch_size)
        self.exif = exif
        self._detector = get_detector(detector) if isinstance(detector, str) else detector
        self._batch_sizes = sorted({*(n for n in _SMALL_BATCHES if n < batch_size), self.batch_size})
        self._crop_rule = info.image_size, info.crop_margin
        self._channels_first = isinstance(model, keras.Model) and _check_model(model, info)

    def __call__(
        self,
        source: Any,
        boxes: Any = None,
        *,
        table: str | PathLike[str] | None = None,
        verbose: int | None = None,
    ) -> Any:
        """Find faces in a picture, in several, or in all of a folder.

        Args:
            source: As in the table above.
            boxes: Where the faces are, in place of the detector: `(n, 4)`, left, top, right and bottom of the
                landmarks' bounding boxes in pixels of the upright picture. For several pictures a sequence, with the
                boxes of each or `None` for the detector. `"image"` says that each picture is a crop already, such as
                the network was trained on; its longer side is the crop's.
            table: A CSV file for the results, as `write_table` writes it. While it is not complete it is called
                `NAME.part`; if the process is interrupted, the next call with the same pictures, boxes and settings
                goes on from there. For several pictures only. By default none.
            verbose: 1 shows a progress bar, 0 does not. `None` (default) shows one for a folder.

        Returns:
            A list of `Face`, or `Predictions`.

        Raises:
            DatasetError: If the only picture cannot be read, or a folder holds no picture. Of several pictures, those
                that cannot be read are listed in `Predictions.unreadable`.
            ValueError: If a box is empty or lies outside its picture, a detector returns no boxes, or the outputs of
                the network do not fit its description.
            ImportError: If a detector is needed and not installed.

        Warns:
            UserWarning: If some of several pictures cannot be read.
        """
        sources, names, several = _pictures(source)
        if not several:
            if table is not None:
                raise ValueError(
                    f"table is for several pictures: pass a list or a folder. Received: table={table!r}"
                )
            image = read_image(sources[0], self.exif)
            ((_, faces),) = self._faces([(0, image, self._boxes_in(image, boxes, names[0]))], names)
            return faces
        if boxes is None or isinstance(boxes, str):
            boxes = [boxes] * len(sources)
        if len(boxes) != len(sources):
            raise ValueError(
                f"There must be boxes for each of {len(sources)} pictures, or None. Received: {len(boxes)}"
            )
        verbose = isinstance(source, str | PathLike) if verbose is None else verbose
        found: dict[str, list[Face]] = {}
        unreadable: dict[str, str] = {}
        with contextlib.ExitStack() as stack:
            keep = None
            if table is not None:
                if len(set(names)) < len(names):
                    raise ValueError(
                        "With a table, each picture may be given once. Received: one several times"
                    )
                keep = stack.enter_context(
                    PartialTable(
                        table,
                        self._settings(names, boxes),
                        self.info.scheme,
                        self.info.uncertainty_output is not None,
                    )
                )
                found, unreadable = dict(keep.pictures), dict(keep.unreadable)
            bar = keras.utils.Progbar(len(sources), interval=0.5, unit_name="picture") if verbose else None
            todo = [i for i, name in enumerate(names) if name not in found]
            results: dict[int, list[Face]] = {}
            for i, faces, error in self._stream(sources, names, boxes, todo):
                results[i] = faces
                if error:
                    unreadable[names[i]] = error
                if keep is not None:
                    keep.add(names[i], faces, error)
                if bar is not None:
                    bar.update(len(sources) - len(todo) + len(results))
        every = tuple(results[i] if i in results else found[name] for i, name in enumerate(names))
        predictions = Predictions(tuple(names), every, self.info.scheme, unreadable)
        if table is not None:
            write_table(table, predictions)
            part_path(table).unlink()
        if unreadable:
            warnings.warn(
                f"{len(unreadable)} of {len(sources)} pictures cannot be read; `unreadable` of the result says why. "
                f"Received: {next(iter(unreadable.values()))}, for one",
                stacklevel=2,
            )
        return predictions

    def detect(self, image: np.ndarray) -> np.ndarray:
        """Boxes of the faces in a picture by the predictor's detector.

        Args:
            image: uint8 `(height, width, 3)`, RGB.

        Returns:
            Float64 `(n, 4)`, left, top, right and bottom in pixels.

        Raises:
            ValueError: If the detector returns no boxes, or one outside the picture.
            ImportError: If the detector is not installed.
        """
        return self._boxes_in(image, None, "<image>")

    def predict_crops(self, crops: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Landmarks and poses of crops, as the network gives them.

        Args:
            crops: uint8 `(n, image_size, image_size, 3)`, such as `FaceCrops.images`.

        Returns:
            Landmarks, normalised to the crop, float64 `(n, n_landmarks, 2)`, and poses `(n, 3)` or `None`; with the
            flip test, if that is set, and before shapes are put back.

        Raises:
            ValueError: If the crops have another shape, or the outputs do not fit the description.
        """
        crops = np.asarray(crops)
        size = self.info.image_size
        if crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8:
            raise ValueError(
                f"crops must be uint8 of shape (n, {size}, {size}, 3). Received: {crops.dtype} of shape {crops.shape}"
            )
        return self._predict(crops)[:2]

    def _predict(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Landmarks, poses and the log scales of the landmarks, of crops of any number."""
        scheme = self.info.scheme
        landmarks = np.empty((len(crops), scheme.n_landmarks, 2))
        pose = None if self.info.pose_output is None else np.empty((len(crops), 3))
        log_scale = (
            None if self.info.uncertainty_output is None else np.empty((len(crops), scheme.n_landmarks))
        )
        for start in range(0, len(crops), self.batch_size):
            part = crops[start : start + self.batch_size]
            n = len(part)
            size = next(size for size in self._batch_sizes if size >= n)
            if n < size:
                part = part[np.minimum(np.arange(size), n - 1)]
            points, angles, sure = self._outputs(part)
            if self.flip_test:
                mirrored, turned, other = self._outputs(np.ascontiguousarray(part[:, :, ::-1]))
                points = (points + mirror_landmarks(mirrored, scheme.flip_permutation)) / 2
                angles = None if angles is None or turned is None else (angles + mirror_pose(turned)) / 2
                if sure is not None and other is not None:
                    sure = (sure + other[:, list(scheme.flip_permutation)]) / 2
            landmarks[start : start + n] = points[:n]
            if pose is not None and angles is not None:
                pose[start : start + n] = angles[:n]
            if log_scale is not None and sure is not None:
                log_scale[start : start + n] = sure[:n]
        return landmarks, pose, log_scale

    def save(self, path: str | PathLike[str]) -> None:
        """Write the network and its description to one `.keras` file, from which a predictor can be made.

        The settings of the predictor (detector, flip test and so on) are not part of it. For a network that was
        exported to another format, `write_model_info` writes the description beside it.

        Args:
            path: The file, ending in `.keras`; replaced, whole or not at all.

        Raises:
            ValueError: If the name ends otherwise, or the model is not a Keras model.
        """
        path = Path(path)
        if not isinstance(self.model, keras.Model) or path.suffix != ".keras":
            raise ValueError(
                "A Keras model is saved to a file that ends in .keras; for any other, write_model_info writes the "
                f"description beside it. Received: {path.name!r} and {type(self.model).__name__}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.stem}.{os.getpid()}.keras")
        try:
            self.model.save(part)
            write_model_info(part, self.info)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def _outputs(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """What the network says of a batch of one of the fixed sizes."""
        low, high = self.info.value_range
        images = crops.astype(np.float32)
        if (low, high) != (0.0, 255.0):
            images = images * np.float32((high - low) / 255) + np.float32(low)
        if self._channels_first:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        if isinstance(self.model, keras.Model):
            outputs = self.model.predict_on_batch(images)
            if isinstance(outputs, list | tuple):
                outputs = dict(zip(self.model.output_names, outputs, strict=True))
        else:
            outputs = self.model(images)
        if not isinstance(outputs, Mapping):
            for what in ("pose_output", "uncertainty_output"):
                if getattr(self.info, what) is not None:
                    raise ValueError(
                        f"The description names an output {getattr(self.info, what)!r}: the model must return a "
                        f"dictionary with it, or the description have {what}=None. Received: {type(outputs).__name__}"
                    )
            outputs = {self.info.landmarks_output: outputs}
        named = {}
        for name in (self.info.landmarks_output, self.info.pose_output, self.info.uncertainty_output):
            if name is not None and name not in outputs:
                raise ValueError(
                    f"The description names an output {name!r}. Received: a model with the outputs {sorted(outputs)}"
                )
            named[name] = None if name is None else np.asarray(_to_numpy(outputs[name]), dtype=np.float64)
        scheme = self.info.scheme
        points = as_points(
            named[self.info.landmarks_output],
            n_landmarks=scheme.n_landmarks,
            leading=1,
            name=f"Landmark scheme {scheme.name!r} has {scheme.n_landmarks} landmarks: the model's output",
        )
        pose = named[self.info.pose_output]
        n = len(crops)
        if points.shape != (n, scheme.n_landmarks, 2) or (pose is not None and pose.shape != (n, 3)):
            raise ValueError(
                f"The model must give landmarks ({n}, {scheme.n_landmarks}, 2) and poses ({n}, 3) for {n} crops. "
                f"Received: shapes {points.shape} and {None if pose is None else pose.shape}"
            )
        log_scale = named[self.info.uncertainty_output]
        if log_scale is not None:
            if log_scale.shape == (n, 3 * scheme.n_landmarks):
                log_scale = split_log_scale(log_scale)[1]
            if log_scale.shape != (n, scheme.n_landmarks):
                raise ValueError(
                    f"The output {self.info.uncertainty_output!r} must hold landmarks and log scales, "
                    f"({n}, {3 * scheme.n_landmarks}), or log scales, ({n}, {scheme.n_landmarks}). "
                    f"Received: shape {log_scale.shape}"
                )
        if not all(np.isfinite(found).all() for found in (points, pose, log_scale) if found is not None):
            raise ValueError("The model must give finite numbers. Received: NaN or infinity")
        if np.median(np.abs(points).max(axis=(1, 2))) > _FAR:
            raise ValueError(
                "Landmarks must be normalised to the crop, which spans -0.5 to 0.5, and these cannot be; they may be "
                f"pixels. Received: predictions from {points.min():.4g} to {points.max():.4g}"
            )
        return points, pose, log_scale

    def _boxes_in(self, image: np.ndarray, boxes: Any, name: str) -> np.ndarray:
        """Boxes of the landmarks in a picture, `(n, 4)`."""
        height, width = image.shape[:2]
        if isinstance(boxes, str):
            if boxes != "image":
                raise ValueError(f"boxes must be an array (n, 4), 'image' or None. Received: {boxes!r}")
            # The box whose crop is the picture, or the square around it
            half = max(width, height) / 2 / (1 + 2 * self.info.crop_margin)
            x, y = (width - 1) / 2, (height - 1) / 2
            return np.array([[x - half, y - half, x + half, y + half]])
        source = "boxes"
        if boxes is None:
            if self._detector is None:
                self._detector = get_detector("yunet")
            source = "A detector's boxes"
            boxes = self._detector(image)
        try:
            corners = np.asarray(boxes, dtype=np.float64)
        except (TypeError, ValueError):
            corners = np.empty(0)
        if corners.size == 0 and boxes is not None:
            if np.shape(boxes) in ((0,), (0, 4)):
                return np.empty((0, 4))
            corners = np.empty(0)
        if corners.ndim != 2 or corners.shape[1] != 4:
            raise ValueError(
                f"{source} must have the shape (n, 4), one row for each face. Received: {boxes!r} for {name}"
            )
        inside = (
            np.isfinite(corners).all(axis=1)
            & (corners[:, 2:] > corners[:, :2]).all(axis=1)
            & (corners[:, 2:] > -0.5).all(axis=1)
            & (corners[:, :2] < [width - 0.5, height - 0.5]).all(axis=1)
        )
        if not inside.all():
            raise ValueError(
                f"{source} must be (left, top, right, bottom) with left < right and top < bottom, and overlap the "
                f"picture of {width} x {height} pixels. Received: {corners[np.argmin(inside)].tolist()} for {name}"
            )
        return corners

    def _stream(
        self, sources: Sequence[Any], names: Sequence[str], boxes: Sequence[Any], todo: Sequence[int]
    ) -> Iterator[tuple[int, list[Face], str]]:
        """Faces of the pictures `todo`, in this order, with the reason for one that cannot be read."""
        errors: dict[int, str] = {}

        def opened() -> Iterator[tuple[int, np.ndarray | None, np.ndarray]]:
            # Reading is the part of it that other threads can do: detectors are not all safe there.
            with ThreadPoolExecutor(_READ_AHEAD) as executor:
                ahead: deque[tuple[int, Future[np.ndarray]]] = deque()
                waiting = iter(todo)
                try:
                    while True:
                        for i in waiting:
                            ahead.append((i, executor.submit(read_image, sources[i], self.exif)))
                            if len(ahead) >= _READ_AHEAD:
                                break
                        if not ahead:
                            return
                        i, future = ahead.popleft()
                        try:
                            image = future.result()
                        except ValueError as error:  # DatasetError too
                            errors[i] = str(error)
                            yield i, None, np.empty((0, 4))
                        else:
                            yield i, image, self._boxes_in(image, boxes[i], names[i])
                finally:
                    executor.shutdown(wait=True, cancel_futures=True)

        for i, faces in self._faces(opened(), names):
            yield i, faces, errors.get(i, "")

    def _faces(
        self, pictures: Iterable[tuple[int, np.ndarray | None, np.ndarray]], names: Sequence[str]
    ) -> Iterator[tuple[int, list[Face]]]:
        """The faces of pictures in their order: crops of several are collected until they fill a batch."""
        waiting: list[tuple[int, np.ndarray]] = []
        sources: list[
            tuple[np.ndarray, str]
        ] = []  # picture and its name, of each face that is to be cropped anew
        crops: list[Future[np.ndarray]] = []
        held = 0
        # Pillow resizes without Python's lock, and a picture is let go of when its faces have been cut out.
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as executor:
            for i, image, boxes in pictures:
                waiting.append((i, boxes))
                if image is None:  # cannot be read, and has no boxes
                    continue
                transform = CropTransform.from_boxes(boxes, *self._crop_rule)
                for center, side in zip(transform.center, transform.side, strict=True):
                    crops.append(executor.submit(self._cut, (image, names[i]), center, side))
                if self.refine:
                    sources += [(image, names[i])] * len(boxes)
                    held += image.nbytes
                if len(crops) >= self.batch_size or held > _MOST_HELD:
                    yield from self._finished(waiting, crops, sources, executor)
                    waiting, crops, sources, held = [], [], [], 0
            yield from self._finished(waiting, crops, sources, executor)

    def _finished(
        self,
        waiting: Sequence[tuple[int, np.ndarray]],
        crops: Sequence[Future[np.ndarray]],
        sources: Sequence[tuple[np.ndarray, str]],
        executor: ThreadPoolExecutor,
    ) -> Iterator[tuple[int, list[Face]]]:
        faces: list[Face] = []
        if crops:
            boxes = np.concatenate([boxes for _, boxes in waiting])
            transform = CropTransform.from_boxes(boxes, *self._crop_rule)
            landmarks, pose, log_scale = self._predict(np.stack([crop.result() for crop in crops]))
            for _ in range(self.refine):
                transform = CropTransform.from_landmarks(transform.undo(landmarks), *self._crop_rule)
                again = executor.map(self._cut, sources, transform.center, transform.side)
                landmarks, pose, log_scale = self._predict(np.stack(list(again)))
            confidence = None
            if self.info.calibration is not None:
                confidence = self.info.calibration.probability(
                    shape_distance(landmarks, self.info.shape_model)
                )
            if self.project and self.info.shape_model is not None:
                landmarks = as_points(self.info.shape_model.project(as_flat(landmarks)))
            points = transform.undo(landmarks)
            scales = None
            if log_scale is not None:
                scales = np.exp(log_scale) * self.info.scale_factor * transform.side[:, None]
            faces = [
                Face(
                    landmarks=points[k],
                    box=boxes[k],
                    pose=None if pose is None else pose[k],
                    confidence=None if confidence is None else float(confidence[k]),
                    landmark_scales=None if scales is None else scales[k],
                )
                for k in range(len(boxes))
            ]
        start = 0
        for i, boxes in waiting:
            yield i, faces[start : start + len(boxes)]
            start += len(boxes)

    def _cut(self, source: tuple[np.ndarray, str], center: np.ndarray, side: float) -> np.ndarray:
        """The crop of a picture, by its place."""
        image, name = source
        try:
            return crop_image(image, center, side, self.info.image_size, fill_mode=self.info.fill_mode)
        except ValueError as error:
            raise ValueError(f"{error} ({name})") from error

    def _settings(self, names: Sequence[str], boxes: Sequence[Any]) -> dict[str, Any]:
        """What decides the results: a table that was begun with others cannot be gone on with."""
        weights = hashlib.sha256()
        for array in self.model.get_weights() if isinstance(self.model, keras.Model) else ():
            weights.update(np.ascontiguousarray(array).tobytes())
        if isinstance(self.model, ExportedModel):
            weights.update(self.model.digest.encode())
        given = hashlib.sha256("\0".join(names).encode())
        for box in boxes:
            given.update(
                repr(
                    None if box is None else box if isinstance(box, str) else np.asarray(box).tolist()
                ).encode()
            )
        detector = self._detector
        return {
            "format": "keras_asm.table/1",
            "pictures": given.hexdigest(),
            "weights": weights.hexdigest(),
            "info": hashlib.sha256(json.dumps(self.info.get_config(), sort_keys=True).encode()).hexdigest(),
            "detector": getattr(detector, "__name__", type(detector).__name__)
            if detector
            else "YuNetDetector",
            "settings": [self.flip_test, self.refine, self.project, self.exif],
        }


@functools.cache
def _say_terms(notice: str) -> None:
    """Once, and to where a program may send it elsewhere or silence it."""
    if notice:
        logging.getLogger("keras_asm").warning(notice)


def find_pictures(folder: str | PathLike[str]) -> list[str]:
    """The pictures in a folder and its folders, sorted, by the ends of their names.

    Names that begin with a dot are passed over.

    Raises:
        DatasetError: If there is none.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from keras_asm.inference import find_pictures
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("b.jpg", "a.PNG", "notes.txt"):
        ...         (Path(folder) / name).touch()
        ...     [Path(path).name for path in find_pictures(folder)]
        ['a.PNG', 'b.jpg']

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: takes them.
        - [Many pictures][many-pictures]: a folder into a table.
    """
    found: list[str] = []
    for inner, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            os.path.join(inner, name)
            for name in sorted(files)
            if not name.startswith(".") and name.lower().endswith(_IMAGE_SUFFIXES)
        ]
    if not found:
        raise DatasetError(
            f"expected a folder with pictures ({', '.join(_IMAGE_SUFFIXES)}). Received: none", folder
        )
    return found


def _pictures(source: Any) -> tuple[list[Any], list[str], bool]:
    """The pictures, a name for each, and whether there can be several."""
    if isinstance(source, str | PathLike):
        path = Path(source)
        if not path.is_dir():
            return [path], [str(path)], False
        found = find_pictures(path)
        return found, found, True
    if isinstance(source, list | tuple) or (isinstance(source, np.ndarray) and source.ndim == 4):
        names = [str(s) if isinstance(s, str | PathLike) else f"<{i}>" for i, s in enumerate(source)]
        return list(source), names, True
    return [source], ["<0>"], False


def _check_model(model: keras.Model, info: LandmarkModelInfo) -> bool:
    """Whether the model takes channels first; raises if its shapes are known and do not fit the description."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if not shapes:
        return keras.config.image_data_format() == "channels_first"
    size = info.image_size
    first = len(shapes[0]) == 4 and shapes[0][1] == 3 and shapes[0][3] != 3
    expected = (None, 3, size, size) if first else (None, size, size, 3)
    if (
        len(shapes) != 1
        or len(shapes[0]) != 4
        or any(
            have is not None and want is not None and have != want
            for have, want in zip(shapes[0], expected, strict=True)
        )
    ):
        raise ValueError(
            f"By its description the model takes one batch of RGB images of {size} x {size} pixels. "
            f"Received: a model with inputs of the shapes {shapes}"
        )
    outputs = [tuple(tensor.shape) for tensor in getattr(model, "outputs", None) or ()]
    n = info.scheme.n_landmarks
    if not any(shape[-1] == 2 * n or shape[-2:] == (n, 2) for shape in outputs):
        raise ValueError(
            f"By its description the model has an output of {n} landmarks, (batch, {2 * n}) or (batch, {n}, 2). "
            f"Received: a model with outputs of the shapes {outputs}"
        )
    return first


def _to_numpy(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else keras.ops.convert_to_numpy(values)
