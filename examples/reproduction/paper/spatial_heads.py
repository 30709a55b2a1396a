"""Heads that keep where things are, beside ASMNet's, which averages every feature map over the whole image.

Both predict heat maps, one for each landmark, at a quarter of the image's size, from a pyramid of four blocks of the
same cut MobileNetV2. The place of a landmark is the mean of the pixels' places, weighted by the softmax of its map
(integral regression). `soft_argmax_net` takes these places as the landmarks. `feature_points_net` gives them to
ASMNet's linear layer as further features. They are not part of keras_asm: FINDINGS.md says what they bring.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from keras_asm import ASMNet
from keras_asm.layers import ShapeDecoder

__all__ = ["feature_points_net", "soft_argmax_net"]

_BLOCKS = ("block_15_add", "block_12_add", "block_5_add", "block_2_add")  # at 1/32, 1/16, 1/8 and 1/4
_CHANNELS = 48


@keras.saving.register_keras_serializable(package="paper")
class SoftArgmax(layers.Layer):
    """The mean place of each heat map, flat, times a scale; the image spans -0.5 to 0.5."""

    def __init__(self, scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, maps: Any) -> Any:
        """`(batch, height, width, n)` to `(batch, 2 * n)`."""
        height, width, n = maps.shape[1:]
        x, y = ((ops.arange(size, dtype="float32") + 0.5) / size - 0.5 for size in (width, height))
        weights = ops.reshape(
            ops.softmax(ops.reshape(maps, (-1, height * width, n)), axis=1), (-1, height, width, n)
        )
        places = [ops.einsum("bhwn,w->bn", weights, x), ops.einsum("bhwn,h->bn", weights, y)]
        return self.scale * ops.reshape(ops.stack(places, axis=-1), (-1, 2 * n))

    def get_config(self) -> dict[str, Any]:
        """The scale."""
        return {**super().get_config(), "scale": self.scale}


def soft_argmax_net(
    n_landmarks: int, shape_decoder: ShapeDecoder | None = None, **settings: Any
) -> keras.Model:
    """Landmarks from heat maps alone, up to an eighth of the image beyond its border."""
    net = ASMNet(n_landmarks=n_landmarks, **settings)
    landmarks = SoftArgmax(1.25, name="landmarks")(_heat_maps(net, n_landmarks))
    return keras.Model(net.inputs[0], {**net.output, "landmarks": landmarks})


def feature_points_net(
    n_landmarks: int, shape_decoder: ShapeDecoder | None = None, **settings: Any
) -> keras.Model:
    """ASMNet whose linear layer also reads a place for each landmark."""
    net = ASMNet(n_landmarks=n_landmarks, **settings)
    # Times ten, so that places vary by about 1 over faces, as the pooled features do
    points = SoftArgmax(10.0, name="points")(_heat_maps(net, n_landmarks))
    features = layers.Concatenate()([net.get_layer("fused_features").output, points])
    near_zero = keras.initializers.RandomNormal(stddev=1e-3)
    size = 2 * n_landmarks if shape_decoder is None else shape_decoder.n_coefficients
    landmarks = layers.Dense(size, kernel_initializer=near_zero)(features)
    if shape_decoder is not None:
        landmarks = shape_decoder(landmarks)
    return keras.Model(net.inputs[0], {**net.output, "landmarks": landmarks})


def _heat_maps(net: keras.Model, n: int) -> Any:
    momentum = net.get_layer("bn_Conv1").momentum

    def normalized(x: Any) -> Any:
        return layers.BatchNormalization(momentum=momentum)(x)

    x = None
    for block in _BLOCKS:
        lateral = normalized(layers.Conv2D(_CHANNELS, 1, use_bias=False)(net.get_layer(block).output))
        x = lateral if x is None else lateral + layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.ReLU()(x)
    x = layers.ReLU()(normalized(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    x = layers.ReLU()(normalized(layers.Conv2D(_CHANNELS, 1, use_bias=False)(x)))
    return layers.Conv2D(
        n, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-2), name="heat_maps"
    )(x)
