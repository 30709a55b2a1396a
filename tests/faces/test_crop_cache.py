import errno
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_asm.datasets import DatasetError, LandmarkDataset
from keras_asm.faces import LandmarkBatches, _crop_cache, crop_faces, cropping

N = 40


@pytest.fixture
def faces(tmp_path, rng):
    folder = tmp_path / "images"
    folder.mkdir()
    paths = []
    for i in range(N):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)).save(folder / f"{i}.png")
        paths.append(str(folder / f"{i}.png"))
    return LandmarkDataset(
        tuple(paths), np.array([[10, 10], [30, 35], [20, 20]]) + rng.uniform(-3, 3, (N, 3, 2))
    )


@pytest.fixture
def count_reads(monkeypatch):
    reads = []
    monkeypatch.setattr(
        cropping, "_read", lambda path, exif, read=cropping._read: reads.append(path) or read(path, exif)
    )
    return reads


def entries(cache):
    return sorted(path.name for path in cache.glob("crops-*") if path.is_dir())


def test_the_same_crops_as_in_memory(faces, tmp_path, count_reads):
    expected = crop_faces(faces, 24, verbose=0)
    count_reads.clear()
    first = crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0)
    assert len(count_reads) == N
    second = crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0)
    assert len(count_reads) == N
    for cached in (first, second):
        np.testing.assert_array_equal(cached.images, expected.images)
        np.testing.assert_array_equal(cached.landmarks, expected.landmarks)
        assert not cached.images.flags.writeable
        base = cached.images
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, mmap.mmap)
    images, _ = LandmarkBatches.from_faces(second, shuffle=False, batch_size=7)[1]
    np.testing.assert_array_equal(images, expected.images[7:14])
    assert len(entries(tmp_path / "cache")) == 1


def test_what_changes_the_crops_makes_a_new_entry(faces, tmp_path, count_reads):
    cache = tmp_path / "cache"
    other = LandmarkDataset(faces.image_paths, faces.landmarks + 1)
    crop_faces(faces, 24, cache=cache, verbose=0)
    for n, (data, settings) in enumerate(
        [
            (faces, {"image_size": 25}),
            (faces, {"margin": 0.3}),
            (faces, {"fill_mode": "constant"}),
            (faces, {"jitter": (0.1, 0.1)}),
            (faces, {"jitter": (0.1, 0.1), "seed": 1}),
            (faces.select(slice(0, 30)), {}),
            (faces.select(np.arange(N)[::-1]), {}),
            (other, {}),
        ],
        start=2,
    ):
        arguments = {"image_size": 24, **settings}
        cached = crop_faces(data, cache=cache, verbose=0, **arguments)
        assert len(entries(cache)) == n, settings
        np.testing.assert_array_equal(cached.images, crop_faces(data, verbose=0, **arguments).images)
    Image.new("RGB", (50, 40), "red").save(faces.image_paths[3])
    changed = crop_faces(faces, 24, cache=cache, verbose=0)
    assert len(entries(cache)) == n + 1
    assert changed.images[3, ..., 1:].max() == 0
    # Points inside of the same box are no part of the pixels.
    count_reads.clear()
    inside = np.array(faces.landmarks)
    inside[:, 2] = inside[:, 0] + 1
    cached = crop_faces(LandmarkDataset(faces.image_paths, inside), 24, cache=cache, verbose=0)
    assert not count_reads
    np.testing.assert_allclose(cached.source_landmarks, inside, atol=1e-4)


def truncate(entry: Path) -> None:
    with open(entry / "images.npy", "r+b") as file:
        file.truncate(5000)


def garble_header(entry: Path) -> None:
    with open(entry / "images.npy", "r+b") as file:
        file.write(b"\x00" * 64)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        garble_header,
        lambda entry: (entry / "images.npy").unlink(),
        lambda entry: (entry / "images.npy").write_bytes(b""),
        lambda entry: (entry / "content.json").write_text("{"),
        lambda entry: (entry / "content.json").write_text("[1]"),
        lambda entry: (entry / "content.json").unlink(),
        lambda entry: np.save(entry / "images.npy", np.zeros((3, 24, 24, 3), np.uint8)),
        lambda entry: np.save(entry / "images.npy", np.zeros((N, 24, 24, 3), np.float32)),
        lambda entry: np.save(entry / "images.npy", np.array([{}] * N), allow_pickle=True),
    ],
)
def test_a_damaged_entry_is_made_anew(faces, tmp_path, damage):
    expected = np.array(crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0).images)
    (name,) = entries(tmp_path / "cache")
    damage(tmp_path / "cache" / name)
    np.testing.assert_array_equal(crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0).images, expected)
    assert entries(tmp_path / "cache") == [name]


