"""Batch norm as one operation of TensorFlow's, where Keras composes it from many.

Keras 3 computes the batch's mean and variance and normalises with them step by step. On a CPU, half of the time of a
training step of MobileNetV2 goes into that and its gradient.
"""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["use_fused_batch_norm"]

_composed = keras.layers.BatchNormalization.call


def use_fused_batch_norm() -> None:
    """Make every batch norm of images train by `tf.nn.fused_batch_norm`, equal to Keras's own but for rounding.

    Raises:
        SystemExit: If the backend is another.
    """
    if keras.config.backend() != "tensorflow":
        raise SystemExit(f"--fused-batch-norm is TensorFlow's. Received: backend {keras.config.backend()}")
    keras.layers.BatchNormalization.call = _fused


def _fused(
    self: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    if not (training and self.trainable) or len(inputs.shape) != 4 or self.compute_dtype != "float32":
        return _composed(self, inputs, training=training, mask=mask)

    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
    )
    count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), variance.dtype)
    # TensorFlow gives the variance of a sample, Keras keeps that of the batch itself
    moving = ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count))
    for average, value in moving:
        average.assign(average * self.momentum + value * (1 - self.momentum))
    return outputs
