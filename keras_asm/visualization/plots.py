"""Plots of errors and of shape models, with Matplotlib."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_asm.landmarks import LandmarkScheme, Line, as_points
from keras_asm.metrics.errors import area_under_ced, cumulative_error_distribution, failure_rate
from keras_asm.visualization.drawing import lines_of

__all__ = ["plot_ced", "plot_reliability", "plot_shape_modes"]

# Okabe and Ito's colours, which readers with any kind of colour vision tell apart, and line styles, which
# survive a print in black and white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_CURVES_UNDER_A_LEGEND = 4  # more would be hidden by it
_NAME_UNDER_A_LEGEND = 40  # characters; longer ones would cover most of the plot, or reach beyond it
_STYLES = ("-", "--", "-.", ":")


def plot_ced(
    errors: Mapping[str, Any], path: str | os.PathLike[str] | None = None, threshold: float = 0.1
) -> Any:
    """Cumulative error distributions, with the area under each and its failure rate in the legend.

    Args:
        errors: Normalised errors of the images, as fractions, by the name of what made them. Or, for a panel each,
            several of these by the name of what they have in common, such as a subset of the test set.
        path: File to write the plot to, by default none; its extension gives the format.
        threshold: Largest error of the plot; 0.1 by default.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: If Matplotlib is missing.
        ValueError: If there is nothing to plot, or as `cumulative_error_distribution`.

    Examples:
        >>> from keras_asm.visualization import plot_ced
        >>> common = {"MSE": [0.03, 0.06, 0.2], "ASM": [0.02, 0.05, 0.09]}
        >>> figure = plot_ced(common)
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['MSE: AUC 0.367, FR 33.3 %', 'ASM: AUC 0.467, FR 0.0 %']
        >>> figure = plot_ced({"common": common, "challenging": {"MSE": [0.08, 0.2], "ASM": [0.07, 0.09]}})
        >>> [axes.get_title() for axes in figure.axes]
        ['common', 'challenging']

    See Also:
        - [`cumulative_error_distribution`][keras_asm.metrics.cumulative_error_distribution]: the curve as
          numbers.
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: makes the errors.
        - [One number or several][one-number-or-several]: what the curve shows that a mean hides.
    """
    in_panels = any(isinstance(values, Mapping) for values in errors.values())
    panels = dict(errors) if in_panels else {"Cumulative error distribution": errors}
    if not all(isinstance(values, Mapping) and values for values in panels.values()):
        raise ValueError(
            "At least one set of errors is needed, and all by name or all by panel and name. "
            f"Received: {list(errors) or 'none'}"
        )
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    beside = len(names) > _CURVES_UNDER_A_LEGEND or max(map(len, names)) > _NAME_UNDER_A_LEGEND
    figure = _figure((6.4 if len(panels) == 1 else 4.6) * len(panels), 4.4 + 0.22 * len(names) * beside)
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, curves) in zip(row, panels.items(), strict=True):
        _draw_ced(axes, curves, {name: i for i, name in enumerate(names)}, threshold)
        axes.set(xlim=(0, 100 * threshold), ylim=(0, 101), xlabel="normalized mean error (%)", title=title)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if not beside:
            axes.legend(loc="best", framealpha=0.9, fontsize=None if len(panels) == 1 else "small")
        elif len(panels) > 1:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize="small")
    row[0].set(ylabel="images with at most this error (%)")
    if beside and len(panels) == 1:
        legend = figure.legend(loc="outside lower center", frameon=False)
        figure.draw_without_rendering()
        figure.set_figwidth(max(figure.get_figwidth(), 0.2 + legend.get_window_extent().width / figure.dpi))
    return _saved(figure, path)


def _draw_ced(axes: Any, curves: Mapping[str, Any], numbers: Mapping[str, int], threshold: float) -> None:
    """The curves of a panel; each name has a number, and with it a colour, of its own in all of them."""
    for name, values in curves.items():
        x, fraction = cumulative_error_distribution(values, threshold)
        area, failures = area_under_ced(values, threshold), failure_rate(values, threshold)
        axes.step(
            100 * x,
            100 * fraction,
            _STYLES[numbers[name] % len(_STYLES)],
            color=_COLOURS[numbers[name] % len(_COLOURS)],
            linewidth=2,
            where="post",
            label=f"{name}: AUC {area:.3f}, FR {100 * failures:.1f} %",
        )


def plot_reliability(
    coverage: Mapping[str, Any], levels: Any, path: str | os.PathLike[str] | None = None
) -> Any:
    """How much predicted intervals hold against how much they should: on the diagonal, scales are calibrated.

    Above it they are too large, and below it too small.

    Args:
        coverage: Fractions that `interval_coverage` gave for the levels, by the name of what they are of.
        levels: Probabilities of the intervals, in (0, 1), increasing.
        path: File to write the plot to, by default none; its extension gives the format.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: If Matplotlib is missing.
        ValueError: If there is no curve, or one has another number of levels.

    Examples:
        >>> from keras_asm.visualization import plot_reliability
        >>> figure = plot_reliability({"as predicted": [0.3, 0.7], "calibrated": [0.5, 0.9]}, levels=[0.5, 0.9])
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['calibrated exactly', 'as predicted', 'calibrated']

    See Also:
        - [`interval_coverage`][keras_asm.evaluation.interval_coverage]: the curve as numbers.
        - [`fit_scale_factor`][keras_asm.evaluation.fit_scale_factor]: brings it to the diagonal.
        - [Calibrate][calibrate]: how to read it.
    """
    levels = np.asarray(levels, dtype=np.float64)
    lengths = {name: np.shape(fractions) for name, fractions in coverage.items()}
    if not lengths or set(lengths.values()) != {levels.shape}:
        raise ValueError(
            f"At least one curve is needed, each with a fraction for each of {levels.size} levels. Received: {lengths}"
        )
    figure = _figure(4.8, 4.8)
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color="0.6", linewidth=1, label="calibrated exactly")
    for i, (name, fractions) in enumerate(coverage.items()):
        style, colour = _STYLES[i % len(_STYLES)], _COLOURS[i % len(_COLOURS)]
        axes.plot(100 * levels, 100 * np.asarray(fractions), style, color=colour, linewidth=2, label=name)
    axes.set(
        xlim=(0, 100),
        ylim=(0, 100),
        aspect="equal",
        xlabel="level of the interval (%)",
        ylabel="coordinates within it (%)",
    )
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", framealpha=0.9, fontsize="small")
    return _saved(figure, path)


def plot_shape_modes(
    shape_model: Any,
    scheme: str | int | LandmarkScheme | None = None,
    path: str | os.PathLike[str] | None = None,
    n_modes: int = 3,
) -> Any:
    """What the first modes of a shape model do, from -3 to +3 standard deviations; the mean in grey.

    Args:
        shape_model: Anything with `mean_shape_`, `(2 * n_landmarks,)` or `(n_landmarks, 2)`,
            `components_`, `(n_components, 2 * n_landmarks)`, and `explained_variance_`,
            `(n_components,)`. `explained_variance_ratio_` is written beside the modes if there is one.
        scheme: Landmark scheme, whose lines are drawn. By default the known scheme of that number of
            landmarks, if there is one; otherwise points without lines.
        path: File to write the plot to, by default none; its extension gives the format.
        n_modes: Modes to show, at most as many as the model has; 3 by default.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ImportError: If Matplotlib is missing.
        ValueError: If the model is not fitted, its arrays do not fit together, or the scheme has another
            number of landmarks.

    Examples:
        >>> from types import SimpleNamespace
        >>> import numpy as np
        >>> from keras_asm.visualization import plot_shape_modes
        >>> square = SimpleNamespace(mean_shape_=np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]),
        ...     components_=np.eye(8)[:2], explained_variance_=np.array([0.04, 0.01]))
        >>> len(plot_shape_modes(square).axes)
        10

    See Also:
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: where the modes
          come from.
        - [Move the modes][move-the-modes]: the modes with sliders.
    """
    mean, modes, ratios = _modes(shape_model, n_modes)
    lines = lines_of(len(mean), scheme)
    steps = (-3.0, -1.5, 0.0, 1.5, 3.0)
    shapes = mean + np.multiply.outer(np.array(steps), modes).swapaxes(0, 1)
    low, high = shapes.min(axis=(0, 1, 2)), shapes.max(axis=(0, 1, 2))
    margin = 0.04 * (high - low).max()
    cell = 1.75
    height = cell * min(2.0, max(0.5, (high - low)[1] / max((high - low)[0], 1e-12)))
    figure = _figure(cell * len(steps) + 0.9, height * len(modes) + 0.5)
    grid = figure.subplots(len(modes), len(steps), squeeze=False)
    for row, (mode_axes, mode_shapes) in enumerate(zip(grid, shapes, strict=True)):
        for step, axes, shape in zip(steps, mode_axes, mode_shapes, strict=True):
            _draw_shape(axes, mean, lines, "0.78", 1.0)
            _draw_shape(axes, shape, lines, _COLOURS[0] if step == 0 else _COLOURS[1], 1.4)
            # Equal scales, and y down as in images.
            axes.set(
                xlim=(low[0] - margin, high[0] + margin),
                ylim=(high[1] + margin, low[1] - margin),
                aspect="equal",
                xticks=[],
                yticks=[],
            )
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title(
                    "mean" if step == 0 else f"{step:+g} sd".replace("-", "\N{MINUS SIGN}"), fontsize=11
                )
        share = "" if ratios is None else f"\n{100 * ratios[row]:.0f} % of variance"
        mode_axes[0].set_ylabel(f"mode {row + 1}{share}", fontsize=10)
    return _saved(figure, path)


def _modes(shape_model: Any, n_modes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The mean shape, one standard deviation of each mode as shapes, and shares of the variance."""
    try:
        mean = as_points(np.ravel(shape_model.mean_shape_))
        components = np.asarray(shape_model.components_, dtype=np.float64)
        variance = np.asarray(shape_model.explained_variance_, dtype=np.float64)
    except AttributeError as error:
        raise ValueError(
            "shape_model must be fitted: mean_shape_, components_ and explained_variance_ are needed. "
            f"Received: {type(shape_model).__name__} without {error.name!r}"
        ) from None
    if components.shape != (len(variance), mean.size) or len(variance) == 0:
        raise ValueError(
            "The arrays of a shape model must fit together: components_ (n_components, n_features), "
            f"explained_variance_ (n_components,). Received: mean_shape_ {mean.size} coordinates, "
            f"components_ {components.shape}, explained_variance_ {variance.shape}"
        )
    if n_modes < 1:
        raise ValueError(f"At least 1 mode must be shown. Received: n_modes={n_modes!r}")
    modes = (np.sqrt(variance)[:, None] * components)[:n_modes]
    ratios = getattr(shape_model, "explained_variance_ratio_", None)
    return mean, modes.reshape(-1, *mean.shape), None if ratios is None else np.asarray(ratios)


def _draw_shape(axes: Any, shape: np.ndarray, lines: tuple[Line, ...], colour: str, width: float) -> None:
    for indices, closed in lines:
        x, y = shape[[*indices, indices[0]] if closed else list(indices)].T
        axes.plot(x, y, color=colour, linewidth=width, solid_capstyle="round")
    joined = {i for indices, _ in lines for i in indices}
    single = [i for i in range(len(shape)) if i not in joined]
    axes.plot(*shape[single].T, ".", color=colour, markersize=4)


def _figure(width: float, height: float) -> Any:
    try:
        # Not pyplot, which would choose a window system and keep every figure alive.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('Plots need Matplotlib: pip install "keras-asm[plot]"') from error
    return Figure(figsize=(width, height), layout="constrained")


def _saved(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    if path is not None:
        figure.savefig(path, dpi=160)
    return figure
