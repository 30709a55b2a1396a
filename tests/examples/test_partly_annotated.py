"""The example of partly annotated faces: what it takes away, and that it prints its table."""

import runpy
from pathlib import Path

import numpy as np

from keras_asm.synthetic import synthetic_faces

SCRIPT = Path(__file__).parents[2] / "examples" / "partly_annotated.py"


def test_the_same_landmarks_are_taken_of_each_face():
    faces = synthetic_faces(6, seed=0, image_size=32)
    part = np.array([True, False, True, False, False, True])
    partly = runpy.run_path(str(SCRIPT))["without_landmarks"](faces, part, 29)
    missing = np.isnan(partly.landmarks).any(axis=-1)
    assert missing.sum(axis=1).tolist() == [39, 0, 39, 0, 0, 39]
    assert (missing[part] == missing[0]).all()
    np.testing.assert_array_equal(partly.landmarks[~missing], faces.landmarks[~missing])


def test_table(monkeypatch, capsys):
    options = {"n-synthetic": 40, "image-size": 32, "width-multiplier": 0.35, "epochs": 1}
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments, "--ways", "missing"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = [
        line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line[:1] == "|"
    ][2:]
    assert [row[0] for row in rows] == ["the missing ones cost nothing"]
    assert all(0 < float(error) < 100 for error in rows[0][1:])
