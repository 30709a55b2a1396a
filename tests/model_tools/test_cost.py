import keras
import numpy as np
import pytest

from keras_asm.applications import ASMNet, MobileNetV2Landmarks
from keras_asm.model_tools import ModelCost, model_cost

L = keras.layers


def test_the_papers_networks():
    asmnet, baseline = model_cost(ASMNet()), model_cost(MobileNetV2Landmarks())
    assert (asmnet.parameters, baseline.parameters) == (1_439_507, 2_436_043)
    # The paper prints 0.51 and 0.60 G FLOPs at two per multiply-add. The heads do 139 multiply-adds per
    # pooled feature, of which there are 536 and 1280; without them MobileNetV2 does 299.49 M.
    assert f"{2 * asmnet.multiply_adds / 1e9:.2f}" == "0.51"
    assert f"{2 * baseline.multiply_adds / 1e9:.2f}" == "0.60"
    assert (asmnet.multiply_adds - 139 * 536) // 10**6 == 256
    assert (baseline.multiply_adds - 139 * 1280) // 10**6 == 299
    assert asmnet.uncounted == baseline.uncounted == ()
    assert str(asmnet) == "1,439,507 parameters (1,412,435 trainable), 256.5 M multiply-adds"


# Parameters from keras.io/api/applications; multiply-adds in millions from each network's paper
# (MobileNetV2: Google's published table) and, for ResNet-50, the usual count for its first version.
@pytest.mark.parametrize(
    ("network", "parameters", "millions"),
    [("MobileNetV2", 3_538_984, 300.8), ("MobileNet", 4_253_864, 569), ("ResNet50", 25_636_712, 3858)],
)
def test_published_numbers(network, parameters, millions):
    cost = model_cost(getattr(keras.applications, network)(weights=None))
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e6 == pytest.approx(millions, rel=2e-3)
    assert cost.uncounted == ()


IMAGES = (8, 6, 4)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Conv2D(5, 3, padding="same"), IMAGES, 8 * 6 * 3 * 3 * 4 * 5),
        (L.Conv2D(5, (3, 1), strides=2), IMAGES, 3 * 3 * 3 * 4 * 5),
        (L.Conv2D(6, 3, groups=2, padding="same"), IMAGES, 8 * 6 * 3 * 3 * 2 * 6),
        (L.Conv2D(5, 3, dilation_rate=2), IMAGES, 4 * 2 * 3 * 3 * 4 * 5),
        (L.Conv2D(5, 1, data_format="channels_first"), (4, 8, 6), 8 * 6 * 4 * 5),
        (L.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same"), IMAGES, 4 * 3 * 9 * 4 * 2),
        (L.SeparableConv2D(5, 3, strides=2, padding="same"), IMAGES, 4 * 3 * (9 * 4 + 4 * 5)),
        (L.Conv2DTranspose(5, 3, strides=2, padding="same"), IMAGES, 8 * 6 * 9 * 4 * 5),
        (L.Conv1D(5, 3, padding="causal"), (10, 4), 10 * 3 * 4 * 5),
        (L.Conv3D(2, 2), (3, 3, 3, 1), 8 * 8 * 2),
        (L.Dense(7), (4,), 4 * 7),
        (L.Dense(7), (10, 4), 10 * 4 * 7),
        (L.BatchNormalization(), IMAGES, 0),
    ],
)
def test_hand_counted_layers(layer, shape, expected):
    images = keras.Input(shape)
    cost = model_cost(keras.Model(images, layer(images)))
    assert cost == ModelCost(layer.count_params(), sum(np.size(w) for w in layer.trainable_weights), expected)


def test_a_layer_counts_once_for_each_call_and_its_weights_once():
    images = keras.Input((8,))
    dense, inner = L.Dense(8), keras.Sequential([keras.Input((8,)), L.Dense(3)])
    model = keras.Model(images, [inner(dense(dense(images))), inner(images)])
    assert model_cost(model) == ModelCost(72 + 27, 72 + 27, 2 * 64 + 2 * 24)


def test_frozen_layers_are_not_trainable():
    images = keras.Input((8,))
    cost = model_cost(keras.Model(images, L.Dense(2, trainable=False)(images)))
    assert (cost.parameters, cost.trainable_parameters) == (18, 0)


def test_any_input_size_of_a_model_without_one():
    model = ASMNet(input_shape=(None, None, 3), width_multiplier=0.35)
    fixed = ASMNet(input_shape=(64, 96, 3), width_multiplier=0.35)
    assert model_cost(model, (64, 96, 3)) == model_cost(fixed)
    with pytest.raises(ValueError, match=r"pass input_shape. Received: \(None, None, 3\) for 'asmnet'"):
        model_cost(model)
    with pytest.raises(ValueError, match="incompatible"):
        model_cost(fixed, (32, 32, 3))


def test_several_inputs():
    first, second = keras.Input((8,), name="a"), keras.Input((4,), name="b")
    model = keras.Model({"a": first, "b": second}, L.Concatenate()([L.Dense(2)(first), L.Dense(3)(second)]))
    assert model_cost(model).multiply_adds == 8 * 2 + 4 * 3
    with pytest.raises(ValueError, match="one input"):
        model_cost(model, (8,))


def test_what_has_no_rule_is_named():
    words = keras.Input((5, 3))
    cost = model_cost(keras.Model(words, L.Dense(2)(L.LSTM(4)(words))))
    assert cost.multiply_adds == 4 * 2
    assert cost.uncounted == ("LSTM",)
    assert str(cost).endswith("8 multiply-adds (not counted: LSTM)")


def test_counting_leaves_no_trace():
    images = keras.Input((8,))
    dense = L.Dense(2)
    model = keras.Model(images, dense(images))
    config = model.get_config()
    model_cost(model)
    assert "compute_output_spec" not in dense.__dict__
    assert model.get_config() == config
    assert model.output_shape == (None, 2)


@pytest.mark.parametrize("model", [None, keras.Sequential(), L.Dense(3)])
def test_a_model_without_a_graph(model):
    with pytest.raises(ValueError, match=r"functional model or a Sequential model with an Input. Received"):
        model_cost(model)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's profiler counts its graphs")
@pytest.mark.parametrize("network", ["MobileNetV2", "MobileNetV3Small", "DenseNet121"])
def test_agrees_with_tensorflows_profiler(network):
    import tensorflow as tf

    model = getattr(keras.applications, network)(
        input_shape=(64, 64, 3), include_top=False, pooling="avg", weights=None
    )
    graph = tf.function(model).get_concrete_function(tf.TensorSpec((1, 64, 64, 3), tf.float32)).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    node = tf.compat.v1.profiler.profile(graph=graph, cmd="op", options=options)
    floats = {}
    while True:  # a chain with one operation type per node
        floats[node.name] = node.float_ops
        if not node.children:
            break
        (node,) = node.children
    multiplying = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    assert 2 * model_cost(model).multiply_adds == sum(floats.get(name, 0) for name in multiplying)
