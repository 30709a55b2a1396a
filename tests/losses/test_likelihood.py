"""The likelihood of landmarks, against scipy.stats and derivatives worked by hand."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_asm import ActiveShapeModel, ASMAssistedLoss
from keras_asm.losses import LandmarkLikelihoodLoss, landmark_likelihood_loss

pytestmark = pytest.mark.backend

L = 6
DENSITIES = {"laplace": stats.laplace, "gaussian": stats.norm}


@pytest.fixture(scope="module")
def shapes():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(1, L, 2)) + 0.3 * rng.normal(size=(80, L, 2))).astype("float32")


@pytest.fixture(scope="module")
def faces(shapes):
    """True landmarks of which some have no position, all of the last face; predictions and log scales."""
    rng = np.random.default_rng(1)
    true = shapes[:5].copy()
    true[0, 2], true[1, [0, 4]], true[3, 1:4], true[4] = np.nan, np.nan, np.nan, np.nan
    pred = (shapes[:5] + 0.2 * rng.normal(size=(5, L, 2))).astype("float32")
    return true, pred, rng.normal(-1, 0.4, (5, L)).astype("float32")


def packed(pred, log_scale):
    return np.concatenate([pred.reshape(len(pred), -1), log_scale], axis=1)


def nll(true, pred, log_scale, distribution):
    """Of each coordinate; NaN where there is none."""
    return -DENSITIES[distribution].logpdf(true, pred, np.exp(log_scale.astype(float))[..., None])


def over_visible(values, weights=1.0):
    """Mean over faces of the mean over the coordinates that each has; 0 for a face of none."""
    count = (~np.isnan(values)).sum(axis=(1, 2))
    weighted = values * np.broadcast_to(weights, values.shape[:2])[..., None]
    return np.mean(np.nansum(weighted, axis=(1, 2)) / np.maximum(count, 1))


@pytest.mark.parametrize("distribution", DENSITIES)
@pytest.mark.parametrize("paired", [False, True])
def test_scipy_gives_the_same(faces, distribution, paired):
    true, pred, log_scale = faces
    whole = np.nan_to_num(true)
    each = landmark_likelihood_loss(
        ops.convert_to_tensor(whole), ops.convert_to_tensor(packed(pred, log_scale)), distribution
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(each), nll(whole, pred, log_scale, distribution), rtol=1e-5, atol=1e-6
    )
    if distribution == "laplace":  # the default
        by_default = landmark_likelihood_loss(whole, packed(pred, log_scale))
        np.testing.assert_array_equal(ops.convert_to_numpy(by_default), ops.convert_to_numpy(each))
    loss = LandmarkLikelihoodLoss(distribution)
    found = loss(true if paired else true.reshape(5, -1), packed(pred, log_scale))
    expected = over_visible(nll(true, pred, log_scale, distribution))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5)


@pytest.mark.parametrize("distribution", DENSITIES)
def test_weights(faces, distribution):
    true, pred, log_scale = faces
    values = nll(true, pred, log_scale, distribution)
    weights = np.random.default_rng(2).uniform(0, 1, (5, L)).astype("float32")
    loss = LandmarkLikelihoodLoss(distribution)
    found = loss(true, packed(pred, log_scale), sample_weight=weights)
    np.testing.assert_allclose(ops.convert_to_numpy(found), over_visible(values, weights), rtol=1e-5)
    found = loss(true, packed(pred, log_scale), sample_weight=weights[:, 0])
    np.testing.assert_allclose(ops.convert_to_numpy(found), over_visible(values, weights[:, :1]), rtol=1e-5)


class Bias(keras.layers.Layer):
    """Outputs that are its weights, so that a step of gradient descent shows the gradient."""

    def __init__(self, start):
        super().__init__()
        self.bias = self.add_weight(shape=start.shape, initializer=keras.initializers.Constant(0.0))
        self.bias.assign(start)

    def call(self, inputs):
        return ops.zeros_like(inputs) + self.bias


def step(loss, true, start, jit):
    """Gradient of the loss with respect to the output, from a compiled step."""
    if jit and keras.backend.backend() == "torch":
        pytest.skip("torch.compile needs a compiler, and Keras does not use it by default")
    bias = Bias(start)
    model = keras.Sequential([keras.Input(start.shape[1:], batch_size=len(start)), bias])
    model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=jit)
    history = model.fit(start, true.reshape(len(true), -1), batch_size=len(start), verbose=0, shuffle=False)
    assert np.isfinite(history.history["loss"]).all()
    return start - ops.convert_to_numpy(bias.bias)


def derivative(true, pred, log_scale, distribution):
    """By hand, NaN where there is no coordinate: of `-log p` with respect to P and to s."""
    scale = np.exp(log_scale)[..., None]
    x = pred - true
    if distribution == "laplace":
        return np.sign(x) / scale, 1 - np.abs(x) / scale
    return x / scale**2, 1 - x**2 / scale**2


@pytest.mark.parametrize("distribution", DENSITIES)
@pytest.mark.parametrize("jit", [True, False])
def test_gradient_of_a_compiled_step(faces, distribution, jit):
    true, pred, log_scale = faces
    pred = pred.copy()
    pred[2, 0] = true[2, 0]  # an error of 0 has no direction
    count = np.maximum((~np.isnan(true)).sum(axis=(1, 2)), 1)[:, None, None] * 5
    of_landmarks, of_scale = derivative(true, pred, log_scale, distribution)
    expected = packed(np.nan_to_num(of_landmarks / count), np.nansum(of_scale / count, axis=2))
    found = step(LandmarkLikelihoodLoss(distribution), true, packed(pred, log_scale), jit)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)
    assert (found[4] == 0).all()  # a face of no landmark


@pytest.mark.parametrize("distribution", DENSITIES)
@pytest.mark.parametrize("align", [None, "procrustes"])
def test_as_base_of_the_assisted_loss(shapes, faces, distribution, align):
    asm = ActiveShapeModel(4, limit=1.0, align=align).fit(shapes)
    true, pred, log_scale = faces
    smoothed = np.full_like(true, np.nan)
    smoothed[:4] = asm.project(true[:4])
    smoothed[np.isnan(true)] = np.nan
    expected = sum(
        alpha * over_visible(nll(target, pred, log_scale, distribution))
        for alpha, target in ((1, true), (2, smoothed))
    )
    loss = ASMAssistedLoss(asm, 2.0, base=LandmarkLikelihoodLoss(distribution))
    found = loss(true.reshape(5, -1), packed(pred, log_scale))
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=5e-4)
    gradient = step(loss, true, packed(pred, log_scale), jit=False)
    assert np.isfinite(gradient).all()
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_allclose(
        ops.convert_to_numpy(again(true.reshape(5, -1), packed(pred, log_scale))), expected, rtol=5e-4
    )


def test_the_scale_that_it_teaches(rng):
    """The minimum is at the mean absolute error under Laplace, at the root mean square under Gauss."""
    error = rng.normal(size=(400, 1, 2)).astype("float32") * [[[0.1]]]
    for distribution, best in (("laplace", np.abs(error).mean()), ("gaussian", np.sqrt((error**2).mean()))):
        at = [
            float(
                LandmarkLikelihoodLoss(distribution)(
                    error, np.tile(np.float32([0, 0, np.log(best * factor)]), (400, 1))
                )
            )
            for factor in (0.95, 1.0, 1.05)
        ]
        assert at[1] < min(at[0], at[2])


def test_serialization_and_bad_input():
    loss = LandmarkLikelihoodLoss("gaussian", reduction="sum", name="mine")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert again.distribution == "gaussian"
    with pytest.raises(ValueError, match="laplace, gaussian.*Received: 'cauchy'"):
        LandmarkLikelihoodLoss("cauchy")
    with pytest.raises(ValueError, match=r"3 \* n_landmarks\). Received: shape \(2, 8\)"):
        loss(np.zeros((2, 8)), np.zeros((2, 8)))
    with pytest.raises(ValueError, match=r"y_true must have the shape .* Received: shape \(2, 6\)"):
        loss(np.zeros((2, 6)), np.zeros((2, 6)))
