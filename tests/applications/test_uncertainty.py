"""Networks that say how sure each landmark is: trained, saved, folded, flipped, loaded from others' weights."""

import keras
import numpy as np
import pytest

from keras_asm import (
    ActiveShapeModel,
    AlphaStepSchedule,
    ASMAssistedLoss,
    ASMNet,
    HeadPoseLoss,
    LandmarkBatches,
    LandmarkLikelihoodLoss,
    LandmarkNet,
    MobileNetV2Landmarks,
    NormalizedMeanError,
    ShapeDecoder,
    fold_shape_decoder,
    predict_with_flip,
)
from keras_asm.landmarks import get_scheme, split_log_scale

L = 68


def network(**kwargs):
    backbone = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    return LandmarkNet(backbone, n_landmarks=L, include_uncertainty=True, **kwargs)


@pytest.fixture
def faces(rng):
    images = rng.uniform(0, 1, (12, 8, 8, 3)).astype("float32")
    landmarks = (0.2 * rng.normal(size=(1, L, 2)) + 0.05 * rng.normal(size=(12, L, 2))).astype("float32")
    return images, landmarks, rng.normal(size=(12, 3)).astype("float32")


@pytest.mark.backend
@pytest.mark.parametrize(
    "kind", ["likelihood alone", "beside the assisted loss", "base of the assisted loss"]
)
def test_trained_saved_and_loaded(kind, faces, tmp_path):
    images, landmarks, pose = faces
    asm = ActiveShapeModel(4).fit(landmarks)
    landmarks = landmarks.copy()
    landmarks[::2, 3] = np.nan
    batches = LandmarkBatches(
        images, landmarks, pose, batch_size=6, uncertainty=True, shuffle=True, value_range=(0, 1)
    )
    loss = {"uncertain_landmarks": LandmarkLikelihoodLoss(), "pose": HeadPoseLoss()}
    callbacks = []
    if kind == "beside the assisted loss":
        loss["landmarks"] = ASMAssistedLoss(asm)
    elif kind == "base of the assisted loss":
        loss["uncertain_landmarks"] = ASMAssistedLoss(asm, base=LandmarkLikelihoodLoss())
        callbacks = [AlphaStepSchedule()]
    model = network()
    model.compile("adam", loss, metrics={"landmarks": NormalizedMeanError(normalizer="box")})
    before = model.get_layer("log_scale").get_weights()[0]
    history = model.fit(batches, epochs=3, validation_data=batches, callbacks=callbacks, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert (model.get_layer("log_scale").get_weights()[0] != before).any()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name, expected in model.predict(images, verbose=0).items():
        np.testing.assert_array_equal(again.predict(images, verbose=0)[name], expected)
    again.fit(batches, epochs=1, verbose=0)


@pytest.mark.backend
def test_both_outputs_hold_the_same_landmarks(faces):
    found = network().predict(faces[0], verbose=0)
    assert {name: values.shape for name, values in found.items()} == {
        "landmarks": (12, 136),
        "uncertain_landmarks": (12, 204),
        "pose": (12, 3),
    }
    landmarks, log_scale = split_log_scale(found["uncertain_landmarks"])
    np.testing.assert_array_equal(landmarks, found["landmarks"])
    np.testing.assert_allclose(np.exp(log_scale), 0.2, rtol=0.2)  # where it starts


def test_batches_with_and_without_uncertainty(faces):
    images, landmarks, pose = faces
    for with_pose in (None, pose):
        batches = LandmarkBatches(images, landmarks, with_pose, value_range=(0, 1), uncertainty=True)
        names = {"landmarks", "uncertain_landmarks"} | ({"pose"} if with_pose is not None else set())
        for _, targets in (batches[0], next(iter(batches.to_tf_dataset()))):
            assert set(targets) == names
            np.testing.assert_array_equal(targets["uncertain_landmarks"], landmarks.reshape(12, -1))


@pytest.mark.backend
def test_folded(faces, rng):
    images, landmarks, _ = faces
    decoder = ShapeDecoder.from_landmarks(landmarks)
    model = network(shape_decoder=decoder)
    head = model.get_layer("landmark_coefficients")
    head.set_weights([0.1 * rng.normal(size=w.shape) for w in head.get_weights()])
    folded = fold_shape_decoder(model)
    assert not any(isinstance(layer, ShapeDecoder) for layer in folded.layers)
    expected, found = (m.predict(images, verbose=0) for m in (model, folded))
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-5)


@pytest.mark.backend
def test_flip_averages_log_scales(faces, rng):
    images = faces[0]
    model = network()
    for name in ("landmarks", "log_scale"):
        head = model.get_layer(name)
        head.set_weights([0.02 * rng.normal(size=w.shape) for w in head.get_weights()])
    found = predict_with_flip(model, images, L)
    plain, mirrored = (
        split_log_scale(model.predict(x, verbose=0)["uncertain_landmarks"])[1]
        for x in (images, np.ascontiguousarray(images[:, :, ::-1]))
    )
    landmarks, log_scale = split_log_scale(found["uncertain_landmarks"])
    order = list(get_scheme(L).flip_permutation)
    np.testing.assert_allclose(log_scale, (plain + mirrored[:, order]) / 2, rtol=1e-5)
    np.testing.assert_allclose(landmarks, found["landmarks"], atol=1e-6)


@pytest.mark.parametrize("build", [ASMNet, MobileNetV2Landmarks])
def test_weights_files(build, tmp_path, faces):
    settings = {"input_shape": (32, 32, 3), "width_multiplier": 0.35, "include_uncertainty": True}
    model = build(**settings)
    head = model.get_layer("log_scale")
    head.set_weights([w + 0.1 for w in head.get_weights()])
    model.save_weights(tmp_path / "a.weights.h5")
    decoder = ShapeDecoder.from_landmarks(faces[1])
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    expected = model.predict(images, verbose=0)
    for shape_decoder in (None, decoder):
        loaded = build(weights=tmp_path / "a.weights.h5", shape_decoder=shape_decoder, **settings)
        for name, values in loaded.predict(images, verbose=0).items():
            np.testing.assert_allclose(values, expected[name], atol=2e-5)


def test_trained_weights_of_the_package(faces):
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    plain = ASMNet((64, 64, 3), weights="asmnet-drawn").predict(images, verbose=0)
    decoder = ShapeDecoder.from_landmarks(faces[1])
    for shape_decoder in (None, decoder):
        model = ASMNet(
            (64, 64, 3), weights="asmnet-drawn", include_uncertainty=True, shape_decoder=shape_decoder
        )
        found = model.predict(images, verbose=0)
        for name in plain:
            np.testing.assert_allclose(found[name], plain[name], atol=2e-4)
