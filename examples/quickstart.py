"""Landmarks and head pose of a photograph, then a network of your own from a few annotated faces.

    python examples/quickstart.py                       # the portrait of an astronaut that scikit-image comes with
    python examples/quickstart.py --picture photo.jpg

The first part finds the face of a picture with the weights that come with the package. The second part trains ASMNet
for landmarks of your own scheme (18 points) on 60 annotated faces, twice: plainly, from random weights by the squared
error; and from the trained weights, with a shape decoder and the wing loss. It prints both errors on 400 other faces.
The annotated faces are drawn, so nothing is downloaded; use your own as the README says.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import (
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    LandmarkPredictor,
    WingLoss,
    evaluate_landmarks,
    recompute_batch_norm,
)
from keras_asm.evaluation import compare_reports
from keras_asm.faces import FaceCrops, read_image
from keras_asm.landmarks import LandmarkScheme
from keras_asm.layers import ShapeDecoder
from keras_asm.synthetic import synthetic_faces
from keras_asm.visualization import contact_sheet, draw_faces

SEED, BATCH_SIZE = 0, 20
# Ends of brows, corners of eyes, nose, mouth and three points of the jaw, each from the left of the image to its right
SCHEME = LandmarkScheme(
    "eighteen",
    18,
    eye_corners=(4, 7),
    flip_pairs=((0, 3), (1, 2), (5, 6), (9, 10), (11, 13), (15, 17)),
    lines=(
        *((pair, False) for pair in ((0, 1), (2, 3), (4, 5), (6, 7))),
        ((9, 8, 10), False),
        ((11, 12, 13, 14), True),
        ((15, 16, 17), False),
    ),
)
OF_68 = [17, 21, 22, 26, 36, 39, 42, 45, 30, 31, 35, 48, 51, 54, 57, 4, 8, 12]


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    predict(args.picture, args.output / "faces.png")

    train, test = annotated_faces(args.n_faces, seed=1), annotated_faces(400, seed=2)
    augmentation = LandmarkAugmentation(train.scheme, rotation=15.0, scale=0.1, shift=0.05)
    shapes = augmentation.augment_landmarks(train.landmarks)  # as the network will see them
    plain = {"weights": None}
    ours = {"weights": "asmnet-drawn", "shape_decoder": ShapeDecoder.from_landmarks(shapes)}
    reports = {}
    for name, settings, loss in (("plain", plain, "mean_squared_error"), ("keras-asm", ours, WingLoss())):
        print(
            f"\n{name}: {args.epochs} epochs of {len(train)} faces with {train.landmarks.shape[1]} landmarks"
        )
        model = train_network(train, augmentation, args.epochs, loss, settings)
        found = model.predict(test.images, batch_size=100, verbose=0)["landmarks"]
        reports[name] = evaluate_landmarks(test.landmarks, found, scheme=test.scheme)
        model.save(args.output / f"{name}.keras")
        draw(test, found, reports[name].errors, args.output / f"{name}.png")
    print(f"\n{compare_reports(reports)}\n\nPictures and models: {args.output}")


def predict(picture: Path | None, output: Path) -> None:
    """Find the faces of a picture, print their head poses and draw everything."""
    predictor = LandmarkPredictor()
    photo = astronaut() if picture is None else read_image(picture, exif="apply")
    faces = predictor(photo)
    for face in faces:
        yaw, pitch, roll = face.pose
        print(
            f"a face: yaw {yaw:+.0f}, pitch {pitch:+.0f}, roll {roll:+.0f}; confidence {face.confidence:.2f}"
        )
    draw_faces(photo, faces, path=output)


def astronaut() -> np.ndarray:
    """Eileen Collins, NASA, in the public domain."""
    from skimage import data

    return data.astronaut()


def annotated_faces(n: int, seed: int) -> FaceCrops:
    """Drawn faces with the points of `SCHEME`."""
    faces = synthetic_faces(n, seed=seed, image_size=64)
    return replace(faces, landmarks=faces.landmarks[:, OF_68], scheme=SCHEME, pose=None)


def train_network(
    train: FaceCrops,
    augmentation: LandmarkAugmentation,
    epochs: int,
    loss: str | keras.losses.Loss,
    settings: dict,
) -> keras.Model:
    """ASMNet, trained on the same batches and augmentation for all settings."""
    keras.utils.set_random_seed(SEED)
    model = ASMNet(train.images.shape[1:], train.landmarks.shape[1], include_pose=False, **settings)
    batches = LandmarkBatches.from_faces(
        train, batch_size=BATCH_SIZE, shuffle=True, seed=SEED, augmentation=augmentation
    )
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * len(batches))
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss)
    began = time.perf_counter()
    model.fit(batches, epochs=epochs, verbose=0)
    recompute_batch_norm(model, batches, epochs=10)
    print(f"trained in {time.perf_counter() - began:.0f} s")
    return model


def draw(test: FaceCrops, found: np.ndarray, errors: np.ndarray, path: Path) -> None:
    """Test faces from best to worst, with the true landmarks."""
    shown = np.argsort(errors)[np.linspace(0, len(errors) - 1, 8).round().astype(int)]
    contact_sheet(
        test.images[shown],
        landmarks=found[shown],
        true_landmarks=test.landmarks[shown],
        captions=[f"NME {error:.1%}" for error in errors[shown]],
        scheme=test.scheme,
        normalized=True,
        columns=4,
        path=path,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--picture", type=Path, help="a photograph; scikit-image's astronaut if not given")
    parser.add_argument("--output", type=Path, default=Path("output/quickstart"))
    parser.add_argument("--n-faces", type=int, default=60, help="annotated faces to train on")
    parser.add_argument("--epochs", type=int, default=25)
    return parser.parse_args()


if __name__ == "__main__":
    main()
