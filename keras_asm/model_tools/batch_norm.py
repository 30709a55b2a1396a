"""The statistics that batch normalisation evaluates with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

__all__ = ["batch_norm_layers", "recompute_batch_norm"]


def recompute_batch_norm(model: keras.Model, batches: Iterable[Any], epochs: int = 1) -> None:
    """Average the statistics of a model's batch normalisation anew, over given batches; its weights stay.

    `BatchNormalization` evaluates with moving averages, of which the last `1 / (1 - momentum)` batches make up two
    thirds. Where these are few, small or unusual, the same weights evaluate much better or worse by luck. This replaces
    them, in every layer and channel, by

        mean = sum_b n_b mean_b / sum_b n_b,   variance = sum_b n_b variance_b / sum_b n_b

    over all batches `b` of `n_b` items, passed through the model in training mode (dropout and augmentation within
    the model are at work too). Several epochs make them steadier than one, and large batches than small ones; no
    gradients are kept, so that memory allows larger ones than in training.

    Call it after `fit`, and after weights were averaged, which statistics do not follow. Pass what the network was
    trained on, augmented as it was. Layers with `trainable=False` keep their statistics, as in training.

    Args:
        model: A built model, whose statistics are replaced.
        batches: `LandmarkBatches` or another `PyDataset`, a `tf.data.Dataset`, or any iterable of batches, each
            the model's inputs alone or a tuple `(inputs, targets, ...)` as for `fit`.
        epochs: How often to go through them; 1 by default. A `PyDataset` is told of each epoch, as by `fit`, and
            `LandmarkBatches` then order and augment anew.

    Raises:
        ValueError: If the model has no batch normalisation that is trainable, or `batches` is one array, or is
            empty in any of the epochs, as an iterator is after the first; if `epochs` is below 1.

    Source: Ioffe and Szegedy (2015), Algorithm 2, without its factor `n / (n - 1)` of the variance, which Keras leaves
    out of its moving averages too; Wu and Johnson (2021), *Rethinking "Batch" in BatchNorm*, compare such statistics
    with moving averages ("PreciseBN").

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> from keras_asm.model_tools import recompute_batch_norm
        >>> norm = keras.layers.BatchNormalization()
        >>> model = keras.Sequential([keras.Input((1,)), norm])
        >>> recompute_batch_norm(model, [np.array([[1.0], [3.0]]), np.array([[5.0]])])
        >>> float(norm.moving_mean[0]), float(norm.moving_variance[0])  # mean and variance by batch: 2, 1; 5, 0
        (3.0, 0.6666666865348816)

    See Also:
        - [`LandmarkBatches`][keras_asm.faces.LandmarkBatches]: gives the batches.
        - [`predict_with_flip`][keras_asm.model_tools.predict_with_flip]: takes most of the rest of the luck
          away.
        - [The statistics of batch norm][the-statistics-of-batch-norm]: when it matters.
    """
    layers = [layer for layer in batch_norm_layers(model) if layer.trainable]
    if not layers:
        raise ValueError(f"The model {model.name!r} has no BatchNormalization layer that is trainable.")
    if isinstance(batches, np.ndarray):
        raise ValueError(
            "batches must be an iterable of batches, such as LandmarkBatches or [images]. "
            f"Received: one array of shape {batches.shape}"
        )
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1. Received: {epochs!r}")
    momenta = [layer.momentum for layer in layers]
    seen = 0
    try:
        with _no_gradients():
            for epoch in range(epochs):
                before = seen
                for batch in _one_epoch(batches):
                    inputs, *_ = keras.utils.unpack_x_y_sample_weight(batch)
                    n = keras.tree.flatten(inputs)[0].shape[0]
                    for layer in layers:
                        layer.momentum = seen / (seen + n)
                    model(inputs, training=True)
                    seen += n
                if seen == before:
                    raise ValueError(
                        f"batches must hold a batch in every epoch. Received: none in epoch {epoch}"
                    )
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _one_epoch(batches: Iterable[Any]) -> Iterator[Any]:
    if not isinstance(batches, keras.utils.PyDataset):
        yield from batches
        return
    batches.on_epoch_begin()
    yield from map(batches.__getitem__, range(len(batches)))
    batches.on_epoch_end()


def batch_norm_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Those of nested models and layers too."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]


def _no_gradients() -> contextlib.AbstractContextManager[Any]:
    """PyTorch would keep every activation for a backward pass."""
    if keras.config.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()
