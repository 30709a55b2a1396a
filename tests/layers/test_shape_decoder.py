"""The decoder against the shape model and against hand-worked values."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import ActiveShapeModel, ShapeDecoder

L = 7


@pytest.fixture
def shapes(rng):
    return rng.normal(size=(1, L, 2)) + rng.uniform(0.05, 0.3, (L, 2)) * rng.normal(size=(60, L, 2))


def decoded(decoder, coefficients):
    return ops.convert_to_numpy(decoder(np.asarray(coefficients, "float32")))


@pytest.mark.backend
def test_from_landmarks_counts_in_standard_deviations(shapes):
    decoder = ShapeDecoder.from_landmarks(shapes)
    flat = shapes.reshape(60, -1)
    assert decoder.n_coefficients == decoder.n_features == 2 * L
    np.testing.assert_allclose(decoded(decoder, np.zeros((1, 2 * L)))[0], flat.mean(0), atol=1e-6)
    z = (flat - flat.mean(0)) / flat.std(0)
    np.testing.assert_allclose(decoded(decoder, z), flat, atol=1e-6)


def test_landmarks_without_a_position_do_not_count(shapes):
    partial = shapes.copy()
    partial[::2, 3] = np.nan
    basis, mean = ShapeDecoder.from_landmarks(partial).affine_map()
    expected = shapes.mean(axis=0), shapes.std(axis=0)
    for value, whole, half in zip((mean, np.diag(basis)), expected, (np.mean, np.std), strict=True):
        whole[3] = half(shapes[1::2, 3], axis=0)
        np.testing.assert_allclose(value, whole.ravel(), rtol=1e-12)


@pytest.mark.backend
@pytest.mark.parametrize("n_components", [3, None])
def test_from_shape_model_is_its_inverse_transform(shapes, n_components):
    asm = ActiveShapeModel(n_components, limit=None).fit(shapes)
    decoder = ShapeDecoder.from_shape_model(asm)
    assert decoder.n_coefficients == (n_components or 2 * L)
    z = asm.transform(shapes) / np.sqrt(asm.explained_variance_)
    np.testing.assert_allclose(
        decoded(decoder, z), asm.inverse_transform(asm.transform(shapes)).reshape(60, -1), atol=1e-5
    )
    if n_components is None:
        np.testing.assert_allclose(decoded(decoder, z), shapes.reshape(60, -1), atol=1e-5)


@pytest.mark.backend
def test_by_hand_and_any_leading_axes():
    decoder = ShapeDecoder(mean_shape=[[1.0, 2.0]], basis=[[1.0, 0.0], [0.0, -1.0], [10.0, 10.0]])
    z = np.array([[[1.0, 1.0, 0.0]], [[0.0, 0.0, -0.5]]])
    np.testing.assert_array_equal(decoded(decoder, z), [[[2.0, 1.0]], [[-4.0, -3.0]]])
    assert decoder.compute_output_spec(keras.KerasTensor((None, 4, 3))).shape == (None, 4, 2)


@pytest.mark.backend
def test_nothing_of_it_learns_and_what_is_before_it_does(shapes):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, ShapeDecoder.from_landmarks(shapes)(keras.layers.Dense(2 * L)(inputs)))
    assert len(model.trainable_weights) == 2
    model.compile(keras.optimizers.Adam(0.1), loss="mse")
    before = [ops.convert_to_numpy(w) for w in model.layers[-1].weights]
    x, y = np.ones((60, 3), "float32"), np.tile(shapes[:1].reshape(1, -1).astype("float32"), (60, 1))
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    model.trainable = True  # as those do who unfreeze a backbone
    model.train_on_batch(x, y)
    for old, weight in zip(before, model.layers[-1].weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), old)


@pytest.mark.backend
def test_mixed_precision_ends_in_float32(shapes):
    decoder = ShapeDecoder.from_landmarks(shapes, dtype="mixed_float16")
    z = ops.ones((1, 2 * L), dtype="float16")
    assert keras.backend.standardize_dtype(decoder(z).dtype) == "float32"
    flat = shapes.reshape(60, -1)
    np.testing.assert_allclose(ops.convert_to_numpy(decoder(z))[0], flat.mean(0) + flat.std(0), atol=1e-6)


@pytest.mark.backend
def test_saved_loaded_and_cloned(shapes, tmp_path, rng):
    inputs = keras.Input((2 * L,))
    model = keras.Model(inputs, ShapeDecoder.from_landmarks(shapes)(inputs))
    z = rng.normal(size=(4, 2 * L)).astype("float32")
    expected = model.predict(z, verbose=0)
    model.save(tmp_path / "model.keras")
    for other in (keras.models.load_model(tmp_path / "model.keras"), keras.models.clone_model(model)):
        np.testing.assert_allclose(other.predict(z, verbose=0), expected, atol=1e-7)


def test_a_weights_file_brings_its_decoder_along(shapes, tmp_path, rng):
    """What was trained in one decoder's units would mean something else in another's."""

    def network(landmarks):
        inputs = keras.Input((3,))
        return keras.Model(inputs, ShapeDecoder.from_landmarks(landmarks)(keras.layers.Dense(2 * L)(inputs)))

    model, other = network(shapes), network(3 * shapes)
    x = rng.normal(size=(4, 3)).astype("float32")
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    config = json.loads(json.dumps(other.layers[-1].get_config()))
    assert config["basis"] == model.layers[-1].get_config()["basis"]


def test_a_coordinate_that_never_moves_stays_within_reach(shapes):
    shapes[:, 2, 1] = 0.25
    basis, mean = ShapeDecoder.from_landmarks(shapes).affine_map()
    assert basis[5, 5] == pytest.approx(1e-3 * basis.max())
    assert mean[5] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda s: ShapeDecoder([0.0, 0.0], [1.0]),
            r"\(n_coefficients, 2\) or \(2,\).*Received: shape \(1,\)",
        ),
        (
            lambda s: ShapeDecoder([0.0, np.nan], [1.0, 1.0]),
            "mean_shape must be finite.*Received: 1 values not",
        ),
        (lambda s: ShapeDecoder.from_landmarks(s[:1]), r"two shapes at least.*Received: shape \(1, 7, 2\)"),
        (lambda s: ShapeDecoder.from_landmarks(s[[0, 0]]), "not the same"),
        (
            lambda s: ShapeDecoder.from_landmarks(np.where(np.arange(7)[:, None] == 4, np.nan, s)),
            "2 coordinates that are missing in all, the first at index 8",
        ),
        (
            lambda s: ShapeDecoder.from_shape_model(ActiveShapeModel(3, align="procrustes").fit(s)),
            "align=None.*Received: an aligned one",
        ),
        (
            lambda s: ShapeDecoder.from_landmarks(s)(np.zeros((1, 5), "float32")),
            r"\(..., 14\). Received: shape \(1, 5\)",
        ),
    ],
)
def test_bad_arguments(make, message, shapes):
    with pytest.raises(ValueError, match=message):
        make(shapes)
