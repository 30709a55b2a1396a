import copy
import dataclasses
import pickle

import numpy as np
import pytest

from keras_asm.datasets import LandmarkDataset
from keras_asm.landmarks import map_landmarks


def make(n: int = 4, **changes) -> LandmarkDataset:
    values = {
        "image_paths": tuple(f"{i}.png" for i in range(n)),
        "landmarks": np.arange(n * 136.0).reshape(n, 68, 2),
        "pose": np.array([[i, 2 * i, 3 * i] for i in range(n)], dtype=float),
        "subsets": {"even": np.arange(n) % 2 == 0, "last": np.arange(n) == n - 1},
        "scheme": "300w",
    }
    return LandmarkDataset(**{**values, **changes})


def test_select_and_subset_keep_everything_together():
    faces = make()
    for part in (faces.subset("even"), faces.select([0, 2]), faces.select(slice(0, None, 2))):
        assert part.image_paths == part.names == ("0.png", "2.png")
        np.testing.assert_array_equal(part.landmarks, faces.landmarks[[0, 2]])
        np.testing.assert_array_equal(part.pose[:, 2], [0, 6])
        np.testing.assert_array_equal(part.subsets["last"], [False, False])
    assert faces.select([3, 0]).image_paths == ("3.png", "0.png")
    assert faces.select(-1).image_paths == ("3.png",)


def test_nothing_can_be_changed():
    landmarks = np.zeros((1, 68, 2))
    faces = make(1, landmarks=landmarks)
    landmarks[:] = 1  # the caller's array is another one
    assert faces.landmarks.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        faces.landmarks[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        faces.subsets["even"][0] = False
    with pytest.raises(TypeError):
        faces.subsets["new"] = np.ones(1, dtype=bool)
    with pytest.raises(dataclasses.FrozenInstanceError):
        faces.title = "other"


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda faces: pickle.loads(pickle.dumps(faces))])
def test_copies(clone):
    faces = make(notes=("a note",), title="Four")
    other = clone(faces)
    assert other.summary() == faces.summary()
    np.testing.assert_array_equal(other.landmarks, faces.landmarks)


def test_unlabelled_faces_have_nan_pose():
    pose = np.array([[1.0, 2, 3], [np.nan] * 3])
    faces = make(2, pose=pose)
    np.testing.assert_array_equal(faces.has_pose, [True, False])
    assert "pose of 1" in str(faces)
    assert make(2, pose=np.full((2, 3), np.nan)).pose is None
    assert not make(2, pose=None).has_pose.any()


def test_flat_landmarks_and_shapes_without_a_scheme():
    faces = make(2, landmarks=np.zeros((2, 112)), scheme=None)
    assert faces.n_landmarks == 56
    assert "no scheme" in str(faces)


def test_landmarks_without_a_position():
    landmarks = np.arange(4 * 136.0).reshape(4, 68, 2)
    landmarks[1, :34] = np.nan
    landmarks[2, 3] = np.nan
    visibility = np.ones((4, 68), dtype=bool)
    visibility[1, :40] = False
    faces = make(landmarks=landmarks, visibility=visibility)
    assert faces.has_position.sum() == 4 * 68 - 35
    # 6 of those that have a position are hidden
    assert "2.2% of landmarks hidden, 12.9% of landmarks without a position, in 2 of 4" in str(faces)
    np.testing.assert_array_equal(faces.select([2]).landmarks, landmarks[[2]])
    both = LandmarkDataset.concatenate([faces, make()])
    np.testing.assert_array_equal(both.landmarks[:4], landmarks)


def test_mapping_of_landmarks_without_a_position(rng):
    landmarks = rng.uniform(0, 90, (2, 98, 2))
    whole = map_landmarks(landmarks, "wflw", "300w")
    landmarks[0, 61] = np.nan  # a third or two of two points of an eye
    mapped = map_landmarks(landmarks, "wflw", "300w")
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(mapped[0, :, 0])), [37])
    np.testing.assert_array_equal(mapped[~np.isnan(mapped)], whole[~np.isnan(mapped)])


