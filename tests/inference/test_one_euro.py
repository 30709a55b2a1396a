"""The One-Euro filter against its authors' package and a value worked by hand."""

import math

import numpy as np
import pytest

from keras_asm.inference import OneEuroFilter


def test_by_hand():
    # At 2 pi values a second, a(1 Hz) = 1 / (1 + 2 pi / (2 pi)) = 1/2.
    smooth = OneEuroFilter(rate=2 * math.pi, min_cutoff=1.0, beta=1 / math.pi)
    assert smooth(0.0) == 0.0
    # Speed: 1/2 * 1 * 2 pi = pi. Cutoff: 1 + pi / pi = 2 Hz. Weight: 1 / (1 + 1/2) = 2/3.
    np.testing.assert_allclose(smooth(1.0), 2 / 3, rtol=1e-15)
    # Speed: 1/2 * (1 - 2/3) * 2 pi + pi / 2 = 5 pi / 6. Cutoff: 11/6. Weight: 11/17.
    np.testing.assert_allclose(smooth(1.0), 11 / 17 + 6 / 17 * 2 / 3, rtol=1e-15)


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    ("cutoff", "beta", "derivative"), [(1.0, 0.0, 1.0), (0.3, 0.02, 1.0), (3.0, 2.0, 0.5)]
)
def test_the_authors_package(timed, cutoff, beta, derivative):
    package = pytest.importorskip("OneEuroFilter")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 4, 2)).cumsum(axis=0)
    times = 0.5 + rng.uniform(0.01, 0.1, 40).cumsum()
    ours = OneEuroFilter(25.0, cutoff, beta, derivative)
    theirs = [package.OneEuroFilter(25.0, cutoff, beta, derivative) for _ in range(8)]
    for i, value in enumerate(values):
        time = times[i] if timed else None
        expected = [each(x, time) for each, x in zip(theirs, value.ravel().tolist(), strict=True)]
        np.testing.assert_allclose(ours(value, time), np.reshape(expected, (4, 2)), rtol=1e-12, atol=1e-12)


def test_reset_begins_anew():
    smooth = OneEuroFilter()
    smooth(np.zeros(3))
    assert (smooth(np.ones(3)) < 1).all()
    smooth.reset()
    np.testing.assert_array_equal(smooth(np.full((2, 2), 7.0)), 7.0)


def test_what_comes_back_is_not_the_filters_own():
    smooth = OneEuroFilter()
    smooth(np.zeros(2))[:] = 100
    np.testing.assert_array_equal(smooth(np.zeros(2)), 0.0)


@pytest.mark.parametrize(
    "settings", [{"rate": 0}, {"min_cutoff": 0}, {"beta": -1}, {"derivative_cutoff": math.nan}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="Received"):
        OneEuroFilter(**settings)


def test_bad_values():
    smooth = OneEuroFilter()
    smooth([0.0, 1.0], time=1.0)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        smooth([0.0])
    with pytest.raises(ValueError, match="finite"):
        smooth([0.0, math.nan])
    with pytest.raises(ValueError, match="rise"):
        smooth([0.0, 1.0], time=1.0)
