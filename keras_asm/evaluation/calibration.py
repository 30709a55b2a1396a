"""Whether predicted scales are as large as the errors, and the factor that makes them so."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_asm.landmarks import as_points

__all__ = ["fit_scale_factor", "interval_coverage", "interval_half_width"]


def interval_half_width(level: Any, distribution: str = "laplace") -> np.ndarray:
    """Half of the width of the central interval that holds `level` of a distribution of scale 1.

    ```text
    laplace:   -log(1 - level)
    gaussian:  Phi^-1((1 + level) / 2)
    ```

    Args:
        level: Probability, in (0, 1), a number or an array of them.
        distribution: `"laplace"` (default) or `"gaussian"`, that of `LandmarkLikelihoodLoss`.

    Returns:
        Float64, of the shape of `level`.

    Raises:
        ValueError: If the distribution is unknown, or a level is not in (0, 1).

    Examples:
        >>> from keras_asm.evaluation import interval_half_width
        >>> interval_half_width([0.5, 0.9]).round(3), interval_half_width([0.5, 0.9], "gaussian").round(3)
        (array([0.693, 2.303]), array([0.674, 1.645]))

    See Also:
        - [`interval_coverage`][keras_asm.evaluation.interval_coverage]: counts what lies within.
        - [`fit_scale_factor`][keras_asm.evaluation.fit_scale_factor]: makes the scales fit first.
        - [In pixels of a picture][in-pixels-of-a-picture]: an interval around a landmark.
    """
    levels = np.asarray(level, dtype=np.float64)
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"A level must be in (0, 1). Received: {level}")
    if distribution == "laplace":
        return -np.log1p(-levels)
    if distribution == "gaussian":
        from scipy.special import ndtri  # not with the package: it takes longer than all else together

        return np.asarray(ndtri((1 + levels) / 2))
    raise ValueError(f"distribution must be one of laplace, gaussian. Received: {distribution!r}")


def interval_coverage(
    y_true: Any,
    y_pred: Any,
    log_scale: Any,
    levels: Any = (0.5, 0.9),
    distribution: str = "laplace",
    per_landmark: bool = False,
) -> np.ndarray:
    """Fraction of the true coordinates that lie within the predicted central intervals.

    The interval of a coordinate is `P -+ exp(s) q`, with the predicted landmark `P`, its log scale `s` and `q` of
    `interval_half_width`. Where the scales are calibrated, the coverage of each level is the level. Over many levels it
    is the reliability curve, which `plot_reliability` draws.

    Args:
        y_true: True landmarks, `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`; those that are NaN do not count.
        y_pred: Predicted landmarks, in either layout and the same unit.
        log_scale: Predicted log scales, `(n, n_landmarks)`, of the same unit.
        levels: Probabilities of the intervals, in (0, 1); 0.5 and 0.9 by default.
        distribution: That of the loss, `"laplace"` (default) or `"gaussian"`.
        per_landmark: Count each landmark by itself; `False` by default.

    Returns:
        Coverage of each level, `(n_levels,)`, or `(n_levels, n_landmarks)` per landmark.

    Raises:
        ValueError: If shapes differ, a number is not finite, a level is not in (0, 1), or nothing counts.

    Examples:
        Errors drawn from the distribution itself:

        >>> import numpy as np
        >>> from keras_asm.evaluation import interval_coverage
        >>> rng = np.random.default_rng(0)
        >>> log_scale = rng.normal(-4, 0.5, (2000, 5))
        >>> error = rng.laplace(size=(2000, 5, 2)) * np.exp(log_scale)[..., None]
        >>> interval_coverage(error, np.zeros_like(error), log_scale).round(1)
        array([0.5, 0.9])

    See Also:
        - [`fit_scale_factor`][keras_asm.evaluation.fit_scale_factor]: corrects scales whose coverage is off.
        - [`plot_reliability`][keras_asm.visualization.plot_reliability]: draws it over many levels.
        - [Calibrate][calibrate]: how to read it.
    """
    ratios = _ratios(y_true, y_pred, log_scale)
    half_widths = interval_half_width(np.asarray(levels, dtype=np.float64).reshape(-1), distribution)
    axes = (0, 2) if per_landmark else (0, 1, 2)
    within = ratios <= half_widths[:, None, None, None]  # NaN is not
    counts = np.sum(~np.isnan(ratios), axis=axes)
    return within.sum(axis=tuple(1 + axis for axis in axes)) / counts


def fit_scale_factor(
    y_true: Any,
    y_pred: Any,
    log_scale: Any,
    distribution: str = "laplace",
    level: float | None = None,
    per_landmark: bool = False,
) -> Any:
    """The factor `c` for which `c exp(s)` is calibrated, from faces that the network was not trained on.

    ```text
    laplace:     c = mean(|G - P| / exp(s))          the most likely factor
    gaussian:    c = sqrt(mean(((G - P) / exp(s))^2))
    at a level:  c = quantile(|G - P| / exp(s), level) / q(level)
    ```

    Errors seldom have just the distribution of the loss. The most likely factor then covers neither 50 nor 90 %
    exactly, and the factor at a level covers that level. Add `log(c)` to the log scales.

    Args:
        y_true: As in `interval_coverage`.
        y_pred: As in `interval_coverage`.
        log_scale: As in `interval_coverage`.
        distribution: As in `interval_coverage`.
        level: Probability whose interval is to cover as much; by default the most likely factor.
        per_landmark: A factor for each landmark; `False` by default, one for all.

    Returns:
        The factor, above 0, or `(n_landmarks,)` per landmark.

    Raises:
        ValueError: As `interval_coverage`, or if the errors that a factor is fitted to are all 0.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.evaluation import fit_scale_factor
        >>> error = np.random.default_rng(0).laplace(scale=0.03, size=(2000, 5, 2))
        >>> factor = fit_scale_factor(error, np.zeros_like(error), np.full((2000, 5), np.log(0.01)))
        >>> round(factor, 1)
        3.0

    See Also:
        - [`interval_coverage`][keras_asm.evaluation.interval_coverage]: tells whether the factor is needed,
          and whether it helped.
        - [`LandmarkModelInfo`][keras_asm.inference.LandmarkModelInfo]: keeps the factor with the network.
        - [Calibrate][calibrate]: on which faces to fit it.
    """
    ratios = _ratios(y_true, y_pred, log_scale)
    axes = (0, 2) if per_landmark else (0, 1, 2)
    if level is not None:
        half_width = interval_half_width(level, distribution)
        factor = np.nanquantile(ratios, level, axis=axes) / half_width
    elif distribution == "laplace":
        factor = np.nanmean(ratios, axis=axes)
    else:
        interval_half_width(0.5, distribution)  # raises for an unknown one
        factor = np.sqrt(np.nanmean(ratios**2, axis=axes))
    if not (factor > 0).all():
        raise ValueError("The errors must not all be 0. Received: a factor of 0")
    return factor if per_landmark else float(factor)


def _ratios(y_true: Any, y_pred: Any, log_scale: Any) -> np.ndarray:
    """Absolute errors in units of the predicted scales, `(n, n_landmarks, 2)`; NaN where there is no true landmark."""
    true, predicted = (as_points(y, leading=1).astype(np.float64) for y in (y_true, y_pred))
    log_scale = np.asarray(log_scale, dtype=np.float64)
    if true.ndim != 3 or true.shape != predicted.shape or log_scale.shape != true.shape[:2]:
        raise ValueError(
            "True and predicted landmarks must have one shape, (n, n_landmarks, 2), and log scales (n, n_landmarks). "
            f"Received: y_true {true.shape}, y_pred {predicted.shape}, log_scale {log_scale.shape}"
        )
    if np.isinf(true).any() or not (np.isfinite(predicted).all() and np.isfinite(log_scale).all()):
        raise ValueError(
            "Predictions and log scales must be finite, and true landmarks finite or NaN. Received: others"
        )
    missing = np.isnan(true).any(axis=-1)
    if missing.all(axis=0).any():
        raise ValueError(
            "Each landmark needs a true position in at least one face. "
            f"Received: {int(missing.all(axis=0).sum())} landmarks without"
        )
    return np.abs(true - predicted) / np.exp(log_scale)[..., None]
