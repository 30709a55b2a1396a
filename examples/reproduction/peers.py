"""Non-neural baselines on the crops that the networks of the reproduction see.

    python examples/reproduction/peers.py --root PATH              # 300W; other sets by --dataset
    python examples/reproduction/peers.py --dataset synthetic      # drawn faces, no download
    python examples/reproduction/peers.py --root PATH --methods --networks RUN.json    # a trained network

`mean_shape` answers every face with the mean of the training shapes. `ridge` is a cascade of scikit-learn's ridge
regressions on histograms of gradients around the current landmarks (supervised descent: Xiong and De la Torre, CVPR
2013). `dlib` is dlib's shape predictor, an ensemble of regression trees (Kazemi and Sullivan, CVPR 2014); it needs the
package dlib or dlib-bin.

The box of a face is its crop, for all of them, and all are trained on the crops and their mirror images. Each leaves
one file of results; a method that has one with the same settings is not run again. A copy of 300W that lacks faces
needs `--allow-partial`. All times are processor times on one core, with one face at a time.

`--networks` measures networks that `run.py` has trained in the same way, by the files of their runs, with and without
the flip test. `report.py --add` takes the files into the results.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from threadpoolctl import threadpool_limits

from keras_asm import evaluate_landmarks
from keras_asm.faces import FaceCrops
from paper.data import DATASETS, Faces, add_data_arguments, load_faces, scheme_of
from paper.records import read_run, write_json
from paper.training import build_network


class Method(Protocol):
    """What can be compared.

    Images are `(n, size, size, 3)` of uint8, landmarks normalised to them: `(n, n_landmarks, 2)`.
    """

    settings: dict[str, Any]

    def fit(self, images: np.ndarray, landmarks: np.ndarray, flip: np.ndarray) -> None:
        """Train; `flip` is the permutation of landmarks in a mirror."""

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Landmarks of each image."""

    def save(self, stem: Path) -> Path:
        """Write all that `predict` needs; gives the file."""


class MeanShape:
    """The mean of the training shapes, whatever the image."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def fit(self, images: np.ndarray, landmarks: np.ndarray, flip: np.ndarray) -> None:
        """Take the mean, of the mirrored faces too."""
        self.mean = np.concatenate([landmarks, mirrored(landmarks, flip)]).mean(axis=0)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The same for each image."""
        return np.repeat(self.mean[None], len(images), axis=0)

    def save(self, stem: Path) -> Path:
        """The file that was written."""
        np.save(f"{stem}.npy", self.mean)
        return Path(f"{stem}.npy")


