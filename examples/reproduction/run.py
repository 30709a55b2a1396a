"""Train named experiments of `experiments.toml`, and leave one JSON file for each run.

    python examples/reproduction/run.py --list
    python examples/reproduction/run.py paper-64px --root PATH --seeds 0 1 2
    python examples/reproduction/run.py strong-64px --models wing --root PATH --weights FILE

A run that was killed goes on from its last epoch, and ends with the numbers that it would have had; a finished one is
not run again. So the same command, run once more, does what is left to do. `report.py` makes the tables.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm.applications import PRETRAINED
from paper.data import Faces, add_data_arguments, load_faces
from paper.fused_batch_norm import use_fused_batch_norm
from paper.records import write_json
from paper.settings import EXPERIMENTS, Experiment, RunSettings, load_experiments, of_seed
from paper.training import predict_as_teacher, test, test_pose, train

WEIGHTS_BY_NAME = (None, "imagenet", *PRETRAINED)


def main() -> None:
    args = parse_arguments()
    if args.list:
        for experiment in args.known.values():
            print(f"{experiment.name}: {experiment.about}. Models: {', '.join(experiment.models)}")
        return
    if args.fused_batch_norm:
        use_fused_batch_norm()
    runs = list_runs(args)
    print(f"{len(runs)} runs")

    load = functools.cache(functools.partial(load_faces, args))
    for i, (name, settings) in enumerate(runs.items()):
        finished = args.output / f"{name}.json"
        print(f"\n[{i + 1}/{len(runs)}] {name}", flush=True)
        if finished.is_file():
            if json.loads(finished.read_text(encoding="utf-8"))["settings"] != settings.to_dict():
                raise SystemExit(
                    f"Expected a run of these settings, or none. Received: {finished}, of other ones"
                )
            print("is finished already")
            continue

        faces = chosen(load, settings, settings.image_size).with_label_noise(settings.label_noise)
        faces = faces.cleaned(settings.clean, settings.label_noise)
        faces = faces.with_missing(settings.missing, settings.sparse).completed(settings.complete)
        if settings.teacher_size is not None:
            seen = chosen(load, settings, settings.teacher_size).train
            faces = faces.with_teacher(predict_as_teacher(settings, seen, args.teacher))
        run(name, settings, faces, args)


def chosen(load: Callable[..., Faces], settings: RunSettings, image_size: int) -> Faces:
    """The faces that a run trains on and is tested on."""
    extra, pose = settings.extra_dataset, settings.pose_weight != 0
    faces = load(settings.dataset, image_size, extra_dataset=extra, pose=pose)
    faces = faces.held_out(settings.hold_out).limited(settings.max_train_faces)
    return faces.repeated(settings.repeat_own)


def run(name: str, settings: RunSettings, faces: Faces, args: argparse.Namespace) -> None:
    """Train and test, and write what came of it."""
    experiment, run_name = name.split("/")
    checkpoint = args.output / "checkpoints" / f"{name}.npz"
    began = time.perf_counter()
    weights = settings.weights
    if weights not in WEIGHTS_BY_NAME:
        weights = of_seed(args.weights, settings.seed)
    model, record = train(settings, faces, weights, checkpoint, args.save_every, args.verbose)
    results, predictions = test(model, faces)
    pose_test = test_pose(model, faces)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)  # a run of no epoch left none
    model.save_weights(checkpoint.with_suffix(".weights.h5"))
    write_json(args.output / "predictions" / f"{name}.json", {"kind": "predictions", **predictions})
    named = {"experiment": experiment, "model_name": run_name.rsplit("-", 1)[0]}
    whole = {**record, **named, "results": results, **({"pose_test": pose_test} if pose_test else {})}
    write_json(args.output / f"{name}.json", whole)
    checkpoint.unlink(missing_ok=True)
    scores = ", ".join(
        f"{subset} {100 * np.mean(errors['nme']):.2f} % "
        f"({100 * np.mean(errors['nme_flip']):.2f} % with the flip test)"
        for subset, errors in results.items()
    )
    print(f"NME: {scores}; {time.perf_counter() - began:.0f} s", flush=True)
    keras.backend.clear_session()


def list_runs(args: argparse.Namespace) -> dict[str, RunSettings]:
    """Every run that was asked for by its name, seed by seed, so that early results cover all models."""
    asked: list[Experiment] = [args.known[name] for name in args.experiments]
    return {
        f"{experiment.name}/{model}-{seed}": experiment.run(model, seed)
        for experiment in asked
        for seed in args.seeds
        for model in (args.models or experiment.models)
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="names, as --list prints them")
    parser.add_argument("--list", action="store_true", help="print the experiments and their models")
    parser.add_argument("--file", type=Path, help="more experiments, as in experiments.toml")
    parser.add_argument("--models", nargs="+", help="some of the experiment's; all if not given")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    add_data_arguments(parser)
    parser.add_argument(
        "--weights",
        help="file of the first weights that the experiment names; {seed} in it stands for the seed",
    )
    parser.add_argument("--teacher", type=Path, help="weights file of the teacher that the experiment names")
    parser.add_argument(
        "--fused-batch-norm",
        action="store_true",
        help="train with TensorFlow's own batch norm, which is faster on a CPU and equal but for rounding",
    )
    parser.add_argument("--output", type=Path, default=Path("output/reproduction"))
    parser.add_argument("--save-every", type=int, default=1, help="epochs between checkpoints")
    parser.add_argument(
        "--verbose", type=int, default=2, help="0: silent; 1: a progress bar; 2: a line an epoch"
    )
    args = parser.parse_args()
    try:
        args.known = load_experiments([EXPERIMENTS, *([args.file] if args.file else [])])
        unknown = [name for name in args.experiments if name not in args.known]
        if unknown or not (args.experiments or args.list):
            parser.error(f"Expected experiments of {list(args.known)}. Received: {unknown}")
        runs = list_runs(args)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    for option, pattern in (("weights", args.weights), ("teacher", args.teacher)):
        for settings in runs.values():
            name = getattr(settings, option)
            given = None if pattern is None else Path(of_seed(str(pattern), settings.seed))
            if name not in WEIGHTS_BY_NAME and (given is None or given.name != name):
                parser.error(f"Expected --{option}, a file with the name {name!r}. Received: {given}")
            if given is not None and not given.is_file():
                parser.error(f"Expected --{option}, a file. Received: {given}, which is not there")
    return args


if __name__ == "__main__":
    main()
