"""Make plain layers of what helped in training."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_asm.layers import ShapeDecoder

__all__ = ["fold_shape_decoder"]


def fold_shape_decoder(model: keras.Model) -> keras.Model:
    """Make one dense layer of each `ShapeDecoder` and the dense layer before it.

    With the kernel `K` and bias `b` of the dense layer, the decoder's `mean + (x K + b) B` is

        x K' + b',   K' = K B,   b' = b B + mean

    The network predicts the same to rounding, has no layer of keras_asm left at its end, and computes nothing more
    than a network that was made without a decoder. Train before folding; fold before exporting or quantising.

    Args:
        model: A functional or Sequential model. It is not changed.

    Returns:
        A model whose outputs have the names and the structure of the model's, not compiled. The dense layer is new and
        has the decoder's name; all others are shared with `model`, not copied. A model without a decoder is returned as
        it is.

    Raises:
        ValueError: If a decoder lies in a nested model, is no output of the model, or does not directly follow a
            `Dense` layer without activation.

    Examples:
        >>> from keras_asm import ASMNet
        >>> from keras_asm.layers import ShapeDecoder
        >>> from keras_asm.model_tools import fold_shape_decoder
        >>> decoder = ShapeDecoder(mean_shape=[0.1] * 10, basis=[0.02] * 10)
        >>> model = ASMNet((32, 32, 3), n_landmarks=5, width_multiplier=0.35, shape_decoder=decoder)
        >>> folded = fold_shape_decoder(model)
        >>> folded.output_names, type(folded.get_layer("landmarks")).__name__
        (['landmarks', 'pose'], 'Dense')

    See Also:
        - [`ShapeDecoder`][keras_asm.layers.ShapeDecoder]: what is folded.
        - [`export_model`][keras_asm.export.export_model]: folds by itself.
        - [The last layer learns too fast][the-last-layer-learns-too-fast]: why there is a decoder.
    """
    decoders = [layer for layer in model._flatten_layers() if isinstance(layer, ShapeDecoder)]
    if not decoders:
        return model
    if isinstance(model, keras.Sequential):  # which has an output as a layer of others only
        model = keras.Model(model.inputs, model.outputs[0], name=model.name)
    folded = {id(decoder.output): _folded(decoder, model) for decoder in decoders}
    folded |= {id(layer.output): _again(layer, folded) for layer in _readers(model, folded)}
    outputs = keras.tree.map_structure(lambda tensor: folded.get(id(tensor), tensor), model.output)
    return keras.Model(model.input, outputs, name=model.name)


def _folded(decoder: ShapeDecoder, model: keras.Model) -> keras.KerasTensor:
    """What a dense layer that does the work of two gives, in the graph of the model."""
    expected = (
        "A ShapeDecoder that can be folded is an output of the model, not of a model in it, and directly follows a "
        f"Dense layer without activation. Received: {decoder.name!r},"
    )
    if not any(tensor is decoder.output for tensor in model.outputs):
        raise ValueError(f"{expected} which is no output of {model.name!r}")
    before = [layer for layer in model.layers if layer is not decoder and _output(layer) is decoder.input]
    if not before or not isinstance(before[0], keras.layers.Dense):
        raise ValueError(f"{expected} which follows {before[0] if before else 'an input'!r}")
    (dense,) = before
    if dense.activation is not keras.activations.linear:
        raise ValueError(
            f"{expected} which follows a Dense layer with the activation {dense.activation.__name__}"
        )
    basis, mean_shape = decoder.affine_map()
    kernel = ops.convert_to_numpy(dense.kernel).astype(np.float64)
    bias = ops.convert_to_numpy(dense.bias).astype(np.float64) if dense.use_bias else np.zeros(dense.units)
    layer = keras.layers.Dense(decoder.n_features, name=decoder.name, dtype=decoder.dtype_policy)
    tensor = layer(dense.input)
    layer.set_weights([kernel @ basis, bias @ basis + mean_shape])
    return tensor


def _readers(model: keras.Model, folded: dict[int, keras.KerasTensor]) -> list[keras.layers.Layer]:
    """The layers that put a decoder's landmarks beside their log scales, for another output."""
    return [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Concatenate)
        and any(_output(layer) is tensor for tensor in model.outputs)
        and any(id(tensor) in folded for tensor in layer.input)
    ]


def _again(layer: keras.layers.Layer, folded: dict[int, keras.KerasTensor]) -> keras.KerasTensor:
    """What a copy of the layer gives for the folded landmarks."""
    return type(layer).from_config(layer.get_config())([folded.get(id(x), x) for x in layer.input])


def _output(layer: keras.layers.Layer) -> object:
    """What a layer gives; None where it is called several times and so gives several things."""
    try:
        return layer.output
    except (AttributeError, ValueError):
        return None
