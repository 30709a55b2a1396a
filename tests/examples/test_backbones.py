"""The example of backbones: every one of its table can be built, and that it prints a table and goes on from one."""

import json
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import ShapeDecoder

SCRIPT = Path(__file__).parents[2] / "examples" / "backbones.py"
MODULE = runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("name", MODULE["BACKBONES"])
def test_taps_are_the_last_of_four_resolutions(name):
    keras.backend.clear_session()  # some names of layers have counters
    decoder = ShapeDecoder.from_landmarks(np.random.default_rng(0).normal(size=(4, 5, 2)))
    network = MODULE["landmark_net"](name, 64, None, decoder)
    taps = [network.get_layer(tap).output.shape for tap in MODULE["BACKBONES"][name][1]]
    assert [tuple(shape[1:3]) for shape in taps] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    assert network.get_layer("fused_features").output.shape[1] == sum(shape[3] for shape in taps)
    momenta = {
        layer.momentum for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta <= {0.9}


def test_a_table_that_goes_on(monkeypatch, capsys, tmp_path):
    options = {"n-synthetic": 20, "image-size": 32, "epochs": 1, "output": tmp_path}
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    row = {"parameters": 7e6, "multiply-adds": 8e6, "NME %": 1.5, "NME %, flip": 1.25, "processor time": 9}
    (tmp_path / "results.json").write_text(json.dumps({"ResNet50": row}))
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments, "--backbones", "MobileNetV3Small", "ResNet50"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    *_, trained, kept = capsys.readouterr().out.splitlines()
    assert kept == "| `ResNet50` | 7.00 M | 8.0 M | 1.50 | 1.25 | 9 s |"
    assert trained.startswith("| `MobileNetV3Small` | 0.91 M |")
    results = json.loads((tmp_path / "results.json").read_text())
    assert 0 < results["MobileNetV3Small"]["NME %"] < 200
