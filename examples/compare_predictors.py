"""Ready-made landmark predictors on the same photographs: keras-asm, dlib, mediapipe.

    python examples/compare_predictors.py list --root PATH --faces faces.json     # which photographs; needs keras-asm
    python examples/compare_predictors.py asmnet-photos --faces faces.json        # or asmnet-drawn
    python examples/compare_predictors.py dlib --faces faces.json --dlib-model shape_predictor_68_face_landmarks.dat
    python examples/compare_predictors.py mediapipe --faces faces.json
    python examples/compare_predictors.py table --faces faces.json

Each one finds the faces by its own detector, as a user would call it, from a picture in memory. Each runs in an
environment of its own, since their requirements clash, and adds its figures to the file of the faces. The photographs
are those of 300W's test set, padded by half of their size since they are cut close, and faces of AFLW2000-3D that
"asmnet-photos" was not trained on.

All name the corners of the eyes and of the mouth alike, so the error over these six points compares all of them; it is
a fraction of the distance between the outer corners of the eyes. The error over 68 points compares those that have
them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

CORNERS = (36, 39, 42, 45, 48, 54)  # of 68
FACE_MESH_CORNERS = (33, 133, 362, 263, 61, 291)  # the same, of mediapipe's 468
MINIMUM_OVERLAP = 0.4

Predictor = Callable[[np.ndarray], list[np.ndarray]]
"""From a picture, uint8 RGB, to the landmarks of each face in its pixels: 68 or the six corners."""


def main() -> None:
    args = parse_arguments()
    if args.what == "list":
        args.faces.write_text(json.dumps({"faces": list_faces(args.root), "results": {}}))
        return
    content = json.loads(args.faces.read_text())
    if args.what == "table":
        print(table(content))
        return
    predictor = PREDICTORS[args.what](args)
    content["results"][args.what] = measure(predictor, content["faces"])
    args.faces.write_text(json.dumps(content))
    print(table(content))


def list_faces(root: Path) -> list[dict[str, Any]]:
    """Path, set and landmarks of each photograph."""
    import sys

    sys.path.insert(0, str(Path(__file__).parent / "reproduction"))
    from keras_asm.datasets import load_300w
    from paper.data import split_aflw2000

    sets = {
        "300W common": (load_300w(root / "300w", "common", allow_partial=True), 0.25),
        "300W challenging": (load_300w(root / "300w", "challenging", allow_partial=True), 0.25),
        "AFLW2000-3D": (split_aflw2000(root / "AFLW2000", True, reannotated=True)[1], 0.0),
    }
    return [
        {"set": name, "path": path, "padding": padding, "landmarks": np.round(landmarks, 2).tolist()}
        for name, (faces, padding) in sets.items()
        for path, landmarks in zip(faces.image_paths, faces.landmarks, strict=True)
    ]


# --- The predictors


def by_keras_asm(name: str) -> Predictor:
    import keras_asm

    predictor = keras_asm.LandmarkPredictor(name)
    return lambda picture: [face.landmarks for face in predictor(picture)]


def by_dlib(args: argparse.Namespace) -> Predictor:
    import dlib

    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(args.dlib_model))

    def predict(picture: np.ndarray) -> list[np.ndarray]:
        shapes = [predictor(picture, box) for box in detector(picture, 1)]
        return [np.array([(point.x, point.y) for point in shape.parts()], float) for shape in shapes]

    return predict


def by_mediapipe(args: argparse.Namespace) -> Predictor:
    import mediapipe

    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=5)

    def predict(picture: np.ndarray) -> list[np.ndarray]:
        height, width = picture.shape[:2]
        faces = mesh.process(picture).multi_face_landmarks or []
        return [
            np.array([(face.landmark[i].x * width, face.landmark[i].y * height) for i in FACE_MESH_CORNERS])
            - 0.5
            for face in faces
        ]

    return predict


PREDICTORS: dict[str, Callable[[argparse.Namespace], Predictor]] = {
    "asmnet-photos": lambda args: by_keras_asm("asmnet-photos"),
    "asmnet-drawn": lambda args: by_keras_asm("asmnet-drawn"),
    "dlib": by_dlib,
    "mediapipe": by_mediapipe,
}


# --- Figures


def measure(predictor: Predictor, faces: list[dict[str, Any]]) -> dict[str, Any]:
    """Errors and processor time of each photograph; None where the face is not found."""
    errors: list[dict[str, float] | None] = []
    seconds = []
    for i, face in enumerate(faces):
        picture = np.asarray(Image.open(face["path"]).convert("RGB"))
        pad = round(face["padding"] * max(picture.shape))
        picture = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
        if i == 0:
            predictor(picture)  # what is compiled or loaded at the first call
        began = time.process_time()
        found = predictor(picture)
        seconds.append(time.process_time() - began)
        errors.append(errors_of(np.array(face["landmarks"]) + pad, found))
    return {
        "errors": errors,
        "milliseconds": 1000 * float(np.median(seconds)),
        "processor": platform.processor() or platform.machine(),
        "pictures": len(faces),
    }


def errors_of(true: np.ndarray, found: list[np.ndarray]) -> dict[str, float] | None:
    """Errors of the face that lies where the true one does."""
    corners = true[list(CORNERS)]
    size = np.linalg.norm(true[45] - true[36])
    candidates = [shape[list(CORNERS)] if len(shape) == 68 else shape for shape in found]
    overlaps = [overlap(shape, corners) for shape in candidates]
    if not overlaps or max(overlaps) < MINIMUM_OVERLAP:
        return None
    best = int(np.argmax(overlaps))
    result = {"corners": float(np.linalg.norm(candidates[best] - corners, axis=1).mean() / size)}
    if len(found[best]) == 68:
        result["all"] = float(np.linalg.norm(found[best] - true, axis=1).mean() / size)
    return result


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the bounding boxes of two shapes."""
    low, high = np.maximum(a.min(axis=0), b.min(axis=0)), np.minimum(a.max(axis=0), b.max(axis=0))
    common = np.prod(np.clip(high - low, 0, None))
    return float(common / (np.prod(np.ptp(a, axis=0)) + np.prod(np.ptp(b, axis=0)) - common))


