"""Tell how far the points that a shape model completes lie from the true ones, by how many points are missing.

    python examples/completed_points.py --dataset 300w --root PATH

Removes points from training and test faces: at random, or whole parts of the face. Learns from what is left of the
training faces, completes the test faces, and prints a Markdown table of the mean distance of the completed points from
the true ones, in % of the inter-ocular distance: for the mean shape, scikit-learn's IterativeImputer, and the shape
model without and with alignment. With `--batch 500`, the table compares shape models instead: of one fit, of batches
of that size in random order, of such parts merged, and of a first part that completes the others for one fit.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from example_faces import add_data_arguments, parse
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from keras_asm import ActiveShapeModel, LandmarkScheme, get_scheme
from keras_asm.datasets import load_300w
from keras_asm.faces import CropTransform
from keras_asm.landmarks import normalizing_distance
from keras_asm.synthetic import synthetic_faces

FRACTIONS = (0.1, 0.3, 0.5)
ACCURACY = 0.99


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    parser.add_argument("--accuracy", type=float, default=ACCURACY, help="variance that shape models keep")
    parser.add_argument(
        "--fractions", type=float, nargs="+", default=FRACTIONS, help="of the points that are missing"
    )
    parser.add_argument(
        "--neighbours", type=int, help="features that IterativeImputer uses for each; default all"
    )
    parser.add_argument("--batch", type=int, help="compare one fit with learning from batches of this size")
    args = parse(parser)
    train, test, scheme = load_shapes(args)
    methods = compared_methods(args) if args.batch is None else ways_to_learn(args)
    print(f"\n| missing points | {' | '.join(methods)} |\n|---|{'--:|' * len(methods)}")
    for name, remove in removals(scheme, args.fractions).items():
        rng = np.random.default_rng(0)
        partial_train, partial_test = (np.where(remove(s, rng)[..., None], np.nan, s) for s in (train, test))
        cells = [
            f"{100 * error(fill(partial_train, partial_test), test, partial_test, scheme):.2f}"
            for fill in methods.values()
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


Method = Callable[[np.ndarray, np.ndarray], np.ndarray]


def compared_methods(args: argparse.Namespace) -> dict[str, Method]:
    imputer = IterativeImputer(n_nearest_features=args.neighbours, random_state=0)
    return {
        "mean shape": fill_with_mean,
        "IterativeImputer": lambda train, test: impute(imputer, train, test),
        "shape model": lambda *shapes: complete(ActiveShapeModel(args.accuracy), *shapes),
        "aligned shape model": lambda *shapes: complete(
            ActiveShapeModel(args.accuracy, align="procrustes"), *shapes
        ),
    }


def ways_to_learn(args: argparse.Namespace) -> dict[str, Method]:
    """One fit, and three ways that never hold all shapes."""

    def batches(train: np.ndarray) -> list[np.ndarray]:
        shuffled = np.random.default_rng(1).permutation(train)
        return np.array_split(shuffled, max(len(train) // args.batch, 1))

    def in_batches(train: np.ndarray, align: str | None) -> ActiveShapeModel:
        asm = ActiveShapeModel(args.accuracy, align=align)
        for batch in batches(train):
            asm.partial_fit(batch)
        return asm

    def merged(train: np.ndarray, align: str | None) -> ActiveShapeModel:
        first, *others = batches(train)
        asm = ActiveShapeModel(args.accuracy, align=align).fit(first)
        return asm.merge(
            ActiveShapeModel(args.accuracy, align=align).fit(part, reference=asm.reference_shape_)
            for part in others
        )

    def completed(train: np.ndarray, align: str | None) -> ActiveShapeModel:
        first, *others = batches(train)
        asm = ActiveShapeModel(args.accuracy, align=align).fit(first)
        return ActiveShapeModel(args.accuracy, align=align).fit(
            np.concatenate([asm.complete(part) for part in (first, *others)])
        )

    def one_fit(train: np.ndarray, align: str | None) -> ActiveShapeModel:
        return ActiveShapeModel(args.accuracy, align=align).fit(train)

    def method(learn: Callable[[np.ndarray, str | None], ActiveShapeModel], align: str | None) -> Method:
        return lambda train, test: learn(train, align).complete(test)

    ways = {
        "one fit": one_fit,
        "partial_fit": in_batches,
        "merge": merged,
        "completed by the first": completed,
    }
    return {
        name + (", aligned" if align else ""): method(learn, align)
        for align in (None, "procrustes")
        for name, learn in ways.items()
    }


def load_shapes(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, LandmarkScheme]:
    """Landmarks to learn from and to test on, normalised to their crops; no image is read."""
    if args.dataset == "synthetic":
        sizes = args.n_synthetic, max(args.n_synthetic // 4, 1)
        train, test = (synthetic_faces(n, seed=seed, image_size=32).landmarks for seed, n in enumerate(sizes))
        return train, test, get_scheme("300w")
    faces = [load_300w(args.root, part, allow_partial=args.allow_partial) for part in ("train", "full")]
    print(*(part.summary() for part in faces), sep="\n")
    train, test = (
        CropTransform.from_landmarks(part.landmarks, 32, margin=0.25).normalize(part.landmarks)
        for part in faces
    )
    return train, test, get_scheme("300w")


def removals(
    scheme: LandmarkScheme, fractions: Sequence[float]
) -> dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]]:
    """Ways to choose the points that are missing, Boolean `(n_faces, n_landmarks)`."""
    parts = np.zeros((len(scheme.groups), scheme.n_landmarks), dtype=bool)
    for row, indices in zip(parts, scheme.groups.values(), strict=True):
        row[list(indices)] = True

    def at_random(fraction: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
        count = round(fraction * scheme.n_landmarks)
        return lambda shapes, rng: rng.random(shapes.shape[:2]).argsort(axis=1) < count

    def by_parts(fraction: float) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
        # Whole parts in a random order, until that many points are gone
        def remove(shapes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            missing = np.zeros(shapes.shape[:2], dtype=bool)
            for row in missing:
                for part in parts[rng.permutation(len(parts))]:
                    if row.sum() < fraction * scheme.n_landmarks and not (row | part).all():
                        row |= part
            return missing

        return remove

    return {
        **{f"{fraction:.0%}, at random": at_random(fraction) for fraction in fractions},
        **{f"{fraction:.0%} or more, by parts": by_parts(fraction) for fraction in fractions},
    }


def fill_with_mean(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(test), np.nanmean(train, axis=0), test)


def impute(imputer: IterativeImputer, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    imputer.fit(train.reshape(len(train), -1))
    return imputer.transform(test.reshape(len(test), -1)).reshape(test.shape)


def complete(asm: ActiveShapeModel, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    return asm.fit(train).complete(test)


def error(completed: np.ndarray, true: np.ndarray, partial: np.ndarray, scheme: LandmarkScheme) -> float:
    """Mean distance of the completed points from the true ones, a fraction of the inter-ocular distance."""
    distance = np.linalg.norm(completed - true, axis=-1) / normalizing_distance(true, scheme)[:, None]
    return float(distance[np.isnan(partial[..., 0])].mean())


if __name__ == "__main__":
    main()
