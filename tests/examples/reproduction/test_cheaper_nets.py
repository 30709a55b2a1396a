"""ASMNet made cheaper computes what ASMNet does, where what it leaves out does nothing."""

import keras
import numpy as np
import pytest

from keras_asm import ASMNet
from keras_asm.layers import ShapeDecoder
from paper.cheaper_nets import narrow_first_layer_net, three_taps_net, without_block_2_net

SETTINGS = {"input_shape": (64, 64, 3), "n_landmarks": 5, "include_pose": True, "width_multiplier": 1.0}


@pytest.fixture
def images(rng):
    return rng.uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


@pytest.fixture
def decoder(rng):
    return ShapeDecoder.from_landmarks(rng.normal(size=(30, 5, 2)))


def outputs(model, images):
    return [np.asarray(model.predict(images, verbose=0)[name]) for name in ("landmarks", "pose")]


@pytest.mark.parametrize(
    ("build", "layer", "nothing"),
    [
        (without_block_2_net, "block_2_project_BN", lambda values: [np.zeros_like(v) for v in values]),
        (
            narrow_first_layer_net,
            "expanded_conv_project",
            lambda values: [values[0] * (np.arange(32) % 2)[:, None]],  # of the even channels
        ),
    ],
)
def test_what_is_left_out_did_nothing(build, layer, nothing, images, decoder, tmp_path):
    keras.utils.set_random_seed(0)
    net = ASMNet(**SETTINGS, shape_decoder=decoder)
    for each in net.layers:  # a random network's last features are all alike
        if isinstance(each, keras.layers.BatchNormalization):
            each.momentum = 0.0
    net(images, training=True)
    path = tmp_path / "net.weights.h5"
    net.save_weights(path)
    with_it = build(**SETTINGS, shape_decoder=decoder, weights=path)
    differ = [
        np.abs(a - b).max() for a, b in zip(outputs(with_it, images), outputs(net, images), strict=True)
    ]
    assert min(differ) > 1e-5

    net.get_layer(layer).set_weights(nothing(net.get_layer(layer).get_weights()))
    net.save_weights(path)
    cheaper = build(**SETTINGS, shape_decoder=decoder, weights=path)
    for found, expected in zip(outputs(cheaper, images), outputs(net, images), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert cheaper.count_params() < net.count_params()


def test_three_taps(images, decoder):
    net = three_taps_net(**SETTINGS, shape_decoder=decoder)
    assert net.get_layer("fused_features").output.shape == (None, 96 + 160 + 160)
    landmarks, pose = outputs(net, images)
    assert (landmarks.shape, pose.shape) == ((2, 10), (2, 3))
