"""Video files, written and read back."""

import sys
from fractions import Fraction

import numpy as np
import pytest

from keras_asm.datasets import DatasetError
from keras_asm.inference import VideoFrames, write_video


def frames(n=6, height=48, width=64):
    for i in range(n):
        frame = np.full((height, width, 3), 40 + 10 * i, dtype=np.uint8)
        frame[: height // 2, : width // 2, 0] = 250  # the upper left is red
        yield frame


@pytest.fixture
def av():
    return pytest.importorskip("av")


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 64), (48, 63), (33, 35)])
def test_what_is_written_is_read(tmp_path, av, height, width):
    path = tmp_path / "new" / "a.mp4"
    assert write_video(path, frames(6, height, width), rate=12.5) == 6
    video = VideoFrames(path)
    assert (video.rate, video.n_frames) == (12.5, 6)
    times = []
    for found, true in zip(video, frames(6, height, width), strict=True):
        assert found.dtype == np.uint8
        assert found.shape == (height + height % 2, width + width % 2, 3)
        # Compression blurs the edge of the colours.
        assert np.abs(found[:height, :width].astype(float) - true).mean() < 8
        times.append(video.time)
    np.testing.assert_allclose(times, np.arange(6) / 12.5, atol=1e-6)
    assert len(list(video)) == 6  # again from the beginning
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert [p.name for p in path.parent.iterdir()] == ["a.mp4"]


def write_tone(av, path, codec, seconds=2.0, rate=48_000, hertz=440, pictures_from=None):
    """A file with a tone, and pictures from a time on if one is given."""
    n = int(seconds * rate)
    tone = (0.5 * np.sin(2 * np.pi * hertz * np.arange(n) / rate)).astype(np.float32)
    if pictures_from is not None:
        tone[: int(pictures_from * rate)] = 0  # silence before the pictures
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = "5.1" if path.name.startswith("six_channels") else "mono"
        if pictures_from is not None:
            pictures = container.add_stream("h264", rate=10)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            for i, frame in enumerate(frames(10)):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture.pts, picture.time_base = i + round(10 * pictures_from), Fraction(1, 10)
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode(None))
        for start in range(0, n, 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_sound(av, path):
    """Codec, samples and rate of a file's sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        samples = [frame.to_ndarray()[0] for frame in container.decode(stream)]
        return stream.codec_context.name, np.concatenate(samples).astype(float), stream.rate


@pytest.mark.parametrize(
    ("name", "codec", "written"),
    [
        ("a.m4a", "aac", "aac"),
        ("a.mp3", "libmp3lame", "mp3float"),
        ("a.wav", "pcm_s16le", "aac"),
        ("six_channels.wav", "pcm_s16le", "aac"),
        ("a.mkv", "libopus", "aac"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_taken_over_for_as_long_as_there_are_frames(tmp_path, av, name, codec, written, suffix):
    heard = write_tone(av, tmp_path / name, codec)
    path = tmp_path / f"out{suffix}"
    assert write_video(path, frames(10), rate=10, sound=heard) == 10
    assert len(list(VideoFrames(path))) == 10
    found, samples, rate = read_sound(av, path)
    assert found == written
    assert len(samples) / rate == pytest.approx(1.0, abs=0.06)  # 2 s in the source; packets are 21 to 26 ms
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()] == pytest.approx(440, abs=2)


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_sound_begins_with_the_first_picture(tmp_path, av, codec):
    source = write_tone(av, tmp_path / "late.mkv", codec, pictures_from=0.5)
    write_video(tmp_path / "out.mp4", VideoFrames(source), rate=10, sound=source)
    _, samples, rate = read_sound(av, tmp_path / "out.mp4")
    loud = np.abs(samples[: rate // 4]) > 0.2
    assert loud.argmax() < 0.06 * rate
    assert loud.any()


def test_a_source_without_sound_gives_none(tmp_path, av):
    write_video(tmp_path / "mute.mp4", frames())
    write_video(tmp_path / "out.mp4", frames(), sound=tmp_path / "mute.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_bad_sound(tmp_path, av):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_video(tmp_path / "out.mp4", frames(), sound=tmp_path / "nowhere.mp3")
    (tmp_path / "text.mp3").write_text("no sound " * 100)
    with pytest.raises(DatasetError, match=r"text\.mp3: its sound cannot be read"):
        write_video(tmp_path / "out.mp4", frames(), sound=tmp_path / "text.mp3")
    assert [p.name for p in tmp_path.iterdir()] == ["text.mp3"]


def test_no_frames(tmp_path, av):
    with pytest.raises(ValueError, match="Received: none"):
        write_video(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_old_file(tmp_path, av):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="All frames"):
        write_video(path, [*frames(2), *frames(1, 50, 64)])
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_bad_frames_and_names(tmp_path, av):
    with pytest.raises(ValueError, match="uint8"):
        write_video(tmp_path / "a.mp4", [np.zeros((8, 8, 3))])
    with pytest.raises(ValueError, match=r"\.mp4.*a\.gif"):
        write_video(tmp_path / "a.gif", frames())
    with pytest.raises(ValueError, match="rate"):
        write_video(tmp_path / "a.mp4", frames(), rate=0)


@pytest.mark.parametrize("content", [b"", b"this is no video " * 50])
def test_broken_file(tmp_path, av, content):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"broken\.mp4: the video cannot be read"):
        VideoFrames(path)


def test_cut_off_file(tmp_path, av):
    path = tmp_path / "a.mp4"
    write_video(path, frames(20))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DatasetError, match=r"a\.mp4: the video cannot be read"):
        list(VideoFrames(path))


def test_missing_file_and_package(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        VideoFrames(tmp_path / "nowhere.mp4")
    with pytest.raises(ValueError, match="path or the number"):
        VideoFrames(1.5)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match=r"keras-asm\[video\]"):
        write_video(tmp_path / "a.mp4", frames())
    with pytest.raises(ImportError, match="OpenCV"):
        VideoFrames(0)


class FakeCamera:
    """What OpenCV's class does: BGR, and False at the end."""

    released = 0

    def __init__(self, number):
        self.left = 3 if number == 0 else 0

    def read(self):
        self.left -= 1
        return (True, np.full((4, 6, 3), (1, 2, 3), dtype=np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        FakeCamera.released += 1


def test_camera(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", type(sys)("cv2"))
    sys.modules["cv2"].VideoCapture = FakeCamera
    FakeCamera.released = 0
    found = list(VideoFrames(0))
    assert len(found) == 3
    assert found[0][0, 0].tolist() == [3, 2, 1]
    with pytest.raises(DatasetError, match="camera 1"):
        list(VideoFrames(1))
    assert FakeCamera.released == 2
