import builtins
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from keras_asm.landmarks import get_scheme
from keras_asm.metrics import cumulative_error_distribution
from keras_asm.visualization import plot_ced, plot_reliability, plot_shape_modes

pytest.importorskip("matplotlib")


@pytest.fixture
def model(rng):
    return PCA(4).fit(rng.normal(size=(30, 136)) * np.linspace(2, 0.1, 136))


def _shape_model(pca, paired):
    mean = pca.mean_.reshape(-1, 2) if paired else pca.mean_
    return SimpleNamespace(
        mean_shape_=mean, components_=pca.components_, explained_variance_=pca.explained_variance_
    )


def test_ced_shows_the_exact_steps(tmp_path):
    errors = {"one": [0.02, 0.05, 0.3], "two": [0.01]}
    axes = plot_ced(errors, tmp_path / "ced.png", threshold=0.08).axes[0]
    assert (tmp_path / "ced.png").stat().st_size > 10_000
    for line, values in zip(axes.get_lines(), errors.values(), strict=True):
        x, fraction = cumulative_error_distribution(values, 0.08)
        np.testing.assert_allclose(line.get_xydata(), 100 * np.stack([x, fraction], axis=1))
        assert line.get_drawstyle() == "steps-post"
    assert axes.get_xlim() == (0, 8)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["one: AUC 0.375, FR 33.3 %", "two: AUC 0.875, FR 0.0 %"]


def test_reliability_shows_the_coverage(tmp_path):
    levels = np.array([0.1, 0.5, 0.9])
    curves = {"raw": [0.2, 0.7, 0.95], "calibrated": [0.1, 0.5, 0.9]}
    axes = plot_reliability(curves, levels, tmp_path / "reliability.png").axes[0]
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
    for line, values in zip(axes.get_lines()[1:], curves.values(), strict=True):
        np.testing.assert_allclose(line.get_xydata(), 100 * np.stack([levels, values], axis=1))
    for bad in ({}, {"raw": [0.5]}):
        with pytest.raises(ValueError, match="for each of 3 levels. Received"):
            plot_reliability(bad, levels)


@pytest.mark.parametrize("n", [4, 5])
def test_a_long_legend_hides_no_curve(n):
    figure = plot_ced({f"a network with a long name, number {i}": [0.02, 0.01 * i] for i in range(n)})
    figure.draw_without_rendering()
    (axes,) = figure.axes
    if n == 4:
        assert axes.get_legend() is not None
        assert figure.legends == []
    else:
        (legend,) = figure.legends
        assert len(legend.get_texts()) == n
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())


@pytest.mark.parametrize(
    "name",
    [
        "ASMNet, asm,accuracy=0.8,align=procrustes,normalize=yes",
        "ASMNet, asm,accuracy=0.8/0.9/0.97,alpha=2/1/0,base=wing,normalize=yes",
        "a name " * 30,
    ],
)
def test_long_names_stay_within_the_picture(name):
    figure = plot_ced({name: [0.03, 0.06], "mse": [0.02, 0.05]})
    figure.draw_without_rendering()
    (legend,) = figure.legends
    extent = legend.get_window_extent()
    assert not extent.overlaps(figure.axes[0].get_window_extent())
    assert extent.x0 >= 0
    assert extent.x1 <= figure.bbox.width


@pytest.mark.parametrize("paired", [False, True])
def test_modes_are_standard_deviations(model, paired, tmp_path):
    figure = plot_shape_modes(_shape_model(model, paired), "300w", tmp_path / "modes.svg", n_modes=2)
    assert (tmp_path / "modes.svg").stat().st_size > 10_000
    assert len(figure.axes) == 10
    jaw = list(get_scheme("300w").groups["jaw"])
    for row in range(2):
        step = np.sqrt(model.explained_variance_[row]) * model.components_[row]
        for column, factor in enumerate((-3, -1.5, 0, 1.5, 3)):
            axes = figure.axes[5 * row + column]
            lines = axes.get_lines()
            drawn = lines[len(lines) // 2].get_xydata()  # After the grey mean, its first line: the jaw.
            np.testing.assert_allclose(drawn, (model.mean_ + factor * step).reshape(-1, 2)[jaw])
            assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert figure.axes[0].get_ylabel() == "mode 1"


def test_shapes_without_a_scheme_are_points(rng):
    pca = PCA(2).fit(rng.normal(size=(9, 10)))
    model = _shape_model(pca, paired=False)
    model.explained_variance_ratio_ = pca.explained_variance_ratio_
    figure = plot_shape_modes(model)
    assert len(figure.axes) == 10
    assert len(figure.axes[2].get_lines()[-1].get_xydata()) == 5
    assert (
        figure.axes[5].get_ylabel() == f"mode 2\n{100 * pca.explained_variance_ratio_[1]:.0f} % of variance"
    )


@pytest.mark.parametrize("n", [2, 6])
def test_ced_in_panels(n):
    """Each name has one colour in all panels, also where another is missing."""
    curves = {f"net {i}": [0.02, 0.01 * (i + 3)] for i in range(n)}
    figure = plot_ced({"common": curves, "challenging": {"net 1": [0.09, 0.2]}})
    common, challenging = figure.axes
    assert (common.get_title(), challenging.get_title()) == ("common", "challenging")
    (line,) = challenging.get_lines()
    assert line.get_color() == common.get_lines()[1].get_color()
    assert line.get_label() == "net 1: AUC 0.050, FR 50.0 %"
    assert len(common.get_legend().get_texts()) == n


class TestBadInput:
    def test_ced(self):
        with pytest.raises(ValueError, match="At least one"):
            plot_ced({})
        with pytest.raises(ValueError, match=r"all by panel and name\. Received: \['common', 'net'\]"):
            plot_ced({"common": {"net": [0.1]}, "net": [0.1]})
        with pytest.raises(ValueError, match="At least one"):
            plot_ced({"common": {}})
        with pytest.raises(ValueError, match="negative or NaN"):
            plot_ced({"bad": [np.nan]})

    def test_models(self, model):
        with pytest.raises(ValueError, match=r"PCA without 'mean_shape_'"):
            plot_shape_modes(PCA())
        with pytest.raises(ValueError, match="has 98 landmarks"):
            plot_shape_modes(_shape_model(model, True), "wflw")
        broken = _shape_model(model, True)
        broken.components_ = broken.components_[:, :-2]
        with pytest.raises(ValueError, match=r"components_ \(4, 134\)"):
            plot_shape_modes(broken)
        with pytest.raises(ValueError, match="n_modes=0"):
            plot_shape_modes(_shape_model(model, True), n_modes=0)

    def test_without_matplotlib(self, monkeypatch):
        real = builtins.__import__

        def no_matplotlib(name, *args, **kwargs):
            if name.startswith("matplotlib"):
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", no_matplotlib)
        with pytest.raises(ImportError, match=r"pip install \"keras-asm\[plot\]\""):
            plot_ced({"one": [0.1]})
