"""Train ASMNet with and without the ASM-assisted loss, and compare the two.

    python examples/compare_losses.py                                   # synthetic faces, no download
    python examples/compare_losses.py --data 300w --root PATH           # real faces, 300W's own folders

It fits the shape model and prints what it does to the training shapes, trains the same network twice from the same
weights and batches (once on the true landmarks alone, once with the ASM-assisted loss and the paper's schedule of
alpha), prints both results side by side, and writes models, pictures and numbers to the output folder.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import (
    ActiveShapeModel,
    AlphaStepSchedule,
    ASMAssistedLoss,
    ASMNet,
    HeadPoseLoss,
    LandmarkAugmentation,
    LandmarkBatches,
    NormalizedMeanError,
    evaluate_landmarks,
    model_cost,
)
from keras_asm.datasets import load_300w
from keras_asm.evaluation import compare_reports
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.synthetic import synthetic_faces
from keras_asm.visualization import contact_sheet, plot_ced, plot_shape_modes

BATCH_SIZE, LEARNING_RATE, SEED = 32, 2e-3, 0
EPOCHS = {"synthetic": 18, "300w": 60}  # six minutes on two CPU cores, and half an hour on 2012 real faces


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    train, test = load_faces(args)
    print(f"{len(train)} faces to train on, {len(test)} to test on, {args.image_size} pixels\n")

    augmentation = LandmarkAugmentation(train.scheme, flip=0.5, rotation=None, scale=0.05, shift=0.03)
    shapes = augmentation.augment_landmarks(train.landmarks)  # as the network will see them
    asm = ActiveShapeModel(n_components=args.accuracy, align=args.align).fit(shapes)
    asm.save(args.output / "shape_model.npz")
    print(asm.reconstruction_report(shapes, scheme=train.scheme))
    print(f"kept: {asm.n_components_} components for an accuracy of {args.accuracy:.0%}\n")

    reports = {}
    for name, loss in {"mse": "mean_squared_error", "asm-assisted": ASMAssistedLoss(asm)}.items():
        print(f"--- {name}")
        model = train_model(args, train, test, augmentation, loss)
        predictions = model.predict(test.images, batch_size=100, verbose=0)
        found, pose = predictions["landmarks"], {"pose_true": test.pose, "pose_pred": predictions.get("pose")}
        reports[name] = evaluate_landmarks(test.landmarks, found, scheme=test.scheme, **pose)
        model.save(args.output / f"{name}.keras")
    print(f"\n{model_cost(model)}\n\n{compare_reports(reports)}\n")

    plot_ced({name: report.errors for name, report in reports.items()}, args.output / "ced.png")
    plot_shape_modes(asm, test.scheme, args.output / "shape_modes.png")
    draw_predictions(test, predictions, reports["asm-assisted"].errors, args.output / "predictions.png")
    results = {name: report.to_dict() for name, report in reports.items()}
    (args.output / "results.json").write_text(json.dumps(results, indent=1))
    print(f"Pictures, models and numbers: {args.output}")


def load_faces(args: argparse.Namespace) -> tuple[FaceCrops, FaceCrops]:
    """Crops to train on and to test on."""
    if args.data == "synthetic":
        train = synthetic_faces(args.n_train, seed=SEED, image_size=args.image_size)
        return train, synthetic_faces(args.n_train // 4, seed=SEED + 1, image_size=args.image_size)
    pose = (args.root / "pose.csv").is_file()
    sets = [load_300w(args.root, split, pose=pose, allow_partial=True) for split in ("train", "common")]
    print(*(faces.summary() for faces in sets), sep="\n")
    return crop_faces(sets[0], args.image_size), crop_faces(sets[1], args.image_size)


def train_model(
    args: argparse.Namespace,
    train: FaceCrops,
    test: FaceCrops,
    augmentation: LandmarkAugmentation,
    loss: str | keras.losses.Loss,
) -> keras.Model:
    """One network, from the same random weights, batches and augmentation for every loss."""
    keras.utils.set_random_seed(SEED)
    with_pose = train.pose is not None
    model = ASMNet(
        n_landmarks=train.landmarks.shape[1],
        input_shape=train.images.shape[1:],
        include_pose=with_pose,
        width_multiplier=args.width_multiplier,
    )
    batches = LandmarkBatches.from_faces(train, batch_size=BATCH_SIZE, seed=SEED, augmentation=augmentation)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, args.epochs * len(batches))
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss={"landmarks": loss} | ({"pose": HeadPoseLoss()} if with_pose else {}),
        loss_weights={"landmarks": 1.0} | ({"pose": 0.5} if with_pose else {}),
        metrics={"landmarks": [NormalizedMeanError(train.scheme, name="nme")]},
    )
    print("The first step takes 15 to 30 s, while Keras traces and compiles it; the others are fast.")
    model.optimizer.build(model.trainable_variables)  # outside of the trace, which is then a sixth shorter
    model.fit(
        batches,
        epochs=args.epochs,
        validation_data=LandmarkBatches.from_faces(test, batch_size=100, shuffle=False),
        validation_freq=max(1, args.epochs // 4),
        callbacks=[AlphaStepSchedule(args.alphas)] if isinstance(loss, ASMAssistedLoss) else [],
    )
    return model


def draw_predictions(test: FaceCrops, predictions: dict, errors: np.ndarray, path: Path) -> None:
    """Test faces from best to worst."""
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
        path=path,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", choices=list(EPOCHS), default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of 300W, with afw, helen and lfpw in it")
    parser.add_argument("--output", type=Path, default=Path("output/compare_losses"))
    parser.add_argument("--n-train", type=int, default=1600, help="synthetic faces; a quarter as many test")
    parser.add_argument("--image-size", type=int, default=64, help="pixels")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--width-multiplier", type=float, default=1.0, help="of MobileNetV2's channels")
    parser.add_argument("--accuracy", type=float, default=0.90, help="variance that the shape model keeps")
    parser.add_argument("--align", choices=["procrustes"], help="align shapes before they are modelled")
    parser.add_argument("--alphas", type=float, nargs="+", default=[2.0, 1.0, 0.5], help="for equal parts")
    args = parser.parse_args()
    if args.data == "300w" and args.root is None:
        parser.error("--data 300w needs --root, the folder of 300W")
    args.epochs = args.epochs or EPOCHS[args.data]
    return args


if __name__ == "__main__":
    main()
