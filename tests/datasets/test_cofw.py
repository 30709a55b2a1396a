import h5py
import numpy as np
import pytest

from keras_asm.datasets import DatasetError, cofw, load_cofw
from keras_asm.faces import read_image


def write(path, n: int = 4, suffix: str = "Tr", *, colour: bool = True, **changes):
    """A file as MATLAB writes COFW: HDF5, axes the other way round, images behind references."""
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 256, (40 + i, 30, 3) if colour and i else (40 + i, 30), dtype=np.uint8)
        for i in range(n)
    ]
    points = rng.uniform(1, 30, size=(n, 29, 2))
    hidden = rng.integers(0, 2, size=(n, 29)).astype(float)
    values = {
        "phis": np.concatenate([points[..., 0], points[..., 1], hidden], axis=1),
        "bboxes": np.tile([5.0, 6.0, 20.0, 21.0], (n, 1)),
        "images": images,
        **changes,
    }
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("#refs#")
        references = []
        for i, image in enumerate(values["images"]):
            group.create_dataset(str(i), data=image.T)
            references.append(group[str(i)].ref)
        file.create_dataset(f"Is{suffix}", data=np.array([references], dtype=h5py.ref_dtype))
        for name in ("phis", "bboxes"):
            if values[name] is not None:
                file.create_dataset(f"{name}{suffix}", data=np.asarray(values[name]).T)
    return images, points, hidden


@pytest.mark.parametrize(
    ("name", "split", "suffix"), [("COFW_train_color", "train", "Tr"), ("COFW_test", "test", "T")]
)
def test_reads_what_the_format_says(tmp_path, name, split, suffix):
    images, points, hidden = write(tmp_path / f"{name}.mat", suffix=suffix, colour="color" in name)
    with pytest.raises(DatasetError, match=f"{split} has 4 of {cofw._SIZES[split]} faces. Pass"):
        load_cofw(tmp_path, split)
    faces = load_cofw(tmp_path, split, allow_partial=True)
    np.testing.assert_allclose(faces.landmarks, points - 1)
    np.testing.assert_array_equal(faces.visibility, hidden == 0)
    np.testing.assert_array_equal(faces.boxes[0], [4, 5, 24, 26])
    assert faces.names[3] == f"{split}/0003"
    assert str(faces).splitlines()[1:] == [
        f"  {split}: 4",
        f"  note: partial copy: {split} has 4 of {cofw._SIZES[split]} faces",
    ]
    for path, image in zip(faces.image_paths, images, strict=True):
        expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        np.testing.assert_array_equal(read_image(path), expected)


def test_images_are_written_once_and_only_whole(tmp_path):
    write(tmp_path / "COFW_train.mat")
    out = tmp_path / "images"
    first = load_cofw(tmp_path, "train", image_folder=out, allow_partial=True)
    (folder,) = out.iterdir()
    before = (folder / "0000.png").stat().st_mtime_ns
    again = load_cofw(tmp_path / "COFW_train.mat", "train", image_folder=out, allow_partial=True)
    assert again.image_paths == first.image_paths
    assert (folder / "0000.png").stat().st_mtime_ns == before
    # Another file gets a folder of its own, and one that fails half-way none.
    images, _, _ = write(tmp_path / "COFW_train.mat")
    write(tmp_path / "COFW_train.mat", images=[*images[:3], np.zeros((4, 4, 2), dtype=np.uint8)])
    with pytest.raises(
        DatasetError, match=r"expected image 3 as uint8.*Received: uint8 of shape \(4, 4, 2\)"
    ):
        load_cofw(tmp_path, "train", image_folder=out, allow_partial=True)
    assert list(out.iterdir()) == [folder]


def test_folder_that_cannot_be_written(tmp_path):
    write(tmp_path / "COFW_train.mat")
    (tmp_path / "taken").touch()
    with pytest.raises(
        DatasetError, match=r"taken.COFW_train_images_.*cannot be written.*another image_folder"
    ):
        load_cofw(tmp_path, "train", image_folder=tmp_path / "taken", allow_partial=True)


def test_counts_of_the_protocol(tmp_path, monkeypatch):
    assert cofw._SIZES == {"train": 1345, "test": 507}
    write(tmp_path / "COFW_train.mat", 3)
    monkeypatch.setattr(cofw, "_SIZES", {"train": 3, "test": 2})
    assert load_cofw(tmp_path, "train").notes == ()
    monkeypatch.setattr(cofw, "_SIZES", {"train": 2, "test": 2})
    with pytest.raises(DatasetError, match="2 faces in train, and these are 3"):
        load_cofw(tmp_path, "train", allow_partial=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"phis": None}, r"expected phisTr of shape \(any, 87\). Received: no such variable"),
        ({"phis": np.zeros((4, 58))}, r"Received: float64 of shape \(4, 58\)"),
        ({"phis": np.full((4, 87), np.nan)}, "phisTr to be finite"),
        ({"phis": np.full((4, 87), 0.5)}, "expected 0 or 1 in the last 29"),
        ({"bboxes": np.zeros((3, 4))}, r"bboxesTr of shape \(4, 4\)"),
        ({"bboxes": np.full((4, 4), -1.0)}, "width and height"),
        ({"images": []}, "expected 4 images in IsTr"),
        ({"images": [np.zeros((4, 4))] * 4}, "Received: float64"),
    ],
)
def test_names_the_file(tmp_path, changes, reason):
    path = tmp_path / "COFW_train.mat"
    write(path, **changes)
    with pytest.raises(DatasetError, match=reason) as caught:
        load_cofw(path, "train", allow_partial=True)
    assert caught.value.path == str(path)
    assert [other.name for other in tmp_path.iterdir()] == [path.name]


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="Received: 'val'"):
        load_cofw(tmp_path, "val")
    with pytest.raises(DatasetError, match=r"expected COFW_test_color\.mat or COFW_test\.mat in this folder"):
        load_cofw(tmp_path, "test")
    path = tmp_path / "COFW_test.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(DatasetError, match=r"COFW_test\.mat: not a readable MATLAB 7\.3 file"):
        load_cofw(tmp_path, "test")


def test_points_without_a_position(tmp_path):
    _, points, hidden = write(tmp_path / "COFW_train.mat")
    points[1, 4], points[2, 0, 0] = -1, -1
    phis = np.concatenate([points[..., 0], points[..., 1], hidden], axis=1)
    write(tmp_path / "COFW_train.mat", phis=phis)
    faces = load_cofw(tmp_path, "train", allow_partial=True)
    assert np.argwhere(~faces.has_position).tolist() == [[1, 4]]
    assert faces.landmarks[2, 0, 0] == -2  # outside of the image, which is no mark
