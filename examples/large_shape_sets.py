"""Fit a shape model on more shapes than memory holds, and project them all: a map-reduce over files of shapes.

    python examples/large_shape_sets.py draw shapes --n-shapes 1000000      # .npy files of 68-point shapes, 544 MB
    python examples/large_shape_sets.py fit shapes model.npz --align procrustes --jobs 2
    python examples/large_shape_sets.py project shapes model.npz projected --jobs 2

The files of your own shapes are `.npy`, `(n_shapes, n_landmarks, 2)`, as large as you like: they are read in batches.
`--engine dask` and `--engine ray` do the same on these. `draw` and `project` go on where they were stopped.
`fit --at-once` reads all files and calls `fit`, to compare with.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import operator
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_asm import ActiveShapeModel
from keras_asm.shape_models import ProcrustesSums
from keras_asm.synthetic import synthetic_faces

ENGINES = ("joblib", "dask", "ray")
BATCH = 4000  # shapes

Map = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]


@contextlib.contextmanager
def processes(engine: str = "joblib", jobs: int = 1) -> Iterator[Map]:
    """A `map` by several processes; results keep their order, so that their sum is the same to the last bit."""
    if engine == "joblib":
        from joblib import Parallel, delayed

        pool = Parallel(n_jobs=jobs, return_as="generator")
        yield lambda function, items: pool(delayed(function)(item) for item in items)
    elif engine == "dask":
        from dask.distributed import Client

        with Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None) as client:
            yield lambda function, items: (future.result() for future in client.map(function, items))
    else:
        import ray

        ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False)
        task = ray.remote(lambda function, item: function(item))
        yield lambda function, items: map(ray.get, [task.remote(function, item) for item in items])
        ray.shutdown()


def fit_model(shards: Sequence[Path], accuracy: float, align: str | None, mapped: Map) -> ActiveShapeModel:
    """The model of the shapes of all files; with alignment they are read twice."""
    reference = functools.reduce(operator.add, mapped(shard_sums, shards)).mean() if align else None
    task = functools.partial(shard_fit, accuracy=accuracy, align=align, reference=reference)
    models = mapped(task, shards)
    return next(models).merge(models)


def batches(shard: Path) -> Iterator[np.ndarray]:
    """The shapes of a file, which stays on disk; small batches are faster than the whole file too."""
    shapes = np.load(shard, mmap_mode="r")
    return (shapes[i : i + BATCH] for i in range(0, len(shapes), BATCH))


def shard_sums(shard: Path) -> ProcrustesSums:
    return functools.reduce(operator.add, map(ProcrustesSums.of, batches(shard)))


def shard_fit(
    shard: Path, accuracy: float, align: str | None, reference: np.ndarray | None
) -> ActiveShapeModel:
    asm = ActiveShapeModel(accuracy, align=align)
    for batch in batches(shard):
        asm.partial_fit(batch, reference=reference)
    return asm


def shard_project(shard: Path, model: Path, folder: Path) -> bool:
    """Whether there was something to do."""
    target = folder / shard.name
    if target.exists() and target.stat().st_mtime >= shard.stat().st_mtime:
        return False
    asm = ActiveShapeModel.load(model)
    with whole_file(target) as part:
        shapes = np.load(shard, mmap_mode="r")
        projected = np.lib.format.open_memmap(part, "w+", shapes.dtype, shapes.shape)
        for i, batch in enumerate(batches(shard)):
            projected[i * BATCH : i * BATCH + len(batch)] = asm.project(batch)
        projected.flush()
    return True


def shard_draw(number: int, n_shapes: int, model: Path, folder: Path) -> bool:
    """Shapes of a model with noise, each turned, scaled and moved; whether there was something to do."""
    target = folder / f"{number:05d}.npy"
    if target.exists():
        return False
    rng = np.random.default_rng(number)
    shapes = ActiveShapeModel.load(model).sample(n_shapes, random_state=number)
    shapes += rng.normal(0, 0.003, shapes.shape)
    factor = rng.normal(1, 0.05, (n_shapes, 1)) * np.exp(1j * rng.normal(0, 0.2, (n_shapes, 1)))
    z = factor * (shapes[..., 0] + 1j * shapes[..., 1]) + rng.normal(0, 0.02, (n_shapes, 2)) @ [[1], [1j]]
    with whole_file(target) as part, open(part, "wb") as file:
        np.save(file, np.stack([z.real, z.imag], axis=-1).astype(np.float32))
    return True


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A file of another name until it is complete, whenever a process is killed."""
    part = target.with_suffix(f".{os.getpid()}.part")
    yield part
    os.replace(part, target)


