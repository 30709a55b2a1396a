"""Faces followed through a video: their landmarks, smoothed, with identities that stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from keras_asm.faces import CropTransform, read_image
from keras_asm.inference.confidence import shape_distance
from keras_asm.inference.detectors import box_overlap
from keras_asm.inference.one_euro import OneEuroFilter
from keras_asm.inference.predictor import LandmarkPredictor
from keras_asm.inference.results import Face
from keras_asm.inference.video import VideoFrames

__all__ = ["SMOOTHING", "LandmarkTracker", "TrackedFace"]

# Minimal cutoff in Hz, and its rise in Hz per side of the face's box a second. docs/video.md measures them.
SMOOTHING: Mapping[str, tuple[float, float]] = {
    "light": (3.0, 8.0),
    "medium": (1.0, 8.0),
    "strong": (0.5, 3.0),
}
_SIDE_IN_DEGREES = 90.0  # of a turn that shows a face as much anew as a move by its side
_MATCH = 0.3  # overlap of a detected box with that of a followed face
_SAME = 0.5  # overlap from which two followed faces are one
_STEP = 0.2  # least overlap of the landmarks' square with that which the crop was cut around
_INSIDE = 0.3  # least part of a face's square in the picture
_SMALLEST = 8.0  # pixels, side of the smallest face
_MISSES = 3  # detections in a row that do not find a face which nothing but them can tell


@dataclass(frozen=True, eq=False)
class TrackedFace(Face):
    """One face of one frame.

    Attributes:
        landmarks: As in `Face`, smoothed.
        box: Left, top, right and bottom of `landmarks`.
        pose: As in `Face`, smoothed.
        confidence: As in `Face`.
        landmark_scales: As in `Face`, of this frame alone.
        identity: Number of this face, from 0, the same in all frames; -1 if there is none.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.inference import TrackedFace
        >>> face = TrackedFace(landmarks=np.zeros((68, 2)), box=np.array([0.0, 0.0, 9.0, 9.0]), identity=3)
        >>> face.identity
        3

    See Also:
        - [`LandmarkTracker`][keras_asm.inference.LandmarkTracker]: makes it.
        - [`Face`][keras_asm.inference.Face]: a face of a single picture.
        - [`draw_faces`][keras_asm.visualization.draw_faces]: draws it.
    """

    identity: int = -1


@dataclass(eq=False)
class _Track:
    identity: int
    box: np.ndarray  # of the landmarks as predicted, where the next crop is cut
    points: OneEuroFilter
    angles: OneEuroFilter
    pose: np.ndarray | None = None  # continuous, beyond 180 degrees
    missed: int = 0  # detections in a row
    lost: int | None = None  # frame


class LandmarkTracker:
    """Follows faces through a video.

    A face's crop is cut around its landmarks of the last frame. The detector runs on the first frame, every
    `detect_every` frames, and in each frame while there is no face or one has been lost for up to `remember` frames.
    Its boxes are assigned to the known faces so that the sum of overlaps is largest (Hungarian method). A box without a
    face is that of a lost one, if it overlaps with where that was lost, or begins a new identity.

    A face is lost when

    - its confidence is under `min_confidence`; or, without a calibration, its shape is farther from the shape model
      than `max_shape_distance`, if the description has a model;
    - its landmarks have left the picture, collapsed, or jumped: their square overlaps by less than 0.2 with that which
      the crop was cut around, or is 0.3 or less in the picture, or has under 8 pixels;
    - the description has no shape model, and three detections in a row do not find the face;
    - another, older one has the same landmarks.

    Args:
        predictor: Its network, detector and settings.
        detect_every: Frames from one detection to the next; 30 by default.
        smoothing: `"light"`, `"medium"` (default) or `"strong"`, `None` for no smoothing, or a minimal cutoff in Hz
            and its rise in Hz for a speed of one side of the face's box a second, as in `OneEuroFilter`.
        rate: Frames per second of sources that do not say it; 30 by default.
        min_confidence: Under it a face is lost; 0.2 by default.
        max_shape_distance: `shape_distance` over which a face is lost; 0.15 by default.
        remember: Frames during which a lost face gets its identity back; 30 by default.

    Raises:
        ValueError: If a setting is out of range.

    Examples:
        >>> from keras_asm import LandmarkModelInfo, LandmarkPredictor
        >>> from keras_asm.inference import LandmarkTracker
        >>> def network(crops):  # sees the same in each crop
        ...     return np.tile(np.random.default_rng(0).uniform(-0.3, 0.3, (68, 2)), (len(crops), 1, 1))
        >>> info = LandmarkModelInfo("300w", image_size=32, pose_output=None)
        >>> predictor = LandmarkPredictor(network, lambda image: [[20, 20, 60, 60]], info=info)
        >>> video = np.zeros((3, 80, 80, 3), dtype="uint8")
        >>> [[face.identity for face in faces] for faces in LandmarkTracker(predictor)(video)]
        [[0], [0], [0]]

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: what it follows faces with.
        - [`OneEuroFilter`][keras_asm.inference.OneEuroFilter]: what it smooths with.
        - [`VideoFrames`][keras_asm.inference.VideoFrames]: where the frames come from.
        - [Video][video]: from a file to a file.
    """

    def __init__(
        self,
        predictor: LandmarkPredictor,
        *,
        detect_every: int = 30,
        smoothing: str | tuple[float, float] | None = "medium",
        rate: float = 30.0,
        min_confidence: float = 0.2,
        max_shape_distance: float = 0.15,
        remember: int = 30,
    ) -> None:
        if not isinstance(predictor, LandmarkPredictor):
            raise ValueError(f"predictor must be a LandmarkPredictor. Received: {predictor!r}")
        if int(detect_every) != detect_every or detect_every < 1 or remember < 0:
            raise ValueError(
                "detect_every must be a whole number above 0, and remember at least 0. "
                f"Received: detect_every={detect_every!r}, remember={remember!r}"
            )
        if isinstance(smoothing, str):
            if smoothing not in SMOOTHING:
                raise ValueError(f"smoothing must be one of {', '.join(SMOOTHING)}. Received: {smoothing!r}")
            smoothing = SMOOTHING[smoothing]
        if not (0 <= min_confidence <= 1 and max_shape_distance > 0):
            raise ValueError(
                "min_confidence must be in 0..1 and max_shape_distance above 0. "
                f"Received: {min_confidence} and {max_shape_distance}"
            )
        self.predictor = predictor
        self.detect_every = detect_every
        self.smoothing = smoothing
        self.rate = rate
        self.min_confidence = min_confidence
        self.max_shape_distance = max_shape_distance
        self.remember = remember
        self.reset()
        self._filter()  # its settings are checked there

    def reset(self) -> None:
        """Forget all faces. Identities begin at 0 again."""
        self._tracks: list[_Track] = []
        self._lost: list[_Track] = []
        self._n_identities = 0
        self._frame = 0
        self._detected: int | None = None

    def __call__(self, source: str | PathLike[str] | int | Iterable[Any]) -> Iterator[list[TrackedFace]]:
        """The faces of each frame, as the frames come.

        Args:
            source: Path of a video file, number of a camera, or frames as `update` takes them, such as `VideoFrames`,
                whose rate and time stamps are used. The tracker is reset first.

        Yields:
            The faces of a frame in the order of their identities, none where there are none.

        Raises:
            FileNotFoundError: If there is no such file.
            DatasetError: If a video or frame cannot be read.
            ImportError: If what reads the source is missing.
        """
        frames = VideoFrames(source) if isinstance(source, str | PathLike | int) else source
        return self._track(frames)

    def _track(self, frames: Iterable[Any]) -> Iterator[list[TrackedFace]]:
        self.reset()
        rate, self.rate = self.rate, getattr(frames, "rate", self.rate)
        try:
            last = -np.inf
            for frame in frames:
                time = getattr(frames, "time", None)
                if time is not None:  # some files repeat or turn back a time stamp
                    time = last = max(time, last + 1e-3)
                yield self.update(frame, time)
        finally:
            self.rate = rate

    def update(self, frame: Any, time: float | None = None) -> list[TrackedFace]:
        """The faces of the next frame.

        Args:
            frame: `(height, width, 3)`, RGB, or whatever picture the predictor takes.
            time: Time stamp in seconds, above the last one; by default `1 / rate` after it.

        Returns:
            As in a call.
        """
        image = read_image(frame, self.predictor.exif)
        faces: dict[int, TrackedFace] = {}
        boxes = np.array([track.box for track in self._tracks]).reshape(-1, 4)
        self._take(image, self._tracks, boxes, faces, time)
        if self._detection_is_due():
            self._detect(image, faces, time)
        self._lost = [track for track in self._lost if self._frame - (track.lost or 0) < self.remember]
        self._frame += 1
        return [faces[identity] for identity in sorted(faces)]

    def _take(
        self,
        image: np.ndarray,
        tracks: list[_Track],
        boxes: np.ndarray,
        faces: dict[int, TrackedFace],
        time: float | None,
    ) -> None:
        """Predict the faces in `boxes`, and put those that are none among the lost ones."""
        kept: list[_Track] = [] if tracks is self._tracks else list(self._tracks)
        found = self.predictor(image, boxes) if len(boxes) else []
        for track, box, face in zip(list(tracks), boxes, found, strict=True):
            around = _around(face.landmarks)
            older = np.array([other.box for other in kept]).reshape(-1, 4)
            if not self._is_face(image, box, face) or (_overlap(around[None], older) > _SAME).any():
                if track.identity >= 0:
                    track.lost = self._frame
                    self._lost.append(track)
                continue
            if track.identity < 0:
                track.identity = self._n_identities
                self._n_identities += 1
            track.box, track.lost = around, None
            kept.append(track)
            faces[track.identity] = self._smoothed(track, face, time)
        self._tracks = sorted(kept, key=lambda track: track.identity)

    def _is_face(self, image: np.ndarray, box: np.ndarray, face: Face) -> bool:
        info = self.predictor.info
        if face.confidence is not None:
            if face.confidence < self.min_confidence:
                return False
        elif info.shape_model is not None:
            transform = CropTransform.from_boxes(box[None], info.image_size, info.crop_margin)
            shape = transform.normalize(face.landmarks[None])
            if shape_distance(shape, info.shape_model)[0] > self.max_shape_distance:
                return False
        around = _around(face.landmarks)
        square = _squares(around[None])[0]
        side = square[2] - square[0]
        height, width = image.shape[:2]
        within = np.clip(square, -0.5, np.array([width, height, width, height]) - 0.5)
        part = np.prod(within[2:] - within[:2]) / max(side**2, 1e-12)
        seen = (around[2:] > around[:2]).all() and (around[2:] > -0.5).all()
        seen = seen and (around[:2] < [width - 0.5, height - 0.5]).all()
        return bool(
            seen and side >= _SMALLEST and part > _INSIDE and _overlap(around[None], box[None]) >= _STEP
        )

    def _detection_is_due(self) -> bool:
        return (
            self._detected is None
            or not self._tracks
            or bool(self._lost)
            or any(track.missed for track in self._tracks)
            or self._frame - self._detected >= self.detect_every
        )

    def _detect(self, image: np.ndarray, faces: dict[int, TrackedFace], time: float | None) -> None:
        self._detected = self._frame
        boxes = self.predictor.detect(image)
        found = _assigned(self._tracks, boxes)
        if self.predictor.info.shape_model is None:  # nothing else tells faces that are none
            for i, track in enumerate(self._tracks):
                track.missed = 0 if i in found else track.missed + 1
                if track.missed >= _MISSES:
                    track.lost, track.missed = self._frame, 0
                    self._lost.append(track)
                    faces.pop(track.identity, None)
        self._tracks = [track for track in self._tracks if track.lost is None]
        boxes = boxes[[k for k in range(len(boxes)) if k not in found.values()]]
        # What still overlaps with a face that is followed is that face, found twice.
        free = (_overlap(boxes, np.array([t.box for t in self._tracks]).reshape(-1, 4)) <= _SAME).all(axis=1)
        boxes = boxes[free]
        again = {k: self._lost[i] for i, k in _assigned(self._lost, boxes).items()}
        tracks = []
        for k, box in enumerate(boxes):
            track = again.get(k) or _Track(-1, box, self._filter(), self._filter())
            if k in again:
                self._lost.remove(track)
                track.points.reset()
                track.angles.reset()
                track.pose = None
            tracks.append(track)
        self._take(image, tracks, boxes, faces, time)

    def _filter(self) -> OneEuroFilter:
        cutoff, beta = self.smoothing or (1.0, 0.0)
        return OneEuroFilter(self.rate, cutoff, beta)

    def _smoothed(self, track: _Track, face: Face, time: float | None) -> TrackedFace:
        points, pose = face.landmarks, face.pose
        if self.smoothing is not None:
            assert not isinstance(self.smoothing, str)
            beta = self.smoothing[1]
            # Settings are for faces of any size.
            track.points.beta = beta / max(float((track.box[2:] - track.box[:2]).max()), 1e-6)
            track.angles.beta = beta / _SIDE_IN_DEGREES
            points = track.points(points, time)
            if pose is not None:
                # The short way round at 180 degrees
                track.pose = pose if track.pose is None else track.pose + _turned(pose - track.pose)
                pose = _turned(track.angles(track.pose, time))
        return TrackedFace(
            points, _around(points), pose, face.confidence, face.landmark_scales, identity=track.identity
        )


def _turned(angles: np.ndarray) -> np.ndarray:
    return (angles + 180) % 360 - 180


def _around(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _squares(boxes: np.ndarray) -> np.ndarray:
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([center - half, center + half], axis=1)


def _overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of the squares around boxes, `(n, m)`."""
    return box_overlap(_squares(boxes), _squares(others))


def _assigned(tracks: list[_Track], boxes: np.ndarray) -> dict[int, int]:
    """Number of the box of each face that has one."""
    from scipy.optimize import linear_sum_assignment

    overlap = _overlap(np.array([track.box for track in tracks]).reshape(-1, 4), boxes)
    # Too small an overlap is no match, and must not take a box from another face either.
    rows, columns = linear_sum_assignment(np.where(overlap >= _MATCH, overlap, 0.0), maximize=True)
    return {int(i): int(k) for i, k in zip(rows, columns, strict=True) if overlap[i, k] >= _MATCH}
