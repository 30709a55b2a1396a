"""Write `docs/assets/smoothed_shapes.jpg`: drawn faces, their landmarks and pose, and what shape models make of them.

    python docs/_scripts/smoothed_shapes.py

Needs Pillow. The true landmarks are yellow and the smoothed ones blue. The shape models are fitted on other faces than
those that are shown.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from keras_asm import ActiveShapeModel
from keras_asm.synthetic import synthetic_faces
from keras_asm.visualization import draw_landmarks, draw_pose_axes

TARGET = Path(__file__).parents[1] / "assets" / "smoothed_shapes.jpg"
SHOWN = (0, 4)
SIZE = 300
GAP, LINE = 8, 36
INK, PAPER = (40, 40, 40), (255, 255, 255)

fitted_on = synthetic_faces(1000, seed=0, image_size=32).landmarks
faces = synthetic_faces(8, seed=5, image_size=SIZE)
font = ImageFont.load_default(20)

columns = {"head pose": None, "landmarks G": None, "ASM(G) at 95 %": 0.95, "ASM(G) at 80 %": 0.80}
width, height = len(columns) * (SIZE + GAP) - GAP, len(SHOWN) * (SIZE + GAP) - GAP + LINE
sheet = Image.new("RGB", (width, height), PAPER)
draw = ImageDraw.Draw(sheet)
for column, (title, accuracy) in enumerate(columns.items()):
    x = column * (SIZE + GAP)
    draw.text((x + SIZE / 2, LINE / 2), title, INK, font, anchor="mm")
    for row, i in enumerate(SHOWN):
        image, points = faces.images[i], faces.landmarks[i]
        if title == "head pose":
            origin = tuple((points.mean(axis=0) + 0.5) * SIZE - 0.5)
            picture = draw_pose_axes(image, faces.pose[i], origin=origin, width=SIZE)
        elif accuracy is None:
            picture = draw_landmarks(image, points, "300w", normalized=True, width=SIZE)
        else:
            smoothed = ActiveShapeModel(accuracy).fit(fitted_on).project(points)
            picture = draw_landmarks(image, points, "300w", smoothed, normalized=True, width=SIZE)
        sheet.paste(Image.fromarray(picture), (x, LINE + row * (SIZE + GAP)))

TARGET.parent.mkdir(exist_ok=True)
sheet.save(TARGET, quality=88, optimize=True)
print(f"{TARGET}: {TARGET.stat().st_size / 1024:.0f} KB")
