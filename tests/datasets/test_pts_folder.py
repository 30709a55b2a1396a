import numpy as np
import pytest

from keras_asm.datasets import DatasetError, load_pts_folder, write_pts


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
