"""The layer against the NumPy operator."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import ActiveShapeModel, ASMProjection

pytestmark = pytest.mark.backend

L = 9


@pytest.fixture(params=[None, "procrustes"])
def asm(request, rng):
    shapes = rng.normal(size=(1, L, 2)) + 0.2 * rng.normal(size=(80, L, 2))
    return ActiveShapeModel(0.9, limit=1.5, align=request.param).fit(shapes)


@pytest.fixture
def strange(rng):
    return rng.normal(size=(2, 3, 5, L, 2)).astype("float32")


def test_equals_numpy_in_float32(asm, strange):
    expected = asm.project(strange)
    assert np.abs(expected - strange).max() > 0.5  # there is something to get wrong
    layer = ASMProjection(asm)
    paired = ops.convert_to_numpy(layer(strange))
    np.testing.assert_allclose(paired, expected, atol=1e-5)
    flat = ops.convert_to_numpy(ASMProjection(asm)(strange.reshape(30, 2 * L)))
    np.testing.assert_allclose(flat, expected.reshape(30, 2 * L), atol=1e-5)
    single = ops.convert_to_numpy(ASMProjection(asm)(strange[0, 0, 0]))
    np.testing.assert_allclose(single, expected[0, 0, 0], atol=1e-5)


def test_real_shapes_in_pixels_and_normalised(data_root):
    shapes = np.load(data_root / "shapes" / "300w_68.npz")["common"].astype("float32")
    normalised = (shapes - shapes.min((1, 2), keepdims=True)) / np.ptp(shapes, axis=(1, 2))[
        :, None, None
    ] - 0.5
    for align in (None, "procrustes"):
        model = ActiveShapeModel(0.95, align=align).fit(normalised)
        result = ops.convert_to_numpy(ASMProjection(model)(normalised))
        np.testing.assert_allclose(result, model.project(normalised), atol=1e-5)


def test_mixed_precision_rounds_only_the_output(asm, strange):
    layer = ASMProjection(asm, dtype="mixed_float16")
    result = layer(strange)
    assert keras.backend.standardize_dtype(result.dtype) == "float16"
    expected = asm.project(strange).astype("float16").astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(result).astype("float32"), expected, rtol=2**-10, atol=1e-5
    )


def test_inside_a_saved_model(asm, strange, tmp_path):
    inputs = keras.Input((L, 2))
    model = keras.Model(inputs, ASMProjection(asm)(inputs))
    shapes = strange.reshape(-1, L, 2)
    expected = model.predict(shapes, verbose=0)
    np.testing.assert_allclose(expected, asm.project(shapes), atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(shapes, verbose=0), expected)
    assert loaded.count_params() == 0


def test_gradient_is_that_of_finite_differences(asm, strange):
    shapes = strange.reshape(-1, L, 2)[:3].astype("float64")
    weights = np.random.default_rng(1).normal(size=shapes.shape)
    numeric = np.zeros_like(shapes)
    for index in np.ndindex(shapes.shape):
        step = np.zeros_like(shapes)
        step[index] = 1e-6
        numeric[index] = np.sum(weights * (asm.project(shapes + step) - asm.project(shapes - step))) / 2e-6
    np.testing.assert_allclose(gradient(ASMProjection(asm), shapes, weights), numeric, rtol=1e-3, atol=2e-3)


def test_gradient_of_a_point_is_finite(asm):
    assert np.isfinite(gradient(ASMProjection(asm), np.full((1, L, 2), 0.3), np.ones((1, L, 2)))).all()


def gradient(layer, shapes, weights):
    """Of `sum(weights * layer(shapes))`, through the weights of a layer that passes them on, on any backend."""

    class Shapes(keras.layers.Layer):
        def build(self, input_shape):
            self.shapes = self.add_weight(shape=shapes.shape, initializer="zeros")

        def call(self, inputs):
            return layer(self.shapes) + 0 * inputs

    inputs = keras.Input(batch_shape=shapes.shape)
    model = keras.Model(inputs, Shapes()(inputs))
    model.set_weights([shapes])
    # A step of gradient descent of size 1 subtracts the gradient
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda y_true, y_pred: ops.sum(y_true * y_pred, axis=(1, 2)),
        jit_compile=False,
    )
    model.train_on_batch(np.zeros(shapes.shape), weights * len(shapes))
    return shapes - model.get_weights()[0]


def test_other_number_of_landmarks(asm):
    with pytest.raises(ValueError, match=r"has 9 landmarks of 2 coordinates.*Received: shape \(1, 8, 2\)"):
        ASMProjection(asm)(np.zeros((1, 8, 2)))


def test_something_else_than_a_shape_model():
    with pytest.raises(ValueError, match="must be a fitted ActiveShapeModel.*Received: 3 of type int"):
        ASMProjection(3)


def test_unfitted_shape_model():
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        ASMProjection(ActiveShapeModel())
