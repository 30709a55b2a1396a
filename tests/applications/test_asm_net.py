import sys

import keras
import numpy as np
import pytest

from keras_asm.applications import ASMNet, MobileNetV2Landmarks

SMALL = {"input_shape": (32, 32, 3), "width_multiplier": 0.35}


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def small_asmnet(**kwargs):
    return ASMNet(**{**SMALL, "n_landmarks": 5, **kwargs})


def small_backbone(width=0.35, size=96):
    return keras.applications.MobileNetV2(
        input_shape=(size, size, 3), alpha=width, include_top=False, weights=None
    )


def with_drawn_weights(model, rng):
    """Weights that do not depend on the backend; variances stay positive, activations of order 1."""
    weights = []
    for variable in model.weights:
        size = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 1
        if variable.path.endswith("depthwise/kernel"):
            size = 9
        value = rng.normal(0, 1.5 / np.sqrt(size), variable.shape)
        if variable.path.startswith(("landmarks", "pose")):
            value = value / 10
        weights.append(np.abs(value) + 0.5 if "moving_variance" in variable.path else value)
    model.set_weights(weights)
    return model


# The tables of the paper (1.43 M and 2.42 M) to the last parameter, derived in the design of the package.
@pytest.mark.parametrize(
    ("network", "n_landmarks", "parameters"),
    [(ASMNet, 68, 1_439_507), (ASMNet, 98, 1_471_727), (MobileNetV2Landmarks, 68, 2_436_043)],
)
def test_parameters_are_the_published_ones(network, n_landmarks, parameters):
    assert network(n_landmarks=n_landmarks).count_params() == parameters


def test_the_head_sees_six_blocks():
    model = ASMNet()
    # Channels of the project layers of blocks 1, 3, 6, 10, 13 and of block 15 (MobileNetV2, table 2).
    assert model.get_layer("fused_features").output.shape == (None, 24 + 32 + 64 + 96 + 160 + 160)
    assert not any(layer.name.startswith("block_16") for layer in model.layers)


def test_the_baseline_keeps_every_block_and_pools_the_last():
    model = MobileNetV2Landmarks(**SMALL)
    assert model.get_layer("landmarks").input.shape == (None, 1280)
    assert any(layer.name == "block_16_project_BN" for layer in model.layers)


@pytest.mark.parametrize("network", [ASMNet, MobileNetV2Landmarks])
def test_outputs_are_named_and_flat(network):
    model = network(**SMALL, n_landmarks=7)
    assert {name: output.shape for name, output in model.output.items()} == {
        "landmarks": (None, 14),
        "pose": (None, 3),
    }
    assert sorted(model.output_names) == ["landmarks", "pose"]
    alone = network(**SMALL, n_landmarks=7, include_pose=False, name="faces")
    assert {name: output.shape for name, output in alone.output.items()} == {"landmarks": (None, 14)}
    assert alone.output_names == ["landmarks"]
    assert alone.name == "faces"


@pytest.mark.parametrize("width_multiplier", [0.1, 0.5, 1.4, 2])
@pytest.mark.parametrize("size", [(33, 47), (None, None)])
def test_any_width_and_size(width_multiplier, size):
    model = ASMNet(input_shape=(*size, 3), width_multiplier=width_multiplier, n_landmarks=1)
    assert model.output["landmarks"].shape == (None, 2)


def test_channels_first_images():
    keras.config.set_image_data_format("channels_first")
    try:
        model = ASMNet(input_shape=(3, 32, 64), width_multiplier=0.35)
        assert model.get_layer("fused_features").output.shape == (None, 8 + 16 + 24 + 32 + 56 + 56)
    finally:
        keras.config.set_image_data_format("channels_last")


# Computed once on TensorFlow, from the same drawn weights and image; JAX and PyTorch must agree.
REFERENCE_LANDMARKS = [0.625761, 0.361707, -1.374001, -0.461244]
REFERENCE_POSE = [0.049662, -0.769322, -0.274038]


@pytest.mark.backend
def test_every_backend_computes_the_same(rng, images):
    model = with_drawn_weights(small_asmnet(), rng)
    outputs = {name: keras.ops.convert_to_numpy(value) for name, value in model(images[:1]).items()}
    np.testing.assert_allclose(outputs["landmarks"][0, :4], REFERENCE_LANDMARKS, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outputs["pose"][0], REFERENCE_POSE, rtol=1e-4, atol=1e-4)


@pytest.mark.backend
def test_mixed_float16_ends_in_float32(rng, images):
    full = with_drawn_weights(small_asmnet(), rng)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = small_asmnet()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(full.get_weights())
    assert half.get_layer("block_15_project").compute_dtype == "float16"
    expected, outputs = full(images), half(images)
    for name in ("landmarks", "pose"):
        assert keras.backend.standardize_dtype(outputs[name].dtype) == "float32"
        value = keras.ops.convert_to_numpy(outputs[name])
        # Not every value is one of half precision: the head itself computes in float32.
        assert np.any(value != value.astype("float16"))
        np.testing.assert_allclose(value, keras.ops.convert_to_numpy(expected[name]), atol=0.05)


