"""A folded network against the one that it was made of."""

import keras
import numpy as np
import pytest

from keras_asm import ActiveShapeModel, ASMNet, LandmarkNet, ShapeDecoder, fold_shape_decoder, model_cost

L = 5


@pytest.fixture
def shapes(rng):
    return 0.2 * rng.normal(size=(1, L, 2)) + 0.05 * rng.normal(size=(60, L, 2))


def trained(model):
    """A network whose head is far from where it starts."""
    head = model.get_layer("landmark_coefficients")
    rng = np.random.default_rng(0)
    head.set_weights([rng.normal(size=w.shape) for w in head.get_weights()])
    return model


def trained_asmnet(decoder):
    return trained(ASMNet((32, 32, 3), n_landmarks=L, width_multiplier=0.35, shape_decoder=decoder))


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["coordinates", "components", "three components"])
def test_the_folded_network_predicts_the_same(kind, shapes, rng, tmp_path):
    if kind == "coordinates":
        decoder = ShapeDecoder.from_landmarks(shapes)
    else:
        n_components = None if kind == "components" else 3
        decoder = ShapeDecoder.from_shape_model(ActiveShapeModel(n_components).fit(shapes))
    backbone = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(16, 3, activation="relu")])
    model = trained(LandmarkNet(backbone, n_landmarks=L, shape_decoder=decoder))
    images = rng.uniform(0, 3, (6, 1, 1, 3)) * rng.uniform(0, 1, (6, 8, 8, 3)).astype("float32")
    expected = model.predict(images, verbose=0)
    folded = fold_shape_decoder(model)
    assert np.ptp(expected["landmarks"], axis=0).max() > 1e-2  # there is something to get wrong
    folded.save(tmp_path / "folded.keras")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    for other in (folded, keras.models.load_model(tmp_path / "folded.keras"), fold_shape_decoder(loaded)):
        predicted = other.predict(images, verbose=0)
        assert set(predicted) == {"landmarks", "pose"}
        for name in predicted:
            np.testing.assert_allclose(predicted[name], expected[name], rtol=0, atol=1e-6)


def test_nothing_is_added_to_what_is_deployed(shapes):
    plain = ASMNet((32, 32, 3), n_landmarks=L, width_multiplier=0.35)
    folded = fold_shape_decoder(trained_asmnet(ShapeDecoder.from_landmarks(shapes)))
    assert model_cost(folded) == model_cost(plain)
    assert folded.output_names == plain.output_names
    assert not any(isinstance(layer, ShapeDecoder) for layer in folded.layers)


def test_the_weights_of_a_folded_network_fit_a_plain_one(shapes, rng, tmp_path):
    folded = fold_shape_decoder(trained_asmnet(ShapeDecoder.from_landmarks(shapes)))
    folded.save_weights(tmp_path / "folded.weights.h5")
    plain = ASMNet((32, 32, 3), n_landmarks=L, width_multiplier=0.35, weights=tmp_path / "folded.weights.h5")
    images = rng.uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    for name, expected in folded.predict(images, verbose=0).items():
        np.testing.assert_array_equal(plain.predict(images, verbose=0)[name], expected)


def test_any_model_with_and_without_a_bias(shapes, rng):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation="tanh"),
            keras.layers.Dense(2 * L, use_bias=False),
            ShapeDecoder.from_landmarks(shapes),
        ]
    )
    x = rng.normal(size=(4, 3)).astype("float32")
    folded = fold_shape_decoder(model)
    np.testing.assert_allclose(folded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    assert fold_shape_decoder(folded) is folded


def test_two_decoders_and_a_dense_layer_that_something_else_uses(shapes, rng):
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2 * L, name="shared")
    first = ShapeDecoder.from_landmarks(shapes, name="first")(shared(inputs))
    second = ShapeDecoder.from_landmarks(2 * shapes, name="second")(keras.layers.Dense(2 * L)(inputs))
    model = keras.Model(inputs, {"a": [first, second], "b": shared.output})
    x = rng.normal(size=(4, 3)).astype("float32")
    folded = fold_shape_decoder(model)
    expected, predicted = model.predict(x, verbose=0), folded.predict(x, verbose=0)
    for value, other in zip(keras.tree.flatten(expected), keras.tree.flatten(predicted), strict=True):
        np.testing.assert_allclose(other, value, atol=1e-6)
    assert not any(isinstance(layer, ShapeDecoder) for layer in folded.layers)


