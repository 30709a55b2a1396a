import keras
import numpy as np
import pytest

from keras_asm.layers import ShapeDecoder
from paper.spatial_heads import SoftArgmax, feature_points_net, soft_argmax_net


def test_soft_argmax_is_the_mean_place():
    maps = np.full((1, 4, 8, 2), -1e9, "float32")
    maps[0, 1, 6, 0] = 5.0  # one pixel
    maps[0, [0, 3], 2, 1] = 0.0  # two of equal weight
    places = keras.ops.convert_to_numpy(SoftArgmax(2.0)(maps))
    np.testing.assert_allclose(
        places, [[2 * (6.5 / 8 - 0.5), 2 * (1.5 / 4 - 0.5), 2 * (2.5 / 8 - 0.5), 0]], atol=1e-6
    )


@pytest.mark.parametrize("build", [feature_points_net, soft_argmax_net])
def test_networks_look_like_asmnet(build):
    decoder = ShapeDecoder(np.linspace(-0.4, 0.4, 10), np.ones(10))
    net = build(n_landmarks=5, input_shape=(64, 64, 3), width_multiplier=0.35, shape_decoder=decoder)
    outputs = net.predict(np.zeros((2, 64, 64, 3), "uint8"), verbose=0)
    assert {name: x.shape for name, x in outputs.items()} == {"landmarks": (2, 10), "pose": (2, 3)}
    assert np.abs(outputs["landmarks"]).max() < 0.65
