"""What a format and its precision cost: the trained networks, exported, on 300W's common test set.

    python examples/export_accuracy.py --root DATA
    python examples/export_accuracy.py --root DATA --page docs/export.md    # puts the table there, too

Writes each network by `export_model`, runs the file on the 554 faces and prints, as a Markdown table, the normalised
mean error, and the differences of landmarks (in units of the crop) and pose (in degrees) from the network in Keras. For
int8, the calibration faces are photographs of 300W's training set, or drawn. With `--image-size`, the networks run at
another size than they were trained at, for the differences from Keras there. DATA/300w is the data set. OpenVINO takes
part if it is installed. Needs `pip install "keras-asm[export,images]"`.
"""

import argparse
import dataclasses
import importlib.util
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from keras_asm import ASMNet, LandmarkPredictor
from keras_asm.datasets import LandmarkDataset, load_300w
from keras_asm.export import export_model
from keras_asm.faces import crop_faces
from keras_asm.metrics import normalized_mean_error
from keras_asm.synthetic import synthetic_faces

FILES = (  # what it is called, the file, its precision and its calibration
    ("ONNX", "net.onnx", "float32", None),
    ("OpenVINO", "net.xml", "float32", None),
    ("LiteRT", "net.tflite", "float32", None),
    ("LiteRT, float16", "half.tflite", "float16", None),
    ("LiteRT, dynamic", "dynamic.tflite", "dynamic", None),
    ("LiteRT, int8, photographs", "photos.tflite", "int8", "photographs"),
    ("LiteRT, int8, drawn faces", "drawn.tflite", "int8", "drawn faces"),
)
BATCH = 64


def measure(
    name: str,
    test: LandmarkDataset,
    train: LandmarkDataset,
    n_calibration: int,
    folder: Path,
    image_size: int | None = None,
) -> list[str]:
    """Rows of the table for a network.

    Args:
        name: of a network that comes with the package.
        test: faces to measure on.
        train: photographs to calibrate with.
        n_calibration: how many of them.
        folder: to write to.
        image_size: by default that at which it was trained.
    """
    predictor = LandmarkPredictor(name, batch_size=BATCH)
    if image_size is not None:
        network = ASMNet((image_size, image_size, 3), weights=name)
        info = dataclasses.replace(predictor.info, image_size=image_size)
        predictor = LandmarkPredictor(network, info=info, batch_size=BATCH)
    size, margin = predictor.info.image_size, predictor.info.crop_margin
    faces = crop_faces(test, size, margin=margin, verbose=0)
    photographs = crop_faces(train, size, margin=margin, verbose=0).images
    chosen = np.random.default_rng(0).choice(len(photographs), n_calibration, replace=False)
    calibrations = {
        None: None,
        "photographs": photographs[chosen],
        "drawn faces": synthetic_faces(n_calibration, seed=0, image_size=size).images,
    }
    landmarks, pose = predictor.predict_crops(faces.images)
    assert pose is not None

    def error(found: np.ndarray) -> float:
        return 100 * float(normalized_mean_error(faces.landmarks, found, predictor.info.scheme).mean())

    rows = [f"| {name}, {size} px | Keras | | {error(landmarks):.3f} | | | | |"]
    for said, file, precision, calibration in FILES:
        if file.endswith(".xml") and importlib.util.find_spec("openvino") is None:
            continue
        report = export_model(
            predictor,
            folder / file,
            precision=precision,
            calibration=calibrations[calibration],
            overwrite=True,
        )
        found, turned = LandmarkPredictor(report.path, batch_size=BATCH).predict_crops(faces.images)
        off, angle = np.abs(found - landmarks), np.abs(turned - pose)
        rows.append(
            f"| {name}, {size} px | {said} | {report.n_bytes / 1e6:.1f} M | {error(found):.3f} "
            f"| {off.max():.1e} | {off.mean():.1e} | {angle.max():.2g} | {angle.mean():.2g} |"
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder with 300w")
    parser.add_argument("--networks", nargs="+", default=["asmnet-photos", "asmnet-drawn"])
    parser.add_argument("--image-size", type=int, help="another than that at which they were trained")
    parser.add_argument("--calibration", type=int, default=200, help="faces to calibrate int8 with")
    parser.add_argument(
        "--allow-partial", action="store_true", help="take a part of 300W for what there is of it"
    )
    parser.add_argument("--page", type=Path, help="with <!-- begin: accuracy --> and <!-- end: accuracy -->")
    args = parser.parse_args()
    train, test = (
        load_300w(args.root / "300w", split, allow_partial=args.allow_partial)
        for split in ("train", "common")
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for name in args.networks
            for row in measure(name, test, train, args.calibration, Path(folder), args.image_size)
        ]
    table = (
        "| network | file | bytes | NME, % | largest difference | mean difference | pose: largest | pose: mean |"
        "\n|---|---|--:|--:|--:|--:|--:|--:|\n" + "\n".join(rows)
    )
    print(f"\n{table}")
    if args.page is not None:
        before, begin, rest = args.page.read_text(encoding="utf-8").partition("<!-- begin: accuracy -->\n")
        after = rest[rest.index("<!-- end: accuracy -->") :]
        args.page.write_text(f"{before}{begin}\n{table}\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