def test_what_cannot_be_folded(shapes):
    inputs = keras.Input((2 * L,))
    decoder = ShapeDecoder.from_landmarks(shapes)
    with pytest.raises(ValueError, match="directly follows a Dense layer.*Received.*follows <InputLayer"):
        fold_shape_decoder(keras.Model(inputs, decoder(inputs)))

    decoder = ShapeDecoder.from_landmarks(shapes)
    with pytest.raises(ValueError, match="with the activation tanh"):
        fold_shape_decoder(keras.Model(inputs, decoder(keras.layers.Dense(2 * L, "tanh")(inputs))))

    decoder = ShapeDecoder.from_landmarks(shapes)
    inner = keras.Model(inputs, decoder(keras.layers.Dense(2 * L)(inputs)))
    outer_inputs = keras.Input((2 * L,))
    with pytest.raises(ValueError, match="which is no output of"):
        fold_shape_decoder(keras.Model(outer_inputs, inner(outer_inputs)))


def test_a_decoder_of_other_landmarks_is_refused(shapes):
    backbone = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(ValueError, match="n_landmarks=68.*Received: a decoder of 10 coordinates"):
        LandmarkNet(backbone, shape_decoder=ShapeDecoder.from_landmarks(shapes))


def test_weights_of_a_network_without_a_decoder_fit_one_with_it(shapes, rng, tmp_path):
    """So trained weights can be trained on with a decoder of the new faces."""
    settings = {"input_shape": (32, 32, 3), "n_landmarks": L, "width_multiplier": 0.35}
    plain = ASMNet(**settings)
    for name in ("landmarks", "pose"):
        head = plain.get_layer(name)
        head.set_weights([rng.normal(size=w.shape) for w in head.get_weights()])
    plain.save_weights(tmp_path / "plain.weights.h5")
    expected = plain.predict(np.full((1, 32, 32, 3), 99.0), verbose=0)
    shape_model = ActiveShapeModel(None).fit(shapes)
    for decoder in (ShapeDecoder.from_landmarks(shapes), ShapeDecoder.from_shape_model(shape_model)):
        model = ASMNet(**settings, shape_decoder=decoder, weights=tmp_path / "plain.weights.h5")
        predicted = model.predict(np.full((1, 32, 32, 3), 99.0), verbose=0)
        for name in ("landmarks", "pose"):
            np.testing.assert_allclose(predicted[name], expected[name], rtol=1e-4, atol=1e-5)
    few = ShapeDecoder.from_shape_model(ActiveShapeModel(3).fit(shapes))
    with pytest.raises(ValueError, match="for each of 10 coordinates. Received: a decoder of 3 coefficients"):
        ASMNet(**settings, shape_decoder=few, weights=tmp_path / "plain.weights.h5")


def test_weights_with_a_decoder_need_one(shapes, tmp_path):
    settings = {"input_shape": (32, 32, 3), "n_landmarks": L, "width_multiplier": 0.35}
    decoder = ShapeDecoder.from_landmarks(shapes)
    trained_asmnet(decoder).save_weights(tmp_path / "decoder.weights.h5")
    with pytest.raises(ValueError, match="the file's network has a shape_decoder, or other layers"):
        ASMNet(**settings, weights=tmp_path / "decoder.weights.h5")
    model = ASMNet(**settings, shape_decoder=decoder, weights=tmp_path / "decoder.weights.h5")
    assert model.get_layer("landmark_coefficients").get_weights()[0].std() > 0.5