def test_summary():
    faces = make(2, title="Mine", notes=("one left out",), scheme=None)
    assert str(faces) == (
        "Mine: 2 samples, 68 landmarks (no scheme), pose\n  even: 1\n  last: 1\n  note: one left out"
    )


def test_boxes_visibility_and_groups_are_selected_along():
    boxes = np.array([[0.0, 1, 2, 3], [np.nan] * 4, [5, 5, 5, 9], [-1, -1, 1, 1]])
    visibility = np.arange(4 * 68).reshape(4, 68) % 4 > 0
    faces = make(boxes=boxes, visibility=visibility, groups=("a", "b", "a", 3))
    part = faces.select([3, 1])
    np.testing.assert_array_equal(part.boxes, boxes[[3, 1]])
    np.testing.assert_array_equal(part.visibility, visibility[[3, 1]])
    assert part.groups == ("3", "b")
    assert str(faces).splitlines()[0] == (
        "Landmark data set: 4 faces, 68 landmarks (300w), pose, boxes of 3, 25.0% of landmarks hidden, 3 groups"
    )
    assert make(boxes=np.full((4, 4), np.nan)).boxes is None
    with pytest.raises(ValueError, match="read-only"):
        faces.boxes[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        faces.visibility[0] = True
    other = pickle.loads(pickle.dumps(faces))
    assert other.groups == faces.groups
    np.testing.assert_array_equal(other.boxes, boxes)


def test_concatenate_fills_what_only_some_have():
    one = make(2, pose=None, title="One", notes=("cut",), groups=("a", "b"))
    two = make(
        3,
        title="Two",
        boxes=np.tile([0.0, 0, 1, 1], (3, 1)),
        visibility=np.zeros((3, 68), dtype=bool),
        subsets={"last": [False, False, True], "new": [True, True, False]},
    )
    both = LandmarkDataset.concatenate([one, two])
    assert both.title == "One + Two"
    assert both.notes == ("One: cut",)
    assert both.names == one.names + two.names
    np.testing.assert_array_equal(both.landmarks[2:], two.landmarks)
    np.testing.assert_array_equal(both.has_pose, [False, False, True, True, True])
    np.testing.assert_array_equal(np.isnan(both.boxes[:, 0]), [True, True, False, False, False])
    np.testing.assert_array_equal(both.visibility.all(axis=1), [True, True, False, False, False])
    assert {name: mask.tolist() for name, mask in both.subsets.items()} == {
        "even": [True, False, False, False, False],
        "last": [False, True, False, False, True],
        "new": [False, False, True, True, False],
    }
    assert both.groups[:2] == ("a", "b")
    assert len(set(both.groups)) == 5  # a group per face of the part that has none
    again = LandmarkDataset.concatenate([both.select([0, 1]), both.select([2, 3, 4])], title="Again")
    np.testing.assert_array_equal(again.boxes, both.boxes)
    assert (again.title, again.groups) == ("Again", both.groups)
    assert LandmarkDataset.concatenate([one]).summary() == one.summary()


def test_concatenate_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="at least one"):
        LandmarkDataset.concatenate([])
    with pytest.raises(ValueError, match=r"One with \(68, '300w'\), Two with \(68, None\)"):
        LandmarkDataset.concatenate([make(title="One"), make(title="Two", scheme=None)])


