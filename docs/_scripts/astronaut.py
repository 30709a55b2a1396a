"""Write `docs/assets/astronaut.jpg`: what the predictor finds in the portrait that scikit-image comes with.

    python docs/_scripts/astronaut.py

The portrait of Eileen Collins is by NASA and in the public domain. Needs Pillow, scikit-image and the extra `detect`.
"""

from pathlib import Path

from PIL import Image
from skimage import data

from keras_asm import LandmarkPredictor
from keras_asm.visualization import draw_faces

TARGET = Path(__file__).parents[1] / "assets" / "astronaut.jpg"

photo = data.astronaut()
picture = draw_faces(photo, LandmarkPredictor()(photo), width=1536)
# What is below the shoulders has no face in it
Image.fromarray(picture[: 3 * 300, 3 * 70 : 3 * 400]).resize((660, 600)).save(
    TARGET, quality=90, optimize=True
)
