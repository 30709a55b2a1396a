import numpy as np
import pytest

from keras_asm.datasets import DatasetError, load_wflw

LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"
COUNTS = {"pose": 326, "expression": 314, "illumination": 698, "make-up": 206, "occlusion": 736, "blur": 773}


def row(i: int, flags: str = "0 0 0 0 0 0", image: str = "1--Parade/a b.jpg", box: str = "1 2 30 40") -> str:
    points = " ".join(f"{i + j}.5 {2 * j}.25" for j in range(98))
    return f"{points} {box} {flags} {image}"


@pytest.fixture
def copy(tmp_path):
    """Writes a list of faces; the reader opens no image, so the one there is empty."""
    (tmp_path / "WFLW_images/1--Parade").mkdir(parents=True)
    (tmp_path / "WFLW_images/1--Parade/a b.jpg").touch()

    def write(rows: list[str], split: str = "test", end: str = "\n"):
        path = tmp_path / LIST.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(end.join([*rows, ""]).encode())
        return tmp_path

    return write


def test_counts_of_the_protocol(copy):
    flags = [" ".join("1" if i < count else "0" for count in COUNTS.values()) for i in range(2500)]
    root = copy([row(i, flags[i]) for i in range(2500)])
    faces = load_wflw(root, "test")
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == {"test": 2500, **COUNTS}
    assert faces.notes == ()
    assert len(set(faces.names)) == 2500
    np.testing.assert_array_equal(faces.landmarks[3, :2], [[3.5, 0.25], [4.5, 2.25]])
    np.testing.assert_array_equal(faces.boxes[3], [1, 2, 30, 40])
    copy([row(i, flags[i]) for i in range(2499)] + [row(0, "0 0 0 0 0 1")])
    with pytest.raises(
        DatasetError, match="773 faces of the test set with the attribute blur, and these are 774"
    ):
        load_wflw(root, "test")
    copy([row(i, flags[i]) for i in range(2500)] + [row(0)])
    with pytest.raises(DatasetError, match="2500 faces in test, and these are 2501"):
        load_wflw(root, "test", allow_partial=True)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_partial_copy_only_when_asked_for(copy, end):
    root = copy([row(0, "1 0 0 0 0 1"), row(1)], "train", end)
    with pytest.raises(DatasetError, match=r"train has 2 of 7500 faces. Pass allow_partial=True"):
        load_wflw(root, "train")
    faces = load_wflw(root, "train", allow_partial=True)
    assert str(faces).startswith(
        "WFLW (train, partial): 2 faces, 98 landmarks (wflw), no pose, boxes\n  train: 2\n"
    )
    assert faces.names == ("1--Parade/a b.jpg#0", "1--Parade/a b.jpg#1")
    assert faces.notes == ("partial copy: train has 2 of 7500 faces",)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(0)[5:], "expected a box"),
        (row(0).rsplit(maxsplit=3)[0], "Received: 205 fields"),
        (row(0).replace("0.5", "nan", 1), "expected a number as coordinate 1. Received: 'nan'"),
        (row(0).replace("0.5", "1e7", 1), "within 1e"),
        (row(0, "0 0 0 0 0 2"), "each 0 or 1"),
        (row(0, box="30 2 1 40"), "expected a box"),
        (row(0, image="1--Parade/none.jpg"), "none.jpg', which is not there"),
        (row(0, image="x" * 5000), "which is not there"),
        (row(0, image="a\0b.jpg"), "which is not there"),
    ],
)
def test_names_file_and_line(copy, bad, reason):
    root = copy([row(0), "", bad])
    with pytest.raises(DatasetError, match=reason) as caught:
        load_wflw(root, "test", allow_partial=True)
    assert caught.value.line == 3
    assert caught.value.path == str(root / LIST.format("test"))


def test_bad_arguments(copy, tmp_path):
    with pytest.raises(ValueError, match="Received: 'all'"):
        load_wflw(tmp_path, "all")
    with pytest.raises(DatasetError, match="expected the folder"):
        load_wflw(tmp_path / "absent", "test")
    with pytest.raises(DatasetError, match=r"attr_test\.txt: there is no such file"):
        load_wflw(tmp_path, "test")
    with pytest.raises(DatasetError, match="0 of 2500 faces$"):
        load_wflw(copy([]), "test", allow_partial=True)


@pytest.mark.real_data
def test_real_sample(data_root):
    faces = load_wflw(data_root / "wflw_sample", "test", allow_partial=True)
    # The subsets have lists of their own, whose lengths these are.
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == {
        "test": 206,
        "pose": 34,
        "expression": 34,
        "illumination": 86,
        "make-up": 27,
        "occlusion": 56,
        "blur": 77,
    }
    # Read by eye in the list.
    np.testing.assert_array_equal(
        faces.landmarks[0, [0, 97]], [[189.251007, 582.716980], [248.228743, 581.331737]]
    )
    np.testing.assert_array_equal(faces.boxes[1], [752, 434, 866, 596])
    # Boxes and landmarks are of the same face: the box is nearly the landmarks' own.
    extent = np.concatenate([faces.landmarks.min(axis=1), faces.landmarks.max(axis=1)], axis=1)
    assert np.median(np.abs(extent - faces.boxes)) < 10
