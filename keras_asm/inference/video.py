"""Frames of videos and cameras, and videos of frames."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.datasets import DatasetError

__all__ = ["VideoFrames", "write_video"]

_H264_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv")
_PLAYABLE_SOUND = ("aac", "mp3", "mp3float")  # in every file of such a name, and in browsers


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

    See Also:
        - [`LandmarkTracker`][keras_asm.inference.LandmarkTracker]: follows the faces in them.
        - [`write_video`][keras_asm.inference.write_video]: writes frames to a file.
        - [Video][video]: from a file to a file.
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


def write_video(
    path: str | PathLike[str],
    frames: Iterable[Any],
    rate: float = 30.0,
    sound: str | PathLike[str] | None = None,
) -> int:
    """Write frames as an H.264 video, which browsers and players show.

    The frames are written one by one as they come. H.264 as players take it needs an even width and height: a frame of
    an odd one is continued by its last column or row, so that no landmark moves.

    Args:
        path: The file, ending in `.mp4`, `.mov`, `.m4v` or `.mkv`; replaced, whole or not at all.
        frames: uint8 `(height, width, 3)`, RGB, all of one size.
        rate: Frames per second; 30 by default.
        sound: File whose sound the video gets, best the video that the frames were made from: its first stream of
            sound from the time of its first picture on, for as long as there are frames. AAC and MP3 are
            copied as they are; anything else is coded anew as AAC. A file without sound gives none. The frames of a
            source with an uneven rate are written at an even one, and then the sound does not fit them.

    Returns:
        The number of frames.

    Raises:
        ValueError: If there is no frame, frames differ in size or are of another kind, or the name ends otherwise.
        DatasetError: If the file cannot be written, or the one with the sound is damaged or of another kind.
        FileNotFoundError: If there is no such file of sound.
        ImportError: If PyAV is missing, or was built without an H.264 encoder.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> from keras_asm.inference import write_video
        >>> frames = [np.full((32, 48, 3), grey, dtype="uint8") for grey in range(10)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_video(f"{folder}/greys.mp4", frames)
        10

    See Also:
        - [`VideoFrames`][keras_asm.inference.VideoFrames]: reads it back.
        - [`draw_faces`][keras_asm.visualization.draw_faces]: draws what was found into a frame.
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
    if sound is not None and not os.path.isfile(sound):
        raise FileNotFoundError(f"There is no file with the sound. Received: {sound}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    n_written, shape = 0, None
    try:
        with av.open(str(part), "w") as container, contextlib.closing(_sound(sound, container)) as packets:
            # Opens the stream of sound, which must be there before the first frame
            ahead = next(packets, None)
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
                while ahead is not None and ahead[0] < n_written / rate:
                    container.mux(ahead[1])
                    ahead = next(packets, None)
            if not n_written:
                raise ValueError("A video needs at least one frame. Received: none")
            container.mux(stream.encode(None))
        os.replace(part, path)
    except av.error.FFmpegError as error:
        raise DatasetError(f"the video cannot be written ({error.strerror})", path) from error
    finally:
        part.unlink(missing_ok=True)
    return n_written


def _sound(source: str | PathLike[str] | None, container: Any) -> Generator[tuple[float, Any], None, None]:
    """Packets for `container` of the first stream of sound of a file, each with its time after the first picture."""
    if source is None:
        return
    av = _pyav()
    try:
        with av.open(os.fspath(source)) as given:
            if not given.streams.audio:
                return
            heard = given.streams.audio[0]
            pictures = given.streams.video[0] if given.streams.video else None
            start = 0.0
            if pictures is not None and pictures.start_time is not None:
                start = float(pictures.start_time * pictures.time_base)
            if heard.codec_context.name in _PLAYABLE_SOUND:
                yield from _copied(container.add_stream_from_template(heard), given, heard, start)
            else:
                yield from _coded(container.add_stream("aac", rate=heard.rate), given, heard, start)
    except av.error.FFmpegError as error:
        raise DatasetError(f"its sound cannot be read ({error.strerror})", source) from error


def _copied(stream: Any, given: Any, heard: Any, start: float) -> Iterator[tuple[float, Any]]:
    shift = round(start / heard.time_base)
    for packet in given.demux(heard):
        if packet.pts is None or packet.dts is None or packet.pts < shift:
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = stream
        yield float(packet.pts * packet.time_base), packet


def _coded(stream: Any, given: Any, heard: Any, start: float) -> Iterator[tuple[float, Any]]:
    stream.layout = (
        "mono" if heard.layout.nb_channels == 1 else "stereo"
    )  # WAV files name none that AAC knows
    for frame in given.decode(heard):
        if frame.time is None or frame.time < start:
            continue
        time = frame.time - start
        frame.pts = round(time * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
        yield from ((time, packet) for packet in stream.encode(frame))
    yield from ((time, packet) for packet in stream.encode(None))


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
