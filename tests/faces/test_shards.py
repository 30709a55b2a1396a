"""The recipes of docs/feeding.md for data that is divided over processes: every face once, equal for a seed."""

import re
from pathlib import Path

import numpy as np
import pytest

from keras_asm.faces import FaceCrops
from keras_asm.faces.crop_transform import CropTransform

PAGE = Path(__file__).parents[2] / "docs" / "feeding.md"
N = 24


def recipe(word):
    """The one block of the page that has this line."""
    blocks = re.findall(
        r"^```py(?:thon)?\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (block,) = (block for block in blocks if word in block.splitlines())
    return block


@pytest.fixture
def crops():
    """Crops whose first pixel and first coordinate number the face."""
    images = np.arange(N, dtype=np.uint8)[:, None, None, None] * np.ones((48, 48, 3), np.uint8)
    landmarks = np.zeros((N, 68, 2), np.float32)
    landmarks[:, 0, 0] = np.arange(N) / 100
    transform = CropTransform(center=np.zeros((N, 2)), side=np.full(N, 48.0), image_size=48)
    return FaceCrops(images=images, landmarks=landmarks, transform=transform)


def served(block, crops, index, count, convert):
    """The faces of the batches that a process sees, and whether each has its own landmarks."""
    namespace = {"crops": crops, "index": index, "count": count, "np": np}
    exec(compile(block, str(PAGE), "exec"), namespace)
    batches = [(np.asarray(images), np.asarray(points)) for images, points in convert(namespace["data"])]
    for images, points in batches:
        np.testing.assert_allclose(images[:, 0, 0, 0] / 100, points[:, 0], atol=1e-6)
    return [list(map(int, images[:, 0, 0, 0])) for images, _ in batches]


def check(block, crops, convert=iter):
    parts = [served(block, crops, index, 2, convert) for index in range(2)]
    faces = [face for part in parts for batch in part for face in batch]
    assert sorted(faces) == list(range(N))  # none twice, none left out
    assert faces != list(range(N))
    assert len(parts[0]) == len(parts[1]) == N // 4
    assert all(len(batch) == 2 for part in parts for batch in part)
    assert served(block, crops, 1, 2, convert) == parts[1]  # equal for a seed


def test_tfrecord(crops, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    monkeypatch.chdir(tmp_path)
    block = recipe("import tensorflow as tf")
    kept = [line for line in block.splitlines() if not line.startswith(("crops = ", "index, count"))]
    check("\n".join(kept), crops, lambda data: data.as_numpy_iterator())


def test_grain(crops):
    pytest.importorskip("grain", reason="Grain is not installed")
    check(recipe("import grain"), crops)


def test_webdataset(crops, tmp_path, monkeypatch):
    pytest.importorskip("webdataset", reason="WebDataset is not installed")
    monkeypatch.chdir(tmp_path)
    check(recipe("import webdataset"), crops)
