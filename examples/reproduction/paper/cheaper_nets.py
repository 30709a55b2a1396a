"""ASMNet made cheaper, one way at a time; how much faster that is, examples/benchmarks/inference_speed.py measures.

Each keeps the first weights of what it keeps. They are not part of keras_asm: docs/export.md says what they cost.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_asm import ASMNet, LandmarkNet
from keras_asm.layers import ShapeDecoder

__all__ = ["narrow_first_layer_net", "three_taps_net", "without_block_2_net"]

_LAST_TAPS = ("block_10_project_BN", "block_13_project_BN", "block_15_add")
_FIRST_LAYERS = ("Conv1", "bn_Conv1", "expanded_conv_depthwise_BN")
_NARROW = 16


def three_taps_net(
    n_landmarks: int, include_pose: bool, shape_decoder: ShapeDecoder | None = None, **settings: Any
) -> keras.Model:
    """ASMNet that fuses the features of its last three taps alone."""
    net = ASMNet(n_landmarks=n_landmarks, include_pose=include_pose, **settings)
    return LandmarkNet(net, _LAST_TAPS, n_landmarks, include_pose, shape_decoder=shape_decoder)


def without_block_2_net(**settings: Any) -> keras.Model:
    """ASMNet without the residual block at a quarter of the image's size, which no tap reads."""
    net = ASMNet(**settings)

    def called(layer: keras.layers.Layer, x: Any, **_: Any) -> Any:
        if layer.name.startswith("block_2_"):
            return x[0] if isinstance(x, list) else x
        return layer(x)

    without = keras.models.clone_model(net, call_function=called)
    for layer in without.layers:
        layer.set_weights(net.get_layer(layer.name).get_weights())
    return without


def narrow_first_layer_net(**settings: Any) -> keras.Model:
    """ASMNet whose first layer has 16 of its 32 channels: those that the next layers weigh most."""
    net = ASMNet(**settings)

    def made(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        return type(layer).from_config({**config, "filters": _NARROW} if layer.name == "Conv1" else config)

    narrow = keras.models.clone_model(net, clone_function=made)
    kernel = net.get_layer("expanded_conv_project").get_weights()[0]  # (1, 1, 32, channels)
    kept = np.sort(np.argsort(np.abs(kernel).sum(axis=(0, 1, 3)))[-_NARROW:])
    for layer in narrow.layers:
        values = net.get_layer(layer.name).get_weights()
        if layer.name in ("expanded_conv_depthwise", "expanded_conv_project"):
            values = [values[0][:, :, kept]]
        elif layer.name in _FIRST_LAYERS:
            values = [value[..., kept] for value in values]
        layer.set_weights(values)
    return narrow
