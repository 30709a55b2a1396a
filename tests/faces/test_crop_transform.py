import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm.faces import CropTransform

POSITION = st.floats(-5000, 5000)


@given(
    centers=st.lists(st.tuples(POSITION, POSITION, st.floats(0.5, 5000)), min_size=1, max_size=4),
    image_size=st.integers(1, 512),
    seed=st.integers(0, 999),
)
def test_crop_then_undo_is_the_identity(centers, image_size, seed):
    values = np.array(centers)
    transform = CropTransform(values[:, :2], values[:, 2], image_size)
    # Landmarks in and around each square.
    around = np.random.default_rng(seed).uniform(-1, 1, (len(values), 5, 2))
    landmarks = values[:, None, :2] + around * values[:, None, None, 2]
    np.testing.assert_allclose(transform.undo(transform.normalize(landmarks)), landmarks, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        transform.from_pixels(transform.to_pixels(landmarks)), landmarks, rtol=0, atol=1e-4
    )
    flat = transform.undo(transform.normalize(landmarks).reshape(len(values), -1))  # as networks predict
    np.testing.assert_allclose(flat, landmarks, rtol=0, atol=1e-4)


def test_hand_worked_values():
    """A square of 20 px around (30, 40) that becomes 10 px: pixels halve."""
    transform = CropTransform([[30.0, 40.0]], [20.0], image_size=10)
    landmarks = [[[30.0, 40.0], [20.0, 30.0], [40.0, 50.0], [20.5, 30.5]]]
    np.testing.assert_allclose(
        transform.normalize(landmarks), [[[0, 0], [-0.5, -0.5], [0.5, 0.5], [-0.475, -0.475]]]
    )
    # The middle of the first crop pixel lies half a crop pixel, one source pixel, inside the edge.
    np.testing.assert_allclose(
        transform.to_pixels(landmarks), [[[4.5, 4.5], [-0.5, -0.5], [9.5, 9.5], [-0.25, -0.25]]]
    )
    np.testing.assert_allclose(transform.from_pixels([[[0.0, 0.0]]]), [[[21.0, 31.0]]])


def test_agrees_with_the_contract_for_normalised_coordinates():
    transform = CropTransform([[7.0, 9.0]], [31.0], image_size=96)
    landmarks = np.random.default_rng(0).uniform(0, 20, (1, 8, 2))
    np.testing.assert_allclose(
        (transform.to_pixels(landmarks) + 0.5) / 96 - 0.5, transform.normalize(landmarks), atol=1e-12
    )


def test_margin_and_longer_side():
    transform = CropTransform.from_landmarks([[[10, 0], [20, 40]], [[0, 0], [80, 10]]], 64, margin=0.25)
    np.testing.assert_array_equal(transform.side, [60, 120])
    np.testing.assert_array_equal(transform.center, [[15, 20], [40, 5]])
    np.testing.assert_array_equal(transform.select([1]).side, [120])
    assert len(transform.select([True, False])) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CropTransform([[0, 0]], [0], 8), "sides above 0"),
        (lambda: CropTransform([[0, np.nan]], [1], 8), "finite centres"),
        (lambda: CropTransform([0, 0], [1], 8), r"Received: shapes \(2,\)"),
        (lambda: CropTransform([[0, 0]], [1], 0), "image_size"),
        (lambda: CropTransform([[0, 0]], [1], 8.5), "image_size"),
        (lambda: CropTransform.from_boxes([[0, 0, 1]], 8), r"shape \(n, 4\)"),
        (lambda: CropTransform.from_boxes([[0, 0, 9, 9], [5, 5, 5, 5]], 8), "extent.*index 1"),
        (lambda: CropTransform.from_boxes([[5, 0, 4, 9]], 8), "x_min <= x_max"),
        (lambda: CropTransform.from_boxes([[0, 0, np.inf, 9]], 8), "finite"),
        (lambda: CropTransform.from_boxes([[0, 0, 1, 1]], 8, margin=-0.5), "margin"),
        (lambda: CropTransform.from_boxes([[0, 0, 1, 1]], 8, margin=np.nan), "margin"),
        (lambda: CropTransform.from_landmarks(np.zeros((1, 68, 2)), 8), "extent"),
        (lambda: CropTransform.from_landmarks(np.zeros((68, 2)), 8), "n_landmarks, 2"),
        (lambda: CropTransform([[0, 0]], [1], 8).undo(np.zeros((2, 68, 2))), "one face per crop"),
        (lambda: CropTransform([[0, 0]], [1], 8).undo(np.zeros((1, 3))), "Received: shape"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
