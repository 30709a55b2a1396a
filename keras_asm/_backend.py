"""What Keras has no public call for, on the backend that it has imported already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["compiled", "is_concrete"]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled where that pays: on TensorFlow by XLA, and on JAX."""
    if keras.config.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False, reduce_retracing=True, jit_compile=True)
    return function


def is_concrete(tensor: Any) -> bool:
    """Whether a tensor has values now; otherwise a step is being compiled."""
    if isinstance(tensor, keras.KerasTensor):
        return False
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.executing_eagerly()
    if keras.config.backend() == "jax":
        import jax

        return not isinstance(tensor, jax.core.Tracer)
    return True
