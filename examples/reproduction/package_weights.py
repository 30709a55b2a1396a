"""Make the file of a trained network that comes with the package, and measure what its model card says.

    python examples/reproduction/package_weights.py asmnet-drawn --weights FILE --root PATH
    python examples/reproduction/package_weights.py asmnet-drawn --root PATH    # measures the packed file again
    python examples/reproduction/package_weights.py --page                      # the tables of the model card alone

The network is that of the experiment `shipped` or `shipped-drawn`. Its shape decoder is folded, its kernels are rounded
to half precision, which halves the file, and its confidence is calibrated. The file and its figures go to `--output`.
The SHA-256 in the figures goes into `PRETRAINED` of `keras_asm/applications/pretrained.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image

from keras_asm import ActiveShapeModel, ASMNet, LandmarkModelInfo, LandmarkPredictor
from keras_asm.datasets import LandmarkDataset, load_300w, load_youtube_faces
from keras_asm.faces import CropTransform, crop_faces, crop_image, read_image
from keras_asm.inference import YuNetDetector, fit_confidence, shape_distance
from keras_asm.inference.detectors import box_overlap
from keras_asm.landmarks import get_scheme
from keras_asm.layers import ShapeDecoder
from keras_asm.metrics import head_pose_error, normalized_mean_error
from keras_asm.model_tools import fold_shape_decoder, predict_with_flip
from keras_asm.synthetic import synthetic_faces
from paper.data import split_aflw2000
from report import update_page

FOLDER = Path(__file__).parents[2] / "keras_asm" / "applications" / "weights"
N_LANDMARKS, N_COMPONENTS, NME_LIMIT = 68, 20, 0.08


@dataclass(frozen=True)
class Network:
    """What is known of a network beforehand: its image size, whether photographs were trained on, and its terms."""

    image_size: int
    photos: bool
    notice: str


NETWORKS = {
    "asmnet-photos": Network(
        128,
        True,
        "The weights asmnet-photos are for research only, as are the photographs they were trained on; asmnet-drawn "
        "has no such terms.",
    ),
    "asmnet-drawn": Network(96, False, ""),
}


def main() -> None:
    args = parse_arguments()
    if not args.page:
        package(args)
    update_page(FOLDER / "MODEL_CARD.md", tables(), check=False)


def package(args: argparse.Namespace) -> None:
    """Make the file, if there are new weights for it, and measure its network."""
    tests = load_tests(args.root)
    path = args.output / f"{args.name}.keras"
    if args.weights is None:
        predictor = LandmarkPredictor(path, YuNetDetector())
        _, figures = calibrate(predictor, tests)
    else:
        network = NETWORKS[args.name]
        model = fold_shape_decoder(load_network(args.weights, network.image_size))
        round_kernels(model)
        info = LandmarkModelInfo(
            get_scheme("300w"),
            network.image_size,
            notice=network.notice,
            shape_model=shape_model(network, args.root),
        )
        calibration, figures = calibrate(LandmarkPredictor(model, info=info), tests)
        predictor = LandmarkPredictor(model, YuNetDetector(), info=replace(info, calibration=calibration))
        predictor.save(path)
        compress(path)
    figures |= measure(predictor, tests)
    figures["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (args.output / f"{args.name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def load_network(weights: Path, image_size: int) -> keras.Model:
    """ASMNet as it was trained. Its decoder's values are in the file, so that any of its size will do here."""
    decoder = ShapeDecoder(np.zeros(2 * N_LANDMARKS), np.ones(2 * N_LANDMARKS))
    return ASMNet((image_size, image_size, 3), N_LANDMARKS, weights=weights, shape_decoder=decoder)


def round_kernels(model: keras.Model) -> None:
    """Keep 11 significant bits of every kernel, as half precision does, over the whole range of single precision."""
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel"):
            mantissa, exponent = np.frexp(keras.ops.convert_to_numpy(variable))
            variable.assign(np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent))


