"""Kill jobs at random moments with SIGKILL, start them again, and compare what they end with.

    python examples/benchmarks/kills.py --kills 20                          # of each job
    python examples/benchmarks/kills.py --jobs training --kills 100 --backup keras

A job is started until it ends; each time it is killed after a random part of what it takes undisturbed. When it has
ended, its result is compared with that of an undisturbed one, and it begins again in an empty folder, until there were
so many kills. Prints a table, and fails if a job could not be gone on with, or ended with another result.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import runpy
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import ActiveShapeModel, AlphaStepSchedule, ASMAssistedLoss, LandmarkBatches, LandmarkNet
from keras_asm.callbacks import AtomicBackupAndRestore
from keras_asm.datasets import LandmarkDataset, load_coco, load_pts_folder, write_coco, write_pts_folder
from keras_asm.faces import CropTransform, FaceCrops, crop_faces, label_pose
from keras_asm.synthetic import synthetic_faces

SHAPES_EXAMPLE = Path(__file__).parents[1] / "large_shape_sets.py"


def train(folder: Path, backup: str) -> None:
    """A network of a few thousand weights, with an alpha and an order of the faces that change by the epoch."""
    keras.utils.set_random_seed(0)
    images, landmarks, _ = drawn_faces(folder.parent)
    batches = LandmarkBatches(images, landmarks, batch_size=8, shuffle=True)
    callback: keras.callbacks.Callback
    if backup == "atomic":
        callback = AtomicBackupAndRestore(folder / "backup", batches, delete_checkpoint=False)
    else:
        callback = keras.callbacks.BackupAndRestore(
            str(folder / "backup"), double_checkpoint=True, delete_checkpoint=False
        )
    model = small_network()
    model.compile("adam", {"landmarks": ASMAssistedLoss(ActiveShapeModel(0.9).fit(landmarks))})

    class ServeTheEpoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            batches.epoch = epoch

    model.fit(
        batches,
        epochs=60,
        shuffle=False,
        verbose=0,
        callbacks=[AlphaStepSchedule(), callback, ServeTheEpoch()],
    )
    values = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    (folder / "weights").write_bytes(b"".join(value.tobytes() for value in values))


def trained(folder: Path) -> str:
    return digest(folder / "weights")


def small_network() -> keras.Model:
    images = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    for channels in (8, 16):
        x = keras.layers.Conv2D(channels, 3, 4, activation="relu")(x)
    return LandmarkNet(keras.Model(images, x), include_pose=False)


def tune(folder: Path, backup: str) -> None:
    """KerasTuner's random search over the learning rate."""
    import keras_tuner

    from keras_asm.tuning import Backbone, LandmarkHyperModel

    images, landmarks, _ = drawn_faces(folder.parent)
    transform = CropTransform(np.zeros((len(images), 2)), np.ones(len(images)), images.shape[1])
    faces = FaceCrops(images, landmarks, transform, scheme="300w")
    hypermodel = LandmarkHyperModel(
        faces.select(np.arange(16)),
        faces.select(np.arange(16, 24)),
        epochs=2,
        backbone="small",
        backbones={"small": Backbone(lambda shape, width: small_backbone(), {"last": None})},
        augmentation="none",
        learning_rate=(1e-4, 1e-2),
    )
    tuner = keras_tuner.RandomSearch(
        hypermodel,
        objective=hypermodel.objective,
        max_trials=4,
        seed=1,
        directory=folder,
        project_name="search",
    )
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.search(verbose=0)
    trials = sorted(tuner.oracle.trials.values(), key=lambda trial: trial.trial_id)
    found = [(trial.hyperparameters.values["learning_rate"], trial.score) for trial in trials]
    (folder / "found.json").write_text(json.dumps(found))


def small_backbone() -> keras.Model:
    images = keras.Input((32, 32, 3))
    return keras.Model(
        images, keras.layers.Conv2D(8, 3, 4, activation="relu")(keras.layers.Rescaling(1 / 255)(images))
    )


def tuned(folder: Path) -> str:
    return digest(folder / "found.json")


def fit_shards(folder: Path, backup: str) -> None:
    """Files of shapes drawn, a model fitted on them, and all projected."""
    for arguments in (
        ["draw", "shapes", "--n-shapes", "40000", "--shard-size", "2000"],
        ["fit", "shapes", "model.npz", "--align", "procrustes"],
        ["project", "shapes", "model.npz", "projected"],
    ):
        os.chdir(folder)
        sys.argv = [str(SHAPES_EXAMPLE), *arguments]
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(SHAPES_EXAMPLE), run_name="__main__")


def fitted_shards(folder: Path) -> str:
    return digest(*sorted(folder.glob("shapes/*.npy")), *sorted(folder.glob("projected/*/*.npy")))


def crop(folder: Path, backup: str) -> None:
    """Crops kept on disk, which a second call must find."""
    faces = faces_on_disk(folder.parent)
    crops = crop_faces(faces, image_size=96, cache=folder / "crops")
    (folder / "crops.sha256").write_text(hashlib.sha256(crops.images.tobytes()).hexdigest())


def cropped(folder: Path) -> str:
    direct = crop_faces(faces_on_disk(folder.parent), image_size=96)
    (entry,) = (path for path in (folder / "crops").glob("crops-*") if path.suffix == "")
    kept = np.load(entry / "images.npy")
    assert (kept == direct.images).all()
    return digest(folder / "crops.sha256")


