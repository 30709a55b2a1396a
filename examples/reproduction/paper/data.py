"""The faces that a run trains on and is tested on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm import ActiveShapeModel
from keras_asm.datasets import LandmarkDataset, load_300w, load_aflw2000_3d, load_wflw, load_youtube_faces
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.landmarks import LandmarkScheme, get_scheme, normalizing_distance
from keras_asm.pose import GeometricPoseEstimator
from keras_asm.synthetic import synthetic_faces
from paper.settings import CROP_MARGIN

__all__ = [
    "DATASETS",
    "SPARSE_LANDMARKS",
    "Faces",
    "add_data_arguments",
    "load_faces",
    "scheme_of",
    "split_aflw2000",
]

DATASETS = {
    "300w": "300W",
    "wflw": "WFLW",
    "youtube_faces": "YouTube Faces",
    "aflw2000": "AFLW2000-3D",
    "synthetic": "synthetic faces",
    "several": "300W, AFLW2000-3D, YouTube Faces and WFLW",
}

# Ends and middles of the parts of a face: as many points as COFW has
SPARSE_LANDMARKS = (
    *(0, 8, 16),
    *(17, 19, 21, 22, 24, 26),
    *(27, 30, 31, 33, 35),
    *(36, 37, 39, 41, 42, 44, 45, 46),
    *(48, 50, 52, 54, 57, 62, 66),
)
"""The 29 of 68 landmarks that sparsely annotated faces have."""

_COMPLETING_ACCURACY = 0.99  # variance of the shape model that completes or cleans
_N_DRAWN_SHAPES = 1000  # that it cleans by
_TRAINING_FRACTION = 0.8  # of the sets that come without a split of their own

_Split = tuple[LandmarkDataset, LandmarkDataset, tuple[str, ...]]  # training, test, names of subsets


def scheme_of(faces: FaceCrops) -> LandmarkScheme:
    """The landmark scheme of faces, by their number of landmarks where they name none."""
    return get_scheme(faces.landmarks.shape[1] if faces.scheme is None else faces.scheme)


@dataclass(frozen=True)
class Faces:
    """A training set and its test set.

    Attributes:
        train: the faces to train on, those of another data set last.
        test: the faces to test on.
        subsets: those of the test set, by name, as indices; only what is complete on disk, or said to be partial.
        notes: what a reader of the numbers should know about the data.
        n_extra: how many of `train` are of another data set.
        pose_test: faces of AFLW2000-3D, whose head pose is known, not a teacher's; None: not asked for.
        pose_subsets: those of `pose_test`, by name, as indices.
    """

    train: FaceCrops
    test: FaceCrops
    subsets: dict[str, np.ndarray]
    notes: tuple[str, ...] = field(default=())
    n_extra: int = 0
    pose_test: FaceCrops | None = None
    pose_subsets: dict[str, np.ndarray] = field(default_factory=dict)

    def limited(self, max_train_faces: int | None) -> Faces:
        """With so many training faces of its own only, the same ones every time."""
        own, extra = self._own_and_extra()
        if max_train_faces is None or max_train_faces >= len(own):
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(own)[:max_train_faces])
        return replace(self, train=self.train.select(np.concatenate([chosen, extra])))

    def repeated(self, times: int) -> Faces:
        """With its own training faces so many times, and those of another data set once."""
        own, extra = self._own_and_extra()
        return self if times == 1 else replace(self, train=self.train.select([*np.tile(own, times), *extra]))

    def held_out(self, fraction: float | None) -> Faces:
        """With a part of its own training faces to test on, the same ones every time, instead of the test set.

        What is chosen by the errors on these faces was not chosen by the test set's.
        """
        if fraction is None:
            return self
        own, extra = self._own_and_extra()
        order = np.random.default_rng(0).permutation(own)
        n_held_out = round(fraction * len(order))
        test, train = (np.sort(part) for part in np.split(order, [n_held_out]))
        return replace(
            self,
            train=self.train.select(np.concatenate([train, extra])),
            test=self.train.select(test),
            subsets={"held_out": np.arange(n_held_out)},
        )

    def with_label_noise(self, fraction: float | None) -> Faces:
        """With careless annotations of the training faces, the same ones every time.

        Gaussian noise on each coordinate, of so large a standard deviation, where each face's distance between the
        outer eye corners is 1. The test faces stay as they are.
        """
        if fraction is None:
            return self
        landmarks = self.train.landmarks
        size = normalizing_distance(landmarks, self.train.scheme)[:, None, None]
        noise = fraction * size * np.random.default_rng(0).normal(size=landmarks.shape)
        return replace(self, train=replace(self.train, landmarks=(landmarks + noise).astype(np.float32)))

    def cleaned(self, how: str | None, label_noise: float | None) -> Faces:
        """With what a shape model expects the training landmarks to be, noise of so large a standard deviation known.

        The shape model is aligned, and of drawn faces, whose heads were fitted to the training faces of 300W.
        """
        if how is None or label_noise is None:
            return self
        asm = ActiveShapeModel(_COMPLETING_ACCURACY, align="procrustes")
        asm.fit(synthetic_faces(_N_DRAWN_SHAPES, seed=0, image_size=32).landmarks)
        landmarks = self.train.landmarks
        size = normalizing_distance(landmarks, self.train.scheme)[:, None]
        expected = asm.posterior_mean(landmarks, label_noise * size)
        return replace(self, train=replace(self.train, landmarks=expected))

    def with_missing(self, missing: float | None, sparse: float | None) -> Faces:
        """With partly annotated training faces, the same ones every time; the test faces stay as they are.

        Args:
            missing: fraction of the landmarks that every face lacks, at random.
            sparse: fraction of the faces that have `SPARSE_LANDMARKS` only.
        """
        if missing is None and sparse is None:
            return self
        n_faces, n_landmarks = self.train.landmarks.shape[:2]
        rng = np.random.default_rng(0)
        gone = rng.random((n_faces, n_landmarks)).argsort(axis=1) < round((missing or 0) * n_landmarks)
        few = rng.permutation(n_faces)[: round((sparse or 0) * n_faces)]
        gone[np.ix_(few, np.setdiff1d(np.arange(n_landmarks), SPARSE_LANDMARKS))] = True
        landmarks = np.where(gone[..., None], np.float32(np.nan), self.train.landmarks)
        return replace(self, train=replace(self.train, landmarks=landmarks))

    def completed(self, how: str | None) -> Faces:
        """With what is done about training faces of which landmarks are missing, one of `COMPLETIONS`.

        The shape model is aligned, and learns from what is there of these very faces.
        """
        if how is None:
            return self
        landmarks = self.train.landmarks
        if how == "shape_model":
            asm = ActiveShapeModel(_COMPLETING_ACCURACY, align="procrustes").fit(landmarks)
            return replace(self, train=replace(self.train, landmarks=asm.complete(landmarks)))
        whole = ~np.isnan(landmarks).any(axis=(1, 2))
        _, extra = self._own_and_extra()
        return replace(self, train=self.train.select(whole), n_extra=int(whole[extra].sum()))

    def with_teacher(self, landmarks: np.ndarray) -> Faces:
        """With the mean of the annotations and a teacher's predictions for the training faces to train on."""
        mean = (self.train.landmarks + landmarks.reshape(self.train.landmarks.shape)) / 2
        return replace(self, train=replace(self.train, landmarks=mean.astype(np.float32)))

    def _own_and_extra(self) -> tuple[np.ndarray, np.ndarray]:
        own, extra = np.split(np.arange(len(self.train)), [len(self.train) - self.n_extra])
        return own, extra

    def summary(self) -> dict[str, Any]:
        """Counts and notes, ready for JSON."""
        return {
            "train": len(self.train),
            "test": len(self.test),
            "subsets": {name: len(indices) for name, indices in self.subsets.items()},
            **({"extra": self.n_extra} if self.n_extra else {}),
            "pose": self.train.pose is not None,
            "notes": list(self.notes),
        }


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the faces are: what every command that reads them has in common."""
    parser.add_argument("--root", type=Path, help="folder of the data set, as it is distributed")
    parser.add_argument(
        "--allow-partial", action="store_true", help="accept a copy in which faces are missing"
    )
    parser.add_argument("--extra-root", type=Path, help="folder of the extra data set")
    parser.add_argument("--cache", type=Path, help="folder for crops, where they do not fit in memory")
    parser.add_argument("--n-synthetic", type=int, default=2000, help="synthetic faces to train on")
    parser.add_argument(
        "--pose-root",
        type=Path,
        help="folder of AFLW2000-3D, to test the head pose on faces where it is known",
    )


def load_faces(
    args: argparse.Namespace,
    dataset: str,
    image_size: int,
    *,
    extra_dataset: str | None = None,
    pose: bool = True,
) -> Faces:
    """Read and crop a data set from where `add_data_arguments` says that it is.

    Args:
        args: of the command.
        dataset: its name, one of `DATASETS`.
        image_size: pixels of a crop's side.
        extra_dataset: whose training faces are trained on too.
        pose: whether head poses are needed: training faces without one are then left out, if any has one.

    Raises:
        SystemExit: A data set on disk is asked for without its folder, or the extra data set does not fit.
        DatasetError: The folder does not hold it, or only in part and `--allow-partial` is not given.
    """
    faces = _read(args, dataset, image_size, extra_dataset, pose)
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


def _read(
    args: argparse.Namespace, dataset: str, image_size: int, extra_dataset: str | None, pose: bool
) -> Faces:
    if dataset == "synthetic":
        if extra_dataset is not None:
            raise SystemExit("extra_dataset goes with a data set on disk. Received: dataset synthetic")
        return _synthetic(args.n_synthetic, image_size)
    if dataset == "several":
        return _several(args, image_size)
    train, test, names = _load(dataset, "--root", args.root, args.allow_partial)
    trained_on = [train]
    if extra_dataset is not None:
        trained_on.append(_extra(args, extra_dataset, train, pose))
    notes = []
    for part in (*trained_on, test):
        print(part.summary())
        notes += [f"{part.title}: {note}" for note in part.notes]
    if pose and train.has_pose.any():
        for part in trained_on:
            if not part.has_pose.all():
                notes.append(f"{part.title}: {int((~part.has_pose).sum())} faces without pose left out")
        trained_on = [part.select(part.has_pose) for part in trained_on]
    train = LandmarkDataset.concatenate(trained_on)
    subsets = {name: np.flatnonzero(test.subsets[name]) for name in names if name in test.subsets}
    return Faces(
        train=crop_faces(train, image_size, margin=CROP_MARGIN, cache=args.cache),
        test=crop_faces(test, image_size, margin=CROP_MARGIN, cache=args.cache),
        subsets=subsets or {"test": np.arange(len(test))},
        notes=tuple(notes),
        n_extra=sum(map(len, trained_on[1:])),
    )


def _load(dataset: str, option: str, root: Path | None, allow_partial: bool) -> _Split:
    if dataset not in _LOADERS:
        raise SystemExit(f"Expected a data set of {list(DATASETS)}. Received: {dataset!r}")
    if root is None:
        raise SystemExit(f"{DATASETS[dataset]} needs {option}, its folder")
    return _LOADERS[dataset](root, allow_partial)


def _extra(args: argparse.Namespace, dataset: str, train: LandmarkDataset, pose: bool) -> LandmarkDataset:
    """The training faces of the extra data set, which must go with the others."""
    if dataset == "aflw2000" and args.pose_root is not None:
        raise SystemExit("--pose-root tests on AFLW2000-3D. Received: extra_dataset aflw2000, to train on")
    extra, _, _ = _load(dataset, "--extra-root", args.extra_root, args.allow_partial)
    if extra.scheme != train.scheme:
        raise SystemExit(
            f"extra_dataset must have the landmarks of dataset, {train.scheme}. Received: {extra.scheme}"
        )
    if pose and train.has_pose.any() and not extra.has_pose.any():
        raise SystemExit(
            f"{train.title} has head poses, which a run trains on, and {extra.title} has none. "
            "`label_pose` of keras_asm.faces makes a pose.csv for it, and pose_weight 0 needs none"
        )
    return extra


def _synthetic(n: int, image_size: int) -> Faces:
    train = synthetic_faces(n, seed=0, image_size=image_size)
    test = synthetic_faces(max(n // 4, 1), seed=1, image_size=image_size)
    return Faces(train, test, {"test": np.arange(len(test))}, ("synthetic faces, seeds 0 and 1",))


def split_aflw2000(
    root: Path, allow_partial: bool, reannotated: bool = False
) -> tuple[LandmarkDataset, LandmarkDataset]:
    """AFLW2000-3D, which has no split of its own, in faces to train on and faces to test on."""
    faces = load_aflw2000_3d(root, reannotated=reannotated, allow_partial=allow_partial).subset("within_99")
    order = np.random.default_rng(0).permutation(len(faces))
    n_train = round(_TRAINING_FRACTION * len(faces))
    train, test = (faces.select(np.sort(part)) for part in np.split(order, [n_train]))
    return train, test


def _several(args: argparse.Namespace, image_size: int) -> Faces:
    """Every real face at hand, each with a head pose, but for 300W's test set and a part of AFLW2000-3D to test on.

    Of YouTube Faces a person in five stays out, as everywhere, and a frame in five of the others is taken: the frames
    of a person are much alike. The few faces of WFLW are of its test set, mapped to 68 landmarks.
    """
    if args.root is None:
        raise SystemExit("several data sets need --root, the folder that holds 300w, AFLW2000 and so on")
    known, pose_test = split_aflw2000(args.root / "AFLW2000", args.allow_partial, reannotated=True)
    frames, _, _ = _youtube_faces(args.root / "youtube_faces_68", args.allow_partial)
    frames = frames.select(np.arange(0, len(frames), 5))
    train, test, names = _300w(args.root / "300w", args.allow_partial)
    wflw = load_wflw(args.root / "wflw_sample", "test", allow_partial=args.allow_partial).to_scheme("300w")
    wflw = replace(wflw, pose=GeometricPoseEstimator("300w")(wflw.landmarks), subsets={})
    parts = [part.select(part.has_pose) for part in (train, known, frames, wflw)]
    for part in (*parts, test, pose_test):
        print(part.summary())
    return Faces(
        train=crop_faces(
            LandmarkDataset.concatenate(parts), image_size, margin=CROP_MARGIN, cache=args.cache
        ),
        test=crop_faces(test, image_size, margin=CROP_MARGIN, cache=args.cache),
        subsets={name: np.flatnonzero(test.subsets[name]) for name in names if name in test.subsets},
        notes=tuple(f"{len(part)} faces of {part.title}" for part in parts),
        n_extra=sum(map(len, parts[1:])),
        pose_test=crop_faces(pose_test, image_size, margin=CROP_MARGIN, cache=args.cache),
        pose_subsets={name: np.flatnonzero(mask) for name, mask in pose_test.subsets.items()},
    )


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
    return *split_aflw2000(root, allow_partial), ()


_LOADERS: dict[str, Callable[[Path, bool], _Split]] = {
    "300w": _300w,
    "wflw": _wflw,
    "youtube_faces": _youtube_faces,
    "aflw2000": _aflw2000,
}
