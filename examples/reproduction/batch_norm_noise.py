"""Tell how much of a network's error is luck of the last batches that its batch-norm layers saw.

    python examples/reproduction/batch_norm_noise.py output/reproduction/EXPERIMENT/MODEL-SEED.json --root PATH

Takes a finished run of `run.py`, leaves its weights as they are, and gives its batch norm other statistics:
moving ones of further epochs of augmented training faces, for each momentum, and those that `recompute_batch_norm`
averages. Each draw has faces in another order and augmented anew. Prints a Markdown table of NME in %: the plain
prediction and the flip test, mean and standard deviation over the draws, and all plain ones.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import LandmarkBatches, evaluate_landmarks, predict_with_flip, recompute_batch_norm
from keras_asm.faces import FaceCrops
from keras_asm.model_tools.batch_norm import batch_norm_layers
from paper.data import add_data_arguments, load_faces, scheme_of
from paper.records import read_run
from paper.training import augmented_batches, build_augmentation, build_network


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="JSON file of a run; its weights lie in checkpoints beside it")
    add_data_arguments(parser)
    parser.add_argument("--momenta", type=float, nargs="*", default=[0.9, 0.99])
    parser.add_argument(
        "--recompute",
        type=int,
        nargs="*",
        default=[32, 500],
        metavar="FACES",
        help="batch sizes of statistics that are averaged",
    )
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 4], help="that they are averaged over")
    parser.add_argument("--draws", type=int, default=8)
    args = parser.parse_args()
    _, settings, weights = read_run(args.run)
    if not weights.is_file():
        parser.error(f"The weights of the run are not there. Received: {weights}")
    pose = settings.pose_weight != 0
    faces = load_faces(args, settings.dataset, settings.image_size, pose=pose)
    faces = faces.held_out(settings.hold_out).limited(settings.max_train_faces)
    with_pose = faces.train.pose is not None and settings.pose_weight > 0
    model = build_network(settings, faces.train.landmarks.shape[1], with_pose)
    augmentation = build_augmentation(settings, scheme_of(faces.train))
    print("\n| statistics | NME % | flip test | draws |", "|---|---|---|---|", sep="\n", flush=True)

    def row(name: str, replace_statistics: Callable[[LandmarkBatches], None], batch_size: int) -> None:
        errors = []
        for seed in range(1000, 1000 + args.draws):  # none that a run had
            model.load_weights(weights)
            replace_statistics(
                augmented_batches(settings, faces.train, augmentation, batch_size=batch_size, seed=seed)
            )
            errors.append(mean_errors(model, faces.test))
        plain, flipped = 100 * np.transpose(errors)
        cells = [f"{values.mean():.2f} ± {values.std(ddof=1):.2f}" for values in (plain, flipped)]
        print(f"| {name} | {' | '.join(cells)} | {', '.join(f'{e:.2f}' for e in plain)} |", flush=True)

    for momentum in args.momenta:
        row(
            f"momentum {momentum:g}",
            functools.partial(take_statistics_on, model, momentum=momentum),
            settings.batch_size,
        )
    for batch_size, epochs in itertools.product(args.recompute, args.epochs):
        row(
            f"recomputed, {epochs} epoch{'s' if epochs > 1 else ''} by {batch_size}",
            functools.partial(recompute_batch_norm, model, epochs=epochs),
            batch_size,
        )


def take_statistics_on(model: keras.Model, batches: LandmarkBatches, momentum: float) -> None:
    """Pass whole epochs through a network in training mode, until its statistics have forgotten all others.

    After `n` batches, `momentum ** n` of what was there before is left; it stops at less than 1 %.
    """
    for layer in batch_norm_layers(model):
        layer.momentum = momentum
    for _ in range(math.ceil(math.log(0.01) / math.log(momentum) / len(batches))):
        for images, _ in batches:
            model(images, training=True)
        batches.epoch += 1


def mean_errors(model: keras.Model, faces: FaceCrops) -> list[float]:
    """Mean NME, plain and by the flip test: fractions."""
    scheme = scheme_of(faces)
    outputs = (
        model.predict(faces.images, batch_size=100, verbose=0),
        predict_with_flip(model, faces.images, scheme, batch_size=100),
    )
    return [
        float(evaluate_landmarks(faces.landmarks, each["landmarks"], scheme=scheme).errors.mean())
        for each in outputs
    ]


if __name__ == "__main__":
    main()
