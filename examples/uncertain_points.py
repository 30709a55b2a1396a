"""Tell whether a shape model repairs the landmarks that a network is unsure of, on faces with and without occluders.

    python examples/uncertain_points.py --dataset 300w --root PATH --weights FILE

Trains ASMNet with a scale for each landmark by the Laplace likelihood. Half of the training faces have an occluder: a
rectangle of one random colour, each side a quarter to a half of the crop's, anywhere in the crop. A fifth of the
training faces is held out. On these, with and without occluders, the scales are calibrated, and the shape model and
the strength of the projection are chosen. Then prints tables of the test faces: coverage of the predicted intervals,
and NME of the network, of the projection that trusts all points alike, and of the one that weights each point by its
predicted scale. Writes a plot of reliability.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from example_faces import CROP_MARGIN, add_data_arguments, hold_out, load_training_faces, parse
from scipy.stats import spearmanr

from keras_asm import (
    ActiveShapeModel,
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    LandmarkLikelihoodLoss,
    ShapeDecoder,
    evaluate_landmarks,
    fold_shape_decoder,
    recompute_batch_norm,
)
from keras_asm.datasets import load_300w
from keras_asm.evaluation import fit_scale_factor, interval_coverage
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.landmarks import as_points, normalizing_distance, split_log_scale
from keras_asm.synthetic import synthetic_faces
from keras_asm.visualization import plot_reliability

OCCLUDER = (0.25, 0.5)  # sides of the rectangle, in sides of the crop
ACCURACY = 0.99  # variance that shape models keep
STRENGTHS = (
    0.0,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    4.0,
)  # what the scales are multiplied by before the projection; 0: none
LEVELS = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True)
class Predicted:
    """What the network says of faces, beside the truth; landmarks `(n, n_landmarks, 2)`, normalised to the crop."""

    true: np.ndarray
    landmarks: np.ndarray
    log_scale: np.ndarray
    hidden: np.ndarray  # which landmarks lie under the occluder

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each landmark under the Laplace distribution."""
        return np.sqrt(2) * np.exp(self.log_scale)


