"""Bias correction: what rounding the kernels to 8 bits shifts is given back to the biases before quantisation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["corrected_biases", "rounded_kernel"]

_BATCH = 16  # Keras keeps what all layers give until the network is through
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_WITH_KERNEL = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Dense,
    *_DEPTHWISE,
)


@dataclass
class _Part:
    """A layer with a kernel, and where its shift can go."""

    layer: Any
    kernel: np.ndarray
    rounded: np.ndarray
    norm: Any = None  # the batch normalisation behind it
    mean: Any = None  # of what it gives for a batch, for each channel
    shift: Any = 0.0  # over all images

    @property
    def target(self) -> tuple[Any, float] | None:
        """The variable that takes the shift, and the sign with which it does."""
        if self.layer.use_bias:
            return self.layer.bias, -1.0
        return None if self.norm is None else (self.norm.moving_mean, 1.0)


@contextlib.contextmanager
def corrected_biases(model: keras.Model, images: np.ndarray) -> Iterator[None]:
    """Within it, the network has the biases to be quantised with; afterwards, those that it had.

    A kernel `W` that is rounded to `Q` changes what its layer gives by `(Q - W) x`. After a ReLU, the mean of `x` is
    far from 0, so that this is much the same on every face: all landmarks move to the same side. Its mean over images
    and places, for each output channel, is taken off the bias, or put onto the mean that the batch normalisation behind
    the layer subtracts:

        b' = b - mean(Q x' - W x)

    `x'` comes from the layers before, rounded and corrected. Layers with neither stay as they are.

    Args:
        model: As it is quantised.
        images: What it takes, `(n, ...)`.

    Source: Nagel, van Baalen, Blankevoort, Welling (2019), *Data-Free Quantization Through Weight Equalization and Bias
    Correction*: its correction of biases, from images instead of without data.
    """
    layers = list(model._flatten_layers())
    parts = []
    for layer in layers:
        if isinstance(layer, _WITH_KERNEL):
            kernel = np.array(ops.convert_to_numpy(layer.kernel))
            parts.append(_Part(layer, kernel, rounded_kernel(kernel, isinstance(layer, _DEPTHWISE))))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        _watch(model, batch, parts, norms)
        _correct(model, batch, parts, len(batch) / len(images))
    before = []
    try:
        for part in parts:
            if part.target is not None:
                variable, sign = part.target
                before.append((variable, ops.convert_to_numpy(variable)))
                variable.assign_add(sign * ops.cast(part.shift, variable.dtype))
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def rounded_kernel(kernel: np.ndarray, depthwise: bool = False) -> np.ndarray:
    """A kernel of 8 bits as LiteRT has it, in float: a scale for each output channel, whole numbers from -127 to 127.

    That batch normalisation is folded into it later makes no difference, since it multiplies whole channels.
    """
    axes = tuple(range(kernel.ndim - (2 if depthwise else 1)))
    scale = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.round(kernel / scale) * scale


def _watch(model: keras.Model, batch: np.ndarray, parts: list[_Part], norms: list[Any]) -> None:
    """Note what the layers give on the mean, and which batch normalisation takes it."""
    given: dict[int, tuple[Any, _Part]] = {}  # by the tensor's id, with the tensor, lest its id be given anew
    for part in parts:
        part.mean = None

    def watched(part: _Part, output: Any) -> Any:
        given[id(output)] = output, part
        if part.mean is None:  # of a layer that is called several times, the first call counts
            part.mean = _mean(part, output)
        return output

    def found(norm: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if id(inputs) in given:
                given[id(inputs)][1].norm = norm
            return call(inputs, *args, **kwargs)

        return called

    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(_output_passes(part, watched))
        for norm in norms:
            stack.enter_context(_calls(norm, found(norm, norm.call)))
        model(batch, training=False)


def _correct(model: keras.Model, batch: np.ndarray, parts: list[_Part], weight: float) -> None:
    """Find the shifts, each with those before it taken back."""
    shifts: dict[int, Any] = {}

    def corrected(part: _Part, output: Any) -> Any:
        if part.target is None:
            return output
        if id(part) not in shifts:
            shifts[id(part)] = _mean(part, output) - part.mean
            part.shift = part.shift + weight * shifts[id(part)]
        return output - _along_channels(part, shifts[id(part)], output)

    try:
        with contextlib.ExitStack() as stack:
            for part in parts:
                part.layer.kernel.assign(part.rounded)
                stack.enter_context(_output_passes(part, corrected))
            model(batch, training=False)
    finally:
        for part in parts:
            part.layer.kernel.assign(part.kernel)


def _channel_axis(part: _Part, output: Any) -> int:
    return 1 if getattr(part.layer, "data_format", None) == "channels_first" else len(output.shape) - 1


def _mean(part: _Part, output: Any) -> Any:
    channels = _channel_axis(part, output)
    return ops.mean(output, axis=tuple(axis for axis in range(len(output.shape)) if axis != channels))


def _along_channels(part: _Part, values: Any, output: Any) -> Any:
    channels = _channel_axis(part, output)
    return ops.reshape(values, [-1 if axis == channels else 1 for axis in range(len(output.shape))])


@contextlib.contextmanager
def _output_passes(part: _Part, function: Callable[[_Part, Any], Any]) -> Iterator[None]:
    """Within it, what the layer gives before its activation goes through a function."""
    layer, activation = part.layer, part.layer.activation
    call = layer.call

    def called(*args: Any, **kwargs: Any) -> Any:
        output = function(part, call(*args, **kwargs))
        return output if activation is None else activation(output)

    # Keras refuses to set an activation that is a layer itself, once the layer is built
    object.__setattr__(layer, "activation", None)
    try:
        with _calls(layer, called):
            yield
    finally:
        object.__setattr__(layer, "activation", activation)


@contextlib.contextmanager
def _calls(layer: Any, called: Callable[..., Any]) -> Iterator[None]:
    """Within it, a layer computes something else; Keras's own quantisers watch layers so, too."""
    layer.call = called
    try:
        yield
    finally:
        del layer.call
