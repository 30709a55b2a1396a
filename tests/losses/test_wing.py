"""The wing loss by hand, against its formula in float64, its gradient, and as the base of another loss."""

import json
import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import ActiveShapeModel, ASMAssistedLoss, WingLoss
from keras_asm.losses import wing_loss

pytestmark = pytest.mark.backend

L = 6
W, EPS = 10 / 256, 2 / 256


def formula(x, w=W, eps=EPS):
    """The paper's, one number at a time."""

    def wing(x):
        return w * math.log(1 + abs(x) / eps) if abs(x) < w else abs(x) - (w - w * math.log(1 + w / eps))

    return np.vectorize(wing, otypes=[np.float64])(np.asarray(x, np.float64))


def landmarks(rng, n=5):
    """True and predicted landmarks whose errors lie on both sides of `W`."""
    G = rng.uniform(size=(n, L, 2)).astype("float32")
    return G, (G + rng.normal(scale=W, size=G.shape)).astype("float32")


def value(tensor):
    return ops.convert_to_numpy(tensor)


def gradient(loss, G, P):
    """The gradient of the loss in the predictions, by the backend's own means."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        P = tf.convert_to_tensor(P)
        with tf.GradientTape() as tape:
            tape.watch(P)
            result = loss(G, P)
        return tape.gradient(result, P).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(lambda P: loss(G, P))(P))
    P = ops.convert_to_tensor(P).requires_grad_()
    loss(G, P).backward()
    return P.grad.cpu().numpy()


def test_worked_by_hand():
    """In pixels: 10 ln(1 + 2/2) = 6.931472; 10 ln(1 + 8/2) = 16.094379; 20 - 10 + 10 ln 6 = 27.917595."""
    G, P = np.zeros((4, 1), "float32"), np.array([[0], [2], [-8], [20]], "float32")
    expected = [0, 6.931472, 16.094379, 27.917595]
    np.testing.assert_allclose(value(wing_loss(G, P, 10, 2)), expected, rtol=1e-6)
    np.testing.assert_allclose(value(WingLoss(10, 2, reduction=None)(G, P)), expected, rtol=1e-6)
    np.testing.assert_allclose(value(WingLoss(10, 2)(G, P)), 50.943446 / 4, rtol=1e-6)


def test_defaults_are_ten_and_two_pixels_of_256(rng):
    G, P = landmarks(rng)
    in_pixels = value(wing_loss(256 * G, 256 * P, width=10, curvature=2))
    np.testing.assert_allclose(256 * value(wing_loss(G, P)), in_pixels, rtol=1e-5)
    np.testing.assert_array_equal(value(WingLoss(reduction=None)(G, P)), value(wing_loss(G, P)))


@pytest.mark.parametrize(("w", "eps"), [(W, EPS), (0.5, 0.01), (0.01, 0.5)])
def test_formula(rng, w, eps):
    G, P = landmarks(rng)
    expected = formula(G.astype("float64") - P, w, eps)
    loss = WingLoss(w, eps)
    # Absolute errors of float32 are those of coordinates near 1
    np.testing.assert_allclose(value(wing_loss(G, P, w, eps)), expected.mean(axis=-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value(loss(G, P)), expected.mean(), rtol=1e-5)
    np.testing.assert_allclose(value(loss(G.reshape(5, -1), P.reshape(5, -1))), expected.mean(), rtol=1e-5)


def test_shapes_of_both_forms(rng):
    G, P = landmarks(rng)
    loss = WingLoss(reduction=None)
    assert tuple(loss(G, P).shape) == (5, L)
    assert tuple(loss(G.reshape(5, -1), P.reshape(5, -1)).shape) == (5,)


def test_pieces_meet_at_the_width():
    x = np.array(
        [[np.nextafter(np.float32(W), np.float32(0))], [W], [np.nextafter(np.float32(W), np.float32(1))]]
    )
    values = value(wing_loss(np.zeros_like(x, "float32"), x.astype("float32")))
    np.testing.assert_allclose(values, W * math.log(6), rtol=1e-6)


def test_gradient():
    """w / (eps + |x|) within w, 1 beyond, with the sign of the error; 0 at 0."""
    x = np.array([[0, 1e-30, 1e-4, -W / 2, 0.99 * W, 1.01 * W, -0.5, 1e30]], "float32")
    expected = np.where(np.abs(x) < W, W / (EPS + np.abs(x)), 1) * np.sign(x) / x.size
    np.testing.assert_allclose(gradient(WingLoss(), np.zeros_like(x), x), expected, rtol=1e-5)


def test_gradient_at_the_width_is_of_one_side():
    x = np.array([[W, -W]], "float32")
    found = np.abs(gradient(WingLoss(), np.zeros_like(x), x)) * x.size
    assert np.all((found >= 10 / 12 - 1e-6) & (found <= 1 + 1e-6))


def test_sample_weight(rng):
    G, P = (landmark.reshape(5, -1) for landmark in landmarks(rng))
    weights = np.array([1.0, 0, 2, 0, 0.5], "float32")
    expected = np.mean(weights * formula(G.astype("float64") - P).mean(axis=-1))
    np.testing.assert_allclose(value(WingLoss()(G, P, sample_weight=weights)), expected, rtol=1e-5)


def test_float16_predictions_are_compared_in_float32(rng):
    G, P = landmarks(rng)
    result = WingLoss()(G, ops.cast(P, "float16"))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    expected = formula(G.astype("float64") - P.astype("float16")).mean()
    np.testing.assert_allclose(value(result), expected, rtol=1e-5)


def test_config_survives_json():
    loss = WingLoss(0.1, 0.02, reduction="sum", name="landmark_loss", dtype="float64")
    again = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(loss))))
    assert isinstance(again, WingLoss)
    assert again.get_config() == loss.get_config()
    assert (again.width, again.curvature, again.reduction, again.name, again.dtype) == (
        0.1,
        0.02,
        "sum",
        "landmark_loss",
        "float64",
    )


@pytest.mark.parametrize("base", [WingLoss(0.1, 0.02, reduction="sum"), wing_loss])
def test_as_base_of_the_assisted_loss(rng, base):
    shapes = rng.uniform(size=(1, L, 2)) + 0.05 * rng.normal(size=(50, L, 2))
    asm = ActiveShapeModel(n_components=4).fit(shapes)
    G, P = landmarks(rng)
    w, eps = (base.width, base.curvature) if isinstance(base, WingLoss) else (W, EPS)
    expected = formula(G.astype("float64") - P, w, eps).mean()
    expected += 2 * formula(asm.project(G).astype("float64") - P, w, eps).mean()
    loss = ASMAssistedLoss(asm, alpha=2.0, base=base)
    again = ASMAssistedLoss.from_config(json.loads(json.dumps(loss.get_config())))
    for assisted in (loss, again):
        np.testing.assert_allclose(value(assisted(G, P)), expected, rtol=1e-5)
        flat = value(assisted(G.reshape(5, -1), P.reshape(5, -1)))
        np.testing.assert_allclose(flat, expected, rtol=1e-5)


def test_two_steps_of_training_lower_the_loss(rng):
    x = rng.normal(size=(16, 4)).astype("float32")
    G = rng.uniform(size=(16, 2 * L)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2 * L)])
    model.compile(keras.optimizers.SGD(0.1), WingLoss())
    before = model.evaluate(x, G, verbose=0)
    model.fit(x, G, batch_size=16, epochs=2, verbose=0)
    assert model.evaluate(x, G, verbose=0) < before


def test_saved_with_its_model(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2 * L)])
    model.compile("sgd", WingLoss(0.1, 0.02))
    model.save(tmp_path / "model.keras")
    loss = keras.models.load_model(tmp_path / "model.keras").loss
    assert isinstance(loss, WingLoss)
    assert (loss.width, loss.curvature) == (0.1, 0.02)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("argument", ["width", "curvature"])
def test_bad_arguments(argument, wrong):
    message = f"{argument} must be a positive, finite number. Received: {argument}={wrong}"
    with pytest.raises(ValueError, match=message):
        WingLoss(**{argument: wrong})
    with pytest.raises(ValueError, match=message):
        wing_loss([[0.0]], [[0.0]], **{argument: wrong})
