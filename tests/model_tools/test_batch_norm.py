"""Statistics of batch normalisation that are averaged anew."""

import keras
import numpy as np
import pytest

from keras_asm import ASMNet, LandmarkAugmentation, LandmarkBatches, recompute_batch_norm

pytestmark = pytest.mark.backend


def array(values):
    return keras.ops.convert_to_numpy(values)


def statistics(layer):
    return array(layer.moving_mean), array(layer.moving_variance)


@pytest.fixture
def norm():
    return keras.layers.BatchNormalization(momentum=0.75)


@pytest.fixture
def model(norm):
    return keras.Sequential([keras.Input((3,)), norm, keras.layers.Dense(2)])


@pytest.fixture
def data(rng):
    """Three batches, of which the last is short, of what has not mean 0 and variance 1."""
    return np.split(rng.normal([1, -2, 3], [1, 2, 3], size=(20, 3)).astype("float32"), [8, 16])


def expected(batches):
    weights = [len(batch) for batch in batches]
    return [
        np.average([getattr(np, moment)(batch, axis=0) for batch in batches], axis=0, weights=weights)
        for moment in ("mean", "var")
    ]


def test_are_those_of_the_batches(model, norm, data):
    before = [array(weight) for weight in model.trainable_weights]
    recompute_batch_norm(model, data)
    for found, wanted in zip(statistics(norm), expected(data), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
    for weight, value in zip(model.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(array(weight), value)
    assert norm.momentum == 0.75


def test_what_was_there_before_does_not_matter(model, norm, data):
    norm.moving_mean.assign([1e6, -1e6, 0])
    norm.moving_variance.assign([1e6, 0, 1e-6])
    recompute_batch_norm(model, data)
    np.testing.assert_allclose(statistics(norm), expected(data), rtol=1e-5)


def test_agrees_with_pytorch(model, norm, data):
    """`torch.optim.swa_utils.update_bn`, whose batches weigh the same and whose variance is unbiased."""
    torch = pytest.importorskip("torch")
    data = data[:2]
    peer = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    torch.optim.swa_utils.update_bn([torch.tensor(batch) for batch in data], peer)
    recompute_batch_norm(model, data)
    mean, variance = statistics(norm)
    np.testing.assert_allclose(mean, peer[0].running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(variance * 8 / 7, peer[0].running_var.numpy(), rtol=1e-5)


def test_one_batch_evaluates_as_it_trains(rng):
    """Through all 52 layers of a network: with the statistics of one batch, both modes compute the same."""
    images = rng.integers(0, 256, size=(6, 32, 32, 3), dtype=np.uint8)
    network = ASMNet(input_shape=(32, 32, 3), width_multiplier=0.35)
    trained = array(network(images, training=True)["landmarks"])
    assert np.abs(array(network(images, training=False)["landmarks"]) - trained).max() > 1e-2
    recompute_batch_norm(network, LandmarkBatches(images, np.zeros((6, 68, 2)), batch_size=6, shuffle=False))
    np.testing.assert_allclose(network.predict(images, verbose=0)["landmarks"], trained, atol=1e-4)


def test_after_fit(model, norm, data):
    """What is compiled, and what JAX keeps outside of the model while it trains, has the new ones too."""
    model.compile("sgd", "mse")
    x = np.concatenate(data)
    targets = np.zeros((20, 2))
    model.fit(x, targets, batch_size=8, verbose=0)
    model.evaluate(x, targets, verbose=0)
    recompute_batch_norm(model, data)
    mean, variance = expected(data)
    gamma, beta = array(norm.gamma), array(norm.beta)
    kernel, bias = map(array, model.layers[-1].weights)
    predicted = ((x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta) @ kernel + bias
    np.testing.assert_allclose(model.predict(x, verbose=0), predicted, atol=1e-5)
    assert model.evaluate(x, targets, verbose=0) == pytest.approx(np.mean(predicted**2), rel=1e-4)
    model.fit(x, targets, batch_size=8, verbose=0)  # and goes on


class OfIndices(keras.utils.PyDataset):
    """Does not say where it ends but by its length."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index % len(self.batches)], np.zeros(1)


@pytest.mark.parametrize(
    "batches",
    [
        lambda data: [(batch, np.zeros((len(batch), 2))) for batch in data],
        lambda data: iter([(batch, None, np.ones(len(batch))) for batch in data]),
        OfIndices,
        lambda data: [keras.ops.convert_to_tensor(batch) for batch in data],
    ],
    ids=["targets", "sample weights", "PyDataset", "tensors"],
)
def test_batches_as_fit_takes_them(model, norm, data, batches):
    recompute_batch_norm(model, batches(data))
    np.testing.assert_allclose(statistics(norm), expected(data), rtol=1e-5)


def test_epochs_are_averaged(rng):
    """Each with an augmentation of its own."""
    images = rng.uniform(0, 255, size=(7, 8, 8, 3)).astype("float32")
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((8, 8, 3)), norm])
    values = {"batch_size": 4, "augmentation": LandmarkAugmentation("300w", brightness=0.3)}
    batches = LandmarkBatches(images, np.zeros((7, 68, 2)), **values)
    recompute_batch_norm(model, batches, epochs=3)
    assert batches.epoch == 3
    again = LandmarkBatches(images, np.zeros((7, 68, 2)), **values)
    means, sizes = [], []
    for again.epoch in range(3):
        for moved, _ in again:
            means.append(array(moved).mean((0, 1, 2)))
            sizes.append(len(moved))
    assert np.ptp(means, axis=0).min() > 1
    np.testing.assert_allclose(array(norm.moving_mean), np.average(means, axis=0, weights=sizes), rtol=1e-4)


def test_several_inputs(data):
    inputs = {name: keras.Input((3,), name=name) for name in ("a", "b")}
    norms = [keras.layers.BatchNormalization() for _ in inputs]
    outputs = keras.layers.Add()([layer(x) for layer, x in zip(norms, inputs.values(), strict=True)])
    recompute_batch_norm(keras.Model(inputs, outputs), [{"a": batch, "b": 2 * batch} for batch in data])
    mean, variance = expected(data)
    np.testing.assert_allclose(statistics(norms[0]), (mean, variance), rtol=1e-5)
    np.testing.assert_allclose(statistics(norms[1]), (2 * mean, 4 * variance), rtol=1e-5)


def test_layers_within_layers(norm, data):
    class Block(keras.layers.Layer):
        def __init__(self, layer):
            super().__init__()
            self.blocks = [layer]

        def call(self, x, training=None):
            return self.blocks[0](x, training=training)

    inner = keras.Sequential([keras.Input((3,)), Block(norm)])
    recompute_batch_norm(keras.Sequential([keras.Input((3,)), inner]), data)
    np.testing.assert_allclose(statistics(norm), expected(data), rtol=1e-5)


def test_frozen_layers_keep_theirs(data):
    frozen, free = keras.layers.BatchNormalization(trainable=False), keras.layers.BatchNormalization()
    recompute_batch_norm(keras.Sequential([keras.Input((3,)), frozen, free]), data)
    np.testing.assert_array_equal(statistics(frozen), [[0] * 3, [1] * 3])
    mean, variance = expected(data)
    np.testing.assert_allclose(statistics(free), (mean, variance), rtol=2e-3)  # frozen divides by sqrt(1.001)


def test_an_error_leaves_the_momentum(model, norm, data):
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever Keras says of another shape
        recompute_batch_norm(model, [data[0], data[1][:, :2]])
    assert norm.momentum == 0.75
    with pytest.raises(ValueError, match="none in epoch 0"):
        recompute_batch_norm(model, [])
    with pytest.raises(ValueError, match="none in epoch 1"):
        recompute_batch_norm(model, iter(data), epochs=2)
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        recompute_batch_norm(model, data, epochs=0)
    with pytest.raises(ValueError, match=r"one array of shape \(8, 3\)"):
        recompute_batch_norm(model, data[0])
    with pytest.raises(ValueError, match="no BatchNormalization"):
        recompute_batch_norm(keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]), data)
