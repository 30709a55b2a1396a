"""Video files, written and read back."""

import sys

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
