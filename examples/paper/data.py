"""The faces that a run trains on and is tested on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.datasets import (
    FaceCrops,
    LandmarkDataset,
    crop_faces,
    load_300w,
    load_aflw2000_3d,
    load_wflw,
    load_youtube_faces,
    synthetic_faces,
)

CROP_MARGIN = 0.25  # of every crop
_TRAINING_FRACTION = 0.8  # of the sets that come without a split of their own


@dataclass(frozen=True)
class Faces:
    """A training set and its test set.

    Attributes:
        train: the faces to train on.
        test: the faces to test on.
        subsets: those of the test set, by name, as indices; only what is complete on disk, or said to be partial.
        notes: what a reader of the numbers should know about the data.
        pose_test: faces of AFLW2000-3D, whose head pose is known, not a teacher's; None: not asked for.
        pose_subsets: those of `pose_test`, by name, as indices.
    """

    train: FaceCrops
    test: FaceCrops
    subsets: dict[str, np.ndarray]
    notes: tuple[str, ...] = field(default=())
    pose_test: FaceCrops | None = None
    pose_subsets: dict[str, np.ndarray] = field(default_factory=dict)

    def limited(self, max_train_faces: int | None) -> Faces:
        """With so many training faces only, the same ones every time."""
        if max_train_faces is None or max_train_faces >= len(self.train):
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.train))[:max_train_faces])
        return replace(self, train=self.train.select(chosen))

    def held_out(self, fraction: float | None) -> Faces:
        """With a part of the training faces to test on, the same ones every time, instead of the test set.

        What is chosen by the errors on these faces was not chosen by the test set's.
        """
        if fraction is None:
            return self
        order = np.random.default_rng(0).permutation(len(self.train))
        n_held_out = round(fraction * len(order))
        test, train = (self.train.select(np.sort(part)) for part in np.split(order, [n_held_out]))
        return replace(self, train=train, test=test, subsets={"held_out": np.arange(n_held_out)})

    def summary(self) -> dict[str, Any]:
        """Counts and notes, ready for JSON."""
        return {
            "train": len(self.train),
            "test": len(self.test),
            "subsets": {name: len(indices) for name, indices in self.subsets.items()},
            "pose": self.train.pose is not None,
            "notes": list(self.notes),
        }


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command that reads faces has in common."""
    parser.add_argument("--dataset", choices=[*_LOADERS, "synthetic"], default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of the data set, as it is distributed")
    parser.add_argument(
        "--allow-partial", action="store_true", help="accept a copy in which faces are missing"
    )
    parser.add_argument("--cache", type=Path, help="folder for crops, where they do not fit in memory")
    parser.add_argument("--n-synthetic", type=int, default=2000, help="synthetic faces to train on")
    parser.add_argument(
        "--pose-root",
        type=Path,
        help="folder of AFLW2000-3D, to test the head pose on faces where it is known",
    )


def load_faces(args: argparse.Namespace, image_size: int) -> Faces:
    """Read and crop what `add_data_arguments` asks for.

    Raises:
        SystemExit: A data set on disk is asked for without its folder.
        DatasetError: The folder does not hold it, or only in part and `--allow-partial` is not given.
    """
    faces = _read(args, image_size)
    if args.pose_root is None:
        return faces
    known = load_aflw2000_3d(args.pose_root, allow_partial=args.allow_partial).subset("within_99")
    print(known.summary())
    return replace(
        faces,
        notes=(*faces.notes, *(f"{known.title}: {note}" for note in known.notes)),
        pose_test=crop_faces(known, image_size, margin=CROP_MARGIN, cache=args.cache),
        pose_subsets={name: np.flatnonzero(mask) for name, mask in known.subsets.items()},
    )


def _read(args: argparse.Namespace, image_size: int) -> Faces:
    if args.dataset == "synthetic":
        return _synthetic(args.n_synthetic, image_size)
    if args.root is None:
        raise SystemExit(f"--dataset {args.dataset} needs --root, its folder")
    train, test, names = _LOADERS[args.dataset](args.root, args.allow_partial)
    notes = []
    for part in (train, test):
        print(part.summary())
        notes += [f"{part.title}: {note}" for note in part.notes]
    if train.has_pose.any() and not train.has_pose.all():
        notes.append(f"{train.title}: {int((~train.has_pose).sum())} faces without pose left out")
        train = train.select(train.has_pose)
    subsets = {name: np.flatnonzero(test.subsets[name]) for name in names if name in test.subsets}
    return Faces(
        train=crop_faces(train, image_size, margin=CROP_MARGIN, cache=args.cache),
        test=crop_faces(test, image_size, margin=CROP_MARGIN, cache=args.cache),
        subsets=subsets or {"test": np.arange(len(test))},
        notes=tuple(notes),
    )


def _synthetic(n: int, image_size: int) -> Faces:
    train = synthetic_faces(n, seed=0, image_size=image_size)
    test = synthetic_faces(max(n // 4, 1), seed=1, image_size=image_size)
    return Faces(train, test, {"test": np.arange(len(test))}, ("synthetic faces, seeds 0 and 1",))


_Split = tuple[LandmarkDataset, LandmarkDataset, tuple[str, ...]]


def _300w(root: Path, allow_partial: bool) -> _Split:
    options = {"pose": (root / "pose.csv").is_file(), "allow_partial": allow_partial}
    test = [load_300w(root, "full", **options)]
    if any((root / parent / "01_Indoor").is_dir() for parent in ("", "300W")):
        test.append(load_300w(root, "private", **options))
    subsets = ("common", "challenging", "full", "private")
    return load_300w(root, "train", **options), LandmarkDataset.concatenate(test), subsets


def _wflw(root: Path, allow_partial: bool) -> _Split:
    test = load_wflw(root, "test", allow_partial=allow_partial)
    return load_wflw(root, "train", allow_partial=allow_partial), test, tuple(test.subsets)


def _youtube_faces(root: Path, allow_partial: bool) -> _Split:
    # The published split has the same people on both sides
    pose = (root / "pose.csv").is_file()
    faces = load_youtube_faces(root, pose=pose, allow_partial=allow_partial)
    return *faces.split_by_group(_TRAINING_FRACTION), ()


def _aflw2000(root: Path, allow_partial: bool) -> _Split:
    faces = load_aflw2000_3d(root, allow_partial=allow_partial)
    faces = faces.select(faces.subsets["within_99"])
    order = np.random.default_rng(0).permutation(len(faces))
    n_train = round(_TRAINING_FRACTION * len(faces))
    return faces.select(np.sort(order[:n_train])), faces.select(np.sort(order[n_train:])), ()


_LOADERS: dict[str, Callable[[Path, bool], _Split]] = {
    "300w": _300w,
    "wflw": _wflw,
    "youtube_faces": _youtube_faces,
    "aflw2000": _aflw2000,
}
