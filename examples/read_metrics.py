"""Read the same predictions by several measures, and see what the choice changes.

    python examples/read_metrics.py                                # drawn faces
    python examples/read_metrics.py --dataset 300w --root PATH     # 300W's test faces

The two networks that come with the package predict the landmarks of faces that neither was trained on. Prints the
scores by each normaliser, the interval of the mean over other images like these (a bootstrap), and the errors of the
parts of the face and of head poses.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from example_faces import CROP_MARGIN, add_data_arguments, parse

from keras_asm import LandmarkPredictor, evaluate_landmarks, get_scheme
from keras_asm.datasets import load_300w
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.landmarks import NORMALIZERS
from keras_asm.metrics import area_under_ced, failure_rate
from keras_asm.pose import GeometricPoseEstimator
from keras_asm.synthetic import synthetic_faces

NETWORKS = ("asmnet-photos", "asmnet-drawn")
TURNED = {
    "up to 15": (0, 15),
    "15 to 30": (15, 30),
    "30 to 45": (30, 45),
    "above 45": (45, 180),
}  # yaw, degrees
N_RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser, n_synthetic=400)
    args = parse(parser)
    predicted, true, yaw = predictions(args)
    errors = {
        network: {by: evaluate_landmarks(true, points, "300w", by).errors for by in NORMALIZERS}
        for network, points in predicted.items()
    }
    print(f"{len(true)} faces; errors in %\n")
    print_scores(errors)
    print_parts(predicted, true)
    print_poses(errors, yaw)


def predictions(args: argparse.Namespace) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Landmarks by each network, the true ones, and by how many degrees each head is turned to a side."""
    predicted = {}
    for network in NETWORKS:
        predictor = LandmarkPredictor(network, detector=None)
        faces = load_test_faces(args, predictor.info.image_size)
        predicted[network] = predictor.predict_crops(faces.images)[0]
    pose = GeometricPoseEstimator("300w")(faces.landmarks) if faces.pose is None else faces.pose
    return predicted, faces.landmarks, np.abs(pose[:, 0])


def load_test_faces(args: argparse.Namespace, image_size: int) -> FaceCrops:
    """Faces that neither network was trained on."""
    if args.dataset == "synthetic":
        return synthetic_faces(args.n_synthetic, seed=2, image_size=image_size)
    dataset = load_300w(args.root, "full", allow_partial=args.allow_partial)
    return crop_faces(dataset, image_size, margin=CROP_MARGIN, verbose=0)


def print_scores(errors: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Every score by every normaliser, with the interval of the mean."""
    print("| network | divided by | NME | 95 % of it | median | FR at 10 | FR at 8 | AUC to 10 |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for network, of_network in errors.items():
        for by, e in of_network.items():
            low, high = interval_of_the_mean(e)
            cells = [
                f"{100 * e.mean():.2f}",
                f"{100 * low:.2f} to {100 * high:.2f}",
                f"{100 * np.median(e):.2f}",
                *(f"{100 * failure_rate(e, threshold):.1f}" for threshold in (0.1, 0.08)),
                f"{area_under_ced(e):.3f}",
            ]
            print(f"| {network} | {by} | {' | '.join(cells)} |")


def interval_of_the_mean(errors: np.ndarray) -> np.ndarray:
    """Where 95 % of the means over faces lie that are drawn anew from these, with replacement."""
    rng = np.random.default_rng(0)
    means = [rng.choice(errors, len(errors)).mean() for _ in range(N_RESAMPLES)]
    return np.percentile(means, [2.5, 97.5])


def print_parts(predicted: Mapping[str, np.ndarray], true: np.ndarray) -> None:
    """Errors of the parts of the face, each divided by the size of the whole face."""
    scheme = get_scheme("300w")
    print(f"\n| part, inter-ocular | {' | '.join(predicted)} |\n|---|{'--:|' * len(predicted)}")
    for part, indices in scheme.groups.items():
        only = np.zeros(true.shape[:2])
        only[:, list(indices)] = 1.0
        cells = [
            f"{100 * evaluate_landmarks(true, points, scheme, weights=only).errors.mean():.2f}"
            for points in predicted.values()
        ]
        print(f"| {part.replace('_', ' ')} | {' | '.join(cells)} |")


def print_poses(errors: Mapping[str, Mapping[str, np.ndarray]], yaw: np.ndarray) -> None:
    """Errors by how far the head is turned, for each normaliser: what it makes of turned heads."""
    columns = [(network, by) for network in errors for by in NORMALIZERS]
    print(f"\n| yaw | faces | {' | '.join(f'{network}, {by}' for network, by in columns)} |")
    print(f"|---|--:|{'--:|' * len(columns)}")
    for name, (low, high) in TURNED.items():
        faces = (yaw >= low) & (yaw < high)
        if faces.any():
            cells = [f"{100 * errors[network][by][faces].mean():.2f}" for network, by in columns]
            print(f"| {name} | {faces.sum()} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
