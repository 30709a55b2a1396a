"""Peak memory of a process that runs one network, in bytes, less that of Python with NumPy. Linux only.

    python examples/benchmarks/peak_memory.py NETWORK SIZE keras_asm/inference/exported.py

NETWORK is what `ExportedModel` opens, a `.keras` file, or a `.dat` file of dlib. Of keras_asm, nothing but the file
that opens exported networks is imported: the package imports Keras, and Keras its backend.
"""

import os
import runpy
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

CALLS = 20


def opened(path: Path, exported: str) -> Callable[[np.ndarray], Any]:
    """A network as a function of one image."""
    if path.suffix == ".dat":
        import dlib

        trees = dlib.shape_predictor(str(path))
        return lambda image: trees(image, dlib.rectangle(0, 0, len(image) - 1, len(image) - 1))
    if path.suffix == ".keras":
        import keras

        model = keras.models.load_model(path, compile=False)
        return lambda image: model.predict_on_batch(image[None].astype("float32"))
    datasets = types.ModuleType("keras_asm.datasets")
    datasets.DatasetError = ValueError  # type: ignore[attr-defined]  # all that the file wants of the package
    sys.modules["keras_asm.datasets"] = datasets
    network = runpy.run_path(exported)["ExportedModel"](path, None if path.is_dir() else 1)
    return lambda image: network(image[None])


def peak() -> int:
    """Largest resident set of this process so far, in bytes."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    return 1024 * int(line.split()[1])


def main() -> None:
    """Print the bytes."""
    path, size, exported = sys.argv[1:]
    image = np.random.default_rng(0).integers(0, 256, (int(size), int(size), 3), dtype=np.uint8)
    before = peak()
    run = opened(Path(path), exported)
    for _ in range(CALLS):
        run(image)
    print(peak() - before)


if __name__ == "__main__":
    main()
