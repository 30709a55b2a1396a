"""Fused batch norm trains as Keras's own does."""

import keras
import numpy as np
import pytest

from paper import fused_batch_norm


@pytest.fixture
def restored():
    original = keras.layers.BatchNormalization.call
    yield
    keras.layers.BatchNormalization.call = original


def trained(images, targets):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(images.shape[1:])
    x = keras.layers.BatchNormalization(momentum=0.7)(keras.layers.Conv2D(4, 3)(x))
    x = keras.layers.BatchNormalization(epsilon=0.1)(keras.layers.Conv2D(4, 3)(keras.layers.ReLU()(x)))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "mse")
    losses = [float(model.train_on_batch(images, targets)) for _ in range(4)]
    return losses, model.get_weights(), model.predict(images, verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's operation")
def test_trains_as_keras_does(restored, rng):
    images, targets = 3 + 2 * rng.normal(size=(3, 9, 8, 3)), rng.normal(size=(3, 2))
    expected = trained(images, targets)
    fused_batch_norm.use_fused_batch_norm()
    assert keras.layers.BatchNormalization.call is not fused_batch_norm._composed
    losses, weights, predictions = trained(images, targets)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-4)
    np.testing.assert_allclose(predictions, expected[2], atol=1e-4)
    for found, wanted in zip(weights, expected[1], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="other backends refuse")
def test_other_backends(restored):
    with pytest.raises(SystemExit, match="is TensorFlow's"):
        fused_batch_norm.use_fused_batch_norm()
