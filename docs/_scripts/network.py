"""Write `docs/assets/asmnet.svg`: ASMNet, drawn from the model that `ASMNet()` makes.

    python docs/_scripts/network.py

Names, shapes and numbers are read off the Keras model. The picture has no background, and colours that can be read on a
light page and on a dark one. Needs Matplotlib.
"""

from pathlib import Path

import keras
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from keras_asm import ASMNet, model_cost

TARGET = Path(__file__).parents[1] / "assets" / "asmnet.svg"
INK, BACKBONE, HEAD = "#808080", "#3b8fd4", "#d9822b"
rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keras-asm", "font.size": 10, "text.color": INK})

model = ASMNet()
fused = model.get_layer("fused_features")
pools = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
taps = [model.get_layer(pool.name.removesuffix("_global_pool")) for pool in pools]
cost = model_cost(model)

figure = Figure(figsize=(9.85, 4.0))
axes = figure.add_axes((0, 0, 1, 1))
axes.set(xlim=(0, 9.85), ylim=(0.1, 4.1))
axes.axis("off")


def box(x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    """A box around its centre, with words in it."""
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.02,rounding_size=0.06", lw=1.4
    )
    shape.set(facecolor=colour + "22", edgecolor=colour)
    axes.add_patch(shape)
    axes.text(x, y, text, ha="center", va="center", fontsize=9)


def arrow(start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one point to the other."""
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
    )


size = model.input_shape[1]
box(0.75, 3.4, 1.1, 0.8, f"image\n{size} × {size} × 3", INK)
xs = [2.35 + 1.35 * i for i in range(len(taps))]
previous = 1.32
for x, tap, pool in zip(xs, taps, pools, strict=True):
    _, height, width, channels = tap.output.shape
    label = tap.name.replace("_", " ").replace(" project BN", "\nproject BN")
    box(x, 3.4, 1.15, 0.95, f"{label}\n{height} × {width} × {channels}", BACKBONE)
    arrow((previous, 3.4), (x - 0.6, 3.4))
    previous = x + 0.6
    arrow((x, 2.91), (x, 2.42))
    box(x, 2.2, 1.15, 0.4, f"mean: {pool.output.shape[-1]}", HEAD)
    arrow((x, 1.99), (x, 1.62))
middle = (xs[0] + xs[-1]) / 2
box(middle, 1.4, xs[-1] - xs[0] + 1.15, 0.4, f"concatenated: {fused.output.shape[-1]}", HEAD)
for x, (name, output) in zip((middle - 1.35, middle + 1.35), model.output.items(), strict=True):
    arrow((x, 1.19), (x, 0.77))
    box(x, 0.5, 1.9, 0.5, f"{name}: {output.shape[-1]}", HEAD)
axes.text(0.2, 2.2, "MobileNetV2's blocks,\nand the head on them", va="center", fontsize=9)
axes.text(
    0.2,
    0.5,
    f"{cost.parameters:,} parameters\n{cost.multiply_adds / 1e6:.1f} M multiply-adds",
    va="center",
    fontsize=9,
)
figure.savefig(TARGET, transparent=True, metadata={"Date": None})
print(f"{TARGET}: {TARGET.stat().st_size / 1024:.0f} KB")