def table(content: dict[str, Any]) -> str:
    """For each set and predictor: faces found, and the mean and median error of those that all have found."""
    sets = [face["set"] for face in content["faces"]]
    results = content["results"]
    found_by_all = [
        all(result["errors"][i] is not None for result in results.values()) for i in range(len(sets))
    ]
    lines = [
        "| set | predictor | found % | six corners, NME % | median | 68 points, NME % | ms |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for name in dict.fromkeys(sets):
        own = [i for i, s in enumerate(sets) if s == name]
        common = [i for i in own if found_by_all[i]]
        for predictor, result in results.items():
            errors = result["errors"]
            found = 100 * np.mean([errors[i] is not None for i in own])
            corners = 100 * np.array([errors[i]["corners"] for i in common])
            whole = [errors[i]["all"] for i in common if "all" in errors[i]]
            nme = f"{100 * np.mean(whole):.2f}" if whole else "–"
            lines.append(
                f"| {name}, {len(common)} of {len(own)} | {predictor} | {found:.1f} | {corners.mean():.2f} | "
                f"{np.median(corners):.2f} | {nme} | {result['milliseconds']:.0f} |"
            )
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["list", "table", *PREDICTORS])
    parser.add_argument("--root", type=Path, help="folder that holds 300w and AFLW2000")
    parser.add_argument("--faces", type=Path, required=True, help="file of the photographs and the figures")
    parser.add_argument("--dlib-model", type=Path, help="shape_predictor_68_face_landmarks.dat")
    args = parser.parse_args()
    if args.what == "list" and args.root is None:
        parser.error("list needs --root")
    if args.what == "dlib" and args.dlib_model is None:
        parser.error("dlib needs --dlib-model")
    return args


if __name__ == "__main__":
    main()