def test_going_on_after_an_error(faces, tmp_path, monkeypatch, count_reads):
    monkeypatch.setattr(_crop_cache, "_SECONDS_BETWEEN_NOTES", -1.0)
    expected = crop_faces(faces, 24, verbose=0).images
    content = Path(faces.image_paths[35]).read_bytes()
    stat = os.stat(faces.image_paths[35])
    damaged = content[:200] + bytes(len(content) - 200)
    Path(faces.image_paths[35]).write_bytes(damaged)
    os.utime(faces.image_paths[35], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(DatasetError, match=r"35\.png: the image cannot be read"):
        crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0)
    (name,) = entries(tmp_path / "cache")
    assert name.endswith(".partial")
    assert json.loads((tmp_path / "cache" / name / "done.json").read_text()) == 32
    Path(faces.image_paths[35]).write_bytes(content)
    os.utime(faces.image_paths[35], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    count_reads.clear()
    np.testing.assert_array_equal(crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0).images, expected)
    assert len(count_reads) == N - 32
    assert entries(tmp_path / "cache") == [name.removesuffix(".partial")]


@pytest.mark.parametrize("note", ["-5", "41", "{", '"a"', "null"])
def test_a_note_that_makes_no_sense_begins_again(faces, tmp_path, monkeypatch, note):
    monkeypatch.setattr(_crop_cache, "_SECONDS_BETWEEN_NOTES", -1.0)
    expected = np.array(crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0).images)
    (name,) = entries(tmp_path / "cache")
    entry = tmp_path / "cache" / name
    partial = entry.rename(tmp_path / "cache" / f"{name}.partial")
    (partial / "images.npy").write_bytes((partial / "images.npy").read_bytes()[:-50000] + bytes(50000))
    (partial / "done.json").write_text(note)
    np.testing.assert_array_equal(crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0).images, expected)


KILLED = """
import sys, time
import numpy as np
sys.path.insert(0, {root!r})
from keras_asm.datasets import LandmarkDataset
from keras_asm.faces import _crop_cache, crop_faces, cropping
_crop_cache._SECONDS_BETWEEN_NOTES = -1.0
read = cropping._read
def slow(path, exif):
    time.sleep(0.05)
    return read(path, exif)
cropping._read = slow
with np.load({arrays!r}) as data:
    faces = LandmarkDataset(tuple(data["paths"].tolist()), data["landmarks"])
cropping.ThreadPoolExecutor = lambda make=cropping.ThreadPoolExecutor: make(1)
print("ready", flush=True)
crop_faces(faces, 24, cache={cache!r}, verbose=0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_half_way(faces, tmp_path, count_reads):
    np.savez(tmp_path / "faces.npz", paths=faces.image_paths, landmarks=faces.landmarks)
    cache = tmp_path / "cache"
    script = KILLED.format(
        root=str(Path(__file__).parents[2]), arrays=str(tmp_path / "faces.npz"), cache=str(cache)
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 20
        while not list(cache.glob("*.partial/done.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (name,) = entries(cache)
    assert name.endswith(".partial")
    resumed = crop_faces(faces, 24, cache=cache, verbose=0)  # the lock went with its process
    assert 0 < len(count_reads) < N
    np.testing.assert_array_equal(resumed.images, crop_faces(faces, 24, verbose=0).images)
    assert entries(cache) == [name.removesuffix(".partial")]


def test_two_at_once_make_one_entry(faces, tmp_path, count_reads):
    results = []

    def work():
        results.append(crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0).images)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count_reads) == N
    for images in results:
        np.testing.assert_array_equal(images, results[0])


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot reserve space")
def test_a_full_disk_is_an_error(faces, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0)
    cached = crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0)
    np.testing.assert_array_equal(cached.images, crop_faces(faces, 24, verbose=0).images)


def test_errors_name_the_image(faces, tmp_path):
    os.remove(faces.image_paths[7])
    with pytest.raises(DatasetError, match=r"7\.png: there is no such image"):
        crop_faces(faces, 24, cache=tmp_path / "cache", verbose=0)
