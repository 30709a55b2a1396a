"""The comparison of losses, at its smallest, and what it writes."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import keras
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "compare_losses.py"
PICTURES = ("ced.png", "predictions.png", "shape_modes.png")


def compare(output: Path, *arguments: str) -> dict:
    pytest.importorskip("matplotlib", reason="the example draws with matplotlib")
    tiny = ["--image-size", "32", "--width-multiplier", "0.35", "--epochs", "3", "--output", str(output)]
    run = subprocess.run(
        [sys.executable, str(SCRIPT), *tiny, *arguments],
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "alpha: 2.0" in run.stdout  # the progress bar shows it
    assert "asm-assisted" in run.stdout
    for picture in PICTURES:
        assert (output / picture).read_bytes().startswith(b"\x89PNG")
    return json.loads((output / "results.json").read_text())


@pytest.mark.backend
def test_synthetic_faces(tmp_path):
    results = compare(tmp_path, "--n-train", "80")
    assert set(results) == {"mse", "asm-assisted"}
    assert results["mse"]["scores"]["all"]["n_images"] == 20
    # The models that it saved load, with their losses
    import keras_asm  # noqa: F401

    model = keras.models.load_model(tmp_path / "asm-assisted.keras")
    assert model.loss["landmarks"].alpha == 0.5


@pytest.fixture
def in_this_process(monkeypatch):
    """The script with a network that is trained in seconds; starting a process takes longer than its test."""
    import keras_asm

    def tiny(n_landmarks, input_shape, include_pose, width_multiplier):
        x = images = keras.Input(input_shape)
        x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 255)(x)))
        heads = {"landmarks": keras.layers.Dense(2 * n_landmarks, "tanh", name="landmarks")(x)}
        return keras.Model(images, heads | {"pose": keras.layers.Dense(3, name="pose")(x)})

    monkeypatch.setattr(keras_asm, "ASMNet", tiny)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")

    return run


@pytest.mark.real_data
def test_real_faces(tmp_path, data_root, in_this_process):
    pytest.importorskip("matplotlib", reason="the example draws with matplotlib")
    tiny = ["--image-size", 32, "--epochs", 1, "--output", tmp_path]
    in_this_process("--data", "300w", "--root", data_root / "300w", *tiny)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["mse"]["scores"]["all"]["n_images"] == 554
    assert results["mse"]["scores"]["all"]["nme"] < 1
    assert results["mse"]["scores"]["all"]["pose_error"] > 0


def test_real_faces_without_their_folder(in_this_process, capsys):
    with pytest.raises(SystemExit):
        in_this_process("--data", "300w")
    assert "--data 300w needs --root" in capsys.readouterr().err
