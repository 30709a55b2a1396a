"""Frames of videos and cameras, and videos of frames."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.datasets import DatasetError

__all__ = ["VideoFrames", "write_video"]

_H264_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")


class VideoFrames:
    """The frames of a video file or a camera, read one after the other.

    Iterating yields uint8 arrays `(height, width, 3)`, RGB, upright. A file is read from its beginning by each
    iteration. PyAV reads files, OpenCV cameras; sound is left out.

    Args:
        source: Path of a video file, or the number of a camera, from 0.

    Attributes:
        rate: Frames per second.
        n_frames: Number of frames by the file's own account; `None` where it has none, as cameras.
        time: Time stamp in seconds of the frame that was yielded last; `None` where there is none.

    Raises:
        FileNotFoundError: If there is no such file.
        DatasetError: If the file is no video, is damaged, also while it is being read, or the camera gives no frame.
        ImportError: If PyAV or OpenCV is missing.

    Examples:
        >>> from keras_asm.inference import VideoFrames, write_video
        >>> write_video("grey.mp4", [np.full((32, 48, 3), 128, dtype="uint8")] * 3, rate=10)
        3
        >>> frames = VideoFrames("grey.mp4")
        >>> frames.rate, [frame.shape for frame in frames]
        (10.0, [(32, 48, 3), (32, 48, 3), (32, 48, 3)])
    """

    def __init__(self, source: str | PathLike[str] | int) -> None:
        self.source: Any = source
        self.time: float | None = None
        self.n_frames: int | None = None
        self.rate = 30.0
        if isinstance(source, bool) or not isinstance(source, int | str | PathLike):
            raise ValueError(f"A video must be a path or the number of a camera. Received: {source!r}")
        if isinstance(source, int):
            _opencv()
            return
        if not os.path.isfile(source):
            raise FileNotFoundError(f"There is no such video. Received: {source}")
        with self._opened() as (_, stream):
            self.n_frames = stream.frames or None
            rate = stream.average_rate or stream.guessed_rate
            if rate:
                self.rate = float(rate)

    def __iter__(self) -> Iterator[np.ndarray]:
        self.time = None
        yield from self._of_camera() if isinstance(self.source, int) else self._of_file()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        av = _pyav()
        try:
            with av.open(os.fspath(self.source)) as container:
                if not container.streams.video:
                    raise DatasetError(
                        "expected a video. Received: a file without a stream of pictures", self.source
                    )
                yield container, container.streams.video[0]
        except av.error.FFmpegError as error:
            raise DatasetError(f"the video cannot be read ({error.strerror})", self.source) from error

    def _of_file(self) -> Iterator[np.ndarray]:
        n_read = 0
        with self._opened() as (container, stream):
            for frame in container.decode(stream):
                self.time = None if frame.time is None else float(frame.time)
                pixels = frame.to_ndarray(format="rgb24")
                yield np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
                n_read += 1
        if n_read == 0 and self.n_frames:
            raise DatasetError(
                f"expected {self.n_frames} frames. Received: none that can be read", self.source
            )

    def _of_camera(self) -> Iterator[np.ndarray]:
        camera = _opencv().VideoCapture(self.source)
        try:
            good, pixels = camera.read()
            if not good:
                raise DatasetError(f"expected a frame of camera {self.source}. Received: none")
            while good:
                yield np.ascontiguousarray(pixels[..., ::-1])
                good, pixels = camera.read()
        finally:
            camera.release()


def write_video(path: str | PathLike[str], frames: Iterable[Any], rate: float = 30.0) -> int:
    """Write frames as an H.264 video, which browsers and players show.

    The frames are written one by one as they come. H.264 as players take it needs an even width and height: a frame of
    an odd one is continued by its last column or row, so that no landmark moves.

    Args:
        path: The file, ending in `.mp4`, `.mov`, `.m4v` or `.mkv`; replaced, whole or not at all.
        frames: uint8 `(height, width, 3)`, RGB, all of one size.
        rate: Frames per second; 30 by default.

    Returns:
        The number of frames.

    Raises:
        ValueError: If there is no frame, frames differ in size or are of another kind, or the name ends otherwise.
        DatasetError: If the file cannot be written.
        ImportError: If PyAV is missing, or was built without an H.264 encoder.
    """
    av = _pyav()
    if not 0 < rate < np.inf:
        raise ValueError(f"rate must be above 0. Received: {rate}")
    try:
        av.codec.Codec("h264", "w")
    except av.error.FFmpegError as error:
        raise ImportError(
            "This build of PyAV has no H.264 encoder; the wheels of PyPI have one: pip install av"
        ) from error
    path = Path(path)
    if path.suffix.lower() not in _H264_SUFFIXES:
        raise ValueError(
            f"A video's name must end in one of {', '.join(_H264_SUFFIXES)}. Received: {path.name!r}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    n_written, shape = 0, None
    try:
        with av.open(str(part), "w") as container:
            stream = container.add_stream("h264", rate=Fraction(rate).limit_denominator(100_000))
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                pixels = np.asarray(frame)
                if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
                    raise ValueError(
                        "Frames must be uint8 of shape (height, width, 3). "
                        f"Received: {pixels.dtype} of shape {pixels.shape}"
                    )
                if shape is None:
                    shape = pixels.shape
                    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                if pixels.shape != shape:
                    raise ValueError(
                        f"All frames must have the shape {shape}. Received: shape {pixels.shape}"
                    )
                odd = (0, shape[0] % 2), (0, shape[1] % 2), (0, 0)
                whole = np.ascontiguousarray(np.pad(pixels, odd, mode="edge"))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(whole, format="rgb24")))
                n_written += 1
            if not n_written:
                raise ValueError("A video needs at least one frame. Received: none")
            container.mux(stream.encode(None))
        os.replace(part, path)
    except av.error.FFmpegError as error:
        raise DatasetError(f"the video cannot be written ({error.strerror})", path) from error
    finally:
        part.unlink(missing_ok=True)
    return n_written


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise ImportError('Video files need PyAV: pip install "keras-asm[video]"') from error
    return av


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise ImportError("A camera needs OpenCV: pip install opencv-python") from error
    return cv2
