"""Put ASMNet's head on ten backbones of `keras.applications`, train all alike, and print a table of them.

    python examples/backbones.py                                              # drawn faces, no download
    python examples/backbones.py --dataset 300w --root PATH                   # real faces, 300W's own folders
    python examples/backbones.py --backbones MobileNet ResNet50 --weights imagenet

Each network starts from random weights, unless `--weights imagenet` lets Keras download some, and learns from the same
batches by the same recipe. A fifth of the training faces is held out; the errors in the table are those of the held-out
faces. Processor time is that of the whole training, on as many threads as TensorFlow takes. Results go to
`results.json`; a network that is there already is not trained again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from example_faces import CROP_MARGIN, add_data_arguments, hold_out, load_training_faces, parse

from keras_asm import (
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    LandmarkNet,
    ShapeDecoder,
    WingLoss,
    evaluate_landmarks,
    model_cost,
    predict_with_flip,
    recompute_batch_norm,
)
from keras_asm.faces import FaceCrops

BATCH_SIZE = 16
# The module of `keras.applications` that has the backbone's preprocessing, and its last layers of 1/4, 1/8, 1/16 and
# 1/32 of the image's width
BACKBONES = {
    "MobileNet": ("mobilenet", ("conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu")),
    "MobileNetV2": ("mobilenet_v2", ("block_2_add", "block_5_add", "block_12_add", "out_relu")),
    "MobileNetV3Small": (
        "mobilenet_v3",
        ("expanded_conv_project_bn", "expanded_conv_2_add", "expanded_conv_7_add", "expanded_conv_10_add"),
    ),
    "MobileNetV3Large": (
        "mobilenet_v3",
        ("expanded_conv_2_add", "expanded_conv_5_add", "expanded_conv_11_add", "expanded_conv_14_add"),
    ),
    "EfficientNetB0": ("efficientnet", ("block2b_add", "block3b_add", "block5c_add", "top_activation")),
    "EfficientNetV2B0": ("efficientnet_v2", ("block2b_add", "block3b_add", "block5e_add", "top_activation")),
    "NASNetMobile": (
        "nasnet",
        ("reduction_concat_stem_1", "normal_concat_3", "normal_concat_8", "normal_concat_12"),
    ),
    "DenseNet121": ("densenet", ("pool2_relu", "pool3_relu", "pool4_relu", "relu")),
    "ResNet50": ("resnet", ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")),
    "ConvNeXtTiny": (
        "convnext",
        tuple(
            f"convnext_tiny_stage_{stage}_block_{block}_identity" for stage, block in enumerate((2, 2, 8, 2))
        ),
    ),
}
COLUMNS = ("parameters", "multiply-adds", "NME %", "NME %, flip", "processor time")


def main() -> None:
    args = parse_arguments()
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / "results.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    train, unseen = hold_out(load_training_faces(args))
    print(f"{len(train)} faces to train on, {len(unseen)} held out", flush=True)
    for name in args.backbones:
        if name not in results:
            results[name] = train_and_measure(name, train, unseen, args)
            path.write_text(json.dumps(results, indent=1))
            print(row(name, results[name]), flush=True)
    print("\n| backbone | " + " | ".join(COLUMNS) + " |\n|---|" + "--:|" * len(COLUMNS))
    print("\n".join(row(name, results[name]) for name in args.backbones))


def landmark_net(name: str, image_size: int, weights: str | None, decoder: ShapeDecoder) -> keras.Model:
    """A network of pixels from 0 to 255 on a backbone by its name, or `ASMNet` itself."""
    n_landmarks = decoder.n_features // 2
    shape = (image_size, image_size, 3)
    if name == "ASMNet":
        return ASMNet(shape, n_landmarks, include_pose=False, weights=weights, shape_decoder=decoder)
    module, taps = BACKBONES[name]
    images = keras.Input(shape, name="images")
    pixels = importlib.import_module(f"keras.applications.{module}").preprocess_input(images)
    backbone = getattr(keras.applications, name)(include_top=False, weights=weights, input_tensor=pixels)
    return LandmarkNet(
        backbone,
        taps,
        n_landmarks,
        include_pose=False,
        batch_norm_momentum=0.9,  # Keras's momenta are of the order of 0.99: too slow for so few steps
        shape_decoder=decoder,
    )


def train_and_measure(
    name: str, train: FaceCrops, unseen: FaceCrops, args: argparse.Namespace
) -> dict[str, Any]:
    """One row of the table."""
    keras.backend.clear_session()  # the names of layers are counted anew
    keras.utils.set_random_seed(args.seed)
    augmentation = LandmarkAugmentation(
        train.scheme, flip=0.5, rotation=30.0, scale=None, shift=None, crop_margin=CROP_MARGIN
    )
    batches = LandmarkBatches.from_faces(
        train, pose=False, batch_size=BATCH_SIZE, augmentation=augmentation, seed=args.seed
    )
    decoder = ShapeDecoder.from_landmarks(augmentation.augment_landmarks(train.landmarks))
    model = landmark_net(name, args.image_size, args.weights, decoder)
    steps = args.epochs * len(batches)
    schedule = keras.optimizers.schedules.CosineDecay(args.learning_rate, steps)
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=WingLoss())
    began = time.process_time()
    model.fit(batches, epochs=args.epochs, verbose=0)
    seconds = time.process_time() - began
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers):
        recompute_batch_norm(model, batches)
    found = {
        "NME %": model.predict(unseen.images, verbose=0)["landmarks"],
        "NME %, flip": predict_with_flip(model, unseen.images, "300w")["landmarks"],
    }
    nme = {
        key: 100 * evaluate_landmarks(unseen.landmarks, y, unseen.scheme).scores["all"]["nme"]
        for key, y in found.items()
    }
    cost = model_cost(model)
    return {
        "parameters": cost.parameters,
        "multiply-adds": cost.multiply_adds,
        **nme,
        "processor time": seconds,
        "not counted": list(cost.uncounted),
    }


def row(name: str, result: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    cells = (
        f"{result['parameters'] / 1e6:.2f} M",
        f"{result['multiply-adds'] / 1e6:.1f} M",
        f"{result['NME %']:.2f}",
        f"{result['NME %, flip']:.2f}",
        f"{result['processor time']:.0f} s",
    )
    return f"| `{name}` | " + " | ".join(cells) + " |"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--backbones", nargs="+", choices=["ASMNet", *BACKBONES], default=["ASMNet", *BACKBONES]
    )
    parser.add_argument("--weights", choices=["imagenet"], help="first weights; default random")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("output/backbones"))
    return parse(parser)


if __name__ == "__main__":
    main()
