"""What does the library cost, beside the same work done without it? Ratios of processor time, taken in turns.

    python examples/benchmarks/speed.py --shapes 300w_68.npz               # every part, on Keras's backend
    KERAS_BACKEND=jax python examples/benchmarks/speed.py --parts loss     # one part, on another one
    python examples/benchmarks/speed.py --page docs/speed.md               # measures nothing; fills the page

Each part compares jobs that take turns in one process, with one thread. What is reported is the median over the rounds
of the ratio of two jobs in the same round, with its quartiles; seconds are of the processor, so that what else runs on
the machine counts little. Results are added to `--output`, part by part. `--shapes` names an `.npz` whose array `train`
holds shapes `(n, n_landmarks, 2)`, such as those of 300W; without it they are drawn. The part `shapes` needs menpo, and
the part `faces` OpenCV.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import keras
import numpy as np

from feeding import bare_steps
from keras_asm import (
    ActiveShapeModel,
    ASMAssistedLoss,
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    LinearShapeModel,
)
from keras_asm.datasets import LandmarkDataset
from keras_asm.faces import crop_faces
from keras_asm.synthetic import synthetic_faces
from measuring import fill_page, load_average, processor, ratio, take_turns, versions

INK = "#808080"  # can be read on a light page and on a dark one
PACKAGES = (
    "keras",
    "numpy",
    "scikit-learn",
    "tensorflow",
    "jax",
    "torch",
    "menpo",
    "opencv-python-headless",
    "pillow",
)


def shapes_of(args: argparse.Namespace) -> np.ndarray:
    """Landmarks in pixels, float64 `(n, 68, 2)`."""
    if args.shapes is not None:
        with np.load(args.shapes, allow_pickle=False) as file:
            return file["train"].astype(np.float64)
    return 128 * (synthetic_faces(500, seed=0, image_size=32).landmarks.astype(np.float64) + 0.5)


def bare_job(model: keras.Model, batch: Any, steps: int) -> float:
    """Processor seconds of training steps."""
    return bare_steps(model, batch, steps)[1]


# --- The loss


def authors_loss(path: Path) -> Callable[[Any, Any], Any]:
    """The assisted loss as the paper describes it (Eqs. 2-4, 7-9): sample by sample, with a PCA that lies on disk."""

    def loss(y_true: Any, y_pred: Any) -> Any:
        truth = keras.ops.convert_to_numpy(y_true)
        with np.load(path) as pca:
            mean, vectors, values = pca["mean"], pca["vectors"], pca["values"]
        smoothed = np.empty_like(truth)
        for i, shape in enumerate(truth):
            b = vectors @ (shape - mean)
            for k in range(len(b)):
                bound = 3 * np.sqrt(values[k])
                b[k] = min(max(b[k], -bound), bound)
            smoothed[i] = mean + b @ vectors
        mse = keras.losses.mean_squared_error
        return mse(y_true, y_pred) + mse(keras.ops.convert_to_tensor(smoothed, dtype=y_pred.dtype), y_pred)

    return loss


def loss_part(args: argparse.Namespace) -> dict[str, Any]:
    """A training step with the assisted loss, against one with the plain squared error."""
    shapes = shapes_of(args)
    low, high = shapes.min(axis=1, keepdims=True), shapes.max(axis=1, keepdims=True)
    shapes = (shapes - (low + high) / 2) / (1.5 * (high - low).max(axis=2, keepdims=True))
    asm = ActiveShapeModel(0.90).fit(shapes)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (args.batch_size, args.image_size, args.image_size, 3), dtype=np.uint8)
    batch = images, shapes[: args.batch_size].reshape(args.batch_size, -1).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        pca = Path(folder) / "pca.npz"
        np.savez(pca, mean=asm.mean_shape_, vectors=asm.components_, values=asm.explained_variance_)
        losses = {
            "plain": "mean_squared_error",
            "plain again": "mean_squared_error",
            "assisted": ASMAssistedLoss(asm),
            "assisted, aligned": ASMAssistedLoss(ActiveShapeModel(0.90, align="procrustes").fit(shapes)),
            "the authors' way, eager": authors_loss(pca),
        }
        jobs: dict[str, Callable[[], Any]] = {}
        for name, loss in losses.items():
            keras.utils.set_random_seed(0)
            model = ASMNet(
                (args.image_size, args.image_size, 3),
                width_multiplier=args.width_multiplier,
                include_pose=False,
            )
            model.compile("adam", loss=loss, run_eagerly="eager" in name)
            jobs[name] = functools.partial(bare_job, model, batch, args.steps)
            jobs[name]()  # compiles it
        slow = {name: job for name, job in jobs.items() if "eager" in name}
        fast = {name: job for name, job in jobs.items() if name not in slow}
        seconds = take_turns(fast, args.rounds)
        some = max(3, args.rounds // 5)
        beside = take_turns({"plain": fast["plain"], **slow}, some)
    return {
        "seconds": seconds,
        "seconds_eager": beside,
        "settings": {
            **{key: vars(args)[key] for key in ("image_size", "batch_size", "width_multiplier", "steps")},
            "components": [
                model.shape_model.n_components
                for model in losses.values()
                if isinstance(model, ASMAssistedLoss)
            ],
        },
    }


# --- Shape models


def menpos_fit(clouds: list[Any]) -> Any:
    """The same by menpo: generalised Procrustes analysis, then the components of the aligned shapes."""
    from menpo.model import PCAModel
    from menpo.transform import GeneralizedProcrustesAnalysis

    analysis = GeneralizedProcrustesAnalysis(clouds)
    return PCAModel([transform.aligned_source() for transform in analysis.transforms])


def covariance_and_eigenvectors(shapes: np.ndarray) -> Any:
    """One covariance product and one eigendecomposition, and nothing else."""
    centred = shapes - shapes.mean(axis=0)
    return np.linalg.eigh(centred.T @ centred / (len(shapes) - 1))


def shapes_part(args: argparse.Namespace) -> dict[str, Any]:
    """Fitting and projecting, against menpo and against bare products."""
    from menpo.shape import PointCloud

    shapes = shapes_of(args)
    flat = shapes.reshape(len(shapes), -1)
    clouds = [PointCloud(shape) for shape in shapes]
    fits: dict[str, Callable[[], Any]] = {
        "fit": lambda: ActiveShapeModel(0.90).fit(flat),
        "product and eigenvectors": lambda: covariance_and_eigenvectors(flat),
        "fit, aligned": lambda: ActiveShapeModel(0.90, align="procrustes").fit(shapes),
        "menpo, aligned": lambda: menpos_fit(clouds),
    }
    few = {name: fits[name] for name in ("fit", "product and eigenvectors")}
    seconds = take_turns(few, 5 * args.rounds)
    seconds_aligned = take_turns(
        {name: fits[name] for name in ("fit, aligned", "menpo, aligned")}, args.rounds
    )

    many = np.tile(flat, (-(-args.many // len(flat)), 1))[: args.many]
    many += np.random.default_rng(0).normal(size=many.shape)
    plain, aligned = (ActiveShapeModel(0.90, align=align).fit(shapes) for align in (None, "procrustes"))
    whole = plain.components_.T @ plain.components_
    projections: dict[str, Callable[[], Any]] = {
        "project": lambda: plain.project(many),
        "a @ b": lambda: many @ whole,
        "(a @ b.T) @ b": lambda: (many @ plain.components_.T) @ plain.components_,
        "project, aligned": lambda: aligned.project(many),
    }
    return {
        "seconds": seconds,
        "seconds_aligned": seconds_aligned,
        "seconds_project": take_turns(projections, max(3, args.rounds // 2)),
        "settings": {
            "shapes": len(shapes),
            "projected": args.many,
            "components": [plain.n_components_, aligned.n_components_],
        },
    }


# --- Import


def import_part(args: argparse.Namespace) -> dict[str, Any]:
    """`import keras`, and what `import keras_asm` adds to it; each round in a new process."""
    script = (
        "import time; began = time.process_time(); import keras; middle = time.process_time(); import keras_asm; "
        "print(middle - began, time.process_time() - middle)"
    )
    pairs = []
    for _ in range(args.rounds):
        out = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        pairs.append([float(f"{float(value):.4g}") for value in out.split()[-2:]])
    theirs, ours = zip(*pairs, strict=True)
    return {
        "seconds": {"import keras": list(theirs), "import keras_asm, after it": list(ours)},
        "settings": {},
    }


# --- Feeding

SIZES = ((32, 0.35, 32), (64, 0.35, 32), (96, 0.5, 32), (128, 0.5, 16), (224, 1.0, 8))


def feeding_part(args: argparse.Namespace) -> dict[str, Any]:
    """`fit` with augmented batches against the bare step, and the augmentation against a step, at several sizes."""
    rng = np.random.default_rng(0)
    rows = {}
    for size, width, batch_size in SIZES:
        n = args.steps * batch_size
        images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
        landmarks = rng.uniform(-0.4, 0.4, (n, 68, 2)).astype(np.float32)

        batches, unchanged = (
            LandmarkBatches(images, landmarks, batch_size=batch_size, shuffle=True, augmentation=augmentation)
            for augmentation in (LandmarkAugmentation("300w"), None)
        )
        model = ASMNet((size, size, 3), width_multiplier=width, include_pose=False)
        model.compile("adam", loss="mse")
        on_tensorflow = keras.config.backend() == "tensorflow"
        fed, fed_unchanged = (
            each.to_tf_dataset(repeat=True) if on_tensorflow else each for each in (batches, unchanged)
        )
        steps = args.steps if on_tensorflow else None

        def fit(data: Any, model: keras.Model = model, steps: int | None = steps) -> None:
            model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0)

        def fit_arrays(
            model: keras.Model = model, batch_size: int = batch_size, data: Any = (images, landmarks)
        ) -> None:
            images, landmarks = data
            model.fit(images, landmarks.reshape(len(images), -1), batch_size=batch_size, epochs=1, verbose=0)

        def augment(batches: LandmarkBatches = batches) -> None:
            for i in range(len(batches)):
                keras.tree.map_structure(np.asarray, batches[i])

        jobs: dict[str, Callable[[], Any]] = {
            "bare steps": functools.partial(bare_job, model, unchanged[0], args.steps),
            "fit": functools.partial(fit, fed),
            "fit, not augmented": functools.partial(fit, fed_unchanged),
            "fit, arrays": fit_arrays,
            "batches alone": augment,
        }
        for job in jobs.values():
            job()
        rows[f"{size} px, width {width}, batches of {batch_size}"] = take_turns(jobs, args.rounds)
        print(f"  {size} px done", flush=True)
    return {"rows": rows, "settings": {"steps": args.steps}}


# --- Faces


def opencv_crops(paths: list[str], boxes: np.ndarray, size: int) -> np.ndarray:
    """The same crops by OpenCV: decode, pad where the square reaches beyond the image, resize with antialiasing."""
    import cv2

    crops = np.empty((len(paths), size, size, 3), np.uint8)
    for i, (path, (x, y, side)) in enumerate(zip(paths, boxes, strict=True)):
        image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        left, top = round(x - side / 2), round(y - side / 2)
        right, bottom = left + round(side), top + round(side)
        height, width = image.shape[:2]
        part = image[max(top, 0) : bottom, max(left, 0) : right]
        above, below = max(-top, 0), max(bottom - height, 0)
        before, after = max(-left, 0), max(right - width, 0)
        if above or below or before or after:
            part = cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_REPLICATE)
        crops[i] = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)
    return crops


def faces_part(args: argparse.Namespace) -> dict[str, Any]:
    """Crops against OpenCV's, and drawn faces against a training step on as many."""
    from PIL import Image

    drawn = synthetic_faces(32, seed=0, image_size=256)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, image in enumerate(drawn.images):
            large = Image.fromarray(image).resize((640, 640))
            paths.append(f"{folder}/{i}.jpg")
            large.save(paths[-1], quality=92)
        dataset = LandmarkDataset(
            tuple(paths), 640 * (drawn.landmarks.astype(np.float64) + 0.5) - 0.5, scheme="300w"
        )
        transform = crop_faces(dataset, 128, verbose=0).transform
        squares = np.column_stack([transform.center, transform.side])
        crops: dict[str, Callable[[], Any]] = {
            "crop_faces": lambda: crop_faces(dataset, 128, verbose=0),
            "OpenCV": lambda: opencv_crops(paths, squares, 128),
        }
        for job in crops.values():
            job()
        seconds_crops = take_turns(crops, args.rounds)
    model = ASMNet((96, 96, 3), width_multiplier=0.5, include_pose=False)
    model.compile("adam", loss="mse")
    batch = drawn.images[:, :96, :96], drawn.landmarks.reshape(32, -1)
    jobs: dict[str, Callable[[], Any]] = {
        "32 drawn faces": lambda: synthetic_faces(32, seed=1, image_size=96),
        "a step on 32 faces": functools.partial(bare_job, model, batch, 1),
    }
    for job in jobs.values():
        job()
    return {
        "seconds": take_turns(jobs, args.rounds),
        "seconds_crops": seconds_crops,
        "settings": {"faces": 32},
    }