def compress(path: Path) -> None:
    """Deflate the members of a `.keras` file, which Keras stores as they are."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def shape_model(network: Network, root: Path) -> ActiveShapeModel:
    """The shapes that the network's training faces have, which decide what is plausible."""
    if network.photos:
        known, _ = split_aflw2000(root / "AFLW2000", True, reannotated=True)
        pixels = np.concatenate(
            [load_300w(root / "300w", "train", allow_partial=True).landmarks, known.landmarks]
        )
        shapes = CropTransform.from_landmarks(pixels, network.image_size).normalize(pixels)
    else:
        shapes = synthetic_faces(5000, seed=0, image_size=16).landmarks
    return ActiveShapeModel(N_COMPONENTS, align="procrustes").fit(shapes)


# --- Faces that no network was trained on


def load_tests(root: Path) -> dict[str, LandmarkDataset]:
    """The sets that the model card names."""
    frames = load_youtube_faces(root / "youtube_faces_68", pose=False, allow_partial=True)
    return {
        "300W": load_300w(root / "300w", "full", allow_partial=True),
        "AFLW2000-3D": split_aflw2000(root / "AFLW2000", True, reannotated=True)[1],
        "YouTube Faces": frames.split_by_group(0.8)[1],
    }


def patches_without_face(faces: LandmarkDataset, image_size: int) -> np.ndarray:
    """Squares from the corners of photographs, off the face that the photograph is of."""
    patches, rng = [], np.random.default_rng(0)
    for path, landmarks in zip(faces.image_paths, faces.landmarks, strict=True):
        image = read_image(path)
        height, width = image.shape[:2]
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        side = rng.uniform(0.2, 0.4) * min(height, width)
        corners = itertools.product((side / 2, width - side / 2), (side / 2, height - side / 2))
        patches += [
            crop_image(image, center, side, image_size)
            for center in corners
            if (np.abs(center - (low + high) / 2) > side / 2 + 0.7 * (high - low)).any()
        ]
    return np.stack(patches)


# --- Figures


