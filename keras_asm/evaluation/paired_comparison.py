"""Whether one training method is better than another, measured on the same images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["PairedComparison", "compare_paired"]


@dataclass(frozen=True)
class PairedComparison:
    """Two training methods on the same images; `compare_paired` makes it and says what the fields mean.

    `str(comparison)` is a summary that keeps the two questions apart.

    Attributes:
        n_images: Number of images.
        n_seeds_a: Number of training runs of the first method.
        n_seeds_b: Number of training runs of the second.
        mean_a: Mean error of the first method, over runs and images.
        mean_b: Mean error of the second.
        difference: `mean_b - mean_a`: negative where the second method is better.
        relative: `difference / mean_a`, a fraction; `None` if `mean_a` is 0.
        sd_a: Standard deviation over the runs of the first method of their mean errors; `None` for one run.
        sd_b: The same of the second method.
        standard_error_images: Standard error of `difference` over images; `None` for one image.
        p_images: P-value over images, for these trained networks.
        p_seeds: P-value over training runs, for these images; `None` where the runs cannot tell.

    Examples:
        >>> from keras_asm.evaluation import compare_paired
        >>> comparison = compare_paired([[0.05, 0.06], [0.07, 0.08]], [[0.04, 0.05], [0.05, 0.06]])
        >>> comparison.n_images, round(comparison.difference, 3), comparison.p_seeds > 0.05
        (2, -0.015, True)

    See Also:
        - [`compare_paired`][keras_asm.evaluation.compare_paired]: makes it, and says what the fields mean.
        - [Images are not seeds][images-are-not-seeds]: which p-value to use.
    """

    n_images: int
    n_seeds_a: int
    n_seeds_b: int
    mean_a: float
    mean_b: float
    difference: float
    relative: float | None
    sd_a: float | None
    sd_b: float | None
    standard_error_images: float | None
    p_images: float
    p_seeds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Every field, as JSON-ready values."""
        return asdict(self)

    def __str__(self) -> str:
        relative = "" if self.relative is None else f" ({100 * self.relative:+.1f} %)"
        if self.p_seeds is not None:
            seeds = f"Welch p {self.p_seeds:.2g}"
        elif min(self.n_seeds_a, self.n_seeds_b) < 2:
            seeds = "not tested, 2 runs of each are needed"
        else:
            seeds = "not tested, the runs do not vary"
        return "\n".join(
            [
                f"images: {self.n_images}, runs: {self.n_seeds_a} of a, {self.n_seeds_b} of b",
                f"mean error: a {self.mean_a:.4g}, b {self.mean_b:.4g}, b - a {self.difference:+.3g}{relative}",
                f"over images (these networks): standard error {_number(self.standard_error_images)}, "
                f"Wilcoxon p {self.p_images:.2g}",
                f"over runs (these images): standard deviation a {_number(self.sd_a)}, b {_number(self.sd_b)}, "
                f"{seeds}",
            ]
        )


