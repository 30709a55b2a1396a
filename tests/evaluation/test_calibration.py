"""Coverage and scale factors on errors drawn from the distribution itself, and on others."""

import numpy as np
import pytest
from scipy import stats

from keras_asm.evaluation import fit_scale_factor, interval_coverage, interval_half_width

DENSITIES = {"laplace": stats.laplace, "gaussian": stats.norm}
N, L = 4000, 5


def drawn(distribution, rng, factor=1.0):
    """Predictions, log scales that vary, and true landmarks off by as much as they say, times a factor."""
    log_scale = rng.normal(-4, 0.7, (N, L))
    predicted = rng.normal(0, 0.2, (N, L, 2))
    error = DENSITIES[distribution].rvs(size=(N, L, 2), random_state=rng)
    return predicted + factor * error * np.exp(log_scale)[..., None], predicted, log_scale


@pytest.mark.parametrize("distribution", DENSITIES)
def test_half_widths_are_scipy_s(distribution):
    levels = np.linspace(0.01, 0.99, 20)
    _, upper = DENSITIES[distribution].interval(levels)
    np.testing.assert_allclose(interval_half_width(levels, distribution), upper, rtol=1e-12)


@pytest.mark.parametrize("distribution", DENSITIES)
@pytest.mark.parametrize("flat", [False, True])
def test_what_is_drawn_from_the_model_is_calibrated(distribution, flat, rng):
    true, predicted, log_scale = drawn(distribution, rng)
    if flat:
        true, predicted = true.reshape(N, -1), predicted.reshape(N, -1)
    levels = np.array([0.1, 0.5, 0.9, 0.99])
    found = interval_coverage(true, predicted, log_scale, levels, distribution)
    # Four standard errors of a binomial fraction
    assert (np.abs(found - levels) < 4 * np.sqrt(levels * (1 - levels) / (N * L * 2))).all()
    assert fit_scale_factor(true, predicted, log_scale, distribution) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("distribution", DENSITIES)
@pytest.mark.parametrize("level", [None, 0.5, 0.9])
def test_the_factor_undoes_another(distribution, level, rng):
    factors = np.array([0.3, 1.0, 2.0, 3.0, 5.0])
    true, predicted, log_scale = drawn(distribution, rng, factors[:, None])
    found = fit_scale_factor(true, predicted, log_scale, distribution, level, per_landmark=True)
    np.testing.assert_allclose(found, factors, rtol=0.06)
    coverage = interval_coverage(
        true, predicted, log_scale + np.log(found), (0.5, 0.9), distribution, per_landmark=True
    )
    np.testing.assert_allclose(coverage, np.tile([[0.5], [0.9]], L), atol=0.03)


@pytest.mark.parametrize("distribution", DENSITIES)
def test_the_factor_is_the_most_likely(distribution, rng):
    true, predicted, log_scale = drawn(distribution, rng, 2.0)
    best = fit_scale_factor(true, predicted, log_scale, distribution)

    def likelihood(factor):
        scale = factor * np.exp(log_scale)[..., None]
        return DENSITIES[distribution].logpdf(true, predicted, scale).sum()

    assert likelihood(best) > max(likelihood(0.99 * best), likelihood(1.01 * best))


def test_a_factor_at_a_level_covers_it_whatever_the_errors(rng):
    true, predicted, log_scale = drawn("gaussian", rng)
    factor = fit_scale_factor(true, predicted, log_scale, "laplace", level=0.9)
    covered = interval_coverage(true, predicted, log_scale + np.log(factor), (0.5, 0.9))
    assert covered[1] == pytest.approx(0.9, abs=1e-4)
    assert abs(covered[0] - 0.5) > 0.1  # Gaussian errors are not Laplace's


def test_landmarks_without_a_position_do_not_count(rng):
    true, predicted, log_scale = drawn("laplace", rng)
    partial = true.copy()
    partial[: N // 2, 1:3] = np.nan
    for per_landmark in (False, True):
        found = interval_coverage(partial, predicted, log_scale, per_landmark=per_landmark)
        ratios = np.abs(partial - predicted) / np.exp(log_scale)[..., None]
        axes = (0, 2) if per_landmark else (0, 1, 2)
        known = (~np.isnan(ratios)).sum(axis=axes)
        expected = [(ratios <= q).sum(axis=axes) / known for q in np.log([2, 10])]
        np.testing.assert_allclose(found, expected)
        factor = fit_scale_factor(partial, predicted, log_scale, per_landmark=per_landmark)
        np.testing.assert_allclose(factor, np.nansum(ratios, axis=axes) / known)


def test_bad_input():
    true, log_scale = np.zeros((3, 2, 2)), np.zeros((3, 2))
    for call in (interval_coverage, fit_scale_factor):
        with pytest.raises(ValueError, match=r"log scales \(n, n_landmarks\).*log_scale \(3, 3\)"):
            call(true, true, np.zeros((3, 3)))
        with pytest.raises(ValueError, match="laplace, gaussian. Received: 'cauchy'"):
            call(true + 1, true, log_scale, distribution="cauchy")
        with pytest.raises(ValueError, match="must be finite"):
            call(true, true + np.nan, log_scale)
        with pytest.raises(ValueError, match="Received: 1 landmarks without"):
            call(np.where([[True], [False]], true, np.nan), true, log_scale)
    with pytest.raises(ValueError, match=r"in \(0, 1\). Received"):
        interval_coverage(true, true, log_scale, [0.5, 1])
    with pytest.raises(ValueError, match="must not all be 0"):
        fit_scale_factor(true, true, log_scale)
