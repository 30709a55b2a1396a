"""Write the pictures of shape models in `docs/assets`, and the data of the page that moves the modes.

    python docs/_scripts/shape_pictures.py

| file | what it shows |
|---|---|
| `modes.svg` | the first modes of variation of drawn faces |
| `accuracies.svg` | `ASM(G)` of one face at several accuracies |
| `alpha.svg` | the target of the assisted loss for several values of alpha |
| `modes.js` | mean and modes for the sliders of `docs/modes.md` |

Shape models are fitted on 2000 drawn faces, and the face that is shown is none of these. The pictures have no
background, and colours that can be read on a light page and on a dark one. Needs Matplotlib.
"""

import json
from pathlib import Path

import numpy as np
from matplotlib import rcParams
from matplotlib.figure import Figure

from keras_asm import ActiveShapeModel
from keras_asm.landmarks import get_scheme
from keras_asm.synthetic import synthetic_faces

ASSETS = Path(__file__).parents[1] / "assets"
INK, TRUE, SMOOTH = "#808080", "#d9822b", "#3b8fd4"
SCHEME = get_scheme("300w")
rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keras-asm", "font.size": 11, "text.color": INK})

shapes = synthetic_faces(2000, seed=0, image_size=16).landmarks.astype(np.float64)
shown = synthetic_faces(40, seed=9, image_size=16).landmarks.astype(np.float64)


def draw(axes, shape, colour, width=1.6, title="", style="-", reach=0.42) -> None:
    """One face, y down, with the lines of the scheme."""
    for indices, closed in SCHEME.lines:
        x, y = shape[[*indices, indices[0]] if closed else list(indices)].T
        axes.plot(x, y, style, color=colour, linewidth=width, solid_capstyle="round", solid_joinstyle="round")
    axes.set(xlim=(-reach, reach), ylim=(0.4, -0.38), aspect="equal")
    axes.axis("off")
    if title:
        axes.set_title(title, fontsize=11, color=INK)


def save(figure, name) -> None:
    """An SVG without a background and without a date."""
    figure.savefig(ASSETS / name, transparent=True, metadata={"Date": None})
    print(f"{name}: {(ASSETS / name).stat().st_size / 1024:.0f} KB")


# The modes: what a face of -3 to 3 standard deviations looks like
asm = ActiveShapeModel(0.99, align="procrustes").fit(shapes)
steps, n_modes = (-3, -1.5, 0, 1.5, 3), 3
figure = Figure(figsize=(9.4, 4.6), layout="constrained")
grid = figure.subplots(n_modes, len(steps))
for mode, row in enumerate(grid):
    for step, axes in zip(steps, row, strict=True):
        shape = asm.mean_shape_ + step * np.sqrt(asm.explained_variance_[mode]) * asm.components_[mode]
        draw(axes, asm.mean_shape_.reshape(-1, 2), "#a8a8a866", 1.2, reach=0.54)
        title = f"{step:+g} sd".replace("-", "\N{MINUS SIGN}") if step else "mean"
        draw(axes, shape.reshape(-1, 2), SMOOTH if step else INK, title="" if mode else title, reach=0.54)
    row[0].text(
        -0.56,
        0,
        f"mode {mode + 1}\n{100 * asm.explained_variance_ratio_[mode]:.0f} %",
        ha="right",
        va="center",
        color=INK,
    )
save(figure, "modes.svg")

# ASM(G): of a face with an expression, from the mouth's height
face = shown[np.argmax(shown[:, 66, 1] - shown[:, 62, 1])]
accuracies = (0.6, 0.8, 0.9, 0.95, 0.99)
figure = Figure(figsize=(9, 2.4), layout="constrained")
for accuracy, axes in zip(accuracies, figure.subplots(1, len(accuracies)), strict=True):
    model = ActiveShapeModel(accuracy).fit(shapes)
    count = f"{model.n_components_} component" + "s" * (model.n_components_ > 1)
    draw(axes, face, TRUE, 1.2)
    draw(axes, model.project(face[None])[0], SMOOTH, title=f"{accuracy:.0%}\n{count}")
save(figure, "accuracies.svg")

# The target of a squared error is (G + alpha ASM(G)) / (1 + alpha)
alphas = (0, 0.5, 1, 2, 8)
smoothed = ActiveShapeModel(0.8).fit(shapes).project(face[None])[0]
figure = Figure(figsize=(9, 2.4), layout="constrained")
for alpha, axes in zip(alphas, figure.subplots(1, len(alphas)), strict=True):
    draw(axes, face, TRUE, 1.2)
    draw(axes, smoothed, "#a8a8a8", 1.2, style=":")
    draw(axes, (face + alpha * smoothed) / (1 + alpha), SMOOTH, title=f"alpha {alpha:g}")
save(figure, "alpha.svg")

# For the sliders: one standard deviation of each mode, in thousandths of the face
n_sliders = 6
data = {
    "mean": (1000 * asm.mean_shape_).round().astype(int).tolist(),
    "modes": (1000 * np.sqrt(asm.explained_variance_)[:, None] * asm.components_)[:n_sliders]
    .round(1)
    .tolist(),
    "ratios": asm.explained_variance_ratio_[:n_sliders].round(3).tolist(),
    "lines": [[*indices, indices[0]] if closed else list(indices) for indices, closed in SCHEME.lines],
}
page = (Path(__file__).parent / "modes.js").read_text(encoding="utf-8")
(ASSETS / "modes.js").write_text(
    page.replace("__DATA__", json.dumps(data, separators=(",", ":"))), encoding="utf-8"
)
