"""The benchmark of speed: who takes turns, that both sides do the same, that the page shows what was measured."""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_asm import ActiveShapeModel, ASMAssistedLoss

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "examples" / "benchmarks" / "results" / "speed.json"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "benchmarks"))
    environment = dict(os.environ)  # where the script sets threads
    import speed

    yield speed
    for name in ("speed", "measuring", "feeding"):
        sys.modules.pop(name, None)
    os.environ.clear()
    os.environ.update(environment)


def test_jobs_take_turns(speed):
    order = []

    def job(name, seconds):
        def work():
            order.append(name)
            began = time.process_time()
            while time.process_time() < began + seconds:
                pass

        return work

    seconds = speed.take_turns(
        {"short": job("short", 0.01), "long": job("long", 0.03), "own": lambda: 7.0}, 5
    )
    assert [sorted(order[i : i + 2]) for i in range(0, 10, 2)] == 5 * [["long", "short"]]
    assert order[::2] != 5 * order[:1]  # drawn anew in each round
    assert seconds["own"] == 5 * [7.0]
    low, middle, high = speed.ratio(seconds, "long", "short")
    assert 2 < low <= middle <= high < 4.5


def test_ratios_are_of_the_same_round(speed):
    seconds = {"a": [1.0, 20.0, 300.0, 4.0], "b": [1.0, 10.0, 100.0, 1.0]}
    assert speed.ratio(seconds, "a", "b") == (1.75, 2.5, 3.25)


@pytest.mark.backend
def test_the_authors_way_is_the_same_loss(speed, tmp_path, rng):
    shapes = rng.normal(size=(40, 24)).astype("float32")
    asm = ActiveShapeModel(5, limit=3.0).fit(shapes[:20])
    np.savez(
        tmp_path / "pca.npz", mean=asm.mean_shape_, vectors=asm.components_, values=asm.explained_variance_
    )
    true, predicted = (keras.ops.convert_to_tensor(values) for values in (3 * shapes[:8], shapes[8:16]))
    theirs = speed.authors_loss(tmp_path / "pca.npz")(true, predicted)
    ours = ASMAssistedLoss(asm, reduction=None)(true, predicted)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(theirs), keras.ops.convert_to_numpy(ours), rtol=1e-5
    )


def test_both_fits_are_the_same_model(speed, rng):
    shapes = rng.normal(size=(40, 24))
    variances, vectors = speed.covariance_and_eigenvectors(shapes)
    asm = ActiveShapeModel(3).fit(shapes)
    np.testing.assert_allclose(asm.explained_variance_, variances[::-1][:3], rtol=1e-10)
    np.testing.assert_allclose(np.abs(asm.components_ @ vectors[:, ::-1][:, :3]), np.eye(3), atol=1e-8)


def test_menpos_fit_is_the_same_model_but_for_the_weights_of_shapes(speed, rng):
    """menpo iterates its mean to a tolerance; the leading variance, in units of the size, agrees to a few percent."""
    shape = pytest.importorskip("menpo.shape", reason="menpo is not installed")
    mean = rng.normal(size=(9, 2))
    shapes = (
        mean
        + rng.normal(size=(80, 1, 1)) * 0.2 * rng.normal(size=(9, 2))
        + 0.01 * rng.normal(size=(80, 9, 2))
    )
    theirs = speed.menpos_fit([shape.PointCloud(each) for each in shapes])
    ours = ActiveShapeModel(3, align="procrustes").fit(shapes)
    size = np.square(theirs.mean().points - theirs.mean().points.mean(axis=0)).sum()
    ratio = (theirs.eigenvalues[0] / size) / (
        ours.explained_variance_[0] / np.square(ours.reference_shape_).sum()
    )
    assert ratio == pytest.approx(1, abs=0.05)


def test_crops_are_those_of_opencv(speed, tmp_path):
    """Of a smooth picture, which leaves the filters little to disagree about, to whole pixels of the square."""
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    from PIL import Image

    from keras_asm.faces import crop_image

    x, y = np.meshgrid(np.linspace(0, 255, 200), np.linspace(0, 255, 200))
    picture = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    theirs = speed.opencv_crops([str(tmp_path / "a.png")], np.array([[100.0, 60.0, 160.0]]), 64)[0]
    ours = crop_image(picture, (99.5, 59.5), 160, 64)
    assert np.abs(theirs.astype(int) - ours.astype(int)).mean() < 1.5


def test_the_page_shows_what_was_measured(speed, tmp_path):
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    page = tmp_path / "speed.md"
    page.write_text((ROOT / "docs" / "speed.md").read_text(encoding="utf-8"), encoding="utf-8")
    tables = speed.make_tables(results)
    speed.fill_page(page, tables)
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    for result in results.values():
        assert result["processor"]
        assert result["rounds"] >= 3


def test_measures(speed, monkeypatch, tmp_path, capsys):
    arguments = ["--parts", "loss", "shapes", "--rounds", "3", "--steps", "1", "--many", "300"]
    small = ["--image-size", "32", "--batch-size", "2", "--output", str(tmp_path / "speed.json")]
    monkeypatch.setattr(sys, "argv", ["speed.py", *arguments, *small])
    pytest.importorskip("menpo", reason="menpo is not installed")
    monkeypatch.setattr(speed, "synthetic_faces", lambda *_, **__: SimpleNamespace(landmarks=_faces()))
    speed.main()
    assert "the authors' way" in capsys.readouterr().out
    found = json.loads((tmp_path / "speed.json").read_text())
    assert set(found) == {f"{part} | {keras.config.backend()}" for part in ("loss", "shapes")}


def _faces():
    rng = np.random.default_rng(0)
    return (rng.uniform(-0.3, 0.3, (68, 2)) + 0.03 * rng.normal(size=(30, 68, 2))).astype("float32")
