from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_asm.datasets import DatasetError, LandmarkDataset, load_pts_folder, write_pts, write_pts_folder


@pytest.fixture
def folder(tmp_path, rng):
    """56 points, as of a hand, in two folders."""
    shapes = {name: rng.uniform(0, 100, size=(56, 2)) for name in ("b/2", "a/10", "a/9", "0")}
    for name, shape in shapes.items():
        path = tmp_path / f"{name}.pts"
        path.parent.mkdir(exist_ok=True)
        write_pts(path, shape)
        path.with_suffix(".jpg").touch()
    return tmp_path, shapes


def test_reads_all_folders_in_order(folder):
    root, shapes = folder
    (root / ".hidden").mkdir()
    (root / ".hidden/x.pts").touch()
    (root / "a/._9.pts").touch()
    (root / "b/3.png").touch()
    (root / "readme.txt").touch()
    hands = load_pts_folder(root)
    assert hands.names == ("0", "a/10", "a/9", "b/2")
    assert hands.image_paths[3] == str(root / "b/2.jpg")
    np.testing.assert_allclose(hands.landmarks, [shapes[name] for name in hands.names], atol=1e-6)
    assert hands.notes == ("1 images without a .pts file left out",)


def test_bad_input(folder):
    root, _ = folder
    with pytest.raises(DatasetError, match=r"0\.pts, line 2: expected 68 landmarks. Received: n_points 56"):
        load_pts_folder(root, "300w")
    write_pts(root / "b/2.pts", np.zeros((55, 2)))
    with pytest.raises(DatasetError, match=r"2\.pts, line 2: expected 56 landmarks. Received: n_points 55"):
        load_pts_folder(root)
    (root / "a/9.png").touch()
    with pytest.raises(DatasetError, match=r"9\.pts: expected one image.*\['9.jpg', '9.png'\]"):
        load_pts_folder(root)
    (root / "0.jpg").unlink()
    with pytest.raises(DatasetError, match=r"0\.pts: expected one image.*Received: none"):
        load_pts_folder(root)
    (root / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"at least one \.pts file"):
        load_pts_folder(root / "empty")
    with pytest.raises(DatasetError, match="expected a folder"):
        load_pts_folder(root / "absent")


@pytest.mark.real_data
def test_real_folder(data_root):
    from keras_asm.datasets import load_300w

    faces = load_pts_folder(data_root / "300w/afw", "300w")
    expected = load_300w(data_root / "300w", "train", allow_partial=True).select(range(337))
    assert faces.image_paths == expected.image_paths
    np.testing.assert_array_equal(faces.landmarks, expected.landmarks)


def test_fractions_of_the_image_are_refused(tmp_path):
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 2\n{\n0.25 0.5\n0.75 1.0\n}\n")
    (tmp_path / "a.png").touch()
    with pytest.raises(DatasetError, match="multiply x by its width.*from 0.25 to 1"):
        load_pts_folder(tmp_path)


class TestWriting:
    @pytest.fixture
    def faces(self, tmp_path, rng):
        paths = []
        for name in ("a.jpg", "b.PNG"):
            (tmp_path / name).write_text(name)
            paths.append(str(tmp_path / name))
        landmarks = rng.uniform(0, 200, (3, 68, 2))
        return LandmarkDataset(
            (paths[0], paths[1], paths[1]),
            landmarks,
            names=("train/x.jpg", "train/y.z#0", "w"),
            scheme="300w",
        )

    def test_reads_back(self, faces, tmp_path):
        write_pts_folder(tmp_path / "out", faces)
        read = load_pts_folder(tmp_path / "out", "300w")
        assert read.names == ("w", "train/x", "train/y.z#0")
        np.testing.assert_allclose(read.landmarks, faces.landmarks[[2, 0, 1]], atol=5e-7)
        assert [Path(path).read_text() for path in read.image_paths] == ["b.PNG", "a.jpg", "b.PNG"]
        assert read.notes == ()

    def test_names_that_are_paths(self, faces, tmp_path):
        write_pts_folder(tmp_path / "out", replace(faces.select([0, 1]), names=None))
        assert load_pts_folder(tmp_path / "out").names == ("a", "b")

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("a/x.jpg", "a/X.png", "b"), "differ in more than suffix and case"),
            (("a", "../b", "c"), "Received: '../b'"),
            (("a", "..\\b", "c"), "within the folder"),
            (("a", ".b", "c"), "not hidden"),
            (("", "b", "c"), "Received: ''"),
        ],
    )
    def test_names_that_are_no_files(self, faces, tmp_path, names, message):
        with pytest.raises(ValueError, match=message):
            write_pts_folder(tmp_path / "out", replace(faces, names=names))
        assert not (tmp_path / "out").exists()

    def test_whole_or_not_at_all(self, faces, tmp_path):
        (tmp_path / "b.PNG").unlink()
        with pytest.raises(DatasetError, match=r"b\.PNG: the image cannot be copied"):
            write_pts_folder(tmp_path / "out", faces)
        assert not (tmp_path / "out").exists()
        with pytest.raises(FileExistsError, match="new or empty"):
            write_pts_folder(tmp_path, faces)
        raw = replace(faces, image_paths=("x.raw",) * 3)
        with pytest.raises(DatasetError, match=r"x\.raw: expected an image as .*Received: '\.raw'"):
            write_pts_folder(tmp_path / "out", raw)