def label(folder: Path, backup: str) -> None:
    """Poses kept as they are found, annotations written as COCO and as a folder of .pts files."""
    faces = faces_on_disk(folder.parent)

    def teacher(images: np.ndarray) -> np.ndarray:
        time.sleep(0.2)
        return images.reshape(len(images), -1, 3).mean(axis=1, dtype=np.float64)

    faces = label_pose(
        faces,
        teacher,
        cache=folder / "poses.npz",
        teacher_name="mean",
        batch_size=16,
        image_size=32,
        verbose=0,
    )
    np.save(folder / "poses.npy", np.asarray(faces.pose))
    for _ in range(20):
        write_coco(folder / "faces.json", faces)
    if (folder / "pts").exists():
        load_pts_folder(folder / "pts")  # whole
        shutil.rmtree(folder / "pts")
    write_pts_folder(folder / "pts", faces)


def labelled(folder: Path) -> str:
    faces = faces_on_disk(folder.parent)
    assert np.allclose(load_coco(folder / "faces.json").landmarks, faces.landmarks)
    assert np.allclose(load_pts_folder(folder / "pts").landmarks, faces.landmarks, atol=1e-5)
    return digest(folder / "poses.npy", folder / "faces.json", *sorted((folder / "pts").glob("*.pts")))


def drawn_faces(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, normalised landmarks and those in pixels, drawn once."""
    path = folder / "faces.npz"
    if not path.exists():
        drawn = synthetic_faces(32, seed=3, image_size=32)
        np.savez(path, images=drawn.images, landmarks=drawn.landmarks, pixels=drawn.source_landmarks)
    with np.load(path) as file:
        return file["images"], file["landmarks"], file["pixels"]


def faces_on_disk(folder: Path) -> LandmarkDataset:
    """Drawn faces as image files, each of them four times."""
    from PIL import Image

    images, _, pixels = drawn_faces(folder)
    photos = folder / "images"
    if not photos.exists():
        photos.mkdir()
        for i in range(4 * len(images)):
            Image.fromarray(images[i % len(images)]).resize((480, 480)).save(photos / f"{i:03d}.png")
    paths = tuple(sorted(map(str, photos.glob("*.png"))))
    landmarks = np.tile(15 * pixels + 7, (4, 1, 1))
    return LandmarkDataset(paths, landmarks, scheme="300w", names=tuple(Path(path).stem for path in paths))


def digest(*paths: Path) -> str:
    assert paths
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


@dataclasses.dataclass
class Job:
    """What is killed, and what it ends with."""

    run: Callable[[Path, str], None]
    result: Callable[[Path], str]


JOBS = {
    "training": Job(train, trained),
    "tuner": Job(tune, tuned),
    "shards": Job(fit_shards, fitted_shards),
    "crops": Job(crop, cropped),
    "labels": Job(label, labelled),
}


def attempt(name: str, folder: str, backup: str) -> None:
    """In a process of its own; an error ends it with another exit code than 0."""
    JOBS[name].run(Path(folder), backup)


def start(name: str, folder: Path, backup: str) -> BaseProcess:
    folder.mkdir(exist_ok=True)
    process = multiprocessing.get_context("forkserver").Process(
        target=attempt, args=(name, str(folder), backup)
    )
    process.start()
    return process


@dataclasses.dataclass
class Tally:
    """What became of a job."""

    kills: int = 0
    ended: int = 0
    same: int = 0
    stuck: int = 0
    left: int = 0


def kill_at_random(
    name: str, kills: int, work: Path, rng: np.random.Generator, backup: str = "atomic"
) -> Tally:
    """Kill a job until there were so many kills, and compare all that ended."""
    undisturbed, folder = work / "undisturbed", work / "killed"
    faces_on_disk(work)
    for _ in range(2):  # the first one may be slower
        shutil.rmtree(undisturbed, ignore_errors=True)
        began = time.monotonic()
        process = start(name, undisturbed, backup)
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"{name} fails without a kill")
        whole = time.monotonic() - began
    expected = JOBS[name].result(undisturbed)
    tally = Tally()
    while tally.kills < kills or folder.exists():
        process = start(name, folder, backup)
        # The last one is left to end
        process.join(rng.uniform(0, whole) if tally.kills < kills else None)
        if process.exitcode is None:
            process.kill()
            process.join()
            tally.kills += 1
            continue
        if process.exitcode == 0:
            tally.ended += 1
            tally.same += JOBS[name].result(folder) == expected
            names = {path.relative_to(folder) for path in folder.rglob("*")}
            tally.left += len(names - {path.relative_to(undisturbed) for path in undisturbed.rglob("*")})
        else:
            tally.stuck += 1
        shutil.rmtree(folder)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--kills", type=int, default=20, help="of each job")
    parser.add_argument(
        "--backup", choices=["atomic", "keras"], default="atomic", help="what training goes on from"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__, "keras_tuner"])
    rng = np.random.default_rng(args.seed)
    print(
        "| job | kills | ended | same result | could not go on | files left over |\n|---|--:|--:|--:|--:|--:|",
        flush=True,
    )
    good = True
    for name in args.jobs:
        with tempfile.TemporaryDirectory() as work:
            tally = kill_at_random(name, args.kills, Path(work), rng, args.backup)
        cells = dataclasses.astuple(tally)
        print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
        good &= tally.ended == tally.same and not tally.stuck
    sys.exit(not good)


if __name__ == "__main__":
    main()
