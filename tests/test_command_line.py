"""`keras-asm` and `python -m keras_asm`."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_asm
from keras_asm.__main__ import main
from keras_asm.datasets import load_coco, load_pts_folder
from keras_asm.inference import LandmarkModelInfo, LandmarkPredictor, read_table

PIL = pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    """A network that answers the same whatever it sees, and two pictures."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Flatten()(inputs)
    angle = np.linspace(0, 2 * np.pi, 68)
    shape = 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1).ravel()
    fixed = keras.initializers.Constant
    outputs = {
        "landmarks": keras.layers.Dense(136, kernel_initializer="zeros", bias_initializer=fixed(shape))(x),
        "pose": keras.layers.Dense(3, kernel_initializer="zeros", bias_initializer=fixed([30.0, 0.0, -5.0]))(
            x
        ),
    }
    predictor = LandmarkPredictor(keras.Model(inputs, outputs), info=LandmarkModelInfo("300w", 8))
    predictor.save(tmp_path / "net.keras")
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    for name in ("a.png", "inner/a.jpg"):
        PIL.fromarray(np.full((60, 80, 3), 120, np.uint8)).save(tmp_path / "photos" / name)
    return tmp_path


def test_one_picture(folder, capsys):
    picture, out = folder / "photos" / "a.png", folder / "out.png"
    arguments = ["predict", str(picture), "--model", str(folder / "net.keras"), "--output", str(out)]
    assert main([*arguments, "--boxes", "10,10,50,50", "--boxes", "40,20,70,50"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{picture}: 2 faces",
        *[f"  box {b}; yaw +30, pitch +0, roll -5" for b in ("10, 10, 50, 50", "40, 20, 70, 50")],
    ]
    with PIL.open(out) as drawn:
        assert drawn.size == (640, 480)
        assert len(np.unique(np.asarray(drawn).reshape(-1, 3), axis=0)) > 100


def test_a_folder_and_every_format(folder, capsys):
    (folder / "photos" / "broken.png").write_bytes(b"no")
    arguments = ["predict", str(folder / "photos"), str(folder / "photos" / "a.png"), "--boxes", "image"]
    arguments += ["--model", str(folder / "net.keras"), "--flip-test", "--width", "200"]
    for kind, name in (("csv", "t.csv"), ("coco", "t.json"), ("pts", "pts"), ("output", "drawn")):
        arguments += [f"--{kind}", str(folder / name)]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.count(": 1 face\n") == 2
    assert "broken.png: the image cannot be read" in captured.err
    table = read_table(folder / "t.csv", "300w")
    assert [Path(p).name for p in table.pictures] == ["a.png", "broken.png", "a.jpg"]
    assert len(load_coco(folder / "t.json")) == len(load_pts_folder(folder / "pts")) == 2
    assert sorted(path.name for path in (folder / "drawn").iterdir()) == ["a.png", "a_.png"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (
            ["photos/a.png", "--detector", "dlib", "--min-face", "9"],
            "an option of YuNet's. Received: --detector dlib",
        ),
        (["photos/a.png", "--model", "none.keras"], "no such model"),
        (["photos/a.png", "--model", "net.keras", "--boxes", "1,2"], "LEFT,TOP,RIGHT,BOTTOM. Received: 1,2"),
        (["photos/a.png", "--model", "net.keras", "--boxes", "1,2,x,4"], "LEFT,TOP,RIGHT,BOTTOM"),
        (["photos", "--model", "net.keras", "--boxes", "1,2,3,4"], "for one picture. Received: 2 pictures"),
        (["photos/a.png", "--model", "net.keras", "--boxes", "900,900,910,910"], "80 x 60 pixels"),
        (["none.png", "--model", "net.keras", "--boxes", "image"], "none.png: there is no such image"),
        (["photos/a.png", "--model", "net.keras", "--boxes", "image", "--project"], "shape model"),
    ],
)
def test_errors_are_one_line(folder, capsys, monkeypatch, arguments, match):
    monkeypatch.chdir(folder)
    assert main(["predict", *arguments]) == 1
    error = capsys.readouterr().err
    assert match in error
    assert error.count("\n") == 1


def test_as_a_program(folder):
    environment = {**os.environ, "PYTHONPATH": str(Path(keras_asm.__file__).parents[1])}
    command = [
        sys.executable,
        "-m",
        "keras_asm",
        "predict",
        "photos/a.png",
        "--model",
        "net.keras",
        "--boxes",
        "image",
    ]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("photos/a.png: 1 face")
    version = subprocess.run(
        [*command[:3], "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == keras_asm.__version__


def test_a_video(folder, capsys, monkeypatch):
    pytest.importorskip("av")
    from keras_asm.inference import VideoFrames, write_video

    write_video(folder / "in.mp4", [np.full((60, 80, 3), 100 + i, np.uint8) for i in range(5)], 25)
    monkeypatch.setattr(
        "keras_asm.inference.predictor.get_detector", lambda name: lambda image: [[20, 10, 50, 40]]
    )
    arguments = ["video", str(folder / "in.mp4"), "--model", str(folder / "net.keras")]
    assert main([*arguments, "--output", str(folder / "out.mp4")]) == 0
    written, read = (list(VideoFrames(folder / name)) for name in ("out.mp4", "in.mp4"))
    assert [frame.shape for frame in written] == [(60, 80, 3)] * 5
    # Something was drawn where the face is, and more than compression changes elsewhere
    change = np.abs(written[-1].astype(int) - read[-1]).mean(axis=-1)
    assert change[10:40, 20:50].mean() > 5 * change[:, 60:].mean()
    (folder / "broken.mp4").write_bytes(b"no video")
    assert main(["video", str(folder / "broken.mp4"), *arguments[2:]]) != 0
    assert "broken.mp4" in capsys.readouterr().err
