"""Write `docs/assets/synthetic_faces.png`: synthetic faces, and some larger ones with their landmarks.

    python docs/_scripts/synthetic_faces.py

Needs Pillow.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from keras_asm.landmarks import get_scheme
from keras_asm.synthetic.drawn_faces import synthetic_faces

TARGET = Path(__file__).parents[1] / "assets" / "synthetic_faces.png"
COLUMNS, ROWS, SIZE = 8, 4, 96
LARGE_COLUMNS, LARGE_ROWS, LARGE = 4, 2, 192
SEED = 5

small = synthetic_faces(COLUMNS * ROWS, seed=SEED, image_size=SIZE)
large = synthetic_faces(LARGE_COLUMNS * LARGE_ROWS, seed=SEED, image_size=LARGE)


def tile(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Images `(rows * columns, S, S, 3)` as one."""
    size = images.shape[1]
    grid = images.reshape(rows, columns, size, size, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, 3)


sheet = Image.fromarray(
    np.concatenate([tile(small.images, ROWS, COLUMNS), tile(large.images, LARGE_ROWS, LARGE_COLUMNS)])
)
draw = ImageDraw.Draw(sheet)
for k, points in enumerate(large.source_landmarks):
    row, column = divmod(k, LARGE_COLUMNS)
    points = points + 0.5 + np.array([column * LARGE, ROWS * SIZE + row * LARGE])
    for indices, closed in get_scheme(large.scheme).lines:
        line = [tuple(points[i]) for i in indices]
        draw.line(line + line[:1] if closed else line, fill=(90, 255, 90))
    for x, y in points:
        draw.ellipse((x - 1.3, y - 1.3, x + 1.3, y + 1.3), fill=(255, 235, 60))

TARGET.parent.mkdir(exist_ok=True)
# 256 colours: the noise in the pictures makes true colour three times as large.
sheet.quantize(256, method=Image.Quantize.MEDIANCUT).save(TARGET, optimize=True)
print(f"{TARGET}: {TARGET.stat().st_size / 1024:.0f} KB")
