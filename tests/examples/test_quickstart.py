"""The quickstart, at its smallest, and what it writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.py"
PICTURES = ("ced.png", "predictions.png", "shape_modes.png")


def quickstart(output: Path, *arguments: str) -> dict:
    pytest.importorskip("matplotlib", reason="the quickstart draws with matplotlib")
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
    results = quickstart(tmp_path, "--n-train", "80")
    assert set(results) == {"mse", "asm-assisted"}
    assert results["mse"]["scores"]["all"]["n_images"] == 20
    # The models that it saved load, with their losses
    import keras_asm  # noqa: F401

    model = keras.models.load_model(tmp_path / "asm-assisted.keras")
    assert model.loss["landmarks"].alpha == 0.5


@pytest.mark.real_data
def test_real_faces(tmp_path, data_root):
    results = quickstart(tmp_path, "--data", "300w", "--root", str(data_root / "300w"), "--epochs", "1")
    scores = results["mse"]["scores"]["all"]
    assert 0.05 < scores["nme"] < 0.30
    assert scores["n_images"] == 554


def test_real_faces_without_their_folder():
    run = subprocess.run([sys.executable, str(SCRIPT), "--data", "300w"], capture_output=True, text=True)
    assert run.returncode == 2
    assert "--data 300w needs --root" in run.stderr
