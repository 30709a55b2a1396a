"""A network that is trained in seconds."""

import keras
import pytest

from paper.settings import NETWORKS


def _build(
    input_shape, n_landmarks, include_pose, width_multiplier, batch_norm_momentum, weights
) -> keras.Model:
    """What every network here has, in little: batch normalisation, whose state must survive, and two heads."""
    x = images = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 127.5, -1)(x)
    x = keras.layers.Conv2D(8, 5, strides=4)(x)
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization(momentum=batch_norm_momentum)(x))
    x = keras.layers.Flatten()(x)
    heads = {"landmarks": keras.layers.Dense(2 * n_landmarks, name="landmarks")(x)}
    if include_pose:
        heads["pose"] = keras.layers.Dense(3, name="pose")(x)
    return keras.Model(images, heads)


@pytest.fixture
def tiny_network(monkeypatch):
    """Makes `"tiny"` a network that experiments may name."""
    monkeypatch.setitem(NETWORKS, "tiny", _build)
