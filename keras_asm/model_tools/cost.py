"""Parameters and multiply-adds of a model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import keras

__all__ = ["ModelCost", "model_cost"]

_Shape = tuple[int, ...]


@dataclass(frozen=True)
class ModelCost:
    """What a model costs: its size, and the work of one image.

    Attributes:
        parameters: Number of parameters, moving statistics included.
        trainable_parameters: Number of parameters that training changes.
        multiply_adds: Multiply-adds of one sample. A figure in FLOPs usually counts two for each.
        uncounted: Types of layers that have weights but no counting rule; their work is missing from
            `multiply_adds`.

    Examples:
        >>> from keras_asm.model_tools import ModelCost
        >>> print(ModelCost(parameters=1_439_507, trainable_parameters=1_412_435, multiply_adds=256_500_000))
        1,439,507 parameters (1,412,435 trainable), 256.5 M multiply-adds

    See Also:
        - [`model_cost`][keras_asm.model_tools.model_cost]: makes it.
    """

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    uncounted: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line, as in `1,439,507 parameters (1,412,435 trainable), 256.5 M multiply-adds`."""
        work = f"{self.multiply_adds:,}"
        if self.multiply_adds >= 1e6:
            work = f"{self.multiply_adds / 1e6:,.1f} M"
        line = (
            f"{self.parameters:,} parameters ({self.trainable_parameters:,} trainable), {work} multiply-adds"
        )
        return line + (f" (not counted: {', '.join(self.uncounted)})" if self.uncounted else "")


def model_cost(model: keras.Model, input_shape: tuple[int, ...] | None = None) -> ModelCost:
    """Counts the parameters of a model and the multiply-adds of one sample.

    A convolution does `kernel size x output positions` multiply-adds, a transposed one `kernel size x input
    positions`, a dense layer `kernel size x positions`, where the kernel's size has input channels (of one
    group) and output channels in it. Biases, activations, pooling, and normalisation, which folds into the
    convolution before it, count nothing, as is the custom in the MobileNet papers.

    Args:
        model: Functional or Sequential model, which may hold others. A layer that is called twice is counted
            twice. Nothing is computed: only shapes are.
        input_shape: Shape of one sample, for a model with one input whose shape has a None in it. Default:
            the model's own.

    Returns:
        The counts.

    Raises:
        ValueError: If the input's shape is not known, or is not one that the model takes.

    Examples:
        >>> import keras
        >>> from keras_asm.model_tools import model_cost
        >>> images = keras.Input((32, 32, 3))
        >>> x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(images)    # 16 x 16 x (3 x 3 x 3 x 8)
        >>> x = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x))                    # 8 x 10
        >>> print(model_cost(keras.Model(images, x)))
        314 parameters (314 trainable), 55,376 multiply-adds

    See Also:
        - [`ModelCost`][keras_asm.model_tools.ModelCost]: what it returns.
        - [`fold_shape_decoder`][keras_asm.model_tools.fold_shape_decoder]: takes a decoder out of the count.
        - [Ten backbones][ten-backbones]: figures of several networks.
    """
    multiply_adds = 0
    counted: set[int] = set()

    def visit(layer: keras.layers.Layer, inputs: Any, outputs: Any) -> None:
        nonlocal multiply_adds
        rule = _rule(layer)
        if rule is not None:
            multiply_adds += rule(layer, _without_batch(inputs), _without_batch(outputs))
            counted.add(id(layer))

    _trace(model, _sample_spec(model, input_shape), visit)
    uncounted = {
        type(layer).__name__ for layer in _leaves(model) if layer.weights and id(layer) not in counted
    }
    return ModelCost(
        parameters=sum(prod(weight.shape) for weight in model.weights),
        trainable_parameters=sum(prod(weight.shape) for weight in model.trainable_weights),
        multiply_adds=multiply_adds,
        uncounted=tuple(sorted(uncounted)),
    )


def _dense(layer: Any, inputs: _Shape, outputs: _Shape) -> int:
    return prod(layer.kernel.shape) * prod(outputs[:-1])


