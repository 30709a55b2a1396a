"""Find faces, landmarks and head poses in pictures, and time it.

    python examples/predict.py                                   # scikit-image's portrait of an astronaut
    python examples/predict.py holiday photo.jpg --output found  # a folder and a picture

For each picture it prints the faces and writes a drawing; for all of them it writes one table. An interrupted run goes
on from there when it is started again. `keras-asm predict` does the same on the command line.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_asm import LandmarkPredictor
from keras_asm.faces import read_image
from keras_asm.inference import YuNetDetector, find_pictures
from keras_asm.visualization import draw_faces


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    pictures = [
        found
        for picture in args.pictures or [astronaut()]
        for found in (find_pictures(picture) if Path(picture).is_dir() else [picture])
    ]
    predictor = LandmarkPredictor(
        args.model,
        YuNetDetector(min_face=args.min_face),
        flip_test=args.flip_test,
        refine=args.refine,
        project=args.project,
    )

    began = time.perf_counter()
    found = predictor(pictures, table=args.output / "faces.csv")
    seconds = time.perf_counter() - began
    for path, reason in found.unreadable.items():
        print(f"not read: {path}: {reason}")
    for picture, faces in zip(found.pictures, found.faces, strict=True):
        print(f"{picture}: {len(faces)} faces")
        for face in faces:
            pose = (
                "" if face.pose is None else "yaw {:+.0f}, pitch {:+.0f}, roll {:+.0f}; ".format(*face.pose)
            )
            sure = "" if face.confidence is None else f"confidence {face.confidence:.2f}"
            print(f"  {pose}{sure}")
        if picture not in found.unreadable:
            draw_faces(
                read_image(picture, exif="apply"), faces, path=args.output / f"{Path(picture).stem}.png"
            )
    print(
        f"{len(found)} pictures and {found.n_faces} faces in {seconds:.1f} s. "
        f"Drawings and faces.csv: {args.output}"
    )


def astronaut() -> str:
    """Eileen Collins, NASA, in the public domain."""
    import skimage

    return str(Path(skimage.__file__).parent / "data" / "astronaut.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pictures", nargs="*", help="pictures, or folders of pictures")
    parser.add_argument("--model", help="asmnet-photos, asmnet-drawn, or a .keras file with a description")
    parser.add_argument("--min-face", type=float, help="smallest faces to look for, in pixels")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirrored picture")
    parser.add_argument(
        "--refine", type=int, default=0, help="crop each face anew by its landmarks, so often"
    )
    parser.add_argument("--project", action="store_true", help="put implausible shapes back")
    parser.add_argument("--output", type=Path, default=Path("output/predict"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
