import numpy as np
import pytest

from keras_asm.datasets import DatasetError
from keras_asm.inference import Face, Predictions, read_table, write_table
from keras_asm.landmarks import LandmarkScheme

PAIR = LandmarkScheme("pair", 2)


def face(rng, pose=True, confidence=0.25, scales=False):
    box = np.sort(rng.normal(size=(2, 2)), axis=0).ravel()
    return Face(
        rng.normal(size=(2, 2)),
        box,
        rng.normal(size=3) if pose else None,
        confidence,
        rng.uniform(size=2) if scales else None,
    )


@pytest.fixture
def found(rng):
    faces = ([face(rng), face(rng, False, None)], [], [], [face(rng)])
    pictures = ('a, "b"\n.png', "none.png", "broken.png", "ü.png")
    return Predictions(pictures, faces, PAIR, {"broken.png": "broken.png: cut off, sadly"})


def test_table_comes_back_exactly(found, tmp_path):
    write_table(tmp_path / "t.csv", found)
    again = read_table(tmp_path / "t.csv", PAIR)
    assert again.pictures == found.pictures
    assert again.unreadable == found.unreadable
    for one, two in zip(found, again, strict=True):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a.landmarks, b.landmarks)
            np.testing.assert_array_equal(a.box, b.box)
            assert (a.pose is None) == (b.pose is None)
            assert a.pose is None or (a.pose == b.pose).all()
            assert a.confidence == b.confidence


def test_other_programs_read_it(found, tmp_path):
    pandas = pytest.importorskip("pandas")
    write_table(tmp_path / "t.csv", found)
    table = pandas.read_csv(tmp_path / "t.csv")
    assert table["picture"].tolist() == [found.pictures[i] for i in (0, 0, 1, 2, 3)]
    assert table["n_faces"].tolist() == [2, 2, 0, 0, 1]
    assert table["y1"].iloc[4] == pytest.approx(found[3][0].landmarks[1, 1])
    assert table["roll"].isna().tolist() == [False, True, True, True, False]


def test_scales_come_back_exactly(rng, tmp_path):
    """Of faces that have them, beside those that do not."""
    found = Predictions(("a.png", "b.png"), ([face(rng, scales=True), face(rng)], []), PAIR)
    write_table(tmp_path / "t.csv", found)
    ((one, other), none) = read_table(tmp_path / "t.csv", PAIR)
    np.testing.assert_array_equal(one.landmark_scales, found[0][0].landmark_scales)
    np.testing.assert_array_equal(other.landmarks, found[0][1].landmarks)
    assert other.landmark_scales is None
    assert none == []
    text = (tmp_path / "t.csv").read_text()
    for bad in ("-0.5", "nan", "inf"):
        (tmp_path / "t.csv").write_text(text.replace(str(one.landmark_scales[1]), bad))
        with pytest.raises(DatasetError, match=r"cut off|a scale that is not a finite number from 0"):
            read_table(tmp_path / "t.csv", PAIR)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda lines: lines[:-2], "cut off"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "cut off"),
        (lambda lines: ["x,y", *lines[1:]], "line 1: expected a table of 2 landmarks with 16 columns"),
        (
            lambda lines: [lines[0], "a,1,0", *lines[1:]],
            "line 2: expected 16 columns of numbers. Received: 3 columns",
        ),
        (
            lambda lines: [lines[0], lines[1].replace("p.png,2,0", "p.png,2,1"), *lines[2:]],
            "face 1 after 0 faces",
        ),
        (lambda lines: [lines[0], lines[1], lines[3], *lines[2:]], "before the last face"),
        (lambda lines: [*lines, *lines[1:]], "twice|cut off"),
        (lambda lines: [lines[0], lines[1].replace("0.5", "inf"), *lines[2:]], "not finite"),
        (lambda lines: [lines[0], lines[1].replace("0.5", "half"), *lines[2:]], "half"),
    ],
)
def test_damaged_tables(tmp_path, change, match):
    one = Face(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.0, 0.0, 1.0, 1.0]), np.ones(3), 0.5)
    write_table(tmp_path / "t.csv", Predictions(("p.png", "q.png"), ([one, one], [one]), PAIR))
    lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "t.csv").write_text("\n".join(change(lines)) + "\n")
    with pytest.raises(DatasetError, match=rf"t\.csv.*({match})"):
        read_table(tmp_path / "t.csv", PAIR)


def test_no_table(tmp_path):
    with pytest.raises(DatasetError, match="there is no such table"):
        read_table(tmp_path / "none.csv", PAIR)


def test_names_in_a_data_set(rng):
    pictures = ("/x/a.png", "/x/a.jpg", "/x/y/a.png", "/x/b.png", "/x/none.png")
    faces = ([face(rng)], [face(rng)], [face(rng)], [face(rng), face(rng)], [])
    dataset = Predictions(pictures, faces, PAIR).to_dataset("Holidays")
    assert dataset.names == ("a", "a_jpg", "y/a", "b_1", "b_2")
    assert dataset.image_paths == (*pictures[:4], "/x/b.png")
    assert dataset.title == "Holidays"
    assert dataset.notes == ("1 pictures without a face left out",)
    np.testing.assert_array_equal(dataset.landmarks[4], faces[3][1].landmarks)
    np.testing.assert_array_equal(dataset.boxes[0], faces[0][0].box)


def test_no_face_makes_no_data_set():
    with pytest.raises(ValueError, match="none in 2 pictures"):
        Predictions(("a", "b"), ([], []), PAIR).to_dataset()


def test_is_a_sequence(found):
    assert len(found) == 4
    assert found[0] is found.faces[0]
    assert list(found) == list(found.faces)
    assert [len(faces) for faces in found[1:]] == [0, 0, 1]
    assert str(found) == "3 faces in 4 pictures, 1 could not be read"
    with pytest.raises(ValueError, match="2 pictures and 1 lists"):
        Predictions(("a", "b"), ([],), PAIR)
