import numpy as np
import pytest

from keras_asm.faces import CropTransform, FaceCrops


def make(n: int = 3, **changes) -> FaceCrops:
    transform = CropTransform(np.full((n, 2), 50.0), np.arange(1.0, n + 1), 8)
    values = {
        "images": np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 3), np.uint8),
        "landmarks": np.arange(n * 4.0).reshape(n, 2, 2),
        "transform": transform,
        "pose": np.arange(n * 3.0).reshape(n, 3),
        "names": tuple("abcdefg"[:n]),
    }
    return FaceCrops(**{**values, **changes})


def test_select_keeps_everything_together():
    part = make().select([2, 0])
    assert part.names == ("c", "a")
    np.testing.assert_array_equal(part.images[:, 0, 0, 0], [2, 0])
    np.testing.assert_array_equal(part.transform.side, [3, 1])
    np.testing.assert_array_equal(part.pose[:, 0], [6, 0])
    np.testing.assert_array_equal(part.landmarks[:, 0, 0], [8, 0])
    np.testing.assert_array_equal(part.source_landmarks[1], 50 + part.landmarks[1])
    assert (part.image_size, part.landmarks.dtype, part.pose.dtype) == (8, np.float32, np.float32)


def test_arrays_cannot_be_changed_and_the_callers_stay_as_they_are():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    crops = make(images=images)
    assert np.shares_memory(crops.images, images)
    images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        crops.images[0] = 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((3, 8, 8, 3))}, "uint8.*Received: float64"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8)}, "as the transform says"),
        ({"images": np.zeros((3, 9, 8, 3), np.uint8)}, "as the transform says"),
        ({"landmarks": np.zeros((3, 4))}, "n_landmarks, 2"),
        ({"landmarks": np.zeros((2, 2, 2))}, "n_landmarks, 2"),
        ({"pose": np.zeros((2, 3))}, "pose must"),
        ({"names": ("a",)}, "Expected 3 names"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_concatenated_faces_lie_where_they_lay():
    first, second = make(2), make(3, pose=None)
    whole = FaceCrops.concatenate([first, second])
    assert whole.names == ("a", "b", "a", "b", "c")
    np.testing.assert_array_equal(whole.images[:, 0, 0, 0], [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(np.isnan(whole.pose).all(axis=1), [False, False, True, True, True])
    expected = np.concatenate([first.source_landmarks, second.source_landmarks])
    np.testing.assert_array_equal(whole.source_landmarks, expected)
    without = FaceCrops.concatenate([make(2, pose=None), make(1, pose=None, names=None)])
    assert without.pose is None
    assert without.names is None


@pytest.mark.parametrize(
    ("parts", "received"),
    [
        ([], "no faces"),
        ([make(1), make(1, landmarks=np.zeros((1, 3, 2)))], r"\(8, 2, None\), \(8, 3, None\)"),
        (
            [make(1, landmarks=np.zeros((1, 68, 2)), scheme="300w"), make(1, landmarks=np.zeros((1, 68, 2)))],
            "'300w'",
        ),
    ],
)
def test_faces_that_do_not_go_together(parts, received):
    with pytest.raises(ValueError, match=rf"one image size.*Received: .*{received}"):
        FaceCrops.concatenate(parts)
