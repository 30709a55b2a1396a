"""Train a landmark network on several devices or processes, so that it ends as on one, and goes on after a kill.

    python examples/train_distributed.py                                     # one device
    python examples/train_distributed.py --devices 2                         # two devices of one process
    ADDRESSES=127.0.0.1:12345,127.0.0.1:12346                                # two processes; or on two machines
    python examples/train_distributed.py --addresses $ADDRESSES --process 0 &
    python examples/train_distributed.py --addresses $ADDRESSES --process 1

KERAS_BACKEND chooses the backend. `--devices` makes as many of a CPU where there are no accelerators. All processes
need the same arguments, data and, for the backup, file system. A run that is stopped goes on when it is started again
with the same `--output`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import (
    ActiveShapeModel,
    AlphaStepSchedule,
    ASMAssistedLoss,
    ASMNet,
    LandmarkAugmentation,
    LandmarkBatches,
    LandmarkNet,
    NormalizedMeanError,
)
from keras_asm.callbacks import AtomicBackupAndRestore
from keras_asm.datasets import load_300w
from keras_asm.faces import FaceCrops, crop_faces
from keras_asm.losses import ScheduledValue
from keras_asm.synthetic import synthetic_faces

BACKEND = keras.config.backend()
SEED = 0


def main() -> None:
    args = parse_arguments()
    strategy = start(args)  # before anything is computed
    keras.utils.set_random_seed(SEED)
    train, validation = load_faces(args)
    shard = args.process, len(args.addresses)
    batches = LandmarkBatches.from_faces(
        train,
        pose=False,
        batch_size=args.batch_size,
        shuffle=True,
        augmentation=None if args.no_augmentation else LandmarkAugmentation(train.scheme),
        seed=SEED,
        shard=shard,
    )
    validation_batches = LandmarkBatches.from_faces(
        validation, pose=False, batch_size=args.batch_size, shard=shard
    )
    if strategy is None:
        model = build_model(args, train)
    else:
        with strategy.scope():
            model = build_model(args, train)
            model.optimizer.build(model.trainable_variables)  # a backup is restored outside of the scope
    backup = AtomicBackupAndRestore(
        args.output / "backup", batches, write=args.process == 0, delete_checkpoint=False
    )
    callbacks = [AlphaStepSchedule(), backup]
    if args.process == 0:
        args.output.mkdir(parents=True, exist_ok=True)
        callbacks.append(keras.callbacks.CSVLogger(args.output / "history.csv", append=True))
    if len(args.addresses) > 1 and BACKEND != "jax":
        steps = tensorflow_steps if BACKEND == "tensorflow" else torch_steps
        history = fit_by_loop(
            model, *steps(model, strategy), batches, validation_batches, args.epochs, callbacks
        )
    else:
        history = model.fit(
            batches,
            validation_data=validation_batches,
            epochs=args.epochs,
            shuffle=False,  # the batches have an order of their own for each epoch
            callbacks=callbacks,
            verbose=0,
        ).history
    weights = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    digest = hashlib.sha256(b"".join(value.tobytes() for value in weights)).hexdigest()[:12]
    print(f"process {args.process}: epochs from {backup.initial_epoch} on, weights {digest}", flush=True)
    with tempfile.TemporaryDirectory() as nowhere:  # on JAX, all processes must save together
        model.save_weights((args.output if args.process == 0 else Path(nowhere)) / "final.weights.h5")
    print(json.dumps(history), flush=True)


def start(args: argparse.Namespace) -> Any:
    """Join the other processes and spread over the devices; the strategy, on TensorFlow."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # A value of 1 would let replicas wait for each other without end
        os.environ.pop("TF_NUM_INTEROP_THREADS", None)
        if len(args.addresses) > 1:
            cluster = {
                "cluster": {"worker": args.addresses},
                "task": {"type": "worker", "index": args.process},
            }
            os.environ["TF_CONFIG"] = json.dumps(cluster)
            return tf.distribute.MultiWorkerMirroredStrategy()
        if args.devices > 1:
            if tf.config.list_physical_devices("GPU"):
                return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(args.devices)])
            (cpu,) = tf.config.list_physical_devices("CPU")
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * args.devices
            )
            return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(args.devices)])
    elif BACKEND == "jax":
        import jax

        if args.devices > 1:
            jax.config.update("jax_num_cpu_devices", args.devices)
        if len(args.addresses) > 1:
            keras.distribution.initialize(args.addresses[0], len(args.addresses), args.process)
        if max(args.devices, len(args.addresses)) > 1:
            # The batches are parts already
            keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    elif len(args.addresses) > 1:
        import torch

        torch.distributed.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo",
            init_method=f"tcp://{args.addresses[0]}",
            world_size=len(args.addresses),
            rank=args.process,
        )
    elif args.devices > 1:
        raise SystemExit(
            "On PyTorch, Keras trains on one device a process: pass --addresses instead of --devices"
        )
    return None


