"""Train the paper's four models and leave one JSON file for each run; `paper_report.py` makes the tables.

    python examples/reproduce_paper.py --dataset 300w --root PATH                # the paper's recipe; takes a GPU
    python examples/reproduce_paper.py --dataset 300w --root PATH --image-size 64 --epochs 30 --seeds 0 1 2
    python examples/reproduce_paper.py --dataset 300w --root PATH --recipe strong \
        --models ASMNet --losses plain asm asm,accuracy=0.97,alpha=2/1/0

A run that was killed goes on from its last epoch, and ends with the numbers that it would have had; a finished one is
not run again. So the same command, run once more, does what is left to do.
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from paper.data import Faces, add_data_arguments, load_faces
from paper.records import write_json
from paper.settings import AUGMENTATIONS, BASES, MODELS, RECIPES, LossSetting, RunSettings, usual_values
from paper.training import predict_as_teacher, test, test_pose, train


def main() -> None:
    args = parse_arguments()
    runs = list_runs(args)
    print(f"{len(runs)} runs")
    faces_at = functools.cache(functools.partial(load_faces, args, pose=args.pose_weight != 0))
    for i, settings in enumerate(runs):
        finished = args.output / f"{settings.name}.json"
        print(f"\n[{i + 1}/{len(runs)}] {settings.name}", flush=True)
        if finished.is_file():
            print("is finished already")
            continue
        faces = chosen(faces_at(settings.image_size), settings).with_label_noise(settings.label_noise)
        if settings.teacher_size is not None:
            seen = chosen(faces_at(settings.teacher_size), settings).train
            faces = faces.with_teacher(predict_as_teacher(settings, seen, args.teacher))
        run(settings, faces, args, finished)


def chosen(faces: Faces, settings: RunSettings) -> Faces:
    """Those that a run trains on and is tested on."""
    return faces.held_out(settings.hold_out).limited(settings.max_train_faces)


def run(settings: RunSettings, faces: Faces, args: argparse.Namespace, finished: Path) -> None:
    """Train and test, and write what came of it."""
    checkpoint = args.output / "checkpoints" / f"{settings.name}.npz"
    began = time.perf_counter()
    model, record = train(settings, faces, args.weights, checkpoint, args.save_every, args.verbose)
    results, predictions = test(model, faces)
    pose_test = test_pose(model, faces)
    model.save_weights(args.output / "checkpoints" / f"{settings.name}.weights.h5")
    write_json(args.output / "predictions" / f"{settings.name}.json", {"kind": "predictions", **predictions})
    write_json(finished, {**record, "results": results, **({"pose_test": pose_test} if pose_test else {})})
    checkpoint.unlink(missing_ok=True)
    scores = ", ".join(
        f"{name} {100 * np.mean(errors['nme']):.2f} % ({100 * np.mean(errors['nme_flip']):.2f} % with the flip test)"
        for name, errors in results.items()
    )
    print(f"NME: {scores}; {time.perf_counter() - began:.0f} s", flush=True)
    keras.backend.clear_session()


def list_runs(args: argparse.Namespace) -> list[RunSettings]:
    """Every combination that was asked for, seed by seed, so that early results cover all of them."""
    pairs = [MODELS[model] for model in args.models]
    if args.losses:
        networks = dict.fromkeys(network for network, _ in pairs)
        pairs = [(network, str(LossSetting.parse(loss))) for network in networks for loss in args.losses]
    usual = usual_values(args.recipe)
    asked = {name: value for name in usual if (value := getattr(args, name)) is not None}
    if args.weights is not None:
        asked["weights"] = Path(args.weights).name
    if args.teacher is not None:
        asked["teacher"] = args.teacher.name
    return [
        RunSettings(
            dataset=args.dataset,
            network=network,
            loss=loss,
            recipe=args.recipe,
            seed=seed,
            **{**usual, **asked},
        )
        for seed in args.seeds
        for network, loss in pairs
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--losses",
        nargs="+",
        metavar="LOSS",
        help="instead of the models' own, as in asm,accuracy=0.97,alpha=2/1/0",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--recipe", choices=list(RECIPES), default="paper")
    parser.add_argument("--output", type=Path, default=Path("output/reproduction"))
    for name, kind in (
        ("image-size", int),
        ("epochs", int),
        ("batch-size", int),
        ("learning-rate", float),
    ):
        parser.add_argument(f"--{name}", type=kind, help="of the recipe, if not given")
    for name, choices in (
        ("schedule", ["inverse_time", "cosine"]),
        ("augmentation", list(AUGMENTATIONS)),
        ("pose-base", list(BASES)),
    ):
        parser.add_argument(f"--{name}", choices=choices, help="of the recipe, if not given")
    parser.add_argument("--pose-weight", type=float, help="0 trains no pose head; 0.5 if not given")
    parser.add_argument("--width-multiplier", type=float, help="1 if not given")
    parser.add_argument(
        "--batch-norm-momentum", type=float, help="of the moving statistics; 0.9 if not given"
    )
    parser.add_argument("--weights", help="'imagenet', or a weights file of MobileNetV2 or of the network")
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--max-train-faces", type=int)
    parser.add_argument(
        "--label-noise", type=float, metavar="SD", help="on the training landmarks; the eye distance is 1"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        help="weights file of a trained network like it, whose predictions are averaged with the annotations",
    )
    parser.add_argument("--teacher-size", type=int, metavar="PIXELS", help="image size of the teacher")
    parser.add_argument(
        "--hold-out",
        type=float,
        metavar="FRACTION",
        help="test on a part of the training faces: to choose settings by, and not by the test set",
    )
    parser.add_argument(
        "--average", type=float, metavar="MOMENTUM", help="test a moving average of the weights"
    )
    parser.add_argument("--save-every", type=int, default=1, help="epochs between checkpoints")
    parser.add_argument(
        "--verbose", type=int, default=2, help="0: silent; 1: a progress bar; 2: a line an epoch"
    )
    args = parser.parse_args()
    if args.label_noise is not None and not args.label_noise > 0:
        parser.error(f"--label-noise must be positive. Received: {args.label_noise}")
    if (args.teacher is None) != (args.teacher_size is None):
        parser.error("--teacher and --teacher-size go together")
    if args.teacher is not None and not args.teacher.is_file():
        parser.error(f"--teacher is a weights file. Received: {args.teacher}, which is not there")
    if args.hold_out is not None:
        if not 0 < args.hold_out < 1:
            parser.error(f"--hold-out is a fraction between 0 and 1. Received: {args.hold_out}")
        if args.dataset == "youtube_faces":
            parser.error("--hold-out would put frames of one person on both sides of youtube_faces")
    try:
        list_runs(args)
    except ValueError as error:
        parser.error(str(error))
    return args


if __name__ == "__main__":
    main()
