"""The same seed gives the same run, and a long run takes no more memory than a short one."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import ActiveShapeModel, AlphaStepSchedule, ASMAssistedLoss, LandmarkAugmentation
from keras_asm.faces import LandmarkBatches

BENCHMARK = Path(__file__).parents[2] / "examples" / "benchmarks" / "flat_memory.py"


def trained(seed):
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(0)
    shapes = rng.uniform(-0.3, 0.3, (68, 2)) + 0.03 * rng.normal(size=(24, 68, 2))
    batches = LandmarkBatches(
        rng.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8),
        shapes,
        batch_size=8,
        shuffle=True,
        seed=seed,
        augmentation=LandmarkAugmentation(occlusion=0.5, blur=0.5),
    )
    layers = [keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dropout(0.2), keras.layers.Dense(136)])
    model.compile("adam", loss=ASMAssistedLoss(ActiveShapeModel(0.9, align="procrustes").fit(shapes)))
    history = model.fit(batches, epochs=3, verbose=0, callbacks=[AlphaStepSchedule()])
    return history.history["loss"], model.get_weights()


@pytest.mark.backend
def test_the_same_seed_is_the_same_run():
    (losses, weights), (again, weights_again), (other, _) = trained(1), trained(1), trained(2)
    assert losses == again != other
    for one, two in zip(weights, weights_again, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat():
    """A short form of `examples/benchmarks/flat_memory.py`, which takes 20,000 steps."""
    run = subprocess.run(
        [sys.executable, BENCHMARK, "--steps", "600"], capture_output=True, text=True, check=True
    )
    growth = float(run.stdout.split("grew by ")[1].split(" MiB")[0])
    assert growth < 15, run.stdout
