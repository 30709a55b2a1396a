import numpy as np
import pytest
from scipy.io import savemat

from keras_asm.datasets import DatasetError, load_300w_lp, w300_lp


def write(root, name: str, seed: int, angles=(0.1, -1.2, 0.05), **changes) -> np.ndarray:
    """A face as 300W-LP holds it: an image, its .mat, and the two kinds of landmarks in a .mat of their own."""
    points = np.random.default_rng(seed).uniform(50, 400, size=(68, 2))
    for folder in (root / name, root / "landmarks" / name):
        folder.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "pt2d": np.float32(points.T),
        "Pose_Para": np.float32([[*angles, 200, 180, -60, 1e-3]]),
        "roi": np.int32([[10, 20, 300, 310]]),
        "Shape_Para": np.zeros((199, 1)),
        **changes,
    }
    savemat(root / f"{name}.mat", values)
    savemat(root / "landmarks" / f"{name}_pts.mat", {"pts_2d": points, "pts_3d": points + 3})
    (root / f"{name}.jpg").touch()
    return np.float32(points).astype(float)


@pytest.fixture
def copy(tmp_path):
    points = {
        name: write(tmp_path, name, seed)
        for seed, name in enumerate(
            [
                "AFW/AFW_134212_1_0",
                "AFW/AFW_134212_1_12",
                "AFW/AFW_134212_2_0",
                "AFW_Flip/AFW_134212_1_0",
                "HELEN/HELEN_100032540_1_0",
                "HELEN_Flip/HELEN_100032540_1_0",
            ]
        )
    }
    return tmp_path, points


def test_reads_what_the_format_says(copy):
    root, points = copy
    faces = load_300w_lp(root, allow_partial=True)
    assert faces.names == (
        "AFW/AFW_134212_1_0",
        "AFW/AFW_134212_1_12",
        "AFW/AFW_134212_2_0",
        "HELEN/HELEN_100032540_1_0",
        "AFW_Flip/AFW_134212_1_0",
        "HELEN_Flip/HELEN_100032540_1_0",
    )
    for name, landmarks in zip(faces.names, faces.landmarks, strict=True):
        np.testing.assert_array_equal(landmarks, points[name] - 1)
    np.testing.assert_allclose(faces.pose[0], np.degrees([-1.2, 0.1, 0.05]), rtol=1e-6)
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == {
        "AFW": 4,
        "HELEN": 2,
        "flipped": 2,
        "within_99": 6,
    }
    # A photograph, all poses made of it and their mirror images are one group.
    photographs = ["AFW/AFW_134212_1"] * 2 + ["AFW/AFW_134212_2", "HELEN/HELEN_100032540_1"]
    assert faces.groups == (*photographs, "AFW/AFW_134212_1", "HELEN/HELEN_100032540_1")
    assert "6 of 122450 faces (AFW 3 of 5207" in faces.notes[0]
    assert len(load_300w_lp(root, flipped=False, allow_partial=True)) == 4


def test_landmarks_of_the_3d_face(copy):
    root, points = copy
    faces = load_300w_lp(root, "3d", allow_partial=True)
    np.testing.assert_allclose(faces.landmarks[0], points["AFW/AFW_134212_1_0"] + 2, atol=1e-4)
    assert faces.visibility is None
    (root / "landmarks/AFW/AFW_134212_1_0_pts.mat").unlink()
    with pytest.raises(DatasetError, match=r"AFW_134212_1_0_pts\.mat: there is no such file"):
        load_300w_lp(root, "3d", allow_partial=True)


def test_points_without_a_position_and_large_poses_are_marked(tmp_path):
    points = np.random.default_rng(0).uniform(50, 400, (2, 68))
    points[:, 5], points[0, 7] = -1, -1
    write(tmp_path, "IBUG/IBUG_image_003_1_0", 0, angles=(0, 1.8, 0), pt2d=points)
    faces = load_300w_lp(tmp_path, allow_partial=True)
    np.testing.assert_array_equal(np.flatnonzero(~faces.has_position[0]), [5, 7])
    assert faces.visibility is None
    assert not faces.subsets["within_99"].any()
    assert "2.9% of landmarks without a position, in 1 of 1" in str(faces)


def test_counts_are_the_published_ones(copy, monkeypatch):
    root, _ = copy
    assert sum(w300_lp._FOLDERS.values()) == 61225
    with pytest.raises(DatasetError, match=r"LFPW_Flip 0 of 16556\). Pass allow_partial=True"):
        load_300w_lp(root)
    monkeypatch.setattr(w300_lp, "_FOLDERS", {"AFW": 3, "HELEN": 1})
    faces = load_300w_lp(root, flipped=False)
    assert (len(faces), faces.notes) == (4, ())
    monkeypatch.setattr(w300_lp, "_FOLDERS", {"AFW": 2})
    with pytest.raises(DatasetError, match="300W-LP has 2 faces in AFW, and these are 3"):
        load_300w_lp(root, allow_partial=True)


def test_bad_input(copy, tmp_path):
    root, _ = copy
    with pytest.raises(ValueError, match="Received: '2D'"):
        load_300w_lp(root, "2D")
    with pytest.raises(DatasetError, match="expected the folder"):
        load_300w_lp(root / "absent")
    with pytest.raises(DatasetError, match=r"0 of 122450 faces \("):
        load_300w_lp(root / "AFW", allow_partial=True)
    write(root, "LFPW/LFPW_image_train_0001_0", 0, pt2d=np.zeros((2, 21)))
    with pytest.raises(DatasetError, match=r"LFPW_image_train_0001_0\.mat: expected pt2d of shape \(2, 68\)"):
        load_300w_lp(root, allow_partial=True)
    (root / "LFPW/LFPW_image_train_0001_0.jpg").unlink()
    with pytest.raises(DatasetError, match=r"expected LFPW_image_train_0001_0\.jpg beside the annotation"):
        load_300w_lp(root, allow_partial=True)
