"""Losses over the landmarks that have a position, against NumPy over those alone."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import ActiveShapeModel, ASMAssistedLoss, WingLoss
from keras_asm.losses import LandmarkLoss

pytestmark = pytest.mark.backend

L = 6


@pytest.fixture(scope="module")
def shapes():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(1, L, 2)) + 0.3 * rng.normal(size=(80, L, 2))).astype("float32")


@pytest.fixture(scope="module")
def faces(shapes):
    """True landmarks of which some have no position, all of the last face, and predictions."""
    rng = np.random.default_rng(1)
    true = shapes[:5].copy()
    true[0, 2], true[1, [0, 4]], true[3, 1:4], true[4] = np.nan, np.nan, np.nan, np.nan
    return true, (shapes[:5] + 0.2 * rng.normal(size=(5, L, 2))).astype("float32")


def squared(true, pred):
    return (true - pred) ** 2


def wing(true, pred, width=10 / 256, curvature=2 / 256):
    x = np.abs(true - pred)
    offset = width - width * np.log(1 + width / curvature)
    return np.where(x < width, width * np.log(1 + x / curvature), x - offset)


def over_visible(function, true, pred):
    """Mean over faces of the mean over the landmarks that each has; 0 for a face of none."""
    there = ~np.isnan(true[..., 0])
    return np.mean(
        [function(t[v], p[v]).mean() if v.any() else 0.0 for t, p, v in zip(true, pred, there, strict=True)]
    )


def completed(asm, true):
    """`ASM(G)` of the faces that have a landmark."""
    known = ~np.isnan(true[..., 0]).all(axis=1)
    smoothed = np.full_like(true, np.nan)
    smoothed[known] = asm.project(true[known])
    return np.where(np.isnan(true), np.nan, smoothed)


BASES = {"mean_squared_error": squared, "mean_absolute_error": lambda t, p: np.abs(t - p), "wing": wing}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("align", [None, "procrustes"])
def test_assisted_loss_over_visible_landmarks(shapes, faces, flat, base, align):
    asm = ActiveShapeModel(4, limit=1.0, align=align).fit(shapes)
    true, pred = faces
    function = BASES[base]
    expected = over_visible(function, true, pred) + 2 * over_visible(function, completed(asm, true), pred)
    loss = ASMAssistedLoss(asm, 2.0, base=WingLoss() if base == "wing" else base)
    if flat:
        true, pred = true.reshape(5, -1), pred.reshape(5, -1)
    np.testing.assert_allclose(ops.convert_to_numpy(loss(true, pred)), expected, rtol=2e-4)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("base", BASES)
def test_other_losses_over_visible_landmarks(faces, flat, base):
    true, pred = faces
    expected = over_visible(BASES[base], true, pred)
    losses = [LandmarkLoss(WingLoss() if base == "wing" else base)] + ([WingLoss()] if base == "wing" else [])
    if flat:
        true, pred = true.reshape(5, -1), pred.reshape(5, -1)
    for loss in losses:
        np.testing.assert_allclose(ops.convert_to_numpy(loss(true, pred)), expected, rtol=1e-5)


def test_flat_and_paired_landmarks_mix(faces):
    true, pred = faces
    expected = over_visible(squared, true, pred)
    for y_true, y_pred in ((true.reshape(5, -1), pred), (true, pred.reshape(5, -1))):
        np.testing.assert_allclose(ops.convert_to_numpy(LandmarkLoss()(y_true, y_pred)), expected, rtol=1e-5)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("align", [None, "procrustes"])
def test_weights_of_landmarks(shapes, flat, align):
    """A landmark of weight 0 may lie at 99: neither the loss nor what ASM(G) is fitted to sees it."""
    asm = ActiveShapeModel(4, align=align).fit(shapes)
    rng = np.random.default_rng(2)
    true, pred = shapes[:5].copy(), shapes[5:10]
    weights = rng.uniform(0.2, 1, (5, L)).astype("float32")
    weights[:, 2] = 0
    smoothed = asm.project(true, weights)
    expected = np.mean(weights * squared(true, pred).mean(-1)) + 0.5 * np.mean(
        weights * squared(smoothed, pred).mean(-1)
    )
    far = true.copy()
    far[:, 2] = 99
    for g in (true, far):
        y_true, y_pred = (x.reshape(5, -1) if flat else x for x in (g, pred))
        found = ASMAssistedLoss(asm, 0.5)(y_true, y_pred, sample_weight=weights)
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=5e-4)
        for loss, function in ((LandmarkLoss(), squared), (WingLoss(), wing)):
            found = loss(y_true, y_pred, sample_weight=weights)
            expected_of_it = np.mean(weights * function(true, pred).mean(-1))
            np.testing.assert_allclose(ops.convert_to_numpy(found), expected_of_it, rtol=1e-4)
        total = LandmarkLoss(reduction="sum")(y_true.reshape(5, -1), y_pred.reshape(5, -1), weights)
        each = (weights * squared(true, pred).mean(-1)).mean(axis=1)
        np.testing.assert_allclose(ops.convert_to_numpy(total), each.sum(), rtol=1e-4)
    # Weights of faces are what they were
    faces = weights[:, 0]
    found = LandmarkLoss()(true.reshape(5, -1), pred.reshape(5, -1), sample_weight=faces)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), np.mean(faces * squared(true, pred).mean((1, 2))), rtol=1e-5
    )


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_in_double_precision(shapes, faces, align):
    """What completes a face, and by which weights, is not rounded to float32 on the way."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX has no float64 by default, and on PyTorch keras.ops rounds it to float32")
    asm = ActiveShapeModel(4, align=align).fit(shapes.astype(np.float64))
    true, pred = (array.astype(np.float64) + 1e-9 / 3 for array in faces)
    expected = over_visible(squared, true, pred) + 2 * over_visible(squared, completed(asm, true), pred)
    loss = ASMAssistedLoss(asm, 2.0, dtype="float64")
    np.testing.assert_allclose(ops.convert_to_numpy(loss(true, pred)), expected, rtol=1e-10)
    weights = np.random.default_rng(2).uniform(0.2, 1, (5, L))
    whole = shapes[:5].astype(np.float64)
    each = squared(whole, pred).mean(-1) + 2 * squared(asm.project(whole, weights), pred).mean(-1)
    found = loss(whole, pred, sample_weight=weights)
    np.testing.assert_allclose(ops.convert_to_numpy(found), np.mean(weights * each), rtol=1e-10)