def main() -> None:
    args = parse_arguments()
    keras.utils.set_random_seed(args.seed)
    train, unseen = hold_out(load_training_faces(args))
    tests = load_test_faces(args)
    print(f"{len(train)} faces to train on, {len(unseen)} held out", flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    model = train_network(train, args)

    def predicted(faces: FaceCrops, seed: int | None) -> Predicted:
        hidden = np.zeros(faces.landmarks.shape[:2], dtype=bool)
        if seed is not None:
            faces, hidden = with_occluders(faces, seed)
        outputs = model.predict(faces.images, batch_size=100, verbose=0)
        landmarks, log_scale = split_log_scale(outputs["uncertain_landmarks"])
        return Predicted(faces.landmarks, as_points(landmarks), log_scale, hidden)

    raw = {"held out": joined(predicted(unseen, None), predicted(unseen, 1))}
    for name, faces in tests.items():
        raw[name] = predicted(faces, None)
        raw[f"{name}, occluders"] = predicted(faces, 2)

    factor = fit_scale_factor(raw["held out"].true, raw["held out"].landmarks, raw["held out"].log_scale)
    print(f"\nFactor of the scales, from held-out faces: {factor:.3f}")
    calibrated = {name: scaled(each, factor) for name, each in raw.items()}
    print_coverage(raw, calibrated)
    held_out = calibrated.pop("held out")
    del raw["held out"]
    coverage = {
        name: interval_coverage(all_.true, all_.landmarks, all_.log_scale, LEVELS)
        for name, all_ in (
            ("as predicted", joined(*raw.values())),
            ("calibrated on held-out faces", joined(*calibrated.values())),
        )
    }
    plot_reliability(coverage, LEVELS, args.output / "reliability.png")

    shape_models = {
        "as they lie": ActiveShapeModel(ACCURACY).fit(train.landmarks),
        "aligned": ActiveShapeModel(ACCURACY, align="procrustes").fit(train.landmarks),
    }
    chosen = {
        kind: choose(held_out, shape_models, weighted=kind == "weighted") for kind in ("alike", "weighted")
    }
    for kind, (name, strength) in chosen.items():
        print(f"Chosen on held-out faces, points {kind}: shapes {name}, strength {strength:g}")
    print_errors({"held out": held_out, **calibrated}, shape_models, chosen)
    print_structure(calibrated, shape_models["as they lie"])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    parser.add_argument("--weights", help="first weights, as ASMNet takes them; default random")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--width-multiplier", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("output/uncertain_points"))
    return parse(parser)


def load_test_faces(args: argparse.Namespace) -> dict[str, FaceCrops]:
    """Test sets by name."""
    if args.dataset == "synthetic":
        drawn = synthetic_faces(max(args.n_synthetic // 4, 1), seed=1, image_size=args.image_size)
        return {"drawn": drawn}
    sets = {}
    for name in ("common", "challenging"):
        faces = load_300w(args.root, name, allow_partial=args.allow_partial)
        print(faces.summary())
        sets[name] = crop_faces(faces, args.image_size, margin=CROP_MARGIN)
    return sets


def with_occluders(faces: FaceCrops, seed: int, fraction: float = 1.0) -> tuple[FaceCrops, np.ndarray]:
    """Faces of which so many have a rectangle of one random colour before them, and which landmarks it hides."""
    rng = np.random.default_rng(seed)
    images, size = faces.images.copy(), faces.images.shape[1]
    pixels = (faces.landmarks + 0.5) * size - 0.5
    hidden = np.zeros(faces.landmarks.shape[:2], dtype=bool)
    for i in np.flatnonzero(rng.random(len(faces)) < fraction):
        sides = np.round(rng.uniform(*OCCLUDER, 2) * size).astype(int)
        left, top = rng.integers(0, size - sides + 1)
        right, bottom = left + sides[0], top + sides[1]
        images[i, top:bottom, left:right] = rng.integers(0, 256, 3)
        inside = (pixels[i] >= [left - 0.5, top - 0.5]) & (pixels[i] < [right - 0.5, bottom - 0.5])
        hidden[i] = inside.all(axis=-1)
    return replace(faces, images=images), hidden


def train_network(faces: FaceCrops, args: argparse.Namespace) -> keras.Model:
    """ASMNet with a scale for each landmark, by the recipe of the guide; half of the faces have an occluder."""
    faces, _ = with_occluders(faces, seed=0, fraction=0.5)
    augmentation = LandmarkAugmentation(
        faces.scheme, flip=0.5, rotation=30.0, scale=None, shift=None, crop_margin=CROP_MARGIN
    )
    batches = LandmarkBatches.from_faces(
        faces, pose=False, batch_size=32, augmentation=augmentation, uncertainty=True, seed=args.seed
    )
    model = ASMNet(
        input_shape=(args.image_size, args.image_size, 3),
        n_landmarks=faces.landmarks.shape[1],
        include_pose=False,
        include_uncertainty=True,
        width_multiplier=args.width_multiplier,
        weights=args.weights,
        shape_decoder=ShapeDecoder.from_landmarks(augmentation.augment_landmarks(faces.landmarks)),
    )
    steps = args.epochs * len(batches)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(args.learning_rate, steps)),
        loss={"uncertain_landmarks": LandmarkLikelihoodLoss("laplace")},
    )
    model.fit(batches, epochs=args.epochs, verbose=2)
    recompute_batch_norm(model, batches)
    model = fold_shape_decoder(model)
    model.save(args.output / "network.keras")
    return model


def joined(*parts: Predicted) -> Predicted:
    """The faces of all parts."""
    return Predicted(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("true", "landmarks", "log_scale", "hidden")
        )
    )


def scaled(predicted: Predicted, factor: float) -> Predicted:
    return replace(predicted, log_scale=predicted.log_scale + np.log(factor))


