import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm.landmarks import as_flat, as_points


@given(
    leading=st.lists(st.integers(0, 3), max_size=3).map(tuple),
    n=st.integers(1, 6),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
)
def test_flat_and_paired_are_inverse(leading, n, dtype):
    points = np.arange(np.prod(leading, dtype=int) * n * 2, dtype=dtype).reshape(*leading, n, 2)
    flat = as_flat(points)
    assert flat.shape == (*leading, 2 * n)
    if flat.ndim == 1 or n > 1:  # (k, 2) reads as one shape of k landmarks
        np.testing.assert_array_equal(as_points(flat), points)
        assert as_points(flat).dtype == points.dtype
    np.testing.assert_array_equal(as_points(points), points)


def test_x_and_y_are_interleaved():
    assert as_flat([[1, 2], [3, 4]]).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert as_points([[1, 2, 3, 4]]).tolist() == [[[1.0, 2.0], [3.0, 4.0]]]
    assert as_points(np.zeros((5, 68, 3)), n_dims=3).shape == (5, 68, 3)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5), (4, 0, 2), (7, 68, 3)])
def test_odd_counts_are_refused(shape):
    with pytest.raises(ValueError, match=r"Received: shape \("):
        as_points(np.zeros(shape))


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"must be numbers.*Received"):
        as_points([["a", "b"]])