def _convolution(layer: Any, inputs: _Shape, outputs: _Shape) -> int:
    return prod(layer.kernel.shape) * _positions(layer, outputs)


def _transposed_convolution(layer: Any, inputs: _Shape, outputs: _Shape) -> int:
    return prod(layer.kernel.shape) * _positions(layer, inputs)


def _separable_convolution(layer: Any, inputs: _Shape, outputs: _Shape) -> int:
    # The stride lies in the depthwise step, so both steps work at the output's positions.
    kernels = prod(layer.depthwise_kernel.shape) + prod(layer.pointwise_kernel.shape)
    return kernels * _positions(layer, outputs)


def _nothing(layer: Any, inputs: _Shape, outputs: _Shape) -> int:
    return 0


def _positions(layer: Any, shape: _Shape) -> int:
    return prod(shape[:-1] if layer.data_format == "channels_last" else shape[1:])


_layers = keras.layers
_RULES: tuple[tuple[tuple[type, ...], Callable[[Any, _Shape, _Shape], int]], ...] = (
    ((_layers.Dense,), _dense),
    ((_layers.SeparableConv1D, _layers.SeparableConv2D), _separable_convolution),
    (
        (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose),
        _transposed_convolution,
    ),
    (
        (_layers.Conv1D, _layers.Conv2D, _layers.Conv3D, _layers.DepthwiseConv1D, _layers.DepthwiseConv2D),
        _convolution,
    ),
    (
        (
            _layers.BatchNormalization,
            _layers.LayerNormalization,
            _layers.GroupNormalization,
            _layers.Normalization,
            _layers.PReLU,
            _layers.Embedding,
        ),
        _nothing,
    ),
)


def _rule(layer: keras.layers.Layer) -> Callable[[Any, _Shape, _Shape], int] | None:
    return next((rule for types, rule in _RULES if isinstance(layer, types)), None)


# Keras walks a graph again only for shapes other than those it was built with; nobody builds with this batch.
_BATCH = 7


def _sample_spec(model: keras.Model, input_shape: tuple[int, ...] | None) -> Any:
    """Symbolic inputs of the model with a fixed batch size."""
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ValueError(
            f"model must be a functional model or a Sequential model with an Input. Received: {model!r}"
        )
    if input_shape is not None and len(inputs) != 1:
        raise ValueError(
            f"input_shape is for models with one input. Received: {input_shape} for {len(inputs)} inputs"
        )

    def spec(tensor: keras.KerasTensor) -> keras.KerasTensor:
        shape = tuple(tensor.shape[1:] if input_shape is None else input_shape)
        if None in shape:
            raise ValueError(
                f"The shape of one sample must be known: pass input_shape. Received: {shape} "
                f"for {model.name!r}"
            )
        return keras.KerasTensor((_BATCH, *shape), dtype=tensor.dtype)

    return spec(inputs[0]) if len(inputs) == 1 else keras.tree.map_structure(spec, model.input)


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _trace(model: keras.Model, sample: Any, visit: Callable[[keras.layers.Layer, Any, Any], None]) -> None:
    """Sends shapes through the graph, and shows `visit` every call of a layer.

    Keras asks each layer of a graph for its `compute_output_spec`, so that is what is listened to, for the
    time of one pass: it sees layers that are called twice, nested models and any input shape, without private
    names, without computing and without adding calls to the graph.
    """

    def listen(layer: keras.layers.Layer) -> None:
        answer = layer.compute_output_spec

        def compute_output_spec(*args: Any, **kwargs: Any) -> Any:
            outputs = answer(*args, **kwargs)
            visit(layer, args, outputs)
            return outputs

        layer.__dict__["compute_output_spec"] = compute_output_spec

    leaves = list({id(layer): layer for layer in _leaves(model)}.values())
    try:
        for layer in leaves:
            listen(layer)
        model.compute_output_spec(sample)
    finally:
        for layer in leaves:
            layer.__dict__.pop("compute_output_spec", None)


def _without_batch(tensors: Any) -> _Shape:
    """Shape of one sample of the first tensor, () where there is none."""
    first = keras.tree.flatten(tensors)[0]
    return tuple(first.shape[1:])
