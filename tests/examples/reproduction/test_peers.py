"""The other landmark models, on a few drawn faces."""

import importlib.util
import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import evaluate_landmarks, predict_with_flip
from keras_asm.synthetic import synthetic_faces
from paper.records import write_json
from paper.results import Results
from paper.settings import load_experiments
from paper.training import build_network

SCRIPT = Path(__file__).parents[3] / "examples" / "reproduction" / "peers.py"


@pytest.fixture
def peers(monkeypatch, capsys, tmp_path):
    """The script, run on few and small faces; returns what it prints."""

    def run(*arguments: str) -> str:
        tiny = ["--dataset", "synthetic", "--n-synthetic", "80", "--image-size", "64"]
        tiny += ["--max-train-faces", "60"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *tiny, "--output", str(tmp_path), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_ridge_is_better_than_the_mean_shape(peers, tmp_path):
    printed = peers("--methods", "mean_shape", "ridge")
    records = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("mean_shape", "ridge")}
    for name, record in records.items():
        assert f"{name}: NME {record['scores']['nme']:.2%}" in printed
        faces = {"dataset": "synthetic", "image_size": 64, "train": 60, "test": 20}
        assert record["faces"] == {**faces, "label_noise": 0.0, "clean": "none"}
        assert len(record["errors"]) == 20
        assert sum(record["errors"]) / 20 == pytest.approx(record["scores"]["nme"], abs=1e-5)
        assert record["training_seconds"] >= 0
        assert {"keras-asm", "numpy", "scikit-learn"} <= set(record["versions"])
    assert records["ridge"]["milliseconds_per_face"] > records["mean_shape"]["milliseconds_per_face"]
    assert records["ridge"]["scores"]["nme"] < 0.75 * records["mean_shape"]["scores"]["nme"]
    assert 1000 < records["mean_shape"]["model_bytes"] < 2000 < records["ridge"]["model_bytes"]

    # What is finished is not run again, unless the faces are others
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert peers("--methods", "mean_shape", "ridge") == printed
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    results = Results()
    assert results.add(json.loads((tmp_path / "mean_shape.json").read_text()), {})
    peers("--methods", "mean_shape", "--max-train-faces", "20", "--hold-out", "0.1")
    fewer = json.loads((tmp_path / "mean_shape.json").read_text())
    assert fewer["faces"]["train"] == 20
    assert fewer["faces"]["test"] == 8  # of the 80 training faces
    assert results.add(fewer, {})
    assert not results.add(fewer, {})


def test_careless_annotations(peers, tmp_path):
    """The noise is that of the networks' training faces, and a record says that it is there."""
    results, nme = Results(), []
    for options in ([], ["--label-noise", "0.15"], ["--label-noise", "0.15", "--clean", "drawn"]):
        peers("--methods", "ridge", *options)
        record = json.loads((tmp_path / "ridge.json").read_text())
        assert results.add(record, {})
        nme.append(record["scores"]["nme"])
    clean, noisy, cleaned = nme
    assert clean < cleaned < noisy
    labels = [(peer["label_noise"], peer["clean"]) for peer in results.peers]
    assert labels == [(0.0, "none"), (0.15, "none"), (0.15, "drawn")]

    results.save(tmp_path / "results")
    again = Results.load(tmp_path / "results")
    assert not again.add(record, {})
    assert [(peer["label_noise"], peer["clean"]) for peer in again.peers] == labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label-noise", "0"], "noise above 0. Received: 0.0"),
        (["--clean", "drawn"], "--clean needs --label-noise. Received: --clean drawn alone"),
    ],
)
def test_labels_that_cannot_be(peers, capsys, options, message):
    with pytest.raises(SystemExit):
        peers("--methods", "ridge", *options)
    assert message in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("dlib") is not None, reason="dlib is installed")
def test_without_dlib(peers):
    assert "dlib: skipped" in peers("--methods", "dlib")


def test_dlib_is_better_than_the_mean_shape(peers, tmp_path, monkeypatch):
    dlib = pytest.importorskip("dlib", reason="dlib is not installed")
    options = dlib.shape_predictor_training_options

    class FewTrees(options):
        def __setattr__(self, name, value):
            super().__setattr__(name, 20 if name == "num_trees_per_cascade_level" else value)

    monkeypatch.setattr(dlib, "shape_predictor_training_options", FewTrees)
    peers("--methods", "mean_shape", "dlib")
    nme = [
        json.loads((tmp_path / f"{name}.json").read_text())["scores"]["nme"]
        for name in ("dlib", "mean_shape")
    ]
    assert nme[0] < 0.9 * nme[1]


def test_a_trained_network_beside_them(peers, tmp_path):
    settings = replace(load_experiments()["smoke"].run("ASMNet_nr"), image_size=32)
    run = tmp_path / "runs" / "some" / "run-0.json"
    write_json(run, {"settings": settings.to_dict(), "data": {"pose": True}, "seconds": 12.0})
    keras.utils.set_random_seed(0)
    network = build_network(settings, 68, with_pose=True)
    weights = tmp_path / "runs" / "checkpoints" / "some" / "run-0.weights.h5"
    weights.parent.mkdir(parents=True)
    network.save_weights(weights)

    printed = peers("--methods", "--networks", str(run))
    assert "ASMNet, plain: NME" in printed
    assert "ASMNet, plain, flip test: NME" in printed
    plain, flip = (json.loads((tmp_path / f"some_run-0{end}.json").read_text()) for end in ("", "_flip"))
    faces = {"dataset": "synthetic", "image_size": 32, "train": 80, "test": 20}
    assert plain["faces"] == {**faces, "label_noise": 0.0, "clean": "none"}
    assert (plain["training_seconds"], plain["model_bytes"] > 1000) == (12.0, True)
    faces = synthetic_faces(20, seed=1, image_size=32)
    for record, predicted in (
        (plain, network.predict(faces.images, verbose=0)),
        (flip, predict_with_flip(network, faces.images, "300w")),
    ):
        expected = evaluate_landmarks(faces.landmarks, predicted["landmarks"], scheme="300w").errors
        np.testing.assert_allclose(record["errors"], expected, atol=2e-5)
    assert plain["errors"] != flip["errors"]
    assert peers("--methods", "--networks", str(run)) == printed


def test_without_the_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="300W needs --root"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