class RidgeCascade:
    """Ridge regressions that move a shape, from the mean shape on, by what the image shows around its landmarks.

    Each stage looks closer (`radii`, in widths of the crop) and is held back more (`alphas`, in units of the number
    of samples times the mean variance of a feature).

    A regression does better on the faces that it has learned than it ever will on others, so that the next stage has
    to learn on predictions for faces that were held out. Of the `starts` shapes of each training face, the first
    `followed` take these predictions; the others are the true shape with the error of another face added.
    """

    def __init__(
        self,
        radii: Sequence[float] = (0.3, 0.18, 0.11, 0.07, 0.05),
        alphas: Sequence[float] = (0.1, 0.3, 0.3, 1.0, 1.0),
        starts: int = 4,
        followed: int = 2,
    ) -> None:
        self.radii, self.alphas, self.starts, self.followed = radii, alphas, starts, followed
        self.settings: dict[str, Any] = {
            "radii": radii,
            "alphas": alphas,
            "starts": starts,
            "followed": followed,
            "folds": 3,
        }

    def fit(self, images: np.ndarray, landmarks: np.ndarray, flip: np.ndarray) -> None:
        """One stage after the other, all on all faces."""
        n, self.flip, rng = len(images), flip, np.random.default_rng(0)
        true = as_complex(np.concatenate([landmarks, mirrored(landmarks, flip)]))
        maps = np.concatenate([gradient_maps(images), gradient_maps(images[:, :, ::-1])])
        owner, n_followed = np.tile(np.arange(2 * n), self.starts), 2 * n * self.followed
        true = true[owner]
        self.mean, self.stages = true.mean(axis=0), []
        turn = 1 + rng.normal(0, 0.03, (len(owner), 1)) + 1j * rng.normal(0, 0.06, (len(owner), 1))
        shift = rng.normal(0, 0.02, (len(owner), 2)) @ [[1], [1j]]
        shapes = turn * (self.mean - self.mean.mean()) + self.mean.mean() + shift
        for stage, (radius, alpha) in enumerate(zip(self.radii, self.alphas, strict=True)):
            features, pose = self.features(maps, owner, shapes, radius), self.pose(shapes)
            steps = (true - shapes) / pose
            steps = np.concatenate([steps.real, steps.imag], axis=1).astype(np.float32)
            ridge = Ridge(alpha=alpha * len(features) * features.var(axis=0).mean(), solver="cholesky")
            if stage < len(self.radii) - 1:
                # Other folds at each stage: else a stage learns to undo what its own folds got wrong
                folds = GroupKFold(self.settings["folds"], shuffle=True, random_state=stage)
                held_out = cross_val_predict(ridge, features, steps, groups=owner % n, cv=folds)
                shapes = shapes + pose * join(held_out)
                errors = ((shapes - true) / self.pose(true))[:n_followed]
                others = rng.integers(len(errors), size=len(owner) - n_followed)
                shapes[n_followed:] = true[n_followed:] + self.pose(true[n_followed:]) * errors[others]
            self.stages.append((radius, ridge.fit(features, steps)))

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The mean of what an image and its mirror image give."""
        plain, flipped = self.descend(images), self.descend(images[:, :, ::-1])
        return (plain + mirrored(flipped, self.flip)) / 2

    def descend(self, images: np.ndarray) -> np.ndarray:
        """From the mean shape down the stages."""
        maps, owner = gradient_maps(images), np.arange(len(images))
        shapes = np.repeat(self.mean[None], len(images), axis=0)
        for radius, ridge in self.stages:
            shapes = shapes + self.pose(shapes) * join(
                ridge.predict(self.features(maps, owner, shapes, radius))
            )
        return np.stack([shapes.real, shapes.imag], axis=-1)

    def pose(self, shapes: np.ndarray) -> np.ndarray:
        """Scale and roll of each shape against the mean shape, as one complex number."""
        mean = self.mean - self.mean.mean()
        centered = shapes - shapes.mean(axis=1, keepdims=True)
        return (centered @ mean.conj() / np.sum(np.abs(mean) ** 2))[:, None]

    def features(self, maps: np.ndarray, owner: np.ndarray, shapes: np.ndarray, radius: float) -> np.ndarray:
        """Mean gradients in seven cells around each landmark, which scale and turn with the shape."""
        side, found = maps.shape[1] - 1, []
        cells = radius * np.array([0, *np.exp(2j * np.pi * (np.arange(6) + 0.5) / 6)])
        for some in np.array_split(np.arange(len(shapes)), max(1, len(shapes) // 256)):
            pose = self.pose(shapes[some])[..., None]
            centers = shapes[some, :, None] + pose * cells
            half = 0.6 * radius * np.abs(pose)
            left, right, top, bottom = (
                np.clip(np.rint((edge + 0.5) * side), 0, side).astype(np.int32)
                for edge in (
                    centers.real - half,
                    centers.real + half,
                    centers.imag - half,
                    centers.imag + half,
                )
            )
            image = owner[some, None, None]  # sums over a cell are differences of four sums from the corner
            sums = maps[image, bottom, right] - maps[image, top, right]
            sums += maps[image, top, left] - maps[image, bottom, left]
            area = np.maximum(1, (right - left) * (bottom - top))[..., None]
            found.append(np.sqrt(sums / area, dtype=np.float32).reshape(len(some), -1))
        return np.concatenate(found)

    def save(self, stem: Path) -> Path:
        """The file that was written."""
        weights = {f"coef_{i}": ridge.coef_ for i, (_, ridge) in enumerate(self.stages)}
        biases = {f"intercept_{i}": ridge.intercept_ for i, (_, ridge) in enumerate(self.stages)}
        np.savez(f"{stem}.npz", mean=self.mean, radii=self.radii, **weights, **biases)
        return Path(f"{stem}.npz")


class DlibTrees:
    """dlib's shape predictor, trained on the crops as their own boxes."""

    def __init__(self, **options: Any) -> None:
        self.settings: dict[str, Any] = {
            "cascade_depth": 12,
            "tree_depth": 4,
            "nu": 0.1,
            "num_trees_per_cascade_level": 500,
            "oversampling_amount": 5,
            "feature_pool_size": 500,
            "num_test_splits": 20,
            "num_threads": 1,
            "random_seed": "0",
        } | options

    def fit(self, images: np.ndarray, landmarks: np.ndarray, flip: np.ndarray) -> None:
        """As dlib trains, on one core."""
        import dlib

        options = dlib.shape_predictor_training_options()
        for name, value in self.settings.items():
            setattr(options, name, value)
        images, faces = np.concatenate([images, images[:, :, ::-1]]), []
        for shape in np.concatenate([landmarks, mirrored(landmarks, flip)]):
            points = [dlib.point(*map(int, xy)) for xy in np.rint((shape + 0.5) * 2 * images.shape[1] - 0.5)]
            faces.append([dlib.full_object_detection(self.box(images), points)])
        self.predictor = dlib.train_shape_predictor(
            [self.enlarged(image) for image in images], faces, options
        )

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The predicted points, in units of the crop."""
        box = self.box(images)
        parts = [self.predictor(self.enlarged(image), box).parts() for image in images]
        return (np.array([[(p.x, p.y) for p in points] for points in parts]) + 0.5) / (
            2 * images.shape[1]
        ) - 0.5

    @staticmethod
    def box(images: np.ndarray) -> Any:
        """The whole crop."""
        import dlib

        return dlib.rectangle(0, 0, 2 * images.shape[1] - 1, 2 * images.shape[1] - 1)

    @staticmethod
    def enlarged(image: np.ndarray) -> np.ndarray:
        """Twice the size, in grey: dlib rounds landmarks to whole pixels."""
        grey = np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
        return grey.repeat(2, axis=0).repeat(2, axis=1)

    def save(self, stem: Path) -> Path:
        """The file that was written."""
        self.predictor.save(f"{stem}.dat")
        return Path(f"{stem}.dat")


class TrainedNetwork:
    """A network that `run.py` has trained, at the image size of its run.

    With `flip`, what an image and its mirror image give is averaged, as the ridge cascade does.
    """

    def __init__(self, run: Path, flip: bool) -> None:
        self.record, self.values, self.weights = read_run(run)
        self.settings: dict[str, Any] = {**self.record["settings"], "flip": flip}
        self.training_seconds = self.record["seconds"]

    def fit(self, images: np.ndarray, landmarks: np.ndarray, flip: np.ndarray) -> None:
        """Its weights are trained already."""
        self.flip = flip if self.settings["flip"] else None
        with_pose = self.record["data"]["pose"] and self.values.pose_weight > 0
        self.model = build_network(self.values, landmarks.shape[1], with_pose)
        self.model.load_weights(self.weights)
        self.predict(images[:1])  # compiles

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Of the images, or the means over them and their mirror images."""
        n = len(images)
        if self.flip is not None:
            images = np.concatenate([images, images[:, :, ::-1]])
        found = self.model.predict_on_batch(images)["landmarks"].reshape(len(images), -1, 2)
        return found if self.flip is None else (found[:n] + mirrored(found[n:], self.flip)) / 2

    def save(self, stem: Path) -> Path:
        """The file of its weights alone; that of the run has the optimizer's state too."""
        self.model.save_weights(f"{stem}.weights.h5")
        return Path(f"{stem}.weights.h5")


