"""The biases with which a network is quantised: its layers' mean outputs stay what they were."""

import keras
import numpy as np
import pytest

from keras_asm.export._bias_correction import corrected_biases, rounded_kernel

SIZE = 16


def images(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (n, SIZE, SIZE, 3)).astype("float32")


def network():
    """Convolutions with and without bias, batch normalisation, activations in and behind layers, a nested model."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    features = keras.Input((None, None, 6))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(features)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="norm")(x))
    inner = keras.Model(features, layers.Conv2D(4, 1, activation=layers.ReLU(), name="project")(x))
    pixels = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-0.2)(pixels)
    x = layers.Conv2D(6, 3, 2, activation="relu6", name="first")(x)
    x = layers.GlobalAveragePooling2D()(inner(x))
    x = layers.Dense(5, use_bias=False, name="left")(x)  # nothing here that could take its shift
    model = keras.Model(pixels, layers.Dense(7, name="head")(x))
    rng = np.random.default_rng(1)
    for layer in model._flatten_layers():
        if layer.weights and not isinstance(layer, keras.Model):
            layer.set_weights(
                [rng.uniform(0.1, 1, w.shape) * rng.choice([-1, 1, 1], w.shape) for w in layer.get_weights()]
            )
    for norm in (layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)):
        norm.set_weights([abs(w) for w in norm.get_weights()])
    return model


def by_name(model):
    return {layer.name: layer for layer in model._flatten_layers()}


def round_kernels(model):
    for name, layer in by_name(model).items():
        if hasattr(layer, "kernel"):
            kernel = keras.ops.convert_to_numpy(layer.kernel)
            layer.kernel.assign(rounded_kernel(np.array(kernel), name == "depthwise"))


@pytest.mark.backend
def test_mean_outputs_stay():
    """With kernels of 8 bits, the mean landmarks are those of the network; without the correction they are not."""
    model, faces = network(), images(16)
    exact = keras.ops.convert_to_numpy(model(faces))
    before = model.get_weights()
    with corrected_biases(model, faces):
        changed = {
            path
            for path, new, old in zip(
                [w.path for w in model.weights], model.get_weights(), before, strict=True
            )
            if (new != old).any()
        }
        round_kernels(model)
        corrected = keras.ops.convert_to_numpy(model(faces))
    assert {path.rsplit("/", 2)[-2] + "/" + path.rsplit("/", 2)[-1] for path in changed} == {
        "first/bias",
        "norm/moving_mean",
        "project/bias",
        "head/bias",
    }
    for layer, name in ((by_name(model)[n], n) for n in ("first", "project", "head")):
        assert "call" not in vars(layer), name
        assert layer.activation is not None
    alone = keras.ops.convert_to_numpy(model(faces))
    shift = np.abs(alone.mean(axis=0) - exact.mean(axis=0)).max()
    assert shift > 1e-3
    assert np.abs(corrected.mean(axis=0) - exact.mean(axis=0)).max() < 0.01 * shift
    kernels = [w.path.endswith("kernel") for w in model.weights]
    for is_kernel, new, old in zip(kernels, model.get_weights(), before, strict=True):
        assert is_kernel or (new == old).all()  # the rounded kernels are the test's


def test_many_images_in_batches():
    model, faces = network(), images(40)
    exact = keras.ops.convert_to_numpy(model(faces)).mean(axis=0)
    with corrected_biases(model, faces):
        round_kernels(model)
        corrected = keras.ops.convert_to_numpy(model(faces)).mean(axis=0)
    alone = keras.ops.convert_to_numpy(model(faces)).mean(axis=0)
    assert np.abs(corrected - exact).max() < 0.1 * np.abs(alone - exact).max()


def test_kernels_are_rounded_as_litert_does(tmp_path):
    """Its own account of the tensors in a file of int8."""
    pytest.importorskip("tensorflow")
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    if keras.config.backend() != "tensorflow":
        pytest.skip("converted by TensorFlow")
    import tensorflow as tf

    model, faces = network(), images(16)
    model.export(
        str(tmp_path / "net.tflite"),
        format="litert",
        verbose=False,
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=lambda: ([face[None]] for face in faces),
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    )
    file = interpreter.Interpreter(str(tmp_path / "net.tflite"))
    file.allocate_tensors()
    found = {}
    for detail in file.get_tensor_details():
        scales, axis = (
            detail["quantization_parameters"]["scales"],
            detail["quantization_parameters"]["quantized_dimension"],
        )
        if detail["dtype"] == np.int8 and len(scales) > 1:
            values = np.moveaxis(file.get_tensor(detail["index"]).astype(float), axis, -1)
            found[values.shape] = np.sort(np.abs(values * scales), axis=None)
    layers = by_name(model)
    norm = layers["norm"]
    factor = keras.ops.convert_to_numpy(norm.gamma) / np.sqrt(
        keras.ops.convert_to_numpy(norm.moving_variance) + norm.epsilon
    )
    for name in ("first", "depthwise", "project", "left", "head"):
        kernel = rounded_kernel(
            np.array(keras.ops.convert_to_numpy(layers[name].kernel)), name == "depthwise"
        )
        # What lies behind and before the layer is folded into it
        kernel = (
            kernel[..., 0] * factor if name == "depthwise" else kernel / 127.5 if name == "first" else kernel
        )
        wanted = np.sort(np.abs(kernel), axis=None)
        (same,) = (values for values in found.values() if values.size == wanted.size)
        np.testing.assert_allclose(same, wanted, rtol=1e-5)
