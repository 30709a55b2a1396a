"""A network that is trained in seconds."""

import keras
import pytest

from keras_asm import LandmarkNet
from paper.settings import NETWORKS


def _build(
    input_shape, n_landmarks, include_pose, width_multiplier, batch_norm_momentum, weights, shape_decoder
) -> keras.Model:
    """What every network here has, in little: batch normalisation, whose state must survive, and two heads."""
    x = images = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 127.5, -1)(x)
    x = keras.layers.Conv2D(8, 5, strides=4)(x)
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=batch_norm_momentum)(x))
    backbone = keras.Model(images, keras.layers.Flatten()(x))
    network = LandmarkNet(
        backbone, n_landmarks=n_landmarks, include_pose=include_pose, shape_decoder=shape_decoder
    )
    if weights is not None:
        network.load_weights(weights)
    return network


@pytest.fixture
def tiny_network(monkeypatch):
    """Makes `"tiny"` a network that experiments may name."""
    monkeypatch.setitem(NETWORKS, "tiny", _build)
