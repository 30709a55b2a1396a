"""Write `docs/assets/few_faces.svg`: the error against the number of annotated faces.

    python docs/_scripts/few_faces.py

The numbers are those of the results of `examples/reproduction`; `report.py --pages` makes the table beside the picture
of the same ones. The picture has no background, and colours that can be read on a light page and on a dark one. What it
shows stands in it as text, too. Needs Matplotlib.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "reproduction"))

from paper.results import Results
from paper.settings import load_experiments
from paper.tables import AFTER_DRAWN, Report, few_faces_errors

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "assets" / "few_faces.svg"
RESULTS = ROOT / "examples" / "reproduction" / "results"
INK = "#808080"
STYLES = {  # label, colour and marker, from the highest curve to the lowest
    "dlib's trees": ("dlib's trees", "#a56bc4", "v"),
    "plain": ("ASMNet, plain", INK, "o"),
    "with the decoder": ("ASMNet, with the decoder", "#d9822b", "D"),
    "ridge cascade": ("ridge cascade", "#3f9f5f", "^"),
    AFTER_DRAWN: ("ASMNet, with the decoder,\nafter 4000 drawn faces", "#3b8fd4", "s"),
}
X_TICKS, Y_TICKS = (25, 50, 100, 200, 400, 1000, 1610), (4, 5, 6, 8, 10, 12, 15)

Errors = Mapping[str, Mapping[int, tuple[np.ndarray, np.ndarray | None]]]


def main() -> None:
    """Draw it from the results."""
    errors = few_faces_errors(Report(Results.load(RESULTS), load_experiments()))
    rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keras-asm", "font.size": 11, "text.color": INK})
    metadata = {"Date": None, "Description": describe(errors)}
    draw(errors).savefig(TARGET, transparent=True, metadata=metadata)
    print(f"{TARGET}: {TARGET.stat().st_size / 1024:.0f} KB")


def shown(errors: Errors, method: str) -> dict[int, np.ndarray]:
    """The errors of each seed, by the flip test if there is one."""
    return {n: plain if flip is None else flip for n, (plain, flip) in sorted(errors[method].items())}


def describe(errors: Errors) -> str:
    """The curves as text: a line for each, with the mean and the number of seeds at each number of faces."""
    return "\n".join(
        f"{method}: " + ", ".join(f"{n}: {e.mean():.2f} ({len(e)})" for n, e in shown(errors, method).items())
        for method in STYLES
    )


def draw(errors: Errors) -> Figure:
    """A curve for each method; a dotted line for the network that has seen no real face."""
    figure = Figure(figsize=(4.9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for method, (label, colour, marker) in STYLES.items():
        cells = shown(errors, method)
        if 0 in cells:
            alone = cells.pop(0).mean()
            axes.axhline(alone, color=colour, linestyle=":", linewidth=1.4)
            axes.text(
                1700, alone * 1.015, "drawn faces alone", color=colour, ha="right", va="bottom", fontsize=10
            )
        n_faces, means = list(cells), [e.mean() for e in cells.values()]
        for n, e in cells.items():
            if len(e) > 1:
                axes.plot(
                    [n, n], [e.min(), e.max()], color=colour, linewidth=4, alpha=0.55, solid_capstyle="butt"
                )
        axes.plot(n_faces, means, marker=marker, color=colour, markersize=5, linewidth=1.8, label=label)
    axes.set(xscale="log", yscale="log", xlim=(22, 1850), ylim=(3.9, 16))
    axes.set(xlabel="annotated faces", ylabel="NME %")
    for axis, ticks in ((axes.xaxis, X_TICKS), (axes.yaxis, Y_TICKS)):
        axis.set_ticks(ticks, ["" if tick == 1000 else str(tick) for tick in ticks])  # 1610 is too near
        axis.set_minor_locator(NullLocator())
        axis.label.set_color(INK)
    axes.tick_params(colors=INK, length=3)
    axes.grid(color=INK, alpha=0.25, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.legend(frameon=False, loc="upper right", fontsize=10, handlelength=1.8, labelspacing=0.35)
    return figure


if __name__ == "__main__":
    main()
