"""Search for the settings of a small ASMNet: loss, schedule, head, shape model, augmentation, learning rate.

    python examples/tune_asmnet.py                                     # drawn faces, no download
    python examples/tune_asmnet.py --data 300w --root PATH             # real faces, 300W's own folders
    python examples/tune_asmnet.py --data 300w --root PATH --settings output/tune_asmnet/best.json

A fifth of the training faces is held out to compare the trials; no test face is seen. Prints a leaderboard, draws the
error against each setting, and writes the best settings, which `--settings` trains again to the same number. A search
that is killed goes on when it is started again with the same arguments.

Several processes share a search if each has three environment variables, here of the chief, which does not train:

    KERASTUNER_TUNER_ID=chief KERASTUNER_ORACLE_IP=127.0.0.1 KERASTUNER_ORACLE_PORT=8000 python examples/tune_asmnet.py
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_tuner
import numpy as np

from keras_asm.datasets import load_300w
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.synthetic import synthetic_faces
from keras_asm.tuning import LandmarkHyperModel

SEARCHED: dict[str, Any] = {
    "head": ["plain", "coordinates", "components"],
    "base": ["mean_squared_error", "wing"],
    "assisted": [True, False],
    "schedule": ["step", "linear"],
    "accuracy": [0.8, 0.9, 0.97],
    "aligned": [False, True],
    "augmentation": ["none", "mild"],
    "learning_rate": (5e-4, 1e-2),
}
TUNERS = {
    "random": keras_tuner.RandomSearch,
    "bayesian": keras_tuner.BayesianOptimization,
    "hyperband": keras_tuner.Hyperband,
    "grid": keras_tuner.GridSearch,
}
SEED = 1  # KerasTuner takes 0 for no seed


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    train, validation = load_faces(args)
    print(f"{len(train)} faces to train on, {len(validation)} to compare trials by, {args.image_size} pixels")
    hypermodel = LandmarkHyperModel(
        train, validation, epochs=args.epochs, width_multiplier=args.width_multiplier, seed=SEED, **SEARCHED
    )
    if args.settings:
        best = json.loads(args.settings.read_text())
        _, history = hypermodel.train(best["settings"], verbose=2)
        print(f"NME {min(history.history['val_nme']):.4%}; in the search {best['nme']:.4%}")
        return

    limits = (
        {"max_epochs": args.epochs, "factor": 2} if args.tuner == "hyperband" else {"max_trials": args.trials}
    )
    seed = {} if args.tuner == "grid" else {"seed": SEED}
    tuner = TUNERS[args.tuner](
        hypermodel,
        objective=hypermodel.objective,
        directory=args.output,
        project_name=args.tuner,
        **limits,
        **seed,
    )
    tuner.search(verbose=args.verbose)
    if os.environ.get("KERASTUNER_TUNER_ID", "chief") != "chief":
        return  # the chief reports
    trials = sorted(
        (trial for trial in tuner.oracle.trials.values() if trial.score is not None),
        key=lambda trial: trial.score,
    )
    rows = [(trial.score, hypermodel.settings(trial.hyperparameters)) for trial in trials]
    print("", *leaderboard(rows), sep="\n")
    draw(rows, args.output / "settings.png")
    nme, settings = rows[0]
    best = {"nme": nme, "epochs": args.epochs, "image_size": args.image_size, "settings": settings}
    (args.output / "best.json").write_text(json.dumps(best, indent=1) + "\n")
    print(f"\nBest settings, and a picture: {args.output}")


def load_faces(args: argparse.Namespace) -> tuple[FaceCrops, FaceCrops]:
    """Faces to train on, and every fifth, which is held out."""
    if args.data == "synthetic":
        faces = synthetic_faces(args.n_faces, seed=SEED, image_size=args.image_size)
    else:
        photos = load_300w(args.root, "train", allow_partial=True)
        print(photos.summary())
        chosen = np.random.default_rng(SEED).permutation(len(photos))[: args.n_faces]
        faces = crop_faces(photos.select(np.sort(chosen)), args.image_size)
    held_out = np.arange(len(faces)) % 5 == 4
    return faces.select(~held_out), faces.select(held_out)


def leaderboard(rows: list[tuple[float, dict[str, Any]]]) -> list[str]:
    """A Markdown table of the trials, the best first; empty where a setting had no effect."""
    lines = [f"| NME | {' | '.join(SEARCHED)} |", f"|--:{'|---' * len(SEARCHED)}|"]
    for nme, settings in rows:
        cells = (settings.get(name, "") for name in SEARCHED)
        texts = (f"{cell:.2g}" if isinstance(cell, float) else str(cell) for cell in cells)
        lines.append(f"| {nme:.2%} | {' | '.join(texts)} |")
    return lines


def draw(rows: list[tuple[float, dict[str, Any]]], path: Path) -> None:
    """The error of every trial against each setting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(2, 4, sharey=True).flat, SEARCHED.items(), strict=True):
        used = [(settings[name], 100 * nme) for nme, settings in rows if name in settings]
        if isinstance(values, tuple):
            axes.scatter(*zip(*used, strict=True))
            axes.set_xscale("log")
        elif used:
            axes.scatter([values.index(value) for value, _ in used], [nme for _, nme in used])
            axes.set_xticks(range(len(values)), map(str, values))
            axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_title(name)
    figure.supylabel("NME of validation faces, %")
    figure.savefig(path, dpi=100)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=["synthetic", "300w"], default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of 300W, with afw, helen and lfpw in it")
    parser.add_argument("--n-faces", type=int, default=750, help="of which a fifth is held out")
    parser.add_argument("--image-size", type=int, default=48, help="pixels")
    parser.add_argument("--width-multiplier", type=float, default=0.35, help="of MobileNetV2's channels")
    parser.add_argument("--epochs", type=int, default=8, help="of a trial")
    parser.add_argument("--tuner", choices=list(TUNERS), default="random")
    parser.add_argument("--trials", type=int, default=12, help="not for hyperband")
    parser.add_argument(
        "--settings", type=Path, help="a best.json: train with these settings, without a search"
    )
    parser.add_argument("--output", type=Path, default=Path("output/tune_asmnet"))
    parser.add_argument("--verbose", type=int, default=2)
    args = parser.parse_args()
    if args.data == "300w" and args.root is None:
        parser.error("--data 300w needs --root, the folder of 300W")
    return args


if __name__ == "__main__":
    main()
