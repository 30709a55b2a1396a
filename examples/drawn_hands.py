"""Draw pictures of right hands with 16 exact landmarks, as files of LabelMe and as a table: a stand-in for your own.

    python examples/drawn_hands.py my_hands --n 250

Writes `my_hands/000.png` and `000.json` beside it, and so on, and `my_hands/hands.csv` with the same landmarks. The
hands differ in build, spread and bend of the fingers, size, place and rotation, and in colours. Needs Pillow.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from keras_asm.landmarks import LandmarkScheme

__all__ = ["HAND", "NAMES", "draw_hand", "write_hands"]

FINGERS = ("thumb", "index", "middle", "ring", "little")
NAMES = ("wrist", *(f"{finger}_{joint}" for finger in FINGERS for joint in ("knuckle", "joint", "tip")))
# Each finger is a line from the wrist. In the mirror a right hand is a left one, and every landmark keeps its name
HAND = LandmarkScheme("hand", len(NAMES), lines=tuple(((0, i, i + 1, i + 2), False) for i in range(1, 16, 3)))

# Of a hand whose wrist is at the origin and whose middle knuckle is 1 above it, palm to the viewer:
# the knuckles, the directions of the fingers in degrees from up, clockwise, their lengths and their widths
KNUCKLES = np.array([(0.42, 0.42), (0.32, 0.96), (0.0, 1.0), (-0.27, 0.93), (-0.5, 0.8)])
DIRECTIONS = np.array([52.0, 9.0, 0.0, -8.0, -19.0])
LENGTHS = np.array([0.72, 0.88, 0.98, 0.9, 0.7])
WIDTHS = np.array([0.28, 0.25, 0.26, 0.25, 0.21])
SCALE = 3  # pictures are drawn this much larger and reduced


def draw_hand(rng: np.random.Generator, size: int = 128) -> tuple[Image.Image, np.ndarray]:
    """A picture of a hand, `size` pixels wide and high, and its landmarks in pixels, `(16, 2)`, as in `NAMES`."""
    shape, widths = _shape(rng)
    span = np.ptp(shape, axis=0).max()
    scale = size * rng.uniform(0.55, 0.75) / span
    shape = (shape - (shape.min(axis=0) + shape.max(axis=0)) / 2) * scale
    shape += size / 2 + rng.uniform(-0.08, 0.08, 2) * size

    skin = np.array([rng.uniform(0.35, 0.95)]) * np.array([255, rng.uniform(185, 215), rng.uniform(145, 180)])
    picture = _background(rng, size * SCALE)
    pen = ImageDraw.Draw(picture)
    # The rim first, and the hand over it
    for grown, colour in ((0.05, 0.55 * skin), (0.0, skin)):
        _draw(pen, (shape + 0.5) * SCALE, (widths + grown) * scale * SCALE, tuple(colour.astype(int)))
    picture = picture.resize((size, size), Image.Resampling.BOX)
    noise = rng.normal(0, 6, (size, size, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)), shape


def _shape(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of a hand of its own build and pose, y down and turned, and the widths of its fingers."""
    knuckles = KNUCKLES * rng.normal([1.0, 1.0], [0.06, 0.04]) + rng.normal(0, 0.015, (5, 2))
    lengths = LENGTHS * rng.normal(1, 0.06) * rng.normal(1, 0.03, 5)
    spread = rng.uniform(0.6, 2.2)
    directions = DIRECTIONS * [rng.uniform(0.5, 1.2), *[spread] * 4] + rng.normal(0, 2.5, 5)
    # A finger that bends toward the viewer looks shorter, and it bends to its side a little
    bend = np.clip(rng.normal(0, 0.35) + rng.normal(0, 0.2, 5), 0, 0.75)
    sideways = rng.normal(0, 6, 5)
    points = [np.zeros(2)]
    for i in range(5):
        upper, lower = 0.55 * lengths[i] * (1 - 0.4 * bend[i]), 0.45 * lengths[i] * (1 - bend[i])
        joint = knuckles[i] + upper * _direction(directions[i])
        points += [knuckles[i], joint, joint + lower * _direction(directions[i] + sideways[i])]
    turn = np.radians(rng.uniform(-45, 45))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.array(points) * [1, -1] @ rotation.T, WIDTHS * rng.normal(1, 0.07)


def _direction(degrees: float) -> np.ndarray:
    return np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])


def _background(rng: np.random.Generator, size: int) -> Image.Image:
    """Two colours that run into each other, and some discs."""
    first, second = rng.uniform(20, 235, (2, 3))
    ramp = np.linspace(0, 1, size)[:, None, None]
    picture = Image.fromarray(
        np.broadcast_to(first + ramp * (second - first), (size, size, 3)).astype(np.uint8)
    )
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(2, 7)):
        (x, y), radius = rng.uniform(0, size, 2), rng.uniform(0.04, 0.2) * size
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), tuple(rng.integers(20, 235, 3)))
    return picture


def _draw(pen: ImageDraw.ImageDraw, points: np.ndarray, widths: np.ndarray, colour: tuple[int, ...]) -> None:
    """Palm and fingers, of one colour."""
    wrist, fingers = points[0], points[1:].reshape(5, 3, 2)
    across = (fingers[1, 0] - fingers[4, 0]) * 0.36
    down = (wrist - fingers[2, 0]) * 0.3
    arm = [wrist + across, wrist + across + down, wrist - across + down, wrist - across]
    palm = [*arm, *fingers[::-1, 0], fingers[0, 0]]
    _rounded(pen, [*palm, palm[0]], widths.mean(), colour)
    pen.polygon([tuple(point) for point in palm], colour)
    for finger, width in zip(fingers, widths, strict=True):
        _rounded(pen, [0.4 * wrist + 0.6 * finger[0], *finger], width, colour)


def _rounded(pen: ImageDraw.ImageDraw, line: list[np.ndarray], width: float, colour: tuple[int, ...]) -> None:
    pen.line([tuple(point) for point in line], colour, round(width))
    for x, y in line:
        pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), colour)


def write_hands(folder: str | Path, n: int = 250, seed: int = 0, size: int = 128) -> None:
    """Write `n` pictures into a folder, with a file of LabelMe beside each and a table of all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [["file_name", *(f"{name}_{axis}" for name in NAMES for axis in "xy")]]
    for i in range(n):
        picture, landmarks = draw_hand(np.random.default_rng((seed, i)), size)
        name = f"{i:03}.png"
        picture.save(folder / name)
        rows.append([name, *(f"{value:.3f}" for value in landmarks.ravel())])
        shapes = [
            # LabelMe counts from the edge of the first pixel, and the library from its centre
            {"label": label, "points": [[round(x + 0.5, 3), round(y + 0.5, 3)]], "shape_type": "point"}
            for label, (x, y) in zip(NAMES, landmarks, strict=True)
        ]
        document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": name}
        (folder / f"{i:03}.json").write_text(json.dumps(document, indent=1))
    with open(folder / "hands.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=250, help="pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    args = parser.parse_args()
    write_hands(args.folder, args.n, args.seed, args.size)
    print(f"{args.n} pictures in {args.folder}")


if __name__ == "__main__":
    main()
