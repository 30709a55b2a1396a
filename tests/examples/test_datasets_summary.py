"""The example on small data sets of drawn faces, in the layouts of the real ones."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_asm.datasets import write_pts
from keras_asm.synthetic import synthetic_faces

EXAMPLE = Path(__file__).parents[2] / "examples" / "datasets_summary.py"


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *map(str, arguments)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")


@pytest.fixture
def root(tmp_path):
    faces = synthetic_faces(4, seed=3, image_size=64)
    for folder in (
        "data/300w/afw",
        "data/my_faces",
        "data/cofw",
        "data/youtube_faces/test",
        "data/youtube_faces/training",
    ):
        (tmp_path / folder).mkdir(parents=True)
    rows = ["image,yaw,pitch,roll"]
    for i, (image, landmarks, pose) in enumerate(
        zip(faces.images, faces.source_landmarks, faces.pose, strict=True)
    ):
        for folder in ("300w/afw", "my_faces"):
            Image.fromarray(image).save(tmp_path / f"data/{folder}/{i}.png")
            write_pts(tmp_path / f"data/{folder}/{i}.pts", landmarks)
        rows.append(f"afw/{i}.png," + ",".join(f"{angle:.3f}" for angle in pose))
    (tmp_path / "data/300w/pose.csv").write_text("\n".join(rows))
    return tmp_path / "data"


def test_summary_and_sheets(root, tmp_path, monkeypatch, capsys):
    run(monkeypatch, "--root", root, "--output", tmp_path / "sheets", "--faces", 3)
    printed = capsys.readouterr().out
    assert "300W (all, partial): 4 faces, 68 landmarks (300w), pose\n" in printed
    assert "my_faces: 4 samples, 68 landmarks (no scheme), no pose\n" in printed
    # What cannot be read is said, and stops nothing.
    assert "cofw: " in printed
    assert "expected COFW_train_color.mat or COFW_train.mat" in printed
    assert "training_frames_keypoints.csv: there is no such file" in printed
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["300w.png", "my_faces.png"]
    with Image.open(tmp_path / "sheets/300w.png") as sheet:
        assert np.asarray(sheet).std() > 20


def test_nothing_there(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    with pytest.raises(SystemExit, match="holds none of the data sets"):
        run(monkeypatch, "--root", tmp_path / "data", "--output", tmp_path / "sheets")


@pytest.mark.real_data
def test_real_data(data_root, tmp_path, monkeypatch, capsys):
    run(monkeypatch, "--root", data_root, "--output", tmp_path / "sheets", "--faces", 2)
    printed = capsys.readouterr().out
    for line in (
        "300W (all, partial): 2701 faces, 68 landmarks (300w), pose",
        "WFLW (test, partial): 206 faces, 98 landmarks (wflw), no pose, boxes",
        "AFLW2000-3D (pt3d_68, partial): 1400 faces, 68 landmarks (300w), pose, 4.4% of landmarks hidden",
        "AFLW2000-3D (re-annotated, partial): 1400 faces, 68 landmarks (300w), pose, 4.4% of landmarks hidden",
        "YouTube Faces key points (all, partial): 3612 faces, 68 landmarks (300w), pose, 295 groups",
    ):
        assert line in printed
    assert len(list((tmp_path / "sheets").iterdir())) == 5