def calibrate(predictor: LandmarkPredictor, tests: dict[str, LandmarkDataset]) -> tuple[Any, dict[str, Any]]:
    """Fit the confidence on the test faces of AFLW2000-3D and patches without a face; rate it on 300W's test faces."""
    size, asm = predictor.info.image_size, predictor.info.shape_model
    faces = tests["AFLW2000-3D"]
    even, odd = np.arange(0, len(faces), 2), np.arange(1, len(faces), 2)

    def predicted(part: LandmarkDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        crops = crop_faces(part, size, verbose=0)
        return crops.landmarks, predictor.predict_crops(crops.images)[0], disagreement(crops.images)

    def disagreement(images: np.ndarray) -> np.ndarray:
        plain = predictor.predict_crops(images)[0]
        averaged = predict_with_flip(predictor.model, images, predictor.info.scheme, batch_size=100)[
            "landmarks"
        ]
        return np.linalg.norm(plain - averaged.reshape(plain.shape), axis=-1).mean(axis=-1)

    def fit(parts: list[LandmarkDataset], patches: np.ndarray | None) -> Any:
        true, found, differs = map(np.concatenate, zip(*map(predicted, parts), strict=True))
        without = None if patches is None else predictor.predict_crops(patches)[0]
        if patches is not None:
            differs = np.append(differs, disagreement(patches))
        return fit_confidence(
            found, true, asm, "300w", nme_threshold=NME_LIMIT, without_face=without, disagreement=differs
        )

    fitted = fit([faces.select(even)], patches_without_face(faces.select(even), size))
    print(fitted)
    # Faces and patches that the curve was not fitted to
    others, patches = [tests["300W"], faces.select(odd)], patches_without_face(faces.select(odd), size)
    faces_alone, with_patches = fit(others, None), fit(others, patches)
    print(with_patches)
    true, found, _ = map(np.concatenate, zip(*map(predicted, others), strict=True))
    shapes = np.concatenate([found, predictor.predict_crops(patches)[0]])
    good = np.append(
        normalized_mean_error(true, found, "300w") <= NME_LIMIT, np.zeros(len(patches), dtype=bool)
    )
    confidence = fitted.calibration.probability(shape_distance(shapes, asm))
    bins = np.digitize(confidence, [0.2, 0.4, 0.6, 0.8])
    return fitted.calibration, {
        "auroc_faces": rounded(faces_alone.auroc),
        "auroc_faces_and_patches": rounded(with_patches.auroc),
        "bad_faces": faces_alone.n_bad,
        "good_faces": faces_alone.n_good,
        "patches": len(patches),
        "reliability": [
            {
                "confidence": f"{20 * i} to {20 * i + 20} %",
                "predictions": int((bins == i).sum()),
                "mean": round(100 * float(confidence[bins == i].mean()), 1) if (bins == i).any() else None,
                "good": round(100 * float(good[bins == i].mean()), 1) if (bins == i).any() else None,
            }
            for i in range(5)
        ],
        "calibration_error": round(
            float(
                sum(
                    abs(confidence[bins == i].mean() - good[bins == i].mean()) * (bins == i).mean()
                    for i in range(5)
                    if (bins == i).any()
                )
            ),
            3,
        ),
    }


def measure(predictor: LandmarkPredictor, tests: dict[str, LandmarkDataset]) -> dict[str, Any]:
    """Errors by subset: landmarks with the boxes of the landmarks and of the detector, and head pose."""
    landmarks, pose = [], []
    for title, faces in tests.items():
        crops = crop_faces(faces, predictor.info.image_size, verbose=0)
        found, angles = predictor.predict_crops(crops.images)
        flipped = predict_with_flip(predictor.model, crops.images, predictor.info.scheme, batch_size=100)[
            "landmarks"
        ]
        boxes = detected_boxes(predictor, faces)
        is_found = np.isfinite(boxes).all(axis=1)
        detected = [landmarks_in(predictor, faces, boxes, is_found, refine) for refine in (0, 1)]
        by_box = {}
        for normalizer in ("inter_ocular", "box"):
            by_box[normalizer] = [
                normalized_mean_error(crops.landmarks, points, "300w", normalizer)
                for points in (found, flipped.reshape(found.shape))
            ]
            for points in detected:
                errors = np.full(len(faces), np.nan)
                errors[is_found] = normalized_mean_error(
                    faces.landmarks[is_found], points, "300w", normalizer
                )
                by_box[normalizer].append(errors)
        subsets = subsets_of(title, faces)
        for name, chosen in subsets.items():
            # Between the eyes of a profile there is no distance to speak of
            normalizer = "box" if title == "AFLW2000-3D" else "inter_ocular"
            single, flip, by_detector, refined = (errors[chosen] for errors in by_box[normalizer])
            seen = np.isfinite(by_detector)
            landmarks.append(
                {
                    "set": title,
                    "subset": name,
                    "faces": len(single),
                    "normalizer": normalizer,
                    "nme": percent(single.mean()),
                    "flip_test": percent(flip.mean()),
                    "over_8": percent((single > 0.08).mean()),
                    "over_10": percent((single > 0.10).mean()),
                    "largest": percent(single.max()),
                    "found": percent(seen.mean()),
                    "nme_of_found": percent(single[seen].mean()),
                    "nme_detected": percent(by_detector[seen].mean()),
                    "nme_refined": percent(refined[seen].mean()),
                }
            )
            if title == "AFLW2000-3D":
                assert faces.pose is not None
                assert angles is not None
                errors = head_pose_error(faces.pose[chosen], angles[chosen]).mean(axis=0)
                names = ("yaw", "pitch", "roll", "mean")
                values = [*errors, errors.mean()]
                pose.append(
                    {"subset": name, "faces": len(single)}
                    | {k: round(float(v), 2) for k, v in zip(names, values, strict=True)}
                )
    common = tests["300W"].select(tests["300W"].subsets["common"])
    return {"landmarks": landmarks, "pose": pose, "conditions": measure_conditions(predictor, common)}


def worsened(image: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A crop, uint8, under the conditions of the model card's table, by their titles."""
    size, picture = len(image), Image.fromarray(image)

    def small(width: int) -> np.ndarray:
        """The face as wide as so many pixels, scaled up again; the crop has a quarter of its box on either side."""
        side = round(1.5 * width)
        return np.asarray(
            picture.resize((side, side), Image.Resampling.BOX).resize((size, size), Image.Resampling.BICUBIC)
        )

    def hidden(share: float) -> np.ndarray:
        """A black square, which covers so much of the inner crop and lies anywhere within it."""
        side = round(size / 1.5 * share**0.5)
        x, y = rng.integers(round(size / 6), round(size * 5 / 6) - side, 2, endpoint=True)
        covered = image.copy()
        covered[y : y + side, x : x + side] = 0
        return covered

    compressed = io.BytesIO()
    picture.save(compressed, "JPEG", quality=10)
    lit = image * np.linspace(1.2, 0.1, size)[None, :, None]
    return {
        "as they are": image,
        **{f"faces {width} pixels wide": small(width) for width in (48, 32, 24, 16)},
        "a tenth of the face behind a black square": hidden(0.1),
        "a quarter of it": hidden(0.25),
        "a fifth of the light": (image * 0.2).astype(np.uint8),
        "light from one side": np.clip(lit, 0, 255).astype(np.uint8),
        "noise with a standard deviation of 20 of 255": np.clip(
            image + rng.normal(scale=20, size=image.shape), 0, 255
        ).astype(np.uint8),
        "JPEG of quality 10": np.asarray(Image.open(compressed)),
    }


def measure_conditions(predictor: LandmarkPredictor, faces: LandmarkDataset) -> list[dict[str, Any]]:
    """Errors of one set of faces under worse conditions, by the boxes of the true landmarks."""
    crops = crop_faces(faces, predictor.info.image_size, verbose=0)
    rng = np.random.default_rng(0)
    by_face = [worsened(image, rng) for image in crops.images]
    rows = []
    for condition in by_face[0]:
        found, _ = predictor.predict_crops(np.stack([images[condition] for images in by_face]))
        errors = normalized_mean_error(crops.landmarks, found, "300w")
        rows.append({"condition": condition, "faces": len(errors), "nme": percent(errors.mean())})
        rows[-1] |= {"over_8": percent((errors > 0.08).mean())}
    return rows


def subsets_of(title: str, faces: LandmarkDataset) -> dict[str, np.ndarray]:
    if title == "300W":
        return {name: faces.subsets[name] for name in ("common", "challenging", "full")}
    everything = {"all": np.ones(len(faces), dtype=bool)}
    if title != "AFLW2000-3D":
        return everything
    names = {
        "yaw_0_30": "yaw below 30",
        "yaw_30_60": "yaw 30 to 60",
        "yaw_60_90": "yaw 60 to 90",
        "within_30": "all angles within 30",
    }
    return everything | {title: faces.subsets[name] for name, title in names.items()}


def detected_boxes(predictor: LandmarkPredictor, faces: LandmarkDataset) -> np.ndarray:
    """The detector's box that overlaps most with the landmarks', `(n, 4)`; NaN where none does by 0.4.

    300W's pictures here are cut close around the face. They are padded by half of their size, as photographs are not.
    """
    boxes = np.full((len(faces), 4), np.nan)
    for i, path in enumerate(faces.image_paths):
        image = read_image(path)
        pad = max(image.shape) // 4
        found = predictor.detect(np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")) - pad
        true = np.concatenate([faces.landmarks[i].min(axis=0), faces.landmarks[i].max(axis=0)])
        overlap = box_overlap(found, true[None])[:, 0]
        if len(found) and overlap.max() >= 0.4:
            boxes[i] = found[np.argmax(overlap)]
    return boxes


def landmarks_in(
    predictor: LandmarkPredictor, faces: LandmarkDataset, boxes: np.ndarray, chosen: np.ndarray, refine: int
) -> np.ndarray:
    """Landmarks in pixels of the chosen faces, by their boxes."""
    by_boxes = LandmarkPredictor(predictor.model, info=predictor.info, refine=refine, exif="ignore")
    paths = [path for path, wanted in zip(faces.image_paths, chosen, strict=True) if wanted]
    found = by_boxes(paths, [[box] for box in boxes[chosen]], verbose=0)
    return np.stack([face.landmarks for (face,) in found])


# --- Tables of the model card


def tables() -> dict[str, str]:
    """The blocks of the model card, from the figures beside the weights."""
    figures = {
        name: json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        for name in NETWORKS
        if (FOLDER / f"{name}.json").is_file()
    }

    def table(head: list[str], rows: list[list[Any]]) -> str:
        cells = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
        return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in cells)

    def side_by_side(part: str, columns: dict[str, str]) -> str:
        rows = []
        for entries in zip(*(f[part] for f in figures.values()), strict=True):
            first = entries[0]
            label = f"{first['set']}, {first['subset']}" if "set" in first else first["subset"]
            rows.append([label, first["faces"]] + [f"{entry[c]:.2f}" for c in columns for entry in entries])
        head = ["faces", "number"] + [f"{title}, {name}" for title in columns.values() for name in short]
        return table(head, rows)

    short = [name.removeprefix("asmnet-") for name in figures]
    reliability = [
        [row[0]["confidence"], *(cell for r in row for cell in (r["predictions"], or_dash(r["good"])))]
        for row in zip(*(f["reliability"] for f in figures.values()), strict=True)
    ]
    auroc = [
        [
            title,
            *(
                f"{f[kind][score]:.3f}"
                for f in figures.values()
                for kind in ("auroc_faces", "auroc_faces_and_patches")
            ),
        ]
        for score, title in {
            "shape_distance": "distance from the shape model, used for `confidence`",
            "mahalanobis": "Mahalanobis distance within it",
            "flip": "disagreement with the mirrored picture, a second pass",
            "combination": "all three",
        }.items()
    ]
    return {
        "landmarks": side_by_side(
            "landmarks",
            {"nme": "NME %", "flip_test": "flip test", "over_10": "over 10 %", "largest": "largest"},
        ),
        "detector": side_by_side(
            "landmarks",
            {
                "found": "found %",
                "nme_of_found": "true boxes",
                "nme_detected": "detected boxes",
                "nme_refined": "and refined",
            },
        ),
        "pose": side_by_side("pose", {"yaw": "yaw", "pitch": "pitch", "roll": "roll", "mean": "mean"}),
        "conditions": table(
            ["condition", *(f"{title}, {name}" for title in ("NME %", "over 8 %") for name in short)],
            [
                [row[0]["condition"], *(f"{r[key]:.2f}" for key in ("nme", "over_8") for r in row)]
                for row in zip(*(f["conditions"] for f in figures.values()), strict=True)
            ],
        ),
        "auroc": table(
            ["score", *(f"{name}, {kind}" for name in short for kind in ("faces", "with patches"))], auroc
        ),
        "reliability": table(
            ["confidence", *(f"{name}, {what}" for name in short for what in ("predictions", "good %"))],
            reliability,
        ),
    }


def or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def percent(value: float) -> float:
    return round(100 * float(value), 2)


def rounded(values: Any) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in values.items()}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=NETWORKS)
    parser.add_argument(
        "--weights",
        type=Path,
        help="the network's, as run.py has written them; without, its file is measured again",
    )
    parser.add_argument("--root", type=Path, help="folder that holds 300w, AFLW2000 and so on")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--page", action="store_true", help="only rewrite the tables of the model card")
    args = parser.parse_args()
    if not args.page and None in (args.name, args.root):
        parser.error("Expected a name and --root, or --page")
    return args


if __name__ == "__main__":
    main()
