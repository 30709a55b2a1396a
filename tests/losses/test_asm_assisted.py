"""The loss against NumPy, against the identity of its optimum, and against wrong input."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_asm import ActiveShapeModel, ASMAssistedLoss, LinearShapeModel

pytestmark = pytest.mark.backend

L = 6


def shape_model(seed=0, **parameters):
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(1, L, 2)) + 0.3 * rng.normal(size=(50, L, 2))
    return ActiveShapeModel(**{"n_components": 4, "limit": 1.0, **parameters}).fit(shapes)


def pair(seed=0, n=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, L, 2)).astype("float32"), rng.normal(size=(n, L, 2)).astype("float32")


def value(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("align", [None, "procrustes"])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_mean_squared_error(alpha, align):
    asm = shape_model(align=align)
    G, P = pair()
    expected = np.mean((G - P) ** 2) + alpha * np.mean((asm.project(G) - P) ** 2)
    np.testing.assert_allclose(value(ASMAssistedLoss(asm, alpha)(G, P)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("base", "function"),
    [
        ("mean_absolute_error", lambda a, b: np.abs(a - b)),
        (keras.losses.MeanAbsoluteError(reduction="sum"), lambda a, b: np.abs(a - b)),
        (
            keras.losses.Huber(delta=0.5),
            lambda a, b: np.where((d := np.abs(a - b)) <= 0.5, d * d / 2, 0.5 * d - 0.125),
        ),
        (keras.losses.log_cosh, lambda a, b: np.log(np.cosh(a - b))),
    ],
)
def test_any_keras_loss_as_base(base, function):
    asm = shape_model()
    G, P = pair()
    loss = ASMAssistedLoss(asm, alpha=2.0, base=base)
    expected = np.mean(function(G, P)) + 2 * np.mean(function(asm.project(G), P))
    np.testing.assert_allclose(value(loss(G, P)), expected, rtol=1e-4)
    again = ASMAssistedLoss.from_config(json.loads(json.dumps(loss.get_config())))
    np.testing.assert_array_equal(value(again(G, P)), value(loss(G, P)))


def test_flat_and_paired_landmarks_mix():
    loss = ASMAssistedLoss(shape_model(), alpha=1.5)
    G, P = pair()
    flat_G, flat_P = G.reshape(5, -1), P.reshape(5, -1)
    expected = value(loss(G, P))
    for y_true, y_pred in ((flat_G, flat_P), (G, flat_P), (flat_G, P)):
        np.testing.assert_allclose(value(loss(y_true, y_pred)), expected, rtol=1e-6)


def test_reduction_and_sample_weight():
    asm = shape_model()
    G, P = pair()
    each = np.mean((G - P) ** 2, axis=(1, 2)) + np.mean((asm.project(G) - P) ** 2, axis=(1, 2))
    flat = (G.reshape(5, -1), P.reshape(5, -1))
    np.testing.assert_allclose(value(ASMAssistedLoss(asm, reduction=None)(*flat)), each, rtol=1e-5)
    np.testing.assert_allclose(value(ASMAssistedLoss(asm, reduction="sum")(*flat)), each.sum(), rtol=1e-5)
    weights = np.array([1.0, 0, 2, 0, 0.5])
    result = value(ASMAssistedLoss(asm)(*flat, sample_weight=weights))
    np.testing.assert_allclose(result, np.mean(weights * each), rtol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(0, 10), limit=st.sampled_from([None, 0.5, 3.0]))
def test_squared_error_is_one_target(seed, alpha, limit):
    """L(P) - L(P') = (1 + alpha) (base(T, P) - base(T, P')) with T = (G + alpha ASM(G)) / (1 + alpha)."""
    asm = shape_model(limit=limit)
    rng = np.random.default_rng(seed)
    G, P, other = rng.normal(size=(3, 4, L, 2)).astype("float32")
    loss = ASMAssistedLoss(asm, alpha)
    target = (G + alpha * asm.project(G)) / (1 + alpha)
    difference = float(value(loss(G, P))) - float(value(loss(G, other)))
    expected = (1 + alpha) * (np.mean((target - P) ** 2) - np.mean((target - other) ** 2))
    assert difference == pytest.approx(expected, abs=1e-4 * (1 + alpha))
    assert value(loss(G, target)) <= value(loss(G, P)) + 1e-5


@pytest.mark.parametrize("base", ["mean_squared_error", "mean_absolute_error"])
def test_normalized_is_a_weighted_mean(base):
    asm = shape_model()
    G, P = pair()
    compare = keras.losses.get(base)
    to_truth, to_smoothed = value(compare(G, P)).mean(), value(compare(asm.project(G), P)).mean()
    loss = ASMAssistedLoss(asm, alpha=3.0, base=base, normalize=True)
    np.testing.assert_allclose(value(loss(G, P)), 0.25 * to_truth + 0.75 * to_smoothed, rtol=1e-5)
    # Where nothing is smoothed, alpha says nothing
    everything = ActiveShapeModel(None, limit=None).fit(np.random.default_rng(1).normal(size=(50, L, 2)))
    for alpha in (0.0, 2.0):
        loss = ASMAssistedLoss(everything, alpha=alpha, base=base, normalize=True)
        np.testing.assert_allclose(value(loss(G, P)), to_truth, rtol=1e-5)


def test_number_of_components_can_be_set():
    asm = shape_model()
    G, P = pair()
    loss = ASMAssistedLoss(asm)
    loss.n_components = 2
    fewer = shape_model(n_components=2)
    np.testing.assert_allclose(value(loss(G, P)), value(ASMAssistedLoss(fewer)(G, P)), rtol=1e-6)


def test_config_survives_json():
    asm = shape_model(align="procrustes")
    loss = ASMAssistedLoss(
        asm, alpha=0.25, normalize=True, reduction="sum", name="landmark_loss", dtype="float64"
    )
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    again = keras.losses.deserialize(config)
    assert isinstance(again, ASMAssistedLoss)
    assert again.get_config() == loss.get_config()
    assert (again.alpha, again.normalize, again.reduction, again.name, again.dtype) == (
        0.25,
        True,
        "sum",
        "landmark_loss",
        "float64",
    )
    np.testing.assert_array_equal(again.shape_model.components, loss.shape_model.components)


def test_float16_predictions_are_compared_in_float32():
    asm = shape_model()
    G, P = pair()
    result = ASMAssistedLoss(asm)(G, ops.cast(P, "float16"))
    assert keras.backend.standardize_dtype(result.dtype) == "float32"
    rounded = P.astype("float16").astype("float32")
    expected = np.mean((G - rounded) ** 2) + np.mean((asm.project(G) - rounded) ** 2)
    np.testing.assert_allclose(value(result), expected, rtol=1e-5)


def test_trains_a_model_to_its_optimum():
    """With a constant alpha of 0.5 the optimum lies a third of the way from G to ASM(G)."""
    asm = shape_model()
    G = np.repeat(pair()[0][:1].reshape(1, -1), 8, axis=0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2 * L)])
    model.compile(keras.optimizers.SGD(0.5), ASMAssistedLoss(asm, alpha=0.5))
    model.fit(np.ones((8, 1)), G, batch_size=8, epochs=200, verbose=0)
    expected = G[0] + (asm.project(G[:1])[0] - G[0]) / 3
    np.testing.assert_allclose(model.predict(np.ones((1, 1)), verbose=0)[0], expected, atol=1e-3)


class TestBadInput:
    def test_other_number_of_landmarks_than_the_network(self):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(196, name="landmarks")])
        model.compile("sgd", ASMAssistedLoss(shape_model()))
        with pytest.raises(
            ValueError,
            match="has 6 landmarks of 2 coordinates: y_pred, the model's output, must .*Received: shape .*196",
        ):
            model.fit(np.ones((4, 1)), np.ones((4, 196)), verbose=0)

    def test_other_number_of_landmarks_than_the_targets(self):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2 * L)])
        model.compile("sgd", ASMAssistedLoss(shape_model()))
        with pytest.raises(
            ValueError, match="has 6 landmarks of 2 coordinates: y_true must .*Received: shape .*196"
        ):
            model.fit(np.ones((4, 1)), np.ones((4, 196)), verbose=0)

    @pytest.mark.parametrize("alpha", [-0.1, float("nan"), float("inf")])
    def test_alpha(self, alpha):
        with pytest.raises(ValueError, match="alpha must be a finite number, at least 0. Received: alpha="):
            ASMAssistedLoss(shape_model(), alpha)

    @pytest.mark.parametrize("n_components", [0, 5])
    def test_n_components(self, n_components):
        with pytest.raises(ValueError, match=r"n_components must be in 1 \.\. 4"):
            ASMAssistedLoss(shape_model()).n_components = n_components

    def test_base(self):
        with pytest.raises(ValueError, match="base must be a Keras loss"):
            ASMAssistedLoss(shape_model(), base=None)

    def test_shape_model(self):
        with pytest.raises(ValueError, match="must be a fitted ActiveShapeModel"):
            ASMAssistedLoss("shape.npz")


def test_three_landmarks_are_no_pose():
    """Nor are three coordinates, of one landmark in space."""
    for size, layout in ((6, (5, 3, 2)), (6, (5, 6)), (3, (5, 3))):
        model = LinearShapeModel(
            np.zeros(size), np.eye(size), np.ones(size), np.full(size, 1 / size), None, n_dims=size % 2 + 2
        )
        found = ASMAssistedLoss(model, alpha=2.0)(np.zeros(layout), np.full(layout, 0.5))
        np.testing.assert_allclose(value(found), 3 * 0.25, rtol=1e-6)


def test_a_pose_instead_of_landmarks_is_explained():
    with pytest.raises(ValueError, match=r"dictionary of losses.*Received: y_pred of shape \(2, 3\)"):
        ASMAssistedLoss(shape_model())(np.zeros((2, 12)), np.zeros((2, 3)))
