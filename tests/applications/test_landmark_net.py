import keras
import numpy as np
import pytest

from keras_asm.applications import LandmarkNet

# Light networks of different families, at the smallest image each of them takes in a test.
BACKBONES = {
    "MobileNetV3Small": (32, ["expanded_conv_2_add", "expanded_conv_5_add"]),
    "EfficientNetB0": (32, ["block2b_add", "block3b_add"]),
    "DenseNet121": (32, ["pool2_conv", "pool3_conv"]),
    "ResNet50": (32, ["conv2_block3_out", "conv3_block4_out"]),
    "MobileNet": (32, None),
}


def build(backbone_name, **kwargs):
    size, taps = BACKBONES[backbone_name]
    narrow = {"alpha": 0.25} if backbone_name == "MobileNet" else {}
    backbone = getattr(keras.applications, backbone_name)(
        input_shape=(size, size, 3), include_top=False, weights=None, **narrow
    )
    return LandmarkNet(backbone, taps=taps, n_landmarks=4, **kwargs)


@pytest.mark.parametrize("backbone_name", BACKBONES)
def test_backbones_of_keras_applications(backbone_name, tmp_path, rng):
    model = build(backbone_name)
    images = rng.uniform(0, 255, (2, *model.input_shape[1:])).astype("float32")
    targets = {"landmarks": np.zeros((2, 8), "float32"), "pose": np.zeros((2, 3), "float32")}
    # Small steps: these networks get no scaled images and no warm-up here.
    model.compile(keras.optimizers.SGD(1e-6), loss="mse")
    before = model.get_layer("landmarks").get_weights()[0]
    model.train_on_batch(images, targets)
    assert np.any(model.get_layer("landmarks").get_weights()[0] != before)
    expected = keras.ops.convert_to_numpy(model(images)["landmarks"])
    assert expected.shape == (2, 8)
    assert np.all(np.isfinite(expected))
    model.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(restored(images)["landmarks"]), expected, rtol=1e-5, atol=1e-5
    )


def two_maps():
    """An identity map of 2 channels, a 1x1 convolution to 3, its 18 values, and those as 2 tokens of 9."""
    images = keras.Input((6, 4, 2))
    first = keras.layers.Identity(name="first")(images)
    second = keras.layers.Conv2D(3, 1, strides=2, name="second")(first)
    tokens = keras.layers.Reshape((2, 9), name="tokens")(keras.layers.Flatten(name="flat")(second))
    return keras.Model(images, tokens, name="maps")


@pytest.mark.backend
def test_the_head_is_linear_in_the_concatenated_means(rng):
    backbone = two_maps()
    model = LandmarkNet(backbone, taps=["first", "second", "tokens", "flat"], n_landmarks=3)
    images = rng.normal(size=(5, 6, 4, 2)).astype("float32")
    second = keras.ops.convert_to_numpy(backbone.get_layer("second")(images))
    fused = np.concatenate(
        [
            images.mean(axis=(1, 2)),
            second.mean(axis=(1, 2)),
            second.reshape(5, 2, 9).mean(axis=1),
            second.reshape(5, 18),
        ],
        axis=1,
    )
    outputs = model(images)
    for name in ("landmarks", "pose"):
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(outputs[name]), fused @ kernel + bias, rtol=1e-5, atol=1e-5
        )


def test_the_default_is_the_backbones_own_outputs():
    backbone = two_maps()
    assert LandmarkNet(backbone).get_layer("landmarks").input.shape == (None, 9)
    pyramid = keras.Model(
        backbone.input, [backbone.get_layer("first").output, backbone.get_layer("second").output]
    )
    assert LandmarkNet(pyramid).get_layer("landmarks").input.shape == (None, 2 + 3)


@pytest.mark.parametrize("loss", ["mse", {"landmarks": "mse"}])
def test_without_pose_dicts_and_arrays_both_train(loss):
    model = LandmarkNet(two_maps(), n_landmarks=2, include_pose=False)
    model.compile("sgd", loss=loss)
    images, landmarks = np.ones((3, 6, 4, 2), "float32"), np.zeros((3, 4), "float32")
    assert np.isfinite(model.train_on_batch(images, landmarks))
    assert np.isfinite(model.train_on_batch(images, {"landmarks": landmarks}))
    assert set(model.predict_on_batch(images)) == {"landmarks"}


def test_layers_behind_the_last_tap_are_left_out_and_the_others_shared():
    backbone = two_maps()
    backbone.get_layer("second").trainable = False
    model = LandmarkNet(backbone, taps=["second"], include_pose=False)
    assert model.get_layer("second") is backbone.get_layer("second")
    assert not any(layer.name == "tokens" for layer in model.layers)
    assert len(model.trainable_weights) == 2  # the head's


def test_channels_first_features():
    images = keras.Input((2, 6, 4))
    backbone = keras.Model(images, keras.layers.Identity(name="map")(images))
    model = LandmarkNet(backbone, data_format="channels_first")
    assert model.get_layer("landmarks").input.shape == (None, 2)


def test_momentum_is_left_alone_unless_given_and_reaches_nested_models():
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.BatchNormalization(momentum=0.999)])
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, keras.layers.BatchNormalization(momentum=0.995)(inner(images)))
    norms = [inner.layers[0], backbone.layers[-1]]
    LandmarkNet(backbone)
    assert [norm.momentum for norm in norms] == [0.999, 0.995]
    LandmarkNet(backbone, batch_norm_momentum=0.9)
    assert [norm.momentum for norm in norms] == [0.9, 0.9]


def test_a_subclassed_model_works_once_wrapped():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(4)

        def call(self, x):
            return self.dense(x)

    with pytest.raises(ValueError, match=r"wrap any other as keras.Model\(inputs, model\(inputs\)\)"):
        LandmarkNet(Plain())
    inputs = keras.Input((3,))
    assert LandmarkNet(keras.Model(inputs, Plain()(inputs))).output["pose"].shape == (None, 3)


def test_unknown_taps_list_near_matches():
    with pytest.raises(ValueError, match=r"Near matches: \['second'\].*Received: 'secnd'"):
        LandmarkNet(two_maps(), taps=["first", "secnd"])


@pytest.mark.parametrize("taps", ["first", [], ["first", "first"]])
def test_taps_are_a_list_of_different_names(taps):
    with pytest.raises(ValueError, match="taps must be a list of different layer names"):
        LandmarkNet(two_maps(), taps=taps)


@pytest.mark.parametrize("backbone", [None, "MobileNetV2", keras.layers.Dense(3), keras.Sequential()])
def test_backbones_without_a_graph(backbone):
    with pytest.raises(ValueError, match=r"backbone must be a functional model.*Received"):
        LandmarkNet(backbone)


def test_features_that_cannot_be_pooled():
    volume = keras.Input((4, 4, 4, 1))
    backbone = keras.Model(volume, keras.layers.Identity(name="volume")(volume))
    with pytest.raises(
        ValueError, match=r"features of 'volume' must have shape.*Received: \(None, 4, 4, 4, 1\)"
    ):
        LandmarkNet(backbone, taps=["volume"])
