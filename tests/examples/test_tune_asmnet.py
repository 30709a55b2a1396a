"""A search on a few drawn faces, what it writes, and its best settings trained again."""

import json
import re
import runpy
import sys
from pathlib import Path

import keras
import pytest

pytest.importorskip("keras_tuner", reason="KerasTuner is not installed: the tuner extra")
pytest.importorskip("matplotlib", reason="the example draws with matplotlib")

from keras_asm.tuning import hypermodel

SCRIPT = Path(__file__).parents[2] / "examples" / "tune_asmnet.py"


def tiny(input_shape, width_multiplier):
    images = keras.Input(input_shape)
    return keras.Model(images, keras.layers.Conv2D(4, 3, 8)(keras.layers.Rescaling(1 / 255)(images)))


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The script in this process, with a network that is trained in a moment."""
    monkeypatch.setitem(hypermodel.BACKBONES, "MobileNetV2", hypermodel.Backbone(tiny, {"last": None}))

    def call(*arguments):
        sizes = ["--n-faces", "20", "--image-size", "32", "--epochs", "2", "--verbose", "0"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *sizes, "--output", str(tmp_path), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    return call


def test_search_and_train_again(run, tmp_path):
    printed = run("--trials", "3")
    scores = [float(score) for score in re.findall(r"^\| ([\d.]+)% \|", printed, re.MULTILINE)]
    assert len(scores) == 3
    assert scores == sorted(scores)
    assert (tmp_path / "settings.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "best.json").read_text())["nme"] == pytest.approx(scores[0] / 100, abs=1e-4)
    again, before = re.search(
        r"NME ([\d.]+)%; in the search ([\d.]+)%", run("--settings", str(tmp_path / "best.json"))
    ).groups()
    assert float(again) == pytest.approx(float(before), abs=2e-4)


def test_real_faces_without_their_folder(run, capsys):
    with pytest.raises(SystemExit):
        run("--data", "300w")
    assert "--data 300w needs --root" in capsys.readouterr().err