def test_float64_stays_float64():
    keras.config.set_dtype_policy("float64")
    try:
        assert small_asmnet().output["landmarks"].dtype == "float64"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.backend
def test_uint8_and_float_images_agree(rng, images):
    model = with_drawn_weights(small_asmnet(include_pose=False), rng)
    as_bytes = keras.ops.convert_to_numpy(model(images)["landmarks"])
    as_floats = keras.ops.convert_to_numpy(model(images.astype("float32"))["landmarks"])
    np.testing.assert_array_equal(as_bytes, as_floats)
    assert np.ptp(as_bytes, axis=0).max() > 1e-3  # and they look at the image


def test_preprocessing_is_that_of_the_published_weights(images):
    model = small_asmnet()
    scaled = model.get_layer("preprocessing")(images)
    expected = keras.applications.mobilenet_v2.preprocess_input(images.astype("float32"))
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


@pytest.mark.backend
def test_trains_a_step_and_comes_back_from_a_file(tmp_path, images):
    model = small_asmnet(batch_norm_momentum=0.8)
    targets = {"landmarks": np.zeros((4, 10), "float32"), "pose": np.ones((4, 3), "float32")}
    model.compile(
        "sgd",
        loss={"landmarks": "mse", "pose": "mae"},
        loss_weights={"landmarks": 1.0, "pose": 0.5},
        jit_compile=False,
    )
    before = model.get_layer("pose").get_weights()[0]
    model.train_on_batch(images, targets)
    assert np.any(model.get_layer("pose").get_weights()[0] != before)
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    assert restored.get_layer("bn_Conv1").momentum == 0.8
    expected, outputs = model.predict(images, verbose=0), restored.predict(images, verbose=0)
    for name in ("landmarks", "pose"):
        np.testing.assert_allclose(outputs[name], expected[name], rtol=1e-5, atol=1e-6)


def test_dropout_adds_no_weights():
    plain, dropping = small_asmnet(), small_asmnet(dropout_rate=0.3)
    assert dropping.get_layer("fused_features_dropout").rate == 0.3
    assert [w.shape for w in plain.weights] == [w.shape for w in dropping.weights]
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in plain.layers)


