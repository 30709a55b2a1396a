import json

import numpy as np
import pytest
from PIL import Image

from keras_asm.datasets import DatasetError, LandmarkDataset, load_coco, load_wflw, write_coco


def check_equal(one: LandmarkDataset, other: LandmarkDataset) -> None:
    assert one.image_paths == other.image_paths
    assert (one.names, one.title, one.scheme, one.groups) == (
        other.names,
        other.title,
        other.scheme,
        other.groups,
    )
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    assert {name: mask.tolist() for name, mask in one.subsets.items()} == {
        name: mask.tolist() for name, mask in other.subsets.items()
    }
    for name, tolerance in (("pose", 0), ("visibility", 0), ("boxes", 1e-9)):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None), name
        if first is not None:
            np.testing.assert_allclose(first, second, atol=tolerance, rtol=0)


def make(root, rng, n_landmarks: int, **values) -> LandmarkDataset:
    paths = []
    for name in ("a.png", "photos/ü b.png"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 32)).save(path)
        paths.append(str(path))
    landmarks = rng.uniform(0, 100, (3, n_landmarks, 2))
    return LandmarkDataset((paths[0], paths[1], paths[0]), landmarks, names=("x", "y", "z"), **values)


def test_everything_comes_back(tmp_path, rng):
    boxes = np.array([[1.25, 2, 30, 40.1], [np.nan] * 4, [0, 0, 9, 9]])
    faces = make(
        tmp_path,
        rng,
        68,
        scheme="300w",
        title="Three faces",
        pose=np.array([[1.5, 2, 3], [np.nan] * 3, [4, 5, 6]]),
        subsets={"train": np.array([True, False, True]), "none": np.zeros(3, dtype=bool)},
        boxes=boxes,
        visibility=rng.uniform(size=(3, 68)) > 0.2,
        groups=("ann", "bob", "ann"),
    )
    write_coco(tmp_path / "faces.json", faces)
    check_equal(load_coco(tmp_path / "faces.json", "300w"), faces)
    # From elsewhere, and with paths that are relative to elsewhere
    write_coco(tmp_path / "out/faces.json", faces)
    moved = load_coco(tmp_path / "out/faces.json", "300w")
    np.testing.assert_array_equal(moved.landmarks, faces.landmarks)
    write_coco(tmp_path / "out/faces.json", faces, image_folder=tmp_path)
    check_equal(load_coco(tmp_path / "out/faces.json", "300w", image_folder=tmp_path), faces)


def test_landmarks_without_a_position_come_back(tmp_path, rng):
    faces = make(tmp_path, rng, 5)
    landmarks = np.array(faces.landmarks)
    landmarks[0, 1] = np.nan
    faces = LandmarkDataset(faces.image_paths, landmarks, names=faces.names)
    write_coco(tmp_path / "faces.json", faces)
    check_equal(load_coco(tmp_path / "faces.json"), faces)
    first = json.loads((tmp_path / "faces.json").read_text())["annotations"][0]
    assert (first["keypoints"][3:6], first["num_keypoints"]) == ([0, 0, 0], 4)
    np.testing.assert_allclose(first["bbox"][:2], np.nanmin(landmarks[0], axis=0) + 0.5)


def test_little_comes_back_as_little(tmp_path, rng):
    faces = make(tmp_path, rng, 5)
    write_coco(tmp_path / "faces.json", faces)
    check_equal(load_coco(tmp_path / "faces.json"), faces)


def test_what_other_programs_read(tmp_path, rng):
    write_coco(tmp_path / "faces.json", make(tmp_path, rng, 98, scheme="wflw"), category="person")
    document = json.loads((tmp_path / "faces.json").read_text())
    (category,) = document["categories"]
    assert (category["id"], category["name"], len(set(category["keypoints"]))) == (1, "person", 98)
    assert category["keypoints"][60] == "right_eye_0"
    assert [1, 2] in category["skeleton"]  # counted from 1
    assert [68, 61] in category["skeleton"]  # the eye is closed
    assert np.min(category["skeleton"]) == 1
    assert [(image["file_name"], image["width"], image["height"]) for image in document["images"]] == [
        ("a.png", 64, 32),
        ("photos/ü b.png", 64, 32),
    ]
    assert [annotation["image_id"] for annotation in document["annotations"]] == [1, 2, 1]
    for annotation in document["annotations"]:
        points = np.reshape(annotation["keypoints"], (98, 3))
        assert (points[:, 2] == 2).all()
        # All landmarks are within the box; a landmark in the middle of a pixel is half a pixel from its edge
        left, top, width, height = annotation["bbox"]
        np.testing.assert_allclose([left, top], points[:, :2].min(axis=0) + 0.5)
        np.testing.assert_allclose([left + width, top + height], points[:, :2].max(axis=0) + 0.5)
        assert annotation["area"] == width * height
        assert (annotation["iscrowd"], annotation["num_keypoints"]) == (0, 98)


def test_images_that_cannot_be_read(tmp_path, rng):
    faces = make(tmp_path, rng, 5)
    (tmp_path / "a.png").write_text("x")
    with pytest.raises(DatasetError, match=r"a\.png: the image's size cannot be read.*image_sizes=False"):
        write_coco(tmp_path / "faces.json", faces)
    assert not (tmp_path / "faces.json").exists()
    write_coco(tmp_path / "faces.json", faces, image_sizes=False)
    assert "width" not in json.loads((tmp_path / "faces.json").read_text())["images"][0]


@pytest.mark.real_data
def test_real_faces_come_back(data_root, tmp_path):
    faces = load_wflw(data_root / "wflw_sample", "test", allow_partial=True)
    write_coco(tmp_path / "faces.json", faces)
    read = load_coco(tmp_path / "faces.json", "wflw")
    np.testing.assert_array_equal(read.landmarks, faces.landmarks)
    np.testing.assert_allclose(read.boxes, faces.boxes, atol=1e-9)
    assert read.names == faces.names
    assert {name: mask.sum() for name, mask in read.subsets.items()} == {
        name: mask.sum() for name, mask in faces.subsets.items()
    }
