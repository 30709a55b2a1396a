"""The faces of several examples, and the options that name them: drawn ones, or those of 300W."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from keras_asm.datasets import load_300w
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.synthetic import synthetic_faces

__all__ = ["CROP_MARGIN", "add_data_arguments", "hold_out", "load_training_faces", "parse"]

CROP_MARGIN, HELD_OUT = 0.25, 0.2


def add_data_arguments(parser: argparse.ArgumentParser, n_synthetic: int = 1000) -> None:
    """The options that say which faces; `n_synthetic` is the default number of drawn ones."""
    parser.add_argument("--dataset", choices=["synthetic", "300w"], default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of the data set, as it is distributed")
    parser.add_argument(
        "--allow-partial", action="store_true", help="accept a copy in which faces are missing"
    )
    parser.add_argument("--n-synthetic", type=int, default=n_synthetic, help="synthetic faces")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of the command line; a data set on disk needs its folder."""
    args = parser.parse_args()
    if args.dataset != "synthetic" and args.root is None:
        parser.error(f"--dataset {args.dataset} needs --root, its folder")
    return args


def load_training_faces(args: argparse.Namespace) -> FaceCrops:
    """Drawn faces, or 300W's training set."""
    if args.dataset == "synthetic":
        return synthetic_faces(args.n_synthetic, seed=0, image_size=args.image_size)
    dataset = load_300w(args.root, "train", allow_partial=args.allow_partial)
    print(dataset.summary())
    return crop_faces(dataset, args.image_size, margin=CROP_MARGIN)


def hold_out(faces: FaceCrops) -> tuple[FaceCrops, FaceCrops]:
    """Faces to train on, and a fifth that is held out."""
    order = np.random.default_rng(0).permutation(len(faces))
    n_held_out = round(HELD_OUT * len(faces))
    return faces.select(np.sort(order[n_held_out:])), faces.select(np.sort(order[:n_held_out]))