def main() -> None:
    args = parse_arguments()
    before, began, began_cpu = peak_memory(), time.perf_counter(), time.process_time()
    if args.command == "draw":
        draw(args)
    elif args.command == "fit":
        if args.at_once:
            shapes = np.concatenate([np.load(shard) for shard in args.shards])
            asm = ActiveShapeModel(args.accuracy, align=args.align).fit(shapes)
        else:
            with processes(args.engine, args.jobs) as mapped:
                asm = fit_model(args.shards, args.accuracy, args.align, mapped)
        asm.save(args.model)
        print(f"{asm.n_samples_seen_} shapes, {asm.n_components_} components: {args.model}")
    else:
        # A folder for each model, so that what another one projected is not taken for done
        folder = args.output.resolve() / hashlib.sha256(args.model.read_bytes()).hexdigest()[:12]
        folder.mkdir(parents=True, exist_ok=True)
        task = functools.partial(shard_project, model=args.model.resolve(), folder=folder)
        with processes(args.engine, args.jobs) as mapped:
            done = list(mapped(task, args.shards))
        print(f"{sum(done)} files projected, {len(done) - sum(done)} were there: {folder}")
    print(
        f"{time.perf_counter() - began:.1f} s, of this process {time.process_time() - began_cpu:.1f} s of CPU and "
        f"{peak_memory():.0f} MiB at most, {before:.0f} MiB of them before it began"
    )


def draw(args: argparse.Namespace) -> None:
    """Files of shapes like those of drawn faces."""
    args.shapes.mkdir(parents=True, exist_ok=True)
    model = args.shapes.resolve() / "drawn_from.npz"
    if not model.exists():
        ActiveShapeModel(0.99).fit(synthetic_faces(500, image_size=32).landmarks).save(model)
    task = functools.partial(shard_draw, n_shapes=args.shard_size, model=model, folder=model.parent)
    with processes(args.engine, args.jobs) as mapped:
        done = list(mapped(task, range(args.n_shapes // args.shard_size)))
    print(f"{len(done)} files of {args.shard_size} shapes: {args.shapes}")


def peak_memory() -> float:
    """The most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    drawing, fitting, projecting = (commands.add_parser(name) for name in ("draw", "fit", "project"))
    for command in (drawing, fitting, projecting):
        command.add_argument("shapes", type=Path, help="folder of .npy files")
        command.add_argument("--engine", choices=ENGINES, default="joblib")
        command.add_argument("--jobs", type=int, default=1, help="processes")
    drawing.add_argument("--n-shapes", type=int, default=1_000_000)
    drawing.add_argument("--shard-size", type=int, default=50_000, help="shapes of a file")
    fitting.add_argument("model", type=Path, help="the .npz file to write")
    fitting.add_argument("--accuracy", type=float, default=0.90)
    fitting.add_argument("--align", choices=["procrustes"])
    fitting.add_argument("--at-once", action="store_true", help="one fit on all shapes in memory")
    projecting.add_argument("model", type=Path, help="what fit wrote")
    projecting.add_argument("output", type=Path, help="folder of the projected shapes")
    args = parser.parse_args()
    args.shards = sorted(path.resolve() for path in args.shapes.glob("*.npy"))
    if args.command != "draw" and not args.shards:
        parser.error(f"There are no .npy files in {args.shapes}")
    return args


if __name__ == "__main__":
    main()