def test_batch_norm_momentum_reaches_every_layer():
    layers = [
        layer
        for layer in small_asmnet(batch_norm_momentum=0.75).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    # One behind every convolution: Conv1, two in block 0, three in each of 15 more.
    assert len(layers) == 1 + 2 + 3 * 15
    assert {layer.momentum for layer in layers} == {0.75}


def test_weights_of_the_whole_network(tmp_path, images, rng):
    model = with_drawn_weights(small_asmnet(), rng)
    model.save_weights(tmp_path / "net.weights.h5")
    keras.utils.clear_session(free_memory=False)
    for kwargs in ({}, {"dropout_rate": 0.3}, {"name": "other"}):
        loaded = small_asmnet(weights=str(tmp_path / "net.weights.h5"), **kwargs)
        for expected, value in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("name", ["backbone.weights.h5", "backbone.h5"])  # Keras 3 and Keras 2
@pytest.mark.parametrize("network", [ASMNet, MobileNetV2Landmarks])
def test_weights_of_the_backbone(tmp_path, rng, network, name):
    backbone = with_drawn_weights(small_backbone(), rng)
    (backbone.save_weights if "weights" in name else backbone.save)(tmp_path / name)
    model = network(**SMALL, weights=tmp_path / name)
    assert_backbone_equals(model, backbone)


def assert_backbone_equals(model, backbone):
    compared = 0
    for layer in model.layers:
        if layer.weights and layer.name not in ("landmarks", "pose"):
            for value, expected in zip(
                layer.get_weights(), backbone.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(value, expected)
                compared += 1
    assert compared >= 48 * 5  # 48 convolutions, each with batch norm


def test_imagenet_uses_the_download_of_keras(tmp_path, rng, monkeypatch):
    backbone = with_drawn_weights(small_backbone(), rng)
    backbone.save(tmp_path / "no_top.h5")
    asked = []

    def get_file(name, origin, **kwargs):
        asked.append(origin)
        return str(tmp_path / "no_top.h5")

    monkeypatch.setattr(sys.modules[keras.utils.get_file.__module__], "get_file", get_file)
    model = ASMNet(input_shape=(96, 96, 3), width_multiplier=0.35, weights="imagenet")
    assert len(asked) == 1
    assert asked[0].endswith("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5")
    assert_backbone_equals(model, backbone)


def test_a_failed_download_says_so(monkeypatch):
    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure on https://example.org: None -- no network")

    monkeypatch.setattr(sys.modules[keras.utils.get_file.__module__], "get_file", get_file)
    with pytest.raises(FileNotFoundError, match=r"could not be downloaded.*Received: weights='imagenet'"):
        ASMNet(input_shape=(96, 96, 3), weights="imagenet")


@pytest.mark.real_data
def test_real_imagenet_weights(data_root):
    path = data_root / "weights" / "mobilenet_v2_1.0_224_no_top_facebn.weights.h5"
    model = ASMNet(input_shape=(64, 64, 3), weights=path)
    backbone = small_backbone(width=1.0, size=64)
    backbone.load_weights(path)
    assert_backbone_equals(model, backbone)


# -- bad arguments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"input_shape": (31, 64, 3)}, r"at least 32 pixels. Received: \(31, 64, 3\)"),
        ({"input_shape": (64, 64)}, r"input_shape must be \(height, width, channels\)"),
        ({"input_shape": 64}, "input_shape must be .* Received: 64"),
        ({"n_landmarks": "68"}, "n_landmarks must be an integer of at least 1. Received: '68'"),
        ({"n_landmarks": 0}, "n_landmarks must be an integer of at least 1. Received: 0"),
        ({"n_landmarks": 2.5}, "n_landmarks must be an integer"),
        ({"width_multiplier": 0}, "width_multiplier must be above 0. Received: 0"),
        ({"width_multiplier": 0.6, "weights": "imagenet"}, "exist for width_multiplier in"),
        ({"dropout_rate": 1.0}, r"dropout_rate must lie in \[0, 1\). Received: 1.0"),
        ({"batch_norm_momentum": 1.0}, r"batch_norm_momentum must lie in \[0, 1\). Received: 1.0"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        small_asmnet(**kwargs)


def test_a_weights_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"that exists. Received: .*nowhere.weights.h5"):
        small_asmnet(weights=tmp_path / "nowhere.weights.h5")
    with pytest.raises(FileNotFoundError, match="Received: imagnet"):
        small_asmnet(weights="imagnet")


def test_weights_of_other_networks(tmp_path):
    path = tmp_path / "other.weights.h5"
    small_asmnet(n_landmarks=98).save_weights(path)
    with pytest.raises(ValueError, match="the file's network has 98 landmarks, this one has 5"):
        small_asmnet(weights=path)
    small_asmnet(include_pose=False).save_weights(path)
    with pytest.raises(ValueError, match=r"the file's heads have shape \[\(\d+, 10\)\]"):
        small_asmnet(weights=path)
    small_asmnet(width_multiplier=0.5).save_weights(path)
    with pytest.raises(ValueError, match="the file's heads have shape"):
        small_asmnet(weights=path)
    small_backbone(width=0.5).save_weights(path)
    with pytest.raises(ValueError, match="no head, and its layers are not those of the backbone"):
        small_asmnet(weights=path)


def test_a_file_that_holds_no_weights(tmp_path):
    (tmp_path / "broken.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"must be an HDF5 file.*Received: .*broken.weights.h5"):
        small_asmnet(weights=tmp_path / "broken.weights.h5")


# -- moving statistics --------------------------------------------------------------------------------------


def test_evaluation_agrees_with_training_after_a_short_fit(rng):
    """With momentum 0.99 the evaluation is still that of chance here, with an error 7 times as large."""
    # The centre of a bright square on noise, 128 steps: two epochs of a few thousand faces.
    centres = rng.uniform(8, 24, (256, 2))
    near = np.abs(np.arange(32)[None, :, None] - centres[:, None, :]) < 6
    square = near[:, None, :, 0] & near[:, :, None, 1]
    images = np.where(square, 220, 60)[..., None] + rng.integers(0, 30, (256, 32, 32, 3))
    targets = (centres / 32 - 0.5).astype("float32")
    model = small_asmnet(n_landmarks=1, include_pose=False)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(images, targets, batch_size=16, epochs=8, verbose=0)
    evaluated = keras.ops.convert_to_numpy(model(images[:64], training=False)["landmarks"])
    trained = keras.ops.convert_to_numpy(model(images[:64], training=True)["landmarks"])
    evaluated_error, trained_error = (np.mean((p - targets[:64]) ** 2) for p in (evaluated, trained))
    assert trained_error < 0.3 * targets.var()
    assert evaluated_error < 1.5 * trained_error
    assert np.mean((evaluated - trained) ** 2) < 0.1 * targets.var()


@pytest.mark.backend
@pytest.mark.parametrize(("value_range", "scale"), [((0, 1), 1 / 255), ((-1, 1), 2 / 255)])
def test_range_of_values(rng, value_range, scale):
    images = rng.integers(0, 256, (2, 32, 32, 3)).astype("float32")
    usual = ASMNet((32, 32, 3), width_multiplier=0.35)
    other = ASMNet((32, 32, 3), width_multiplier=0.35, value_range=value_range)
    other.set_weights(usual.get_weights())
    expected = usual.predict(images, verbose=0)
    result = other.predict(images * scale + value_range[0], verbose=0)
    for name in ("landmarks", "pose"):
        np.testing.assert_allclose(result[name], expected[name], atol=1e-5)
    with pytest.raises(ValueError, match="value_range must be a pair"):
        ASMNet((32, 32, 3), value_range=(1, 1))
