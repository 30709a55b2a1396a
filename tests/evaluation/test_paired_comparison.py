import json
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from keras_asm.evaluation import PairedComparison, compare_paired


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class TestByHand:
    def test_one_run_of_each(self):
        # Differences 1, 2, -3, 4, 5. Wilcoxon: the ranks are their sizes, W- = 3; of the 32 sets of signs 5 have
        # a sum of at most 3 (none, {1}, {2}, {3}, {1, 2}), so p = 2 * 5 / 32.
        # Mean 1.8; squares 55, so the variance is (55 - 5 * 3.24) / 4 = 9.7.
        result = compare_paired([10, 10, 10, 10, 10], [11, 12, 7, 14, 15])
        assert result.p_images == pytest.approx(10 / 32)
        assert result.standard_error_images == pytest.approx((9.7 / 5) ** 0.5)
        assert (result.mean_a, result.mean_b) == pytest.approx((10, 11.8))
        assert (result.difference, result.relative) == pytest.approx((1.8, 0.18))
        assert (result.n_images, result.n_seeds_a, result.n_seeds_b) == (5, 1, 1)
        assert result.sd_a is result.sd_b is result.p_seeds is None

    def test_runs(self):
        # Means of the runs 1, 3 and 4, 6: deviations sqrt(2), t = 3 / sqrt(2 / 2 + 2 / 2), 2 degrees of freedom,
        # where P(|T| > t) = 1 - t / sqrt(2 + t^2).
        result = compare_paired([[0, 2], [2, 4]], [[3, 5], [5, 7]])
        t = 3 / 2**0.5
        assert result.p_seeds == pytest.approx(1 - t / (2 + t * t) ** 0.5)
        assert (result.sd_a, result.sd_b) == pytest.approx((2**0.5, 2**0.5))
        assert (result.mean_a, result.mean_b, result.difference) == (2, 5, 3)
        # Both images differ by 3, in the mean over runs: of 4 sets of signs, 2 are as one-sided.
        assert (result.p_images, result.standard_error_images) == (0.5, 0)

    def test_text(self):
        assert str(compare_paired([10, 10, 10, 10, 10], [11, 12, 7, 14, 15])).splitlines() == [
            "images: 5, runs: 1 of a, 1 of b",
            "mean error: a 10, b 11.8, b - a +1.8 (+18.0 %)",
            "over images (these networks): standard error 1.39, Wilcoxon p 0.31",
            "over runs (these images): standard deviation a -, b -, not tested, 2 runs of each are needed",
        ]
        assert str(compare_paired([[0], [0]], [[1], [1]])).splitlines() == [
            "images: 1, runs: 2 of a, 2 of b",
            "mean error: a 0, b 1, b - a +1",
            "over images (these networks): standard error -, Wilcoxon p 1",
            "over runs (these images): standard deviation a 0, b 0, not tested, the runs do not vary",
        ]


@pytest.mark.parametrize("n_images", [7, 40, 300])
@pytest.mark.parametrize("n_seeds", [(1, 1), (1, 3), (2, 5), (4, 4)])
def test_agrees_with_scipy(rng, n_images, n_seeds):
    difficulty = rng.gamma(2.0, 0.02, n_images)
    a, b = (difficulty * rng.uniform(0.8, 1.2 + 0.1 * i, (n, n_images)) for i, n in enumerate(n_seeds))
    result = compare_paired(a, b)
    images_a, images_b = np.mean(a, axis=0), np.mean(b, axis=0)
    assert result.p_images == pytest.approx(scipy.stats.wilcoxon(images_b, images_a).pvalue, rel=1e-9)
    assert result.standard_error_images == pytest.approx(scipy.stats.sem(images_b - images_a))
    assert result.difference == pytest.approx(b.mean() - a.mean())
    if min(n_seeds) == 1:
        assert result.p_seeds is None
    else:
        welch = scipy.stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
        assert result.p_seeds == pytest.approx(welch.pvalue, rel=1e-9)
        assert result.sd_b == pytest.approx(scipy.stats.tstd(b.mean(axis=1)))


def test_the_two_questions_are_apart(rng):
    # Runs that scatter, on images that all agree: sure of these networks, unsure of the next training.
    images = rng.uniform(4, 6, 200)
    runs = np.array([[-1.0], [0.0], [1.0]])
    spread = compare_paired(images + runs, images + runs + 0.1)
    assert spread.p_images < 1e-6 < 0.5 < spread.p_seeds
    # Runs that repeat themselves, on images that scatter around nothing: a bias too small for these images.
    noise = rng.normal(0, 1, 200)
    noise += 0.02 - noise.mean()
    steady = compare_paired(images + 1e-4 * runs, images + noise + 1e-4 * runs)
    assert steady.p_seeds < 1e-3 < 0.05 < steady.p_images