def gradient_maps(images: np.ndarray, side: int = 112, bins: int = 8) -> np.ndarray:
    """Strength of the gradient in each of eight directions, summed from the corner on: `(n, side + 1, side + 1, 8)`.

    Strengths are relative to those of the neighbourhood, so that light and contrast do not matter.
    """
    factor = max(1, images.shape[1] // side)
    side = images.shape[1] // factor
    sums = np.zeros((len(images), side + 1, side + 1, bins), np.int32)
    for i, image in enumerate(images):
        grey = image[: side * factor, : side * factor].mean(axis=-1, dtype=np.float32)
        grey = gaussian_filter(grey.reshape(side, factor, side, factor).mean(axis=(1, 3)), 0.6)
        dy, dx = np.gradient(grey)
        strength = np.hypot(dx, dy)
        strength = np.minimum(64 * strength / (uniform_filter(strength, side // 10 * 2 + 1) + 2), 1000)
        angle = np.arctan2(dy, dx) * bins / (2 * np.pi)
        lower, upper = np.floor(angle), angle - np.floor(angle)
        for k in range(bins):  # each gradient goes to the two directions next to it
            part = np.where(lower % bins == k, 1 - upper, 0) + np.where((lower + 1) % bins == k, upper, 0)
            sums[i, 1:, 1:, k] = (strength * part).astype(np.int32).cumsum(axis=0).cumsum(axis=1)
    return sums


def mirrored(landmarks: np.ndarray, flip: np.ndarray) -> np.ndarray:
    return landmarks[:, flip] * [-1.0, 1.0]


def as_complex(landmarks: np.ndarray) -> np.ndarray:
    """Shapes as complex numbers, x + iy: scaling and turning is then a product."""
    return landmarks[..., 0] + 1j * landmarks[..., 1]


def join(steps: np.ndarray) -> np.ndarray:
    return as_complex(np.stack(np.split(steps.astype(np.float64), 2, axis=1), axis=-1))


METHODS: dict[str, Callable[[], Method]] = {"mean_shape": MeanShape, "ridge": RidgeCascade, "dlib": DlibTrees}


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.methods:
        faces = load_faces(args, args.dataset, args.image_size)
        faces = faces.held_out(args.hold_out).limited(args.max_train_faces)
        faces = faces.with_label_noise(args.label_noise).cleaned(args.clean, args.label_noise)
        labels = {"label_noise": args.label_noise or 0.0, "clean": args.clean or "none"}
        for name in args.methods:
            if name == "dlib" and importlib.util.find_spec("dlib") is None:
                print("dlib: skipped, as it is not installed (pip install dlib-bin)")
                continue
            compare(name, METHODS[name](), faces, {"dataset": args.dataset, **labels}, args.output / name)
    for run in args.networks:
        for flip in (False, True):
            network = TrainedNetwork(run, flip)
            values, stem = network.values, f"{run.parent.name}_{run.stem}"
            faces = load_faces(args, values.dataset, values.image_size)
            faces = faces.held_out(values.hold_out).limited(values.max_train_faces)
            name = f"{values.network}, {values.loss}{', flip test' if flip else ''}"
            path = args.output / (f"{stem}_flip" if flip else stem)
            labels = {"label_noise": values.label_noise or 0.0, "clean": values.clean or "none"}
            compare(name, network, faces, {"dataset": values.dataset, **labels}, path)


def compare(name: str, model: Method, faces: Faces, about: Mapping[str, Any], stem: Path) -> None:
    """Measure a method unless it has been measured with the same settings, and print what came of it."""
    train, test, path = faces.train, faces.test, stem.with_name(f"{stem.name}.json")
    about = {**about, "image_size": train.image_size, "train": len(train), "test": len(test)}
    settings = json.loads(json.dumps(model.settings))  # tuples are lists in a file
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if (record.get("faces"), record.get("settings")) != (about, settings):
        with threadpool_limits(1):
            found = measure(model, train, test, stem)
        record = {"method": name, "faces": about, "settings": settings, **found}
        write_json(path, record)
    scores = record["scores"]
    print(
        f"{name}: NME {scores['nme']:.2%}, FR {scores['failure_rate']:.1%}, AUC {scores['area_under_ced']:.3f}; "
        f"{record['model_bytes'] / 1e6:.3f} MB, {record['milliseconds_per_face']:.1f} ms a face, "
        f"trained in {record['training_seconds']:.0f} s"
    )


def measure(model: Method, train: FaceCrops, test: FaceCrops, stem: Path) -> dict[str, Any]:
    """Train, test one face at a time, and save."""
    started = time.process_time()
    model.fit(train.images, train.landmarks.astype(np.float64), scheme_of(train).flip_permutation)
    trained = time.process_time()
    predicted = np.concatenate([model.predict(test.images[i : i + 1]) for i in range(len(test))])
    tested = time.process_time()
    report = evaluate_landmarks(test.landmarks, predicted, scheme=test.scheme)
    versions = {"python": platform.python_version()}
    for package in ("keras-asm", "keras", "tensorflow", "numpy", "scipy", "scikit-learn", "dlib", "dlib-bin"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "device": f"1 of {os.cpu_count()} CPU cores, {platform.machine()}",
        "clock": "processor time",
        "versions": versions,
        "training_seconds": round(getattr(model, "training_seconds", trained - started), 1),
        "milliseconds_per_face": round(1000 * (tested - trained) / len(test), 3),
        "model_bytes": model.save(stem).stat().st_size,
        "normalizer": report.normalizer,
        "threshold": report.threshold,
        "scores": report.scores["all"],
        "errors": report.errors.round(5).tolist(),
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=list(DATASETS), default="300w")
    add_data_arguments(parser)
    parser.add_argument("--image-size", type=int, default=224, help="pixels")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument(
        "--networks", nargs="+", type=Path, default=[], metavar="RUN", help="files of finished runs"
    )
    parser.add_argument("--max-train-faces", type=int, help="train on so many faces only")
    parser.add_argument(
        "--hold-out", type=float, help="test on this part of the training faces, not on the test set"
    )
    parser.add_argument(
        "--label-noise",
        type=float,
        help="noise on the training landmarks, by the distance of the outer eye corners",
    )
    parser.add_argument("--clean", choices=["drawn"], help="clean them by a shape model of drawn faces")
    parser.add_argument("--output", type=Path, default=Path("output/peers"))
    args = parser.parse_args()
    if args.max_train_faces is not None and args.max_train_faces < 10:
        parser.error(f"expected at least 10 faces to train on. Received: {args.max_train_faces}")
    if args.label_noise is not None and args.label_noise <= 0:
        parser.error(f"expected noise above 0. Received: {args.label_noise}")
    if args.clean is not None and args.label_noise is None:
        parser.error(f"--clean needs --label-noise. Received: --clean {args.clean} alone")
    return args


if __name__ == "__main__":
    main()
