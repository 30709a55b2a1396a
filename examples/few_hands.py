"""How many annotated pictures do you need, and what helps while you have few? Curves on something that is no face.

    python examples/few_hands.py                                # drawn hands, 45 trainings
    python examples/few_hands.py --pictures 50 --seeds 0        # one column

Networks are trained on drawn hands with 16 landmarks, as many steps on few pictures as on many, and tested on 200
others. Three ways: a plain last layer, the `ShapeDecoder` that is made from the landmarks, and the decoder on weights
that know drawn faces. The error is NME by the box of the landmarks; a number is the mean over seeds with the standard
deviation. Needs Pillow.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from drawn_hands import HAND, write_hands

from keras_asm import (
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    ShapeDecoder,
    WingLoss,
    evaluate_landmarks,
    recompute_batch_norm,
)
from keras_asm.datasets import load_labelme
from keras_asm.faces import FaceCrops, crop_faces

BATCH_SIZE = 16
N_TEST = 200
# First weights, whether the last layer is decoded, and the learning rate
WAYS = {
    "plain": (None, False, 4e-3),
    "decoder": (None, True, 4e-3),
    "decoder, weights of drawn faces": ("asmnet-drawn", True, 2e-3),
}


def main() -> None:
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        write_hands(folder, max(args.pictures) + N_TEST, seed=1)
        hands = crop_faces(load_labelme(folder, scheme=HAND), args.image_size, verbose=0)
    test, known = hands.select(slice(N_TEST)), hands.select(slice(N_TEST, None))
    print("| pictures | " + " | ".join(args.ways) + " |\n|--:|" + "--:|" * len(args.ways))
    for n in args.pictures:
        cells = [
            measured([nme(way, known.select(slice(n)), test, seed, args) for seed in args.seeds])
            for way in args.ways
        ]
        print(f"| {n} | " + " | ".join(cells) + " |", flush=True)


def nme(way: str, train: FaceCrops, test: FaceCrops, seed: int, args: argparse.Namespace) -> float:
    """Error of a network, trained by the recipe of the guide, in % of the box."""
    weights, decoded, learning_rate = WAYS[way]
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    augmentation = LandmarkAugmentation(
        train.scheme, flip=None, rotation=30.0, scale=None, shift=None, crop_margin=0.25
    )
    batches = LandmarkBatches.from_faces(train, batch_size=BATCH_SIZE, augmentation=augmentation, seed=seed)
    shapes = augmentation.augment_landmarks(train.landmarks, repeats=4)
    model = ASMNet(
        input_shape=train.images.shape[1:],
        n_landmarks=HAND.n_landmarks,
        include_pose=False,
        weights=weights,
        batch_norm_momentum=0.9,
        shape_decoder=ShapeDecoder.from_landmarks(shapes) if decoded else None,
    )
    epochs = math.ceil(args.steps / len(batches))
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(batches))
    model.compile(keras.optimizers.Adam(schedule), loss=WingLoss())
    model.fit(batches, epochs=epochs, verbose=0)
    recompute_batch_norm(model, batches, epochs=math.ceil(min(args.steps, 50) / len(batches)))
    found = model.predict(test.images, verbose=0)["landmarks"]
    return 100 * evaluate_landmarks(test.landmarks, found, normalizer="box").scores["all"]["nme"]


def measured(errors: list[float]) -> str:
    """A cell of the table."""
    spread = f" ± {np.std(errors, ddof=1):.2f}" if len(errors) > 1 else ""
    return f"{np.mean(errors):.2f}{spread}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", nargs="+", type=int, default=[25, 50, 100, 200, 400])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=500, help="of each training")
    parser.add_argument("--image-size", type=int, default=64)
    return parser.parse_args()


if __name__ == "__main__":
    main()
