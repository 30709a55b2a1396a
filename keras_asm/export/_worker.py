"""Conversion in a process of its own on TensorFlow, for networks that were trained on another backend.

`python -m keras_asm.export._worker FOLDER` reads `model.keras`, `request.json` and arrays from the folder, and writes
the network, and `error.json` or what the network gives for the samples.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_asm.export._convert import ExportError, convert
from keras_asm.inference import ExportedModel

__all__ = ["convert_and_run", "convert_by_tensorflow", "main"]


def convert_and_run(
    model: keras.Model,
    path: Path,
    format: str,
    precision: str,
    calibration: np.ndarray | None,
    samples: np.ndarray,
) -> dict[str, np.ndarray] | str:
    """Write a network, and run it: what it gives for the samples, or why it cannot be run here."""
    convert(model, path, format, precision, calibration)
    try:
        exported = ExportedModel(path)
    except ImportError as error:
        return str(error)
    return exported(samples)


def convert_by_tensorflow(
    model: keras.Model,
    path: Path,
    format: str,
    precision: str,
    calibration: np.ndarray | None,
    samples: np.ndarray,
) -> dict[str, np.ndarray] | str:
    """The same as `convert_and_run`, in a process whose backend is TensorFlow."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "model.keras")
        request = {"path": str(path.absolute()), "format": format, "precision": precision}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        np.save(folder / "samples.npy", samples)
        if calibration is not None:
            np.save(folder / "calibration.npy", calibration)
        environment = {
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        done = subprocess.run(
            [sys.executable, "-m", __name__, name],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if (folder / "error.json").exists():
            kind, text = json.loads((folder / "error.json").read_text(encoding="utf-8"))
            raise (ImportError if kind == "ImportError" else ExportError)(text)
        if done.returncode:
            raise ExportError(
                "The network could not be converted by TensorFlow, in a process of its own. "
                f"Received: exit status {done.returncode}, {done.stderr.strip()[-500:]}"
            )
        if (folder / "missing.txt").exists():
            return (folder / "missing.txt").read_text(encoding="utf-8")
        with np.load(folder / "outputs.npz") as outputs:
            return dict(outputs)


def main(folder: Path) -> None:
    """What the process does."""
    try:
        request: dict[str, Any] = json.loads((folder / "request.json").read_text(encoding="utf-8"))
        try:
            model = keras.models.load_model(folder / "model.keras", compile=False)
        except (TypeError, ValueError) as error:
            raise ExportError(
                "The network is exported by a process of its own on TensorFlow, where it could not be loaded. If it "
                "has layers of yours, save it to a .keras file, and export that in a process of yours that sets "
                "KERAS_BACKEND=tensorflow and imports the layers. "
                f"Received: {str(error)[:500]}"
            ) from error
        calibration = folder / "calibration.npy"
        found = convert_and_run(
            model,
            Path(request["path"]),
            request["format"],
            request["precision"],
            np.load(calibration) if calibration.exists() else None,
            np.load(folder / "samples.npy"),
        )
    except (ExportError, ImportError) as error:
        (folder / "error.json").write_text(json.dumps([type(error).__name__, str(error)]), encoding="utf-8")
        return
    if isinstance(found, str):
        (folder / "missing.txt").write_text(found, encoding="utf-8")
    else:
        np.savez(folder / "outputs.npz", **found)  # type: ignore[arg-type]  # of NumPy's own stub


if __name__ == "__main__":
    main(Path(sys.argv[1]))