def build_model(args: argparse.Namespace, train: FaceCrops) -> keras.Model:
    """A compiled network whose loss has an alpha."""
    shape = (args.image_size, args.image_size, 3)
    if args.network == "asmnet":
        model = ASMNet(shape, include_pose=False, width_multiplier=args.width_multiplier, weights=None)
        if BACKEND == "tensorflow" and max(args.devices, len(args.addresses)) > 1:
            model = with_synchronized_batch_norm(model)
    else:
        model = LandmarkNet(group_norm_backbone(shape, args.width_multiplier), include_pose=False)
    model.compile(
        optimizer=keras.optimizers.Adam(args.learning_rate),
        loss={"landmarks": ASMAssistedLoss(ActiveShapeModel(0.9).fit(train.landmarks))},
        metrics={"landmarks": NormalizedMeanError(train.scheme, name="nme")},
        jit_compile=False if BACKEND == "tensorflow" else "auto",  # not to be had under a strategy
    )
    return model


def with_synchronized_batch_norm(model: keras.Model) -> keras.Model:
    """The network whose batch norm sees the whole batch, not the part of a replica; its weights are drawn anew."""

    def synchronized(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = True
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=synchronized)


def group_norm_backbone(shape: tuple[int, ...], width_multiplier: float) -> keras.Model:
    """Four convolutions without batch norm, which computes the same however a batch is divided."""
    images = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(images)
    for channels in (32, 64, 128, 256):
        x = keras.layers.Conv2D(max(8, int(channels * width_multiplier) // 8 * 8), 3, 2, "same")(x)
        x = keras.layers.Activation("relu")(keras.layers.GroupNormalization(8)(x))
    return keras.Model(images, x)


Steps = tuple[Callable[[Any], None], Callable[[Any], None], Callable[[], None]]


def tensorflow_steps(model: keras.Model, strategy: Any) -> Steps:
    """Keras's own steps under a strategy of several processes, which `fit` of Keras 3 does not support."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def train_step(batch: Any) -> None:
        strategy.run(model.train_step, args=(batch,))

    @tf.function(reduce_retracing=True)
    def test_step(batch: Any) -> None:
        strategy.run(model.test_step, args=(batch,))

    def as_tensors(step: Callable[[Any], None]) -> Callable[[Any], None]:
        return lambda batch: step(keras.tree.map_structure(tf.convert_to_tensor, batch))

    # Variables of metrics are summed over the processes when they are read
    return as_tensors(train_step), as_tensors(test_step), lambda: None


def torch_steps(model: keras.Model, strategy: Any) -> Steps:
    """Keras's loop for PyTorch with DistributedDataParallel, which averages gradients."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    replica = DistributedDataParallel(model)

    def as_tensors(batch: Any) -> Any:
        return keras.tree.map_structure(keras.ops.convert_to_tensor, batch)

    def count(x: Any, y: Any, predicted: Any, loss: Any) -> None:
        model.metrics[0].update_state(loss.detach(), sample_weight=len(x))  # Keras's own running loss
        model.compute_metrics(x, y, predicted)

    def train_step(batch: Any) -> None:
        x, y = as_tensors(batch)
        model.zero_grad()
        predicted = replica(x, training=True)
        loss = model.compute_loss(x, y, predicted)
        loss.backward()
        with torch.no_grad():
            model.optimizer.apply([v.value.grad for v in model.trainable_weights], model.trainable_weights)
            count(x, y, predicted, loss)

    def test_step(batch: Any) -> None:
        x, y = as_tensors(batch)
        with torch.no_grad():
            predicted = model(x, training=False)
            count(x, y, predicted, model.compute_loss(x, y, predicted, training=False))

    def gather() -> None:
        with torch.no_grad():
            for metric in model.metrics:
                if not isinstance(metric, ScheduledValue):  # alpha is the same everywhere
                    for variable in metric.variables:
                        torch.distributed.all_reduce(variable.value)
            for variable in model.non_trainable_variables:  # the statistics of batch norm
                if keras.backend.is_float_dtype(variable.dtype):
                    torch.distributed.all_reduce(variable.value)
                    variable.assign(variable.value / torch.distributed.get_world_size())

    return train_step, test_step, gather


def fit_by_loop(
    model: keras.Model,
    train_step: Callable[[Any], None],
    test_step: Callable[[Any], None],
    gather: Callable[[], None],
    batches: LandmarkBatches,
    validation_batches: LandmarkBatches,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    """What `fit` does, with callbacks, by steps of several processes."""

    def results(prefix: str = "") -> dict[str, float]:
        gather()
        found = model.get_metrics_result()
        return {prefix + name: float(keras.ops.convert_to_numpy(value)) for name, value in found.items()}

    calls = keras.callbacks.CallbackList(
        callbacks, add_history=True, model=model, epochs=epochs, steps=len(batches), verbose=0
    )
    calls.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(batches.epoch, epochs):
        batches.epoch = epoch
        model.reset_metrics()
        calls.on_epoch_begin(epoch)
        for step, batch in enumerate(batches):
            train_step(batch)
            calls.on_train_batch_end(step)
        logs = results()
        model.reset_metrics()
        calls.on_test_begin()
        for batch in validation_batches:
            test_step(batch)
        logs |= results("val_")
        calls.on_test_end()
        calls.on_epoch_end(epoch, logs)
    calls.on_train_end(logs)
    return model.history.history


def load_faces(args: argparse.Namespace) -> tuple[FaceCrops, FaceCrops]:
    """Faces to train on and faces to watch, whose numbers divide into batches of equal parts."""
    parts = max(args.devices, len(args.addresses))
    if args.data == "synthetic":
        faces = synthetic_faces(args.n_faces, seed=SEED, image_size=args.image_size)
    else:
        photos = load_300w(args.root, "train", allow_partial=True)
        chosen = np.random.default_rng(SEED).permutation(len(photos))[: args.n_faces]
        faces = crop_faces(
            photos.select(np.sort(chosen)), args.image_size, cache=args.output.parent / "crops"
        )
    n_train = len(faces) * 4 // 5 // parts * parts
    n_validation = (len(faces) - n_train) // parts * parts
    return faces.select(np.arange(n_train)), faces.select(n_train + np.arange(n_validation))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--devices", type=int, default=1, help="of this process; TensorFlow and JAX")
    parser.add_argument(
        "--addresses", type=lambda text: text.split(","), default=[""], help="HOST:PORT of all processes"
    )
    parser.add_argument("--process", type=int, default=0, help="the number of this process, from 0")
    parser.add_argument("--data", choices=["synthetic", "300w"], default="synthetic")
    parser.add_argument("--root", type=Path, help="folder of 300W, with afw, helen and lfpw in it")
    parser.add_argument("--n-faces", type=int, default=640, help="of which a fifth is held out")
    parser.add_argument("--network", choices=["asmnet", "group-norm"], default="asmnet")
    parser.add_argument("--image-size", type=int, default=48, help="pixels")
    parser.add_argument("--width-multiplier", type=float, default=0.35, help="of the network's channels")
    parser.add_argument("--no-augmentation", action="store_true")
    parser.add_argument("--batch-size", type=int, default=32, help="of all devices together")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("output/train_distributed"))
    args = parser.parse_args()
    if args.data == "300w" and args.root is None:
        parser.error("--data 300w needs --root, the folder of 300W")
    if not 0 <= args.process < len(args.addresses):
        parser.error(f"--process must be from 0 to {len(args.addresses) - 1}. Received: {args.process}")
    return args


if __name__ == "__main__":
    main()