def test_to_scheme_makes_sets_of_two_schemes_one(rng):
    landmarks = rng.uniform(0, 100, (2, 98, 2))
    visibility = np.ones((2, 98), dtype=bool)
    visibility[1, [38, 66, 77, 96]] = False
    wflw = LandmarkDataset(
        ("a.png", "b.png"),
        landmarks,
        scheme="wflw",
        title="W",
        visibility=visibility,
        boxes=np.tile([0.0, 0, 9, 9], (2, 1)),
        pose=np.zeros((2, 3)),
        subsets={"test": np.ones(2, dtype=bool)},
        notes=("partial",),
    )
    mapped = wflw.to_scheme("300w")
    np.testing.assert_array_equal(mapped.landmarks, map_landmarks(landmarks, "wflw", "300w"))
    # 21 is made of 37 and 38, 40 and 41 of 66 and a neighbour, 49 is 77; 68 points have no pupils
    np.testing.assert_array_equal(np.flatnonzero(~mapped.visibility[1]), [21, 40, 41, 49])
    assert mapped.visibility[0].all()
    assert mapped.notes == ("partial", "landmarks mapped from wflw")
    np.testing.assert_array_equal(mapped.boxes, wflw.boxes)
    both = LandmarkDataset.concatenate([make(), mapped])
    assert (len(both), both.scheme, both.n_landmarks) == (6, "300w", 68)
    assert mapped.to_scheme(68) is mapped
    with pytest.raises(ValueError, match="Received: '300w' to 'wflw'"):
        make().to_scheme("wflw")
    with pytest.raises(ValueError, match="Received: Landmark data set, which has none"):
        make(scheme=None).to_scheme("300w")


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("seed", [0, 1])
def test_split_by_group(rng, fraction, seed):
    groups = rng.integers(0, 20, size=200).tolist()
    faces = make(200, groups=groups)
    first, second = faces.split_by_group(fraction, seed)
    assert not set(first.groups) & set(second.groups)
    assert sorted(first.names + second.names) == sorted(faces.names)
    largest = max(groups.count(group) for group in groups)
    assert abs(len(first) - fraction * 200) <= largest
    # The same people, whatever the order of their faces.
    shuffled, _ = faces.select(rng.permutation(200)).split_by_group(fraction, seed)
    assert set(shuffled.groups) == set(first.groups)


def test_split_by_group_refuses():
    with pytest.raises(ValueError, match="needs groups"):
        make().split_by_group(0.5)
    with pytest.raises(ValueError, match=r"at least two groups. Received: \['a'\]"):
        make(groups=("a",) * 4).split_by_group(0.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        make(groups=("a", "b", "c", "d")).split_by_group(1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.zeros((4, 3))}, "boxes must have the shape"),
        ({"boxes": [[0, 0, 1, 1]] * 3 + [[0, 2, 1, 1]]}, "top <= bottom.*3.png"),
        ({"boxes": [[0, 0, 1, np.nan]] * 4}, "four NaN.*0.png"),
        ({"visibility": np.ones((4, 68))}, "visibility must be Boolean"),
        ({"visibility": np.ones((4, 2), dtype=bool)}, r"shape \(4, 68\)"),
        ({"groups": ("a",)}, "Expected 4 groups"),
        ({"groups": "abcd"}, "Expected 4 groups"),
        ({"landmarks": np.zeros((3, 68, 2))}, "n_faces=4"),
        ({"landmarks": np.zeros((4, 67, 2))}, "has 68 landmarks"),
        ({"landmarks": np.zeros((4, 137))}, "Received: shape"),
        ({"landmarks": np.full((4, 68, 2), np.inf)}, "finite.*4 of 4 faces.*0.png"),
        ({"landmarks": np.tile([np.nan, 1.0], (4, 68, 1))}, "two NaN.*4 of 4 faces.*0.png"),
        ({"pose": np.zeros((4, 2))}, "pose must have the shape"),
        ({"pose": np.array([[0, 0, 0]] * 3 + [[0, np.nan, 0]])}, "three NaN.*3.png"),
        ({"pose": np.full((4, 3), np.inf)}, "finite angles"),
        ({"subsets": {"a": np.zeros(4)}}, "'a' must be a Boolean mask"),
        ({"subsets": {"a": np.zeros(3, dtype=bool)}}, r"shape \(3,\)"),
        ({"scheme": "69w"}, "69w"),
        ({"names": ("a",)}, "Expected 4 names"),
        ({"image_paths": ()}, "at least one face"),
        ({"image_paths": "0.png"}, "sequence of paths"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([], ValueError, "Nothing is selected"),
        (np.zeros(4, dtype=bool), ValueError, "Nothing is selected"),
        ([True, False], ValueError, "4 entries"),
        ([0.5], ValueError, "integer indices"),
        ([4], IndexError, "4"),
    ],
)
def test_bad_selection(indices, error, message):
    with pytest.raises(error, match=message):
        make().select(indices)


def test_unknown_subset_lists_what_there_is():
    with pytest.raises(ValueError, match=r"\['even', 'last'\]. Received: 'odd'"):
        make().subset("odd")
