"""Shapes on disk: fitted, projected, killed and gone on with, on joblib and, where they are installed, Dask and Ray."""

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_asm import ActiveShapeModel

SCRIPT = Path(__file__).parents[2] / "examples" / "large_shape_sets.py"


@pytest.fixture
def run(monkeypatch, capsys):
    """The script in this process; what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    return call


@pytest.fixture
def shapes(tmp_path, rng):
    """A folder of four files, one of them larger than a batch."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    for i, n in enumerate((50, 4100, 30, 80)):
        drawn = [[0, 0], [2, 0], [2, 1], [0, 1.5]] + 0.1 * rng.normal(size=(n, 4, 2))
        np.save(folder / f"{i}.npy", drawn.astype(np.float32))
    return folder


@pytest.mark.parametrize("align", [[], ["--align", "procrustes"]])
def test_fit_on_files_is_one_fit(run, shapes, tmp_path, align):
    assert "4260 shapes" in run("fit", shapes, tmp_path / "parts.npz", *align)
    assert "MiB" in run("fit", shapes, tmp_path / "whole.npz", "--at-once", *align)
    parts, whole = (ActiveShapeModel.load(tmp_path / f"{name}.npz") for name in ("parts", "whole"))
    np.testing.assert_allclose(parts.mean_shape_, whole.mean_shape_, atol=1e-12)
    np.testing.assert_allclose(parts.components_, whole.components_, atol=1e-10)
    np.testing.assert_allclose(parts.explained_variance_, whole.explained_variance_, rtol=1e-10)


def test_processes_fit(run, shapes, tmp_path, monkeypatch):
    """Those of `--jobs`, not this one."""
    here = []
    partial_fit = ActiveShapeModel.partial_fit
    monkeypatch.setattr(
        ActiveShapeModel,
        "partial_fit",
        lambda *args, **kwargs: here.append(1) or partial_fit(*args, **kwargs),
    )
    run("fit", shapes, tmp_path / "one.npz")
    assert here
    here.clear()
    run("fit", shapes, tmp_path / "two.npz", "--jobs", 2)
    assert not here
    one, two = (ActiveShapeModel.load(tmp_path / f"{name}.npz") for name in ("one", "two"))
    np.testing.assert_array_equal(one.components_, two.components_)


def test_projection_goes_on(run, shapes, tmp_path):
    model = tmp_path / "model.npz"
    run("fit", shapes, model)
    assert "4 files projected, 0 were there" in run("project", shapes, model, tmp_path / "out")
    projected = sorted((tmp_path / "out").glob("*/*.npy"))
    asm = ActiveShapeModel.load(model)
    for path in projected:
        np.testing.assert_allclose(np.load(path), asm.project(np.load(shapes / path.name)), atol=1e-6)
    projected[1].unlink()
    projected[1].with_suffix(".1.part").write_bytes(b"cut off")
    np.save(shapes / "3.npy", np.load(shapes / "3.npy") + 1)  # other shapes than those that were projected
    os.utime(shapes / "3.npy", (time.time() + 10,) * 2)
    assert "2 files projected, 2 were there" in run("project", shapes, model, tmp_path / "out")
    np.testing.assert_allclose(np.load(projected[3]), asm.project(np.load(shapes / "3.npy")), atol=1e-6)
    run("fit", shapes, model, "--accuracy", 0.5)  # another model has a folder of its own
    assert "4 files projected, 0 were there" in run("project", shapes, model, tmp_path / "out")


def test_killed_while_it_projects(run, shapes, tmp_path):
    for i in range(4, 400):
        np.save(shapes / f"{i}.npy", np.load(shapes / "1.npy"))
    model, output = tmp_path / "model.npz", tmp_path / "out"
    run("fit", shapes, model)
    process = subprocess.Popen([sys.executable, SCRIPT, "project", shapes, model, output])
    while process.poll() is None and len(list(output.glob("*/*.npy"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(list(output.glob("*/*.npy")))
    assert 3 <= there < 400
    assert f"{400 - there} files projected, {there} were there" in run("project", shapes, model, output)
    asm = ActiveShapeModel.load(model)
    expected = asm.project(np.load(shapes / "1.npy"))
    for i in range(4, 400):
        np.testing.assert_allclose(np.load(next(output.glob(f"*/{i}.npy"))), expected, atol=1e-6)


def test_drawn_shapes(run, tmp_path):
    arguments = "draw", tmp_path, "--n-shapes", 600, "--shard-size", 300
    run(*arguments)
    first = (tmp_path / "00001.npy").read_bytes()
    (tmp_path / "00001.npy").unlink()
    run(*arguments)
    assert (tmp_path / "00001.npy").read_bytes() == first
    drawn = np.load(tmp_path / "00000.npy")
    assert drawn.shape == (300, 68, 2)
    assert drawn.dtype == np.float32
    assert np.abs(drawn).max() < 1


def test_no_shapes(run, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("fit", tmp_path, tmp_path / "model.npz")
    assert "no .npy files" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_engines_agree_to_the_last_bit(shapes, tmp_path, engine):
    pytest.importorskip({"dask": "distributed"}.get(engine, engine), reason=f"{engine} is not installed")
    example = runpy.run_path(str(SCRIPT))
    shards, models = sorted(shapes.glob("*.npy")), []
    for name, jobs in (("joblib", 1), (engine, 2)):
        with example["processes"](name, jobs) as mapped:
            models.append(example["fit_model"](shards, 0.9, "procrustes", mapped))
    np.testing.assert_array_equal(models[0].mean_shape_, models[1].mean_shape_)
    np.testing.assert_array_equal(models[0].components_, models[1].components_)


def test_a_killed_dask_worker_changes_nothing(shapes):
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    shards = sorted(shapes.glob("*.npy")) * 6

    def fitted(shard, number):
        time.sleep(0.1)
        return ActiveShapeModel().fit(np.load(shard))

    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        futures = client.map(fitted, shards, range(24))
        while sum(future.done() for future in futures) < 6:
            time.sleep(0.01)
        before = set(client.run(os.getpid).values())
        assert not all(future.done() for future in futures)
        os.kill(min(before), signal.SIGKILL)
        first, *others = client.gather(futures)
        client.wait_for_workers(2)
        assert set(client.run(os.getpid).values()) != before
    expected_first, *expected_others = (fitted(shard, 0) for shard in shards)
    expected = expected_first.merge(expected_others)
    merged = first.merge(others)
    assert merged.n_samples_seen_ == 6 * 4260
    np.testing.assert_array_equal(merged.components_, expected.components_)
    np.testing.assert_array_equal(merged.mean_shape_, expected.mean_shape_)