class Bias(keras.layers.Layer):
    """Outputs that are its weights, so that a step of gradient descent shows the gradient."""

    def __init__(self, start):
        super().__init__()
        self.bias = self.add_weight(shape=start.shape, initializer=keras.initializers.Constant(0.0))
        self.bias.assign(start)

    def call(self, inputs):
        return ops.zeros_like(inputs) + self.bias


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("which", ["assisted", "aligned", "wing", "absolute"])
@pytest.mark.parametrize("jit", [True, False])
def test_no_nan_reaches_a_compiled_step(shapes, faces, flat, which, jit):
    if jit and keras.backend.backend() == "torch":
        pytest.skip("torch.compile needs a compiler, and Keras does not use it by default")
    asm = ActiveShapeModel(4, align="procrustes" if which == "aligned" else None).fit(shapes)
    true, pred = faces
    shape = (5, 2 * L) if flat else (5, L, 2)
    loss = {"wing": WingLoss(), "absolute": LandmarkLoss("mean_absolute_error")}.get(which)
    bias = Bias(pred.reshape(shape))
    model = keras.Sequential([keras.Input(shape[1:], batch_size=5), bias])
    model.compile(keras.optimizers.SGD(1.0), loss or ASMAssistedLoss(asm, 0.5), jit_compile=jit)
    history = model.fit(np.zeros(shape), true.reshape(shape), batch_size=5, verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
    step = pred.reshape(shape) - ops.convert_to_numpy(bias.bias)
    missing = np.isnan(true).reshape(shape)
    assert np.isfinite(step).all()
    np.testing.assert_array_equal(step[missing], 0)
    assert (np.abs(step[~missing]) > 0).all()
    if which == "assisted":
        visible = (~missing).reshape(5, -1).sum(axis=1).reshape(-1, *[1] * (len(shape) - 1))
        target = true + 0.5 * completed(asm, true)
        expected = 2 * (1.5 * pred - target).reshape(shape) / np.maximum(visible, 1) / 5
        np.testing.assert_allclose(step[~missing], expected[~missing], rtol=2e-3, atol=2e-4)


def test_weights_of_landmarks_in_fit(shapes):
    """As Keras passes them: beside the targets, and of one output among several."""
    asm = ActiveShapeModel(4).fit(shapes)
    inputs = keras.Input((3,))
    outputs = {
        "landmarks": keras.layers.Dense(2 * L, name="landmarks")(inputs),
        "pose": keras.layers.Dense(3)(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"landmarks": ASMAssistedLoss(asm), "pose": "mse"})
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    y = {"landmarks": shapes[:8].reshape(8, -1), "pose": np.zeros((8, 3), "float32")}
    weights = np.ones((8, L), "float32")
    weights[:, 2] = 0
    far = y["landmarks"].reshape(8, L, 2).copy()
    far[:, 2] = 99
    values = [
        model.test_on_batch(
            x, {**y, "landmarks": g.reshape(8, -1)}, {"landmarks": weights, "pose": np.ones(8)}
        )
        for g in (shapes[:8], far)
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def test_serialization_and_bad_input():
    loss = LandmarkLoss(keras.losses.Huber(0.3), reduction="sum", name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    true, pred = np.zeros((2, L, 2), "float32"), np.ones((2, L, 2), "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(again(true, pred)), 2 * L * (0.3 - 0.3**2 / 2), rtol=1e-5)
    with pytest.raises(ValueError, match=r"^y_pred must .* Received: shape \(2, 3\)"):
        loss(np.zeros((2, 4)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"^y_true must .* Received: shape \(2, 3\)"):
        loss(np.zeros((2, 3)), np.zeros((2, 4)))
