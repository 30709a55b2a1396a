"""The example of uncertain points: its occluders, its choice, and that it prints its tables."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from keras_asm import ActiveShapeModel
from keras_asm.synthetic import synthetic_faces

SCRIPT = Path(__file__).parents[2] / "examples" / "uncertain_points.py"


@pytest.fixture(scope="module")
def module():
    return runpy.run_path(str(SCRIPT))


def test_occluders_hide_what_lies_under_them(module):
    faces = synthetic_faces(30, seed=0, image_size=32)
    occluded, hidden = module["with_occluders"](faces, seed=1)
    again, _ = module["with_occluders"](faces, seed=1)
    np.testing.assert_array_equal(again.images, occluded.images)
    for before, after, landmarks, under in zip(
        faces.images, occluded.images, faces.landmarks, hidden, strict=True
    ):
        y, x = np.nonzero((before != after).any(axis=-1))
        sides = np.ptp(x) + 1, np.ptp(y) + 1
        assert all(0.2 * 32 <= side <= 0.5 * 32 for side in sides)
        (inside,) = np.unique(after[y, x], axis=0).tolist()  # one colour
        pixels = np.round((landmarks + 0.5) * 32 - 0.5)
        within = ((pixels >= [x.min(), y.min()]) & (pixels <= [x.max(), y.max()])).all(axis=-1)
        assert (within == under).mean() > 0.95  # but for rounding at its border, or pixels of its very colour
        assert len(inside) == 3
    some, _ = module["with_occluders"](faces, seed=1, fraction=0.5)
    changed = (some.images != faces.images).any(axis=(1, 2, 3))
    assert 5 < changed.sum() < 25


def test_the_choice_trusts_scales_that_are_right(module, rng):
    """Errors that are as large as the scales say, on one half of the points alone."""
    shapes = synthetic_faces(200, seed=0, image_size=32).landmarks.astype(float)
    log_scale = np.where(rng.random(shapes.shape[:2]) < 0.5, np.log(0.001), np.log(0.1))
    error = rng.laplace(size=shapes.shape) * np.exp(log_scale)[..., None]
    predicted = module["Predicted"](shapes, shapes + error, log_scale, np.zeros(log_scale.shape, bool))
    models = {"as they lie": ActiveShapeModel(0.99).fit(shapes)}
    name, strength = module["choose"](predicted, models, weighted=True)
    assert 0.5 <= strength <= 2
    distances = {
        weighted: np.linalg.norm(
            module["repaired"](predicted, models[name], strength, weighted) - shapes, axis=-1
        ).mean()
        for weighted in (True, False)
    }
    assert distances[True] < 0.5 * distances[False] < 0.5 * np.linalg.norm(error, axis=-1).mean()


def test_what_is_said_of_the_errors(module, rng, capsys):
    """Errors that are plausible changes of the shape, and errors that are independent of each other."""
    shapes = synthetic_faces(200, seed=0, image_size=32).landmarks.astype(float)
    asm = ActiveShapeModel(5).fit(shapes)
    size = rng.uniform(0.001, 0.01, 200)
    log_scale = np.tile(np.log(size)[:, None], (1, 68))
    plausible = (rng.normal(size=(200, 5)) @ asm.components_).reshape(shapes.shape)
    independent = rng.laplace(size=shapes.shape)
    errors = {"plausible": plausible, "independent": independent}
    module["print_structure"](
        {
            name: module["Predicted"](shapes, shapes + size[:, None, None] * error, log_scale, None)
            for name, error in errors.items()
        },
        asm,
    )
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[3] for row in rows] == ["100 %", f"{100 * 5 / 136:.0f} %"]
    assert abs(float(rows[1][2])) < 0.05
    assert all(float(row[1]) > 0.7 for row in rows)


def test_tables(monkeypatch, capsys, tmp_path):
    options = {"n-synthetic": 40, "image-size": 32, "width-multiplier": 0.35, "epochs": 1, "output": tmp_path}
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line[:1] == "|"]
    assert [row[0] for row in rows if len(row) == 5][1:] == ["held out", "drawn", "drawn, occluders"]
    errors = [row for row in rows if len(row) == 7][1:]
    assert [row[1] for row in errors] == ["all", "hidden", "not hidden", "all", "all", "hidden", "not hidden"]
    structure = [row[0] for row in rows if len(row) == 4][1:]
    assert structure == ["drawn", "drawn, occluders"]
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
    assert (tmp_path / "network.keras").is_file()