# --- How cost grows


def growth_part(args: argparse.Namespace) -> dict[str, Any]:
    """Processor seconds as one thing grows, the others as they are."""
    rng = np.random.default_rng(0)

    def step(
        size: int, batch_size: int, n_landmarks: int, n_components: int, align: str | None
    ) -> Callable[[], Any]:
        shapes = 0.1 * rng.normal(size=(300, n_landmarks, 2)) + rng.uniform(-0.4, 0.4, (n_landmarks, 2))
        asm = ActiveShapeModel(n_components, align=align).fit(shapes)
        model = ASMNet((size, size, 3), n_landmarks=n_landmarks, width_multiplier=0.35, include_pose=False)
        model.compile("adam", loss=ASMAssistedLoss(asm))
        images = rng.integers(0, 256, (batch_size, size, size, 3), dtype=np.uint8)
        targets = shapes[:batch_size].reshape(batch_size, -1).astype(np.float32)

        def job() -> float:
            return bare_steps(model, (images, targets), 2)[1] / 2

        return job

    def smoothing(n_landmarks: int, n_components: int) -> Callable[[], Any]:
        shapes = rng.normal(size=(1000, n_landmarks, 2)) + rng.uniform(-4, 4, (n_landmarks, 2))
        asm = LinearShapeModel.of(ActiveShapeModel(n_components).fit(shapes))
        return lambda: asm.project(shapes)

    def fit(n: int, align: str | None, n_landmarks: int = 68) -> Callable[[], Any]:
        shapes = rng.normal(size=(n, n_landmarks, 2)) + rng.uniform(-4, 4, (n_landmarks, 2))
        return lambda: ActiveShapeModel(0.90, align=align).fit(shapes)

    grown: dict[str, dict[int, Callable[[], Any]]] = {
        "a step against the image's size, px": {n: step(n, 16, 68, 10, None) for n in (32, 64, 96, 128, 192)},
        "a step against the batch": {n: step(64, n, 68, 10, None) for n in (1, 4, 16, 64)},
        "a step against landmarks": {n: step(64, 16, n, 10, None) for n in (8, 68, 200, 1000)},
        "a step against components": {n: step(64, 16, 68, n, None) for n in (1, 10, 40, 136)},
        "project 1000 shapes against components": {n: smoothing(68, n) for n in (1, 10, 40, 136)},
        "project 1000 shapes against landmarks": {n: smoothing(n, 10) for n in (8, 68, 200, 500)},
        "fit against shapes": {n: fit(n, None) for n in (300, 1000, 3000, 10_000, 30_000)},
        "fit, aligned, against shapes": {n: fit(n, "procrustes") for n in (300, 1000, 3000, 10_000, 30_000)},
        "fit 1000 shapes against landmarks": {n: fit(1000, None, n) for n in (8, 68, 200, 500)},
        "drawn faces of 96 px against their number": {
            n: functools.partial(synthetic_faces, n, seed=0, image_size=96) for n in (4, 16, 64)
        },
    }
    curves = {}
    for name, jobs in grown.items():
        for job in jobs.values():
            job()
        curves[name] = take_turns({str(n): job for n, job in jobs.items()}, max(3, args.rounds // 3))
        print(f"  {name}", flush=True)
    return {"curves": curves, "settings": {}}


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "loss": loss_part,
    "shapes": shapes_part,
    "import": import_part,
    "feeding": feeding_part,
    "faces": faces_part,
    "growth": growth_part,
}


# --- The page


def _cell(low: float, middle: float, high: float, digits: int = 3) -> str:
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def make_tables(results: dict[str, Any]) -> dict[str, str]:
    """Markdown by the names of the blocks of the page."""
    tables = {}
    by_part: dict[str, dict[str, dict[str, Any]]] = {}
    for key, found in results.items():
        part, backend = key.split(" | ")
        by_part.setdefault(part, {})[backend] = found
    for part, rows in {
        "loss": loss_rows,
        "shapes": shapes_rows,
        "import": import_rows,
        "feeding": feeding_rows,
        "faces": faces_rows,
    }.items():
        if part in by_part:
            tables[part] = "\n".join([*rows(by_part[part]), "", said_of_the_run(by_part[part])])
    return tables


def loss_rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """The step's cost with each loss over that with the plain one."""
    names = ["plain again", "assisted", "assisted, aligned"]
    lines = [
        "| backend | plain, a second time | assisted | assisted, aligned | the authors' way, eager |",
        "|---|--:|--:|--:|--:|",
    ]
    for backend, result in found.items():
        cells = [_cell(*ratio(result["seconds"], name, "plain")) for name in names]
        eager = _cell(*ratio(result["seconds_eager"], "the authors' way, eager", "plain"), digits=1)
        lines.append(f"| {backend} | {' | '.join(cells)} | {eager} |")
    return lines


def shapes_rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """Fits and projections over what they are compared with."""
    lines = ["| what | beside | ratio of times (quartiles) |", "|---|---|--:|"]
    for result in found.values():
        n = result["settings"]["projected"]
        for key, of, to, digits in (
            ("seconds", "fit", "product and eigenvectors", 2),
            ("seconds_aligned", "menpo, aligned", "fit, aligned", 1),
            ("seconds_project", "project", "a @ b", 2),
            ("seconds_project", "project", "(a @ b.T) @ b", 2),
            ("seconds_project", "project, aligned", "a @ b", 2),
        ):
            code = [
                f"`{name}`" if "menpo" not in name and "product" not in name else name for name in (of, to)
            ]
            what = f" of {n:,} shapes" if key == "seconds_project" else ""
            lines.append(
                f"| {code[0]}{what} | {code[1]} | {_cell(*ratio(result[key], of, to), digits=digits)} |"
            )
    return lines


def import_rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """What the import adds."""
    lines = ["| backend | `import keras_asm` over `import keras` |", "|---|--:|"]
    for backend, result in found.items():
        lines.append(
            f"| {backend} | {_cell(*ratio(result['seconds'], 'import keras_asm, after it', 'import keras'))} |"
        )
    return lines


def feeding_rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """Bare steps over `fit`, and batches over bare steps."""
    lines = [
        "| backend | network | bare steps : `fit` | not augmented | NumPy arrays, by Keras alone | "
        "augmented batches : bare steps |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for backend, result in found.items():
        for name, seconds in result["rows"].items():
            cells = [
                _cell(*ratio(seconds, of, to))
                for of, to in (
                    ("bare steps", "fit"),
                    ("bare steps", "fit, not augmented"),
                    ("bare steps", "fit, arrays"),
                    ("batches alone", "bare steps"),
                )
            ]
            lines.append(f"| {backend} | {name} | {' | '.join(cells)} |")
    return lines


def faces_rows(found: dict[str, dict[str, Any]]) -> list[str]:
    """Crops over OpenCV's, drawn faces over a step, and faces a second of the processor."""
    lines = ["| what | ratio of times (quartiles) | a second of one core |", "|---|--:|--:|"]
    for result in found.values():
        n = result["settings"]["faces"]
        for key, of, to in (
            ("seconds_crops", "crop_faces", "OpenCV"),
            ("seconds", "32 drawn faces", "a step on 32 faces"),
        ):
            rate = n / float(np.median(result[key][of]))
            lines.append(
                f"| {of} : {to} | {_cell(*ratio(result[key], of, to), digits=2)} | {rate:.0f} faces |"
            )
    return lines


def said_of_the_run(found: dict[str, dict[str, Any]]) -> str:
    """What the numbers hold for."""
    said = []
    for backend, result in found.items():
        packages = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
        settings = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result["settings"].items())
        said.append(
            f"*{backend}*: {result['processor']}, one thread, {result['rounds']} rounds, load {result['load']}; "
            f"{packages}{'; ' if settings else ''}{settings}."
        )
    return " ".join(said)


def draw_growth(results: dict[str, Any], path: Path) -> None:
    """Plot the curves of the part `growth`, one panel each, with both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    (found,) = [result for key, result in results.items() if key.startswith("growth | ")][:1]
    curves = found["curves"]
    rows = -(-len(curves) // 3)
    figure, axes = plt.subplots(rows, 3, figsize=(10, 2.6 * rows), layout="constrained")
    for axis in axes.flat[len(curves) :]:
        axis.remove()
    for axis, (name, seconds) in zip(axes.flat, curves.items(), strict=False):
        x = [int(n) for n in seconds]
        low, middle, high = np.percentile(
            [1e3 * np.asarray(t) for t in seconds.values()], [25, 50, 75], axis=1
        )
        axis.errorbar(
            x, middle, [middle - low, high - middle], marker="o", markersize=3, linewidth=1, color="#3b8fd4"
        )
        axis.set(xscale="log", yscale="log", xticks=x, xticklabels=[f"{n:,}" for n in x])
        # At least a factor of 10, so that what hardly grows looks like it
        centre, factor = (
            math.sqrt(low.min() * high.max()),
            max(1.2 * math.sqrt(high.max() / low.min()), 3.2),
        )
        axis.set_ylim(centre / factor, centre * factor)
        axis.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:g}"))
        for side in (axis.xaxis, axis.yaxis):
            side.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_title(name, fontsize=9, color=INK)
        axis.set_ylabel("ms of the processor", fontsize=8, color=INK)
        axis.tick_params(labelsize=8, colors=INK)
        for spine in axis.spines.values():
            spine.set_color(INK)
    figure.savefig(path, transparent=True)
    plt.close(figure)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--shapes", type=Path, help="an .npz with an array train of shapes")
    parser.add_argument("--many", type=int, default=1_000_000, help="shapes to project")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=5, help="training steps of a turn")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--width-multiplier", type=float, default=0.35)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "speed.json")
    parser.add_argument("--page", type=Path, help="measure nothing; fill this page with the tables")
    parser.add_argument("--figure", type=Path, help="measure nothing; draw how cost grows")
    return parser.parse_args()


def main() -> None:
    """Measure, or show what was measured."""
    args = parse_arguments()
    results = json.loads(args.output.read_text(encoding="utf-8")) if args.output.exists() else {}
    if args.page is not None or args.figure is not None:
        if args.page is not None:
            fill_page(args.page, make_tables(results))
        if args.figure is not None:
            draw_growth(results, args.figure)
        return
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for part in args.parts:
        began = time.perf_counter()
        print(f"{part} on {keras.config.backend()}", flush=True)
        found = PARTS[part](args)
        results[f"{part} | {keras.config.backend()}"] = {
            **found,
            "rounds": args.rounds,
            "processor": processor(),
            "versions": versions(PACKAGES),
            "load": load_average(),
        }
        args.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    for table in make_tables(results).values():
        print(table, end="\n\n")


if __name__ == "__main__":
    main()
