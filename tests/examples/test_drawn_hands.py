"""The drawn hands: the landmarks lie on the hand, and every reader reads the same."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from keras_asm import ActiveShapeModel
from keras_asm.datasets import load_labelme, load_table

SCRIPT = Path(__file__).parents[2] / "examples" / "drawn_hands.py"


@pytest.fixture(scope="module")
def module():
    pytest.importorskip("PIL", reason="hands are drawn by Pillow")
    return runpy.run_path(str(SCRIPT))


def test_landmarks_lie_on_the_hand(module):
    """The pixel under a landmark has the colour of the hand, which is that of the palm; the noise has 6 grey levels."""
    for i in range(20):
        picture, landmarks = module["draw_hand"](np.random.default_rng(i), 128)
        pixels = np.asarray(picture, dtype=float)
        assert (landmarks > 0).all()
        assert (landmarks < 127).all()
        columns, rows = landmarks.round().astype(int).T
        palm = pixels[rows[[7, 10]], columns[[7, 10]]].mean(
            axis=0
        )  # knuckles of the middle and the ring finger
        assert np.abs(pixels[rows, columns] - palm).mean(axis=1).max() < 30


def test_hands_vary(module):
    shapes = np.stack([module["draw_hand"](np.random.default_rng(i), 64)[1] for i in range(60)])
    asm = ActiveShapeModel(0.9, align="procrustes").fit(shapes)
    assert 4 <= asm.n_components_ <= 14


def test_a_table_and_labelme_say_the_same(module, monkeypatch, tmp_path):
    folder = tmp_path / "hands"
    monkeypatch.setattr("sys.argv", [str(SCRIPT), str(folder), "--n", "3", "--size", "64"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    drawn = np.stack([module["draw_hand"](np.random.default_rng((0, i)), 64)[1] for i in range(3)])
    for read in (load_labelme(folder, module["HAND"]), load_table(folder / "hands.csv", module["HAND"])):
        np.testing.assert_allclose(read.landmarks, drawn, atol=0.001)
        assert [Path(path).name for path in read.image_paths] == ["000.png", "001.png", "002.png"]
