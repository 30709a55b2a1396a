"""Does feeding hold the model back? `fit` with `LandmarkBatches` against the bare train step.

The bare step runs on one batch that lies in memory, over and over, without callbacks. Both train the same model
in the same process and take turns, so that what else the machine does hits both; the medians are compared.

    KERAS_BACKEND=jax python examples/benchmarks/feeding.py --image-size 224 --batch-size 50 --steps 40 --rounds 7
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm.applications import ASMNet
from keras_asm.faces import LandmarkBatches
from keras_asm.layers import LandmarkAugmentation


class EpochTimer(keras.callbacks.Callback):
    """From the beginning to the end of each epoch, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self.began, self.cpu_began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop it."""
        # Where steps are only queued, the epoch's logs had to wait for the last of them.
        self.seconds.append(time.perf_counter() - self.began)
        self.cpu_seconds.append(time.process_time() - self.cpu_began)


def bare_steps(model: keras.Model, batch: Any, steps: int) -> tuple[float, float]:
    """Seconds, by the clock and of the CPU, of train steps on one batch that is where the step needs it."""
    model.make_train_function()
    batch = keras.tree.map_structure(keras.ops.convert_to_tensor, batch)
    if keras.config.backend() == "jax":
        import jax

        if not model.optimizer.built:  # as `fit` would have done
            model.optimizer.build(model.trainable_variables)
        variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        state = tuple([v.value for v in group] for group in variables)
        repeated = itertools.repeat(batch)
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in range(steps):
            logs, state = model.train_function(state, repeated)
        jax.block_until_ready((logs, state))
        seconds = time.perf_counter() - began, time.process_time() - cpu_began
        for group, values in zip(variables, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return seconds
    batches: Any = [batch]  # PyTorch
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    began, cpu_began = time.perf_counter(), time.process_time()
    for _ in range(steps):
        logs = model.train_function(batches)
    for value in keras.tree.flatten(logs):
        float(keras.ops.convert_to_numpy(value))
    return time.perf_counter() - began, time.process_time() - cpu_began


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Medians over the rounds, and what they were measured with."""
    rng = np.random.default_rng(0)
    n, size = args.steps * args.batch_size, args.image_size
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    landmarks = rng.uniform(-0.4, 0.4, (n, 68, 2))
    batches = LandmarkBatches(
        images,
        landmarks,
        rng.uniform(-30, 30, (n, 3)),
        batch_size=args.batch_size,
        augmentation=LandmarkAugmentation("300w") if args.augmentation else None,
    )
    model = ASMNet(n_landmarks=68, input_shape=(size, size, 3), width_multiplier=args.width_multiplier)
    model.compile(
        "adam", loss={"landmarks": "mse", "pose": "mse"}, loss_weights={"landmarks": 1, "pose": 1e-4}
    )
    timer = EpochTimer()
    data = batches.to_tf_dataset() if args.tf_data else batches
    model.fit(data, epochs=1, verbose=0)  # compiles the step, and the augmentation
    bare_steps(model, batches[0], 2)

    began = time.perf_counter()
    for i in range(args.augmentation_calls):
        batches[i % len(batches)]
    alone = (time.perf_counter() - began) / args.augmentation_calls
    rounds = []
    for _ in range(args.rounds):
        step_seconds, step_cpu = bare_steps(model, batches[0], args.steps)
        model.fit(data, epochs=1, verbose=0, callbacks=[timer])
        rounds.append((step_seconds, timer.seconds[-1], step_cpu, timer.cpu_seconds[-1]))
        print(
            f"bare {1e3 * step_seconds / args.steps:.1f} ms, fit {1e3 * rounds[-1][1] / args.steps:.1f} ms a step",
            flush=True,
        )
    bare, fit, bare_cpu, fit_cpu = zip(*rounds, strict=True)
    return {
        "ratio_of_medians": round(statistics.median(bare) / statistics.median(fit), 4),
        "ratio_of_minima": round(min(bare) / min(fit), 4),
        # On a CPU feeding and training share the cores, and this ratio does not see other processes.
        "ratio_of_cpu_times": round(statistics.median(bare_cpu) / statistics.median(fit_cpu), 4),
        "bare_ms": round(1e3 * statistics.median(bare) / args.steps, 2),
        "fit_ms": round(1e3 * statistics.median(fit) / args.steps, 2),
        "batch_alone_ms": round(1e3 * alone, 2),
        "ratios_of_rounds": [round(b / f, 4) for b, f in zip(bare, fit, strict=True)],
        "settings": {key: value for key, value in vars(args).items() if key != "output"},
        "backend": keras.config.backend(),
        "keras": keras.version(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def main() -> None:
    """Read the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--width-multiplier", type=float, default=1.0)
    parser.add_argument("--steps", type=int, default=20, help="steps of a round, which are an epoch of fit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--augmentation", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--tf-data", action="store_true", help="feed LandmarkBatches.to_tf_dataset()")
    parser.add_argument("--augmentation-calls", type=int, default=5, help="batches made alone, to time them")
    parser.add_argument("--output", help="a JSON file")
    args = parser.parse_args()
    result = measure(args)
    text = json.dumps(result, indent=2)
    print(text)
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()
