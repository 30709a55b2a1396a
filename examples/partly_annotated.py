"""Three ways to train on faces of which half lack landmarks, compared on faces that were held out.

    python examples/partly_annotated.py                                # drawn faces, no download
    python examples/partly_annotated.py --dataset 300w --root PATH     # real faces, 300W's own folders

Half of the training faces keep only some of their landmarks, the same for all. The networks are trained alike: on all
faces, where a landmark without a position costs nothing; on all faces, completed by a shape model; and on the whole
faces alone. A fifth of the training faces is held out; the table shows their errors, with and without the flip test.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from example_faces import CROP_MARGIN, add_data_arguments, hold_out, load_training_faces, parse

from keras_asm import (
    ActiveShapeModel,
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    ShapeDecoder,
    WingLoss,
    evaluate_landmarks,
    predict_with_flip,
    recompute_batch_norm,
)
from keras_asm.faces import FaceCrops

BATCH_SIZE = 32
ACCURACY = 0.99  # variance that the shape model keeps
WAYS = {
    "all": "all",
    "missing": "the missing ones cost nothing",
    "completed": "the missing ones completed",
    "whole": "the whole faces alone",
}


def main() -> None:
    args = parse_arguments()
    whole, unseen = hold_out(load_training_faces(args))
    part = np.random.default_rng(1).random(len(whole)) < 0.5  # the faces that lack landmarks
    partly = without_landmarks(whole, part, args.kept)
    asm = ActiveShapeModel(ACCURACY).fit(partly.landmarks)
    completed = replace(partly, landmarks=asm.complete(partly.landmarks))
    missing = np.isnan(partly.landmarks).any(axis=-1)
    off = np.linalg.norm(completed.landmarks - whole.landmarks, axis=-1)[missing].mean()
    print(f"{len(whole)} faces to train on, {part.sum()} of them partly annotated; {len(unseen)} held out")
    print(f"completed landmarks are off by {100 * off:.2f} % of the crop\n")
    print("| training landmarks | NME % | flip test |\n|---|--:|--:|")
    faces = {"all": whole, "missing": partly, "completed": completed, "whole": whole.select(~part)}
    for way in args.ways:
        model = train_network(faces[way], args)
        plain = model.predict(unseen.images, verbose=0)["landmarks"]
        flipped = predict_with_flip(model, unseen.images, "300w")["landmarks"]
        nme = [
            evaluate_landmarks(unseen.landmarks, y, unseen.scheme).scores["all"]["nme"]
            for y in (plain, flipped)
        ]
        print(f"| {WAYS[way]} | {100 * nme[0]:.2f} | {100 * nme[1]:.2f} |", flush=True)


def without_landmarks(faces: FaceCrops, part: np.ndarray, n_kept: int) -> FaceCrops:
    """The faces, of which those in `part` keep only `n_kept` landmarks, chosen at random and the same for all."""
    n_landmarks = faces.landmarks.shape[1]
    lost = np.random.default_rng(2).permutation(n_landmarks)[n_kept:]
    landmarks = faces.landmarks.copy()
    landmarks[np.ix_(np.flatnonzero(part), lost)] = np.nan
    return replace(faces, landmarks=landmarks)


def train_network(faces: FaceCrops, args: argparse.Namespace) -> keras.Model:
    """ASMNet by the recipe of the guide, without the pose."""
    keras.utils.set_random_seed(args.seed)
    augmentation = LandmarkAugmentation(
        faces.scheme, flip=0.5, rotation=30.0, scale=None, shift=None, crop_margin=CROP_MARGIN
    )
    batches = LandmarkBatches.from_faces(
        faces, pose=False, batch_size=BATCH_SIZE, augmentation=augmentation, seed=args.seed
    )
    shapes = augmentation.augment_landmarks(faces.landmarks)
    model = ASMNet(
        input_shape=faces.images.shape[1:],
        n_landmarks=faces.landmarks.shape[1],
        include_pose=False,
        width_multiplier=args.width_multiplier,
        weights=args.weights,
        shape_decoder=ShapeDecoder.from_landmarks(shapes),
    )
    schedule = keras.optimizers.schedules.CosineDecay(args.learning_rate, args.epochs * len(batches))
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=WingLoss())
    model.fit(batches, epochs=args.epochs, verbose=0)
    recompute_batch_norm(model, batches)
    return model


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser, n_synthetic=600)
    parser.add_argument("--kept", type=int, default=29, help="landmarks that a partly annotated face keeps")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--weights", help="first weights, as ASMNet takes them; default random")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--width-multiplier", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parse(parser)


if __name__ == "__main__":
    main()