def compare_paired(errors_a: Any, errors_b: Any) -> PairedComparison:
    """Compare the errors of two training methods on the same images.

    With the error `e_a[s, i]` of run `s` of method a on image `i`, and a bar for the mean over runs, the two
    questions, which are answered apart, are:

    *Would these networks differ on other images?* The differences of the images are

        d[i] = e_b_bar[i] - e_a_bar[i],   difference = mean(d),   standard error = sd(d) / sqrt(n_images)

    and `p_images` is of the two-sided Wilcoxon signed-rank test of `d`. As in Wilcoxon's paper, images with
    `d = 0` are left out; if all are, `p_images` is 1. The test ranks, so it is not ruled by the few images
    on which a network fails altogether, as the mean may be: the two can point in opposite directions.

    *Would other trainings differ on these images?* With the mean error `m` of each run and the `k` runs of
    a method,

        t = (mean(m_b) - mean(m_a)) / sqrt(sd(m_a)^2 / k_a + sd(m_b)^2 / k_b)

    and `p_seeds` is of the two-sided Welch test. It is `None` with fewer than 2 runs of either method, and
    also where no run of either method differs from the others of that method: such runs are one run
    repeated, and say nothing of how trainings vary, whatever their means.

    A small `p_images` says nothing about the method with another seed, and with two or three runs `p_seeds`
    is rarely small. Standard deviations are those of a sample (`n - 1`). Differences within the rounding of
    the means count as none.

    Args:
        errors_a: Errors of the first method, `(n_images,)` or `(n_seeds, n_images)`, as in
            `EvaluationReport.errors`; in any unit.
        errors_b: Errors of the second method on the same images in the same order, likewise; the number of
            runs may be another.

    Returns:
        The comparison.

    Raises:
        ValueError: If an array has another shape, is empty or not finite, or the numbers of images differ.

    Examples:
        >>> from keras_asm.evaluation import compare_paired
        >>> mse = [[5.0, 6.0, 7.0, 8.0], [5.5, 6.5, 7.5, 8.5]]
        >>> assisted = [[4.5, 5.0, 5.5, 6.0], [4.0, 4.5, 5.0, 5.5]]
        >>> print(compare_paired(mse, assisted))
        images: 4, runs: 2 of a, 2 of b
        mean error: a 6.75, b 5, b - a -1.75 (-25.9 %)
        over images (these networks): standard error 0.323, Wilcoxon p 0.12
        over runs (these images): standard deviation a 0.354, b 0.354, Welch p 0.038

    See Also:
        - [`PairedComparison`][keras_asm.evaluation.PairedComparison]: what it returns.
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: makes the errors of each run.
        - [Images are not seeds][images-are-not-seeds]: which p-value to use.

    References:
        Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1945.
        Welch, "The Generalization of 'Student's' Problem when Several Different Population Variances are
        Involved", Biometrika 1947.
    """
    a, b = _checked("errors_a", errors_a), _checked("errors_b", errors_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            "Both methods must be evaluated on the same images. "
            f"Received: {a.shape[1]} images in errors_a, {b.shape[1]} in errors_b"
        )
    n_images = a.shape[1]
    images_a, images_b = a.mean(axis=0), b.mean(axis=0)
    differences = images_b - images_a
    # A mean of k numbers may be off by k units of rounding. Equal errors, averaged over other numbers of runs
    # or in another order, would be ranked by those.
    rounding = np.finfo(np.float64).eps * (len(a) + len(b))
    differences[np.abs(differences) <= rounding * np.maximum(abs(a).max(axis=0), abs(b).max(axis=0))] = 0.0

    mean_a, difference = float(images_a.mean()), float(differences.mean())
    seeds_a, seeds_b = a.mean(axis=1), b.mean(axis=1)
    sd_a, sd_b = _standard_deviation(seeds_a), _standard_deviation(seeds_b)
    spread = _standard_deviation(differences)
    return PairedComparison(
        n_images=n_images,
        n_seeds_a=len(a),
        n_seeds_b=len(b),
        mean_a=mean_a,
        mean_b=float(images_b.mean()),
        difference=difference,
        relative=difference / mean_a if mean_a else None,
        sd_a=sd_a,
        sd_b=sd_b,
        standard_error_images=None if spread is None else spread / n_images**0.5,
        p_images=_wilcoxon(differences),
        p_seeds=_welch(seeds_a, sd_a, seeds_b, sd_b),
    )


def _checked(name: str, errors: Any) -> np.ndarray:
    expected = f"{name} must be finite numbers of shape (n_images,) or (n_seeds, n_images), at least one. "
    try:
        array = np.asarray(errors, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{expected}Received: {type(errors).__name__} that is no array of numbers") from None
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{expected}Received: shape {array.shape}")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"{expected}Received: shape {array.shape}, {bad} of them NaN or infinite")
    return np.atleast_2d(array)


def _standard_deviation(values: np.ndarray) -> float | None:
    if len(values) < 2:
        return None
    # Means of runs that are one run repeated differ by rounding at most, and so would their deviation.
    if np.ptp(values) <= 4 * np.finfo(np.float64).eps * np.abs(values).max():
        return 0.0
    return float(values.std(ddof=1))


def _wilcoxon(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon  # not with the package: it takes longer than all else together

    different = differences[differences != 0]
    # Left out here rather than by SciPy, which otherwise gives up its exact distribution for a few zeros.
    return float(wilcoxon(different).pvalue) if different.size else 1.0


def _welch(a: np.ndarray, sd_a: float | None, b: np.ndarray, sd_b: float | None) -> float | None:
    if sd_a is None or sd_b is None or sd_a == sd_b == 0:
        return None
    from scipy.stats import ttest_ind_from_stats

    test = ttest_ind_from_stats(a.mean(), sd_a, len(a), b.mean(), sd_b, len(b), equal_var=False)
    return float(test.pvalue)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
