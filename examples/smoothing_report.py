"""Tell how far a shape model moves landmarks, `ASM(G)` from `G`, to choose its accuracy and alignment before training.

    python examples/smoothing_report.py --dataset 300w --root PATH

Prints two Markdown tables of NME in %: for accuracies, on the training faces as they are annotated; and for the
augmentations of `reproduce_paper.py`, on the training faces as a network sees them, and on the upright test faces.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_asm import ActiveShapeModel, LandmarkAugmentation, evaluate_landmarks
from keras_asm.landmarks import LandmarkScheme
from paper.data import add_data_arguments, load_faces, scheme_of
from paper.settings import AUGMENTATIONS, PAPER_ACCURACY

_IMAGE_SIZE = 32  # the images are cropped with the landmarks, but not looked at


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    parser.add_argument("--accuracy", type=float, default=PAPER_ACCURACY, help="of the second table")
    args = parser.parse_args()
    faces = load_faces(args, _IMAGE_SIZE)
    scheme = scheme_of(faces.train)
    print("", *accuracy_table(faces.train.landmarks, scheme), sep="\n")
    print(
        "", *augmentation_table(faces.train.landmarks, faces.test.landmarks, scheme, args.accuracy), sep="\n"
    )


def accuracy_table(landmarks: np.ndarray, scheme: LandmarkScheme) -> list[str]:
    """Lines of the table of accuracies, without and with alignment."""
    reports = [
        ActiveShapeModel(PAPER_ACCURACY, align=align).fit(landmarks).reconstruction_report(landmarks, scheme)
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
