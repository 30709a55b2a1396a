"""The example of measures: its interval, the parts of the face, and that it prints its tables."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from keras_asm.landmarks import NORMALIZERS, get_scheme
from keras_asm.synthetic import synthetic_faces

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "read_metrics.py"


@pytest.fixture(scope="module")
def module():
    return runpy.run_path(str(SCRIPT))


def rows(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line[:2] == "| "]


def test_the_interval_is_that_of_a_mean(module, rng):
    """Of many errors: the mean +- 1.96 standard errors."""
    errors = rng.gamma(9, 0.005, 400)
    low, high = module["interval_of_the_mean"](errors)
    reach = 1.96 * errors.std() / np.sqrt(len(errors))
    np.testing.assert_allclose([low, high], errors.mean() + np.array([-reach, reach]), rtol=0.01)


def test_an_error_counts_in_its_part_alone(module, capsys):
    true = synthetic_faces(5, seed=0, image_size=16).landmarks.astype(float)
    scheme = get_scheme("300w")
    size = np.linalg.norm(true[:, scheme.eye_corners[0]] - true[:, scheme.eye_corners[1]], axis=-1)
    predicted = true.copy()
    predicted[:, list(scheme.groups["nose"]), 0] += 0.05 * size[:, None]
    module["print_parts"]({"a network": predicted}, true)
    found = dict(rows(capsys.readouterr().out)[1:])
    assert found == {name.replace("_", " "): "5.00" if name == "nose" else "0.00" for name in scheme.groups}


def test_tables(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [str(SCRIPT), "--n-synthetic", "24"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found = rows(capsys.readouterr().out)
    scores = [row for row in found if len(row) == 8 and row[0].startswith("asmnet")]
    assert [tuple(row[:2]) for row in scores] == [
        (network, by) for network in ("asmnet-photos", "asmnet-drawn") for by in NORMALIZERS
    ]
    for row in scores:
        low, high = map(float, row[3].split(" to "))
        assert low < float(row[2]) < high
        assert float(row[5]) <= float(row[6])  # fewer faces fail at the higher threshold
    by_ocular, by_pupil, by_box = (float(row[2]) for row in scores[3:])
    assert by_box < by_ocular < by_pupil
    assert by_ocular < 6  # as on the card of the network
    assert (
        sum(int(row[1]) for row in found if row[0] in ("up to 15", "15 to 30", "30 to 45", "above 45")) == 24
    )


@pytest.mark.real_data
def test_the_table_of_the_guide(monkeypatch, capsys, data_root):
    options = ["--dataset", "300w", "--root", str(data_root / "300w"), "--allow-partial"]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *options])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found = [row for row in rows(capsys.readouterr().out) if len(row) == 8]
    named = [row for row in rows((ROOT / "docs" / "metrics.md").read_text()) if row[0].startswith("asmnet")]
    scores = [row for row in found if row[0].startswith("asmnet")]
    assert [row[:2] for row in named] == [row[:2] for row in scores]
    for row, measured in zip(named, scores, strict=True):
        assert float(row[2]) == pytest.approx(float(measured[2]), abs=0.02)
        assert float(row[4]) == pytest.approx(float(measured[4]), abs=0.02)
    poses = [
        row for row in rows((ROOT / "docs" / "metrics.md").read_text()) if row[0] in ("up to 15", "30 to 45")
    ]
    by_yaw = {row[0]: row for row in found}
    for row in poses:
        measured = [by_yaw[row[0]][i] for i in (2, 4, 5, 7)]
        np.testing.assert_allclose(
            [float(cell) for cell in row[2:]], [float(cell) for cell in measured], atol=0.02
        )
