"""Does memory grow while a network trains and predicts? Linux only.

    python examples/benchmarks/flat_memory.py --steps 20000

Takes so many training steps with the assisted loss, a schedule and augmented batches, and as many predictions of
batches of other sizes, in parts of which the first is warming up. Says how much more memory the process holds after the
last part than after the first.
"""

import argparse
import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import ActiveShapeModel, ASMAssistedLoss, LandmarkAugmentation
from keras_asm.callbacks import AlphaLinearSchedule
from keras_asm.faces import LandmarkBatches

STEPS_OF_AN_EPOCH = 50


def held() -> float:
    """Memory that the process holds for itself, in MiB: without files that are mapped, which come and go."""
    gc.collect()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in line]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Train, predict, and say what memory did."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--parts", type=int, default=6, help="at least 2")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    n = 4 * STEPS_OF_AN_EPOCH
    shapes = rng.uniform(-0.3, 0.3, (68, 2)) + 0.03 * rng.normal(size=(n, 68, 2))
    images = rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)
    batches = LandmarkBatches(
        images, shapes, batch_size=4, shuffle=True, augmentation=LandmarkAugmentation("300w")
    )
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(136)]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers])
    model.compile("adam", loss=ASMAssistedLoss(ActiveShapeModel(0.9, align="procrustes").fit(shapes)))
    epochs = max(1, args.steps // args.parts // STEPS_OF_AN_EPOCH)
    schedule = AlphaLinearSchedule(epochs=args.parts * epochs)
    memory = []
    for part in range(args.parts):
        model.fit(
            batches, initial_epoch=part * epochs, epochs=(part + 1) * epochs, verbose=0, callbacks=[schedule]
        )
        for i in range(epochs * STEPS_OF_AN_EPOCH):
            model.predict_on_batch(images[: 1 + i % 3].astype("float32"))
        memory.append(held())
        print(f"after {(part + 1) * epochs * STEPS_OF_AN_EPOCH} steps: {memory[-1]:.1f} MiB", flush=True)
    print(f"grew by {memory[-1] - memory[0]:.1f} MiB")


if __name__ == "__main__":
    main()
