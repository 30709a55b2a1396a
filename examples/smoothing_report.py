"""Tell how far a shape model moves landmarks, `ASM(G)` from `G`, to choose its accuracy and alignment before training.

    python examples/smoothing_report.py --dataset 300w --root PATH

Prints two Markdown tables of NME in %: for accuracies, on the training faces as they are annotated; and for three
augmentations, on the training faces as a network sees them, and on the upright test faces.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_asm import ActiveShapeModel, LandmarkAugmentation, LandmarkScheme, evaluate_landmarks, get_scheme
from keras_asm.datasets import load_300w, load_wflw
from keras_asm.faces import CropTransform
from keras_asm.synthetic import synthetic_faces

ACCURACY = 0.90
AUGMENTATIONS: dict[str, dict] = {
    "photometric": {"flip": None, "rotation": None, "scale": None, "shift": None},
    "geometric": {"flip": 0.5, "rotation": 15.0, "scale": 0.1, "shift": 0.05},
    "cropped": {"flip": 0.5, "rotation": 30.0, "scale": None, "shift": None, "crop_margin": 0.25},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=["synthetic", "300w", "wflw"], default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of the data set, as it is distributed")
    parser.add_argument(
        "--allow-partial", action="store_true", help="accept a copy in which faces are missing"
    )
    parser.add_argument("--n-synthetic", type=int, default=2000, help="synthetic faces")
    parser.add_argument("--accuracy", type=float, default=ACCURACY, help="of the second table")
    args = parser.parse_args()
    if args.dataset != "synthetic" and args.root is None:
        parser.error(f"--dataset {args.dataset} needs --root, its folder")
    train, test, scheme = load_shapes(args)
    print("", *accuracy_table(train, scheme), sep="\n")
    print("", *augmentation_table(train, test, scheme, args.accuracy), sep="\n")


def load_shapes(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, LandmarkScheme]:
    """Landmarks to fit on and to test on, normalised to their crops; no image is read."""
    if args.dataset == "synthetic":
        sizes = args.n_synthetic, max(args.n_synthetic // 4, 1)
        train, test = (synthetic_faces(n, seed=seed, image_size=32).landmarks for seed, n in enumerate(sizes))
        return train, test, get_scheme("300w")
    load, parts = (load_300w, ("train", "full")) if args.dataset == "300w" else (load_wflw, ("train", "test"))
    faces = [load(args.root, part, allow_partial=args.allow_partial) for part in parts]
    print(*(part.summary() for part in faces), sep="\n")
    train, test = (
        CropTransform.from_landmarks(part.landmarks, 32, margin=0.25).normalize(part.landmarks)
        for part in faces
    )
    return train, test, get_scheme(args.dataset)


def accuracy_table(landmarks: np.ndarray, scheme: LandmarkScheme) -> list[str]:
    """Lines of the table of accuracies, without and with alignment."""
    reports = [
        ActiveShapeModel(ACCURACY, align=align).fit(landmarks).reconstruction_report(landmarks, scheme)
        for align in (None, "procrustes")
    ]
    return [
        "| accuracy | components | NME % | aligned: components | NME % |",
        "|---|---|---|---|---|",
        *(
            f"| {rows[0].accuracy:.0%} | "
            + " | ".join(f"{row.n_components} | {100 * row.mean_error:.2f}" for row in rows)
            + " |"
            for rows in zip(*(report.rows for report in reports), strict=True)
        ),
    ]


def augmentation_table(
    train: np.ndarray, test: np.ndarray, scheme: LandmarkScheme, accuracy: float
) -> list[str]:
    """Lines of the table of augmentations: each cell has the faces as a network sees them, then the test faces."""
    lines = [
        f"| augmentation, {accuracy:.0%} | fitted on upright faces | on augmented ones | on these, aligned |",
        "|---|---|---|---|",
    ]
    for name, options in AUGMENTATIONS.items():
        seen = LandmarkAugmentation(scheme, **options).augment_landmarks(train)
        models = [
            ActiveShapeModel(accuracy).fit(train),
            ActiveShapeModel(accuracy).fit(seen),
            ActiveShapeModel(accuracy, align="procrustes").fit(seen),
        ]
        cells = [
            " / ".join(f"{100 * distance(model, shapes, scheme):.2f}" for shapes in (seen, test))
            for model in models
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def distance(model: ActiveShapeModel, landmarks: np.ndarray, scheme: LandmarkScheme) -> float:
    """Mean NME of `ASM(G)` against `G`, a fraction."""
    return float(evaluate_landmarks(landmarks, model.project(landmarks), scheme=scheme).errors.mean())


if __name__ == "__main__":
    main()