errors = st.floats(0, 1, width=32)


@given(data=st.data(), n_images=st.integers(1, 20), n_a=st.integers(1, 3), n_b=st.integers(1, 3))
def test_exchanging_the_methods_only_changes_the_sign(data, n_images, n_a, n_b):
    def draw(n):
        return np.array(data.draw(st.lists(errors, min_size=n * n_images, max_size=n * n_images))).reshape(
            n, -1
        )

    a, b = draw(n_a), draw(n_b)
    one, other = compare_paired(a, b), compare_paired(b, a)
    assert one.difference == -other.difference
    assert one.difference == pytest.approx(one.mean_b - one.mean_a, abs=1e-12)
    assert (one.mean_a, one.sd_a, one.n_seeds_a) == (other.mean_b, other.sd_b, other.n_seeds_b)
    assert one.standard_error_images == other.standard_error_images
    for p, q in ((one.p_images, other.p_images), (one.p_seeds, other.p_seeds)):
        assert q == (None if p is None else pytest.approx(p, rel=1e-9))
        assert p is None or 0 <= p <= 1


class TestEqual:
    def test_equal_errors(self, rng):
        a = rng.uniform(size=(3, 30))
        result = compare_paired(a, a)
        assert (result.difference, result.relative, result.standard_error_images) == (0, 0, 0)
        assert (result.p_images, result.p_seeds) == (1, pytest.approx(1))

    @pytest.mark.parametrize("n_seeds", [3, 7, 10])
    def test_rounding_is_no_difference(self, rng, n_seeds):
        a = rng.uniform(size=(n_seeds, 200))
        for x, y in ((a, a[::-1]), (a[0], np.tile(a[0], (n_seeds, 1)))):
            result = compare_paired(x, y)
            assert (result.p_images, result.difference, result.standard_error_images) == (1, 0, 0)

    def test_zeros(self):
        result = compare_paired(np.zeros((2, 4)), np.zeros(4))
        assert (result.mean_a, result.relative, result.p_images) == (0, None, 1)

    def test_images_without_a_difference_are_left_out(self):
        a = np.zeros(30)
        b = np.concatenate([np.zeros(20), [1, 2, 3, 4, 5, 6, 7, 8, 9, -10]])
        assert compare_paired(a, b).p_images == scipy.stats.wilcoxon(b[20:]).pvalue

    def test_one_image(self):
        result = compare_paired([0.1], [0.2])
        assert (result.p_images, result.standard_error_images) == (1, None)


class TestRunsThatDoNotVary:
    @pytest.mark.parametrize("shift", [0.0, 0.5])
    def test_of_neither_method(self, rng, shift):
        a = np.tile(rng.uniform(size=101), (3, 1))
        result = compare_paired(a, a + shift)
        assert (result.sd_a, result.sd_b, result.p_seeds) == (0, 0, None)

    def test_of_one_method(self, rng):
        a, b = np.tile(rng.uniform(size=101), (3, 1)), rng.uniform(size=(4, 101))
        # With no variance of a, Welch's test is the one of b against the mean of a.
        expected = scipy.stats.ttest_1samp(b.mean(axis=1), a.mean()).pvalue
        for result in (compare_paired(a, b), compare_paired(b, a)):
            assert result.p_seeds == pytest.approx(expected)


def test_to_dict_survives_json(rng):
    for a, b in ((rng.uniform(size=(2, 9)), rng.uniform(size=(3, 9))), ([0.0], [0.0])):
        result = compare_paired(np.asarray(a, "float32"), b)
        assert PairedComparison(**json.loads(json.dumps(result.to_dict()))) == result


class TestBadInput:
    @pytest.mark.parametrize(
        "bad",
        [[], [[]], 0.1, np.zeros((2, 3, 4)), [0.1, np.nan, 0.2], [0.1, np.inf, 0.2], ["a", "b"], [[1], [1, 2]], None],
        ids=str,
    )  # fmt: skip
    def test_not_errors(self, bad):
        with pytest.raises(ValueError, match=r"errors_a must be.*Received: "):
            compare_paired(bad, [0.1, 0.2, 0.3])
        with pytest.raises(ValueError, match=r"errors_b must be.*Received: "):
            compare_paired([0.1, 0.2, 0.3], bad)

    def test_other_images(self):
        with pytest.raises(ValueError, match=r"same images.*Received: 3 images in errors_a, 2 in errors_b"):
            compare_paired([[0.1, 0.2, 0.3]], [[0.1, 0.2], [0.1, 0.3]])
