"""How much of an error is luck of the last batches."""

import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import LandmarkBatches
from paper.settings import load_experiments
from paper.training import build_network

SCRIPT = Path(__file__).parents[3] / "examples" / "reproduction" / "batch_norm_noise.py"


def test_statistics_become_those_of_the_batches(rng):
    """Of one batch that comes again and again: its own mean and variance, in a nested model too."""
    images = rng.uniform(0, 255, size=(8, 4, 4, 3)).astype("float32")
    inner = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization()])
    model = keras.Sequential([keras.Input((4, 4, 3)), inner, keras.layers.Dense(4)])
    kernel = np.array(model.layers[-1].kernel)
    script = runpy.run_path(str(SCRIPT))
    script["take_statistics_on"](model, LandmarkBatches(images, np.zeros((8, 2, 2)), batch_size=8), 0.5)
    (layer,) = inner.layers
    # 2 ** -7 of the first mean 0 and variance 1 is left
    np.testing.assert_allclose(np.array(layer.moving_mean), images.mean((0, 1, 2)) * (1 - 2**-7), rtol=1e-5)
    variance = images.var((0, 1, 2)) * (1 - 2**-7) + 2**-7
    np.testing.assert_allclose(np.array(layer.moving_variance), variance, rtol=1e-5)
    np.testing.assert_array_equal(np.array(model.layers[-1].kernel), kernel)


@pytest.fixture
def run(tmp_path, tiny_network):
    """A run that has just begun: its record and its weights."""
    settings = replace(load_experiments()["smoke"].run("ASMNet_nr"), network="tiny", batch_size=8)
    record = tmp_path / "smoke" / "ASMNet_nr-0.json"
    weights = tmp_path / "checkpoints" / "smoke" / "ASMNet_nr-0.weights.h5"
    for path in (record, weights):
        path.parent.mkdir(parents=True)
    record.write_text(json.dumps({"settings": settings.to_dict()}))
    build_network(settings, 68, True).save_weights(weights)
    return record, weights


def test_the_table(run, monkeypatch, capsys):
    arguments = [
        "--n-synthetic",
        "20",
        "--draws",
        "2",
        "--momenta",
        "0.5",
        "0.9",
        "--recompute",
        "10",
        "--epochs",
        "1",
        "2",
    ]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), str(run[0]), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = re.findall(
        r"^\| ([\w., ]+) \| ([\d.]+) ± ([\d.]+) \| ([\d.]+) ± ([\d.]+) \| ([\d.]+), ([\d.]+) \|$",
        capsys.readouterr().out,
        re.MULTILINE,
    )
    assert [name for name, *_ in rows] == [
        "momentum 0.5",
        "momentum 0.9",
        "recomputed, 1 epoch by 10",
        "recomputed, 2 epochs by 10",
    ]
    for row in rows:
        mean, deviation, *_, first, second = map(float, row[1:])
        assert mean == pytest.approx((first + second) / 2, abs=0.011)
        assert deviation == pytest.approx(abs(first - second) / 2**0.5, abs=0.011)
        assert first != second


def test_weights_that_are_not_there(run, monkeypatch, capsys):
    record, weights = run
    weights.unlink()
    monkeypatch.setattr("sys.argv", [str(SCRIPT), str(record)])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert f"are not there. Received: {weights}" in capsys.readouterr().err