def repaired(predicted: Predicted, asm: ActiveShapeModel, strength: float, weighted: bool) -> np.ndarray:
    """The expected true landmarks, by the predicted scales or by their mean square over all faces and landmarks."""
    deviation = predicted.deviation
    if not weighted:
        deviation = np.full_like(deviation, np.sqrt(np.mean(deviation**2)))
    return asm.posterior_mean(predicted.landmarks, strength * deviation)


def choose(
    held_out: Predicted, shape_models: Mapping[str, ActiveShapeModel], weighted: bool
) -> tuple[str, float]:
    """The shape model and the strength of the lowest NME on held-out faces."""

    def nme(name: str, strength: float) -> float:
        landmarks = repaired(held_out, shape_models[name], strength, weighted)
        return float(evaluate_landmarks(held_out.true, landmarks).errors.mean())

    return min(((name, strength) for name in shape_models for strength in STRENGTHS), key=lambda c: nme(*c))


def print_coverage(raw: Mapping[str, Predicted], calibrated: Mapping[str, Predicted]) -> None:
    """Coverage of the intervals of 50 and 90 %, as predicted and calibrated."""
    print("\n| faces | 50%, as predicted | 90% | 50%, calibrated | 90% |\n|---|--:|--:|--:|--:|")
    for name in raw:
        cells = [
            f"{100 * fraction:.1f}"
            for p in (raw[name], calibrated[name])
            for fraction in interval_coverage(p.true, p.landmarks, p.log_scale)
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def print_errors(
    sets: Mapping[str, Predicted],
    shape_models: Mapping[str, ActiveShapeModel],
    chosen: Mapping[str, tuple[str, float]],
) -> None:
    """NME in %, of all landmarks and of those that an occluder hides or does not, and what the scales say of them."""
    print("\n| faces | landmarks | predicted scale | network | points alike | weighted | change by it |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for name, p in sets.items():
        size = normalizing_distance(p.true)[:, None]
        found = {
            "network": p.landmarks,
            **{
                kind: repaired(p, shape_models[model], strength, kind == "weighted")
                for kind, (model, strength) in chosen.items()
            },
        }
        distances = {kind: np.linalg.norm(x - p.true, axis=-1) / size for kind, x in found.items()}
        parts = {"all": np.ones_like(p.hidden)}
        if p.hidden.any():
            parts |= {"hidden": p.hidden, "not hidden": ~p.hidden}
        for part, mask in parts.items():
            faces = mask.any(axis=1)
            errors = {kind: np.mean(d[faces], axis=1, where=mask[faces]) for kind, d in distances.items()}
            change = errors["weighted"] - errors["network"]
            standard_error = change.std() / np.sqrt(len(change))
            scale = np.mean((np.exp(p.log_scale) / size)[mask])
            cells = [f"{100 * scale:.2f}", *(f"{100 * e.mean():.2f}" for e in errors.values())]
            cells.append(f"{100 * change.mean():+.3f} ± {100 * standard_error:.3f}")
            print(f"| {name} | {part} | {' | '.join(cells)} |", flush=True)


def print_structure(sets: Mapping[str, Predicted], asm: ActiveShapeModel) -> None:
    """What a repair would need to know of the errors.

    Whether the scales tell good faces from bad ones (rank correlation of mean scale and mean error), whether errors are
    independent (correlation of landmarks that follow each other, in units of their scales), and how much of the squared
    errors makes another plausible shape (lies in the span of the shape model's components).
    """
    print(
        "\n| faces | scale and error of a face | errors of neighbours | squared errors within the shape model |"
    )
    print("|---|--:|--:|--:|")
    for name, p in sets.items():
        error = p.landmarks - p.true
        distance = np.linalg.norm(error, axis=-1).mean(axis=1)
        rank = spearmanr(distance, p.log_scale.mean(axis=1)).statistic
        relative = error / np.exp(p.log_scale)[..., None]
        neighbours = np.mean([np.diag(np.corrcoef(relative[..., k].T), 1) for k in (0, 1)])
        flat = error.reshape(len(error), -1)
        within = np.sum((flat @ asm.components_.T) ** 2) / np.sum(flat**2)
        print(f"| {name} | {rank:.2f} | {neighbours:.2f} | {100 * within:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
