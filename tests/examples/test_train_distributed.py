"""Training on one device, on two, and by two processes of which one is killed: the same curves, alpha and weights."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.backend

SCRIPT = Path(__file__).parents[2] / "examples" / "train_distributed.py"
BACKEND = keras.config.backend()
SETTINGS = ["--network", "group-norm", "--n-faces", 40, "--image-size", 32, "--batch-size", 16, "--epochs", 3]
ALPHAS = [2.0, 1.0, 0.5]


def start(output, *arguments):
    command = [sys.executable, SCRIPT, *SETTINGS, "--output", output, *arguments]
    return subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    """The first epoch, the digest of the weights, and the history."""
    printed = process.communicate()[0]
    assert process.returncode == 0, printed[-3000:]
    said, history = printed.strip().splitlines()[-2:]
    words = said.replace(",", "").split()
    return int(words[4]), words[-1], json.loads(history)


def addresses():
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def weights(output):
    import h5py

    found = {}
    with h5py.File(output / "final.weights.h5") as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    return found


def assert_as_on_one_device(history, expected):
    assert history["alpha"] == ALPHAS[-len(history["alpha"]) :]
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values[-len(history[name]) :], rtol=1e-3, err_msg=name)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    output = tmp_path_factory.mktemp("one")
    first, _, history = finish(start(output))
    assert first == 0
    assert history["alpha"] == ALPHAS
    assert history["loss"][-1] < history["loss"][0]
    return output, history


@pytest.mark.skipif(BACKEND == "torch", reason="on PyTorch, Keras trains on one device a process")
def test_two_devices_of_one_process(one_device, tmp_path):
    _, _, history = finish(start(tmp_path, "--devices", 2))
    assert_as_on_one_device(history, one_device[1])


def test_two_processes_of_which_one_is_killed(one_device, tmp_path):
    """The job is stopped as a scheduler stops it, started again, and ends as if it had never been killed."""
    at = addresses()
    job = [start(tmp_path, "--addresses", at, "--process", i) for i in range(2)]
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob("backup/epoch-*")) and time.monotonic() < deadline:
        assert all(process.poll() is None for process in job), [process.communicate()[0] for process in job]
        time.sleep(0.01)
    for process in job[::-1]:
        process.send_signal(signal.SIGKILL)
        process.wait()
    at = addresses()
    job = [start(tmp_path, "--addresses", at, "--process", i) for i in range(2)]
    (first, digest, history), other = map(finish, job)
    assert first > 0
    assert other == (first, digest, history)  # the same weights in both
    assert_as_on_one_device(history, one_device[1])
    expected, found = weights(one_device[0]), weights(tmp_path)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-3, err_msg=name)
    with open(tmp_path / "history.csv") as file:
        assert {int(row["epoch"]) for row in csv.DictReader(file)} == {0, 1, 2}


def test_no_such_process():
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--process", "1"], capture_output=True, text=True, env=dict(os.environ)
    )
    assert "--process must be from 0 to 0. Received: 1" in run.stderr
