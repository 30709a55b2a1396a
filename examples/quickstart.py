"""Train ASMNet with and without the ASM-assisted loss, and compare the two.

    python examples/quickstart.py                                   # synthetic faces, no download
    python examples/quickstart.py --data 300w --root PATH           # real faces, 300W's own folders

It fits the shape model and prints what it does to the training shapes, trains the same network twice from the same
weights and batches (once on the true landmarks alone, once with the ASM-assisted loss and the paper's schedule of
alpha), prints both results side by side, and writes pictures and numbers to the output folder.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_asm
from keras_asm import (
    ActiveShapeModel,
    AlphaStepSchedule,
    ASMAssistedLoss,
    ASMNet,
    HeadPoseLoss,
    NormalizedMeanError,
    evaluate_landmarks,
    model_cost,
)
from keras_asm.datasets import load_300w
from keras_asm.evaluation import compare_reports
from keras_asm.faces import FaceCrops, LandmarkBatches, crop_faces
from keras_asm.layers import LandmarkAugmentation
from keras_asm.synthetic import synthetic_faces
from keras_asm.visualization import contact_sheet, plot_ced, plot_shape_modes

# What fits in six minutes on two CPU cores, and what takes half an hour there on 2012 real faces
DEFAULTS = {
    "synthetic": {"image_size": 64, "epochs": 18, "batch_size": 32, "width_multiplier": 1.0},
    "300w": {"image_size": 64, "epochs": 60, "batch_size": 32, "width_multiplier": 1.0},
}


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    train, test = load_faces(args)
    print(f"{len(train)} faces to train on, {len(test)} to test on, {args.image_size} pixels\n")

    augmentation = LandmarkAugmentation(train.scheme, flip=0.5, rotation=None, scale=0.05, shift=0.03)
    shapes = augmentation.augment_landmarks(train.landmarks)  # as the network will see them
    asm = ActiveShapeModel(n_components=args.accuracy, align=args.align).fit(shapes)
    asm.save(args.output / "shape_model.npz")
    report = asm.reconstruction_report(shapes, scheme=train.scheme)
    print(f"{report}\nkept: {asm.n_components_} components for an accuracy of {args.accuracy:.0%}\n")

    losses = {"mse": "mean_squared_error", "asm-assisted": ASMAssistedLoss(asm)}
    reports, predictions, seconds = {}, {}, {}
    for name, loss in losses.items():
        print(f"--- {name}")
        started = time.perf_counter()
        model = train_model(args, train, test, augmentation, loss)
        seconds[name] = time.perf_counter() - started
        predictions[name] = model.predict(test.images, batch_size=100, verbose=0)
        reports[name] = evaluate_landmarks(
            test.landmarks,
            predictions[name]["landmarks"],
            scheme=test.scheme,
            pose_true=test.pose,
            pose_pred=predictions[name].get("pose"),
        )
        model.save(args.output / f"{name}.keras")
    cost = model_cost(model)
    print(f"\n{cost}\n\n{compare_reports(reports)}\n")

    write_pictures(args.output, asm, test, reports, predictions["asm-assisted"])
    results = {
        "settings": {name: str(value) for name, value in vars(args).items()},
        "versions": {
            "keras_asm": keras_asm.__version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
        },
        "faces": {"train": len(train), "test": len(test)},
        "shape_model": report.to_dict(),
        "seconds": seconds,
        "reports": {name: report.to_dict() for name, report in reports.items()},
    }
    (args.output / "results.json").write_text(json.dumps(results, indent=1))
    print(f"Pictures, models and numbers: {args.output}")


def load_faces(args: argparse.Namespace) -> tuple[FaceCrops, FaceCrops]:
    """Crops to train on and to test on."""
    started = time.perf_counter()
    if args.data == "synthetic":
        train = synthetic_faces(args.n_train, seed=args.seed, image_size=args.image_size)
        test = synthetic_faces(args.n_test, seed=args.seed + 1, image_size=args.image_size)
        print(f"drew {len(train) + len(test)} faces in {time.perf_counter() - started:.1f} s")
        return train, test
    pose = (Path(args.root) / "pose.csv").is_file()
    crops = []
    for split in ("train", "common"):
        dataset = load_300w(args.root, split, pose=pose, allow_partial=True)
        print(dataset.summary())
        crops.append(crop_faces(dataset, args.image_size))
    return crops[0], crops[1]


def train_model(
    args: argparse.Namespace,
    train: FaceCrops,
    test: FaceCrops,
    augmentation: LandmarkAugmentation,
    landmark_loss: str | keras.losses.Loss,
) -> keras.Model:
    """One network, from the same random weights, batches and augmentation for every loss."""
    keras.utils.set_random_seed(args.seed)
    with_pose = train.pose is not None
    size = train.image_size
    model = ASMNet(
        input_shape=(size, size, 3),
        n_landmarks=train.landmarks.shape[1],
        include_pose=with_pose,
        width_multiplier=args.width_multiplier,
        weights=args.weights,
    )
    batches = LandmarkBatches.from_faces(
        train, batch_size=args.batch_size, seed=args.seed, augmentation=augmentation
    )
    steps = args.epochs * len(batches)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(args.learning_rate, steps)),
        loss={"landmarks": landmark_loss} | ({"pose": HeadPoseLoss()} if with_pose else {}),
        loss_weights={"landmarks": 1.0} | ({"pose": 0.5} if with_pose else {}),
        metrics={"landmarks": [NormalizedMeanError(train.scheme, name="nme")]},
    )
    schedules = [AlphaStepSchedule(args.alphas)] if isinstance(landmark_loss, ASMAssistedLoss) else []
    model.fit(
        batches,
        epochs=args.epochs,
        validation_data=LandmarkBatches.from_faces(test, batch_size=100, shuffle=False),
        validation_freq=max(1, args.epochs // 4),
        callbacks=schedules,
        verbose=args.verbose,
    )
    return model


def write_pictures(
    output: Path, asm: ActiveShapeModel, test: FaceCrops, reports: dict, predictions: dict[str, np.ndarray]
) -> None:
    """The CED curve, predictions on test faces from best to worst, and the modes of the shape model."""
    plot_ced({name: report.errors for name, report in reports.items()}, output / "ced.png")
    plot_shape_modes(asm, test.scheme, output / "shape_modes.png")
    errors = reports["asm-assisted"].errors
    shown = np.argsort(errors)[np.linspace(0, len(errors) - 1, 12).round().astype(int)]
    contact_sheet(
        test.images[shown],
        landmarks=predictions["landmarks"][shown],
        true_landmarks=test.landmarks[shown],
        poses=predictions["pose"][shown] if "pose" in predictions else None,
        captions=[f"NME {error:.1%}" for error in errors[shown]],
        scheme=test.scheme,
        normalized=True,
        columns=4,
        path=output / "predictions.png",
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=list(DEFAULTS), default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of 300W, with afw, helen and lfpw in it")
    parser.add_argument("--output", type=Path, default=Path("output/quickstart"))
    parser.add_argument("--n-train", type=int, default=1600, help="synthetic faces to train on")
    parser.add_argument("--n-test", type=int, default=400, help="synthetic faces to test on")
    parser.add_argument("--image-size", type=int, help="pixels")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--width-multiplier", type=float)
    parser.add_argument("--weights", help="'imagenet', or a weights file of MobileNetV2 or ASMNet")
    parser.add_argument("--accuracy", type=float, default=0.90, help="variance that the shape model keeps")
    parser.add_argument("--align", choices=["procrustes"], help="align shapes before they are modelled")
    parser.add_argument(
        "--alphas", type=float, nargs="+", default=[2.0, 1.0, 0.5], help="for equal parts of the run"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=1, help="1: a progress bar; 2: a line an epoch")
    args = parser.parse_args()
    if args.data == "300w" and args.root is None:
        parser.error("--data 300w needs --root, the folder of 300W")
    for name, value in DEFAULTS[args.data].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


if __name__ == "__main__":
    main()
