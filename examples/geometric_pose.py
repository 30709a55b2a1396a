"""Measure the geometric teacher of head pose on AFLW2000-3D.

    python examples/geometric_pose.py --root PATH/AFLW2000

Prints its error in degrees for the faces within +-99 degrees, by ranges of yaw, from the landmarks of `pt3d_68` and,
where `reannotated_2d_68.npz` lies beside them, from the re-annotated ones.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


from keras_asm.datasets import LandmarkDataset, load_aflw2000_3d
from keras_asm.metrics import head_pose_error
from keras_asm.pose import GeometricPoseEstimator

ROWS = {
    "all": "within_99",
    "yaw 0-30": "yaw_0_30",
    "yaw 30-60": "yaw_30_60",
    "yaw 60-90": "yaw_60_90",
    "all angles within 30": "within_30",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, required=True, help="the folder that holds AFLW2000-3D's .mat files"
    )
    root = parser.parse_args().root

    faces = load_aflw2000_3d(root, allow_partial=True).subset("within_99")
    print(f"{faces}\n")
    print_table("pt3d_68", faces)
    if (root / "reannotated_2d_68.npz").exists():
        again = load_aflw2000_3d(root, reannotated=True, allow_partial=True).subset("within_99")
        print_table("re-annotated", again)


def print_table(title: str, faces: LandmarkDataset) -> None:
    """Mean absolute error and bias, as a Markdown table."""
    estimate = GeometricPoseEstimator("300w")(faces.landmarks)
    error = head_pose_error(faces.pose, estimate)
    signed = (estimate - faces.pose + 180.0) % 360.0 - 180.0
    print(f"| {title} | faces | MAE | yaw | pitch | roll | bias yaw, pitch, roll |")
    print("|---|---|---|---|---|---|---|")
    for name, subset in ROWS.items():
        mask = faces.subsets[subset]
        absolute = error[mask].mean(axis=0)
        numbers = " | ".join(f"{value:.2f}" for value in (absolute.mean(), *absolute))
        bias = ", ".join(f"{value:+.2f}" for value in signed[mask].mean(axis=0))
        print(f"| {name} | {mask.sum()} | {numbers} | {bias} |")
    print()


if __name__ == "__main__":
    main()
