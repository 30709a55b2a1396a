"""The tables of how far shape models move landmarks, and those that the guide prints."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from keras_asm.synthetic import synthetic_faces

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "smoothing_report.py"


@pytest.fixture
def run(monkeypatch, capsys):
    """Rows of cells that the script prints, run in this process."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        lines = capsys.readouterr().out.splitlines()
        return {line.split(" | ")[0].strip("| "): line for line in lines if line.startswith("| ")}

    return run


def cells(line):
    return [[float(number) for number in cell.split("/")] for cell in line.strip("|").split("|")[1:]]


def test_agrees_with_scikit_learn(run):
    rows = run("--dataset", "synthetic", "--n-synthetic", "60")
    train, test = (
        synthetic_faces(n, seed=seed, image_size=32).landmarks.astype(np.float64)
        for n, seed in ((60, 0), (15, 1))
    )
    pca = PCA(0.90, svd_solver="full").fit(train.reshape(60, -1))

    def distance(shapes):
        coefficients = pca.transform(shapes.reshape(len(shapes), -1))
        bound = 3 * np.sqrt(pca.explained_variance_)
        smoothed = pca.inverse_transform(coefficients.clip(-bound, bound)).reshape(shapes.shape)
        eyes = np.linalg.norm(shapes[:, 36] - shapes[:, 45], axis=-1)
        return 100 * np.mean(np.linalg.norm(smoothed - shapes, axis=-1).mean(axis=-1) / eyes)

    components, error, *_ = cells(rows["90%"])
    assert components == [pca.n_components_]
    assert error == [pytest.approx(distance(train), abs=0.01)]
    upright, augmented, aligned = cells(rows["photometric"])  # moves nothing
    assert upright == augmented == pytest.approx([distance(train), distance(test)], abs=0.01)
    assert aligned[0] < upright[0]
    upright, augmented, _ = cells(rows["geometric"])
    assert augmented[0] < upright[0]  # it knows the augmentation


def test_accuracy_of_the_second_table(run):
    rough, fine = (
        cells(run("--n-synthetic", "40", "--accuracy", accuracy)["cropped"]) for accuracy in ("0.8", "0.99")
    )
    assert all(f < r for fs, rs in zip(fine, rough, strict=True) for f, r in zip(fs, rs, strict=True))


@pytest.mark.real_data
def test_the_guide(run, data_root):
    rows = run("--dataset", "300w", "--root", str(data_root / "300w"), "--allow-partial")
    guide = (ROOT / "docs" / "shape_models.md").read_text()
    for name in ("photometric", "geometric", "cropped"):
        assert rows[name] in guide, name
    # The guide's accuracies are of all 3148 training shapes; those of 2012 differ by little
    for name in ("80%", "90%", "99%"):
        (printed,) = re.findall(rf"^\| {name} \|.*$", guide, re.MULTILINE)
        assert np.ravel(cells(printed.replace(" %", ""))) == pytest.approx(
            np.ravel(cells(rows[name])), rel=0.06
        )
