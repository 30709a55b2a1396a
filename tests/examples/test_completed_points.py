"""The table of completed points, and the one that the guide prints."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from keras_asm.synthetic import synthetic_faces

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "completed_points.py"


def test_table_of_drawn_faces(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", [str(SCRIPT), "--n-synthetic", "60", "--neighbours", "2", "--fractions", "0.3"]
    )
    with pytest.warns(ConvergenceWarning):  # of the imputer
        module = runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert len(rows) == 2
    # The mean shape's error by hand, with the points that the script removes
    train, test = (synthetic_faces(n, seed=seed, image_size=32).landmarks for seed, n in enumerate((60, 15)))
    remove = module["removals"](module["get_scheme"]("300w"), [0.3])["30%, at random"]
    rng = np.random.default_rng(0)
    gone, missing = remove(train, rng), remove(test, rng)
    assert (missing.sum(axis=1) == 20).all()
    mean = (train * ~gone[..., None]).sum(0) / (~gone).sum(0)[:, None]
    eyes = np.linalg.norm(test[:, 36] - test[:, 45], axis=-1)[:, None]
    error = (np.linalg.norm(mean - test, axis=-1) / eyes)[missing].mean()
    assert float(rows[0][1]) == pytest.approx(100 * error, abs=0.01)
    mean_shape, _, model, aligned = map(float, rows[0][1:])
    assert max(model, aligned) < 0.4 * mean_shape


def test_table_of_batches(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", [str(SCRIPT), "--n-synthetic", "200", "--batch", "50", "--fractions", "0.3"]
    )
    runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if "%" in line]
    at_random, by_parts = ([float(cell) for cell in row[1:]] for row in rows)
    assert len(at_random) == len(by_parts) == 8
    for one_fit, *others in (at_random[:4], at_random[4:]):
        # Four batches of 50 shapes each are worth about what one fit is
        assert max(others[:2]) < 1.3 * one_fit
