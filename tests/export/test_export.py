"""Networks in other formats give what they give in Keras, under the same names, or say why not."""

import contextlib
import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import ASMNet, LandmarkNet, ShapeDecoder
from keras_asm.datasets import DatasetError, load_300w
from keras_asm.export import ExportError, export_model, exporting
from keras_asm.faces import crop_faces
from keras_asm.inference import ExportedModel, LandmarkModelInfo, LandmarkPredictor, read_model_info
from keras_asm.metrics import normalized_mean_error
from keras_asm.model_tools import recompute_batch_norm

SIZE = 32
INFO = LandmarkModelInfo("300w", image_size=SIZE)


def installed(*packages):
    return all(importlib.util.find_spec(package) is not None for package in packages)


BACKEND = keras.config.backend()
ON_TENSORFLOW = BACKEND == "tensorflow"
on_tensorflow = pytest.mark.skipif(
    not ON_TENSORFLOW, reason="the same conversion on every backend: by TensorFlow"
)
needs = {
    "onnx": pytest.mark.skipif(
        not installed(
            *{"tensorflow": ["tf2onnx"], "jax": ["jax2onnx"]}.get(BACKEND, []), "onnx", "onnxruntime"
        ),
        reason="the converter to ONNX or its runtime is not installed",
    ),
    "litert": pytest.mark.skipif(
        not (ON_TENSORFLOW and installed("ai_edge_litert")),
        reason="TensorFlow or ai-edge-litert is not installed",
    ),
    "openvino": pytest.mark.skipif(
        not (ON_TENSORFLOW and installed("openvino")), reason="TensorFlow or openvino is not installed"
    ),
    "saved_model": pytest.mark.skipif(not ON_TENSORFLOW, reason="TensorFlow is not installed"),
}


def a_format(name, **kwargs):
    return pytest.param(name, marks=[needs[name.split("-")[0]], *kwargs.get("marks", ())], id=name)


def images(n=20):
    """uint8, smooth and rough."""
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (n, 4, 4, 3)).repeat(SIZE // 4, 1).repeat(SIZE // 4, 2)
    return np.clip(smooth + rng.integers(-60, 60, (n, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)


def heads(model, **sizes):
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.set_weights([rng.normal(0, sizes[layer.name], w.shape) for w in layer.get_weights()])


def network(**kwargs):
    """A small network whose outputs depend on the images about as much as a trained one's."""
    keras.utils.set_random_seed(0)
    model = ASMNet((SIZE, SIZE, 3), width_multiplier=0.35, **kwargs)
    recompute_batch_norm(model, [images().astype("float32")])
    heads(model, landmarks=0.006, landmark_coefficients=0.03, pose=0.6)
    return model


def small_network(width=8, **kwargs):
    """Converted in a second or two, and rounding stays small in it."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = keras.layers.Conv2D(width, 5, 4, activation="relu6")(x)
    model = LandmarkNet(keras.Model(pixels, keras.layers.Conv2D(width, 3, 2)(x)), **kwargs)
    heads(model, landmarks=0.3, landmark_coefficients=1.0, pose=30.0)
    return model


@pytest.fixture
def crops():
    return images()


PATHS = {"onnx": "net.onnx", "litert": "net.tflite", "openvino": "net.xml", "saved_model": "net"}


@pytest.fixture(scope="module")
def exported_network(tmp_path_factory):
    """Function that exports `network()`, once for each format, as it takes a while."""
    written = {}

    def exported(format):
        if format not in written:
            path = tmp_path_factory.mktemp(format) / "new" / PATHS[format]
            written[format] = path, export_model(network(), path, info=INFO)
        return written[format]

    return exported


@pytest.mark.backend
@pytest.mark.parametrize("format", [a_format(name) for name in PATHS])
def test_float32_is_the_network(format, exported_network, crops):
    """Also in batches of other sizes, by a predictor that knows the file alone."""
    model = network()
    expected = model.predict(crops.astype("float32"), verbose=0)
    assert np.ptp(expected["landmarks"], axis=0).max() > 0.02  # the images matter
    path, report = exported_network(format)
    assert (report.path, report.format, report.precision) == (path, format, "float32")
    assert report.landmark_difference < 5e-5
    assert report.pose_difference < 5e-3
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}.json"} | (
        {"net.bin"} if format == "openvino" else set()
    )

    exported = ExportedModel(path)
    for n in (1, 3, 20, 2):
        outputs = exported(crops[:n])
        assert set(outputs) == {"landmarks", "pose"}
        np.testing.assert_allclose(outputs["landmarks"], expected["landmarks"][:n], atol=5e-5)
        np.testing.assert_allclose(outputs["pose"], expected["pose"][:n], atol=5e-3)

    predictor, other = LandmarkPredictor(path), LandmarkPredictor(model, info=INFO)
    for found, wanted in zip(predictor.predict_crops(crops), other.predict_crops(crops), strict=True):
        np.testing.assert_allclose(found, wanted, atol=5e-3)
    (face,) = predictor(np.zeros((90, 80, 3), np.uint8), boxes=[[10, 20, 60, 70]])
    assert face.landmarks.shape == (68, 2)
    with pytest.raises(ValueError, match=r"takes images of the shape \(None, 32, 32, 3\).*48"):
        exported(np.zeros((1, 48, 48, 3)))


@needs["onnx"]
def test_names_are_those_of_the_page(tmp_path):
    """Read by the format's own library."""
    onnx = pytest.importorskip("onnx")
    export_model(small_network(), tmp_path / "net.onnx", info=INFO)
    graph = onnx.load(tmp_path / "net.onnx").graph

    def described(values):
        return {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}

    assert described(graph.input) == {"images": ["batch", SIZE, SIZE, 3]}
    assert described(graph.output) == {"landmarks": ["batch", 136], "pose": ["batch", 3]}


@on_tensorflow
@needs["onnx"]
def test_another_kind_of_network_keeps_to_the_same_contract(tmp_path, crops):
    """Pixels from -1 to 1, landmarks as points, other names, an output too many, a decoder, mixed precision."""
    decoder = ShapeDecoder(
        mean_shape=np.linspace(-0.4, 0.4, 136), basis=0.05 * np.random.default_rng(2).normal(size=(5, 136))
    )
    with_decoder = small_network(shape_decoder=decoder)
    mixed = keras.DTypePolicy("mixed_float16")
    pixels = keras.Input((SIZE, SIZE, 3), dtype="float32")
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", dtype=mixed)(pixels)
    x = keras.layers.Conv2D(4, 3, 2, activation="relu", dtype=mixed)(x)
    flat = keras.layers.Flatten(dtype="float32")(x)
    points = keras.layers.Reshape((68, 2), name="points")(keras.layers.Dense(136)(flat))
    extra = keras.layers.Dense(7, name="visible")(flat)
    angles = keras.layers.Dense(3, name="angles")(flat)
    other = keras.Model(pixels, [extra, points, angles])
    info = dataclasses.replace(INFO, value_range=(-1, 1), landmarks_output="points", pose_output="angles")
    for i, (model, described) in enumerate([(with_decoder, INFO), (other, info)]):
        path = tmp_path / f"{i}.onnx"
        export_model(model, path, info=described)
        landmarks, pose = LandmarkPredictor(model, info=described).predict_crops(crops)
        outputs = ExportedModel(path)(crops)
        assert list(outputs) == ["landmarks", "pose"]
        # Half precision rounds at 2^-11
        tolerance = 1e-5 if model is with_decoder else 0.01
        np.testing.assert_allclose(outputs["landmarks"].reshape(-1, 68, 2), landmarks, atol=tolerance)
        np.testing.assert_allclose(outputs["pose"], pose, atol=2e-3 if model is with_decoder else 0.05)
        written = read_model_info(path)
        assert (written.value_range, written.landmarks_output, written.pose_output) == (
            (0.0, 255.0),
            "landmarks",
            "pose",
        )


@on_tensorflow
@needs["onnx"]
def test_a_network_without_pose_or_names(tmp_path, crops):
    model = keras.Sequential([keras.Input((SIZE, SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(136)])
    model.layers[-1].set_weights([1e-5 * w for w in model.layers[-1].get_weights()])
    path = tmp_path / "net.onnx"
    report = export_model(model, path, info=dataclasses.replace(INFO, pose_output=None))
    assert report.pose_difference is None
    assert list(ExportedModel(path)(crops)) == ["landmarks"]
    assert LandmarkPredictor(path).predict_crops(crops)[1] is None


@on_tensorflow
@pytest.mark.parametrize("format", [a_format("onnx"), a_format("litert")])
def test_scales_of_landmarks(format, tmp_path, crops):
    """With a decoder, which is folded beneath the output that holds landmarks and log scales."""
    decoder = ShapeDecoder(
        mean_shape=np.linspace(-0.4, 0.4, 136), basis=0.05 * np.random.default_rng(2).normal(size=(5, 136))
    )
    backbone = keras.Sequential(
        [keras.Input((SIZE, SIZE, 3)), keras.layers.AveragePooling2D(8), keras.layers.Flatten()]
    )
    model = LandmarkNet(backbone, include_uncertainty=True, shape_decoder=decoder)
    rng = np.random.default_rng(3)
    for name in ("landmark_coefficients", "log_scale"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([1e-3 * rng.normal(size=kernel.shape), bias])
    info = dataclasses.replace(INFO, uncertainty_output="uncertain_landmarks", scale_factor=0.8)
    path = tmp_path / ("net.onnx" if format == "onnx" else "net.tflite")
    export_model(model, path, info=info)
    outputs = ExportedModel(path)(crops)
    assert sorted(outputs) == ["landmarks", "log_scale", "pose"]
    expected = model.predict(crops.astype("float32"), verbose=0)["uncertain_landmarks"]
    np.testing.assert_allclose(outputs["log_scale"], expected[:, 136:], atol=1e-4)
    np.testing.assert_allclose(outputs["landmarks"], expected[:, :136], atol=1e-5)
    assert np.ptp(expected[:, 136:]) > 0.1
    written = read_model_info(path)
    assert (written.uncertainty_output, written.scale_factor) == ("log_scale", 0.8)
    (one,) = LandmarkPredictor(model, info=info)(crops[0], boxes="image")
    (other,) = LandmarkPredictor(path)(crops[0], boxes="image")
    np.testing.assert_allclose(other.landmark_scales, one.landmark_scales, rtol=1e-4)
    np.testing.assert_allclose(one.landmark_scales, 0.8 * SIZE * np.exp(expected[0, 136:]), rtol=1e-4)
    if format == "litert":  # 8 bits leave them out
        export_model(model, tmp_path / "int8.tflite", precision="int8", calibration=crops, info=info)
        assert sorted(ExportedModel(tmp_path / "int8.tflite")(crops)) == ["landmarks", "pose"]
        assert LandmarkPredictor(tmp_path / "int8.tflite").info.uncertainty_output is None


@needs["litert"]
def test_quantised_networks_are_smaller_and_near(tmp_path, crops):
    model = small_network(width=64)
    sizes, landmark_differences = {}, {}
    for precision in ("float16", "dynamic", "int8"):
        report = export_model(
            model,
            tmp_path / f"{precision}.tflite",
            precision=precision,
            calibration=crops if precision == "int8" else None,
            info=INFO,
        )
        assert report.precision == precision
        sizes[precision] = report.n_bytes
        landmark_differences[precision] = report.landmark_difference
        outputs = ExportedModel(report.path)(crops[:3])
        assert {name: (value.shape, value.dtype) for name, value in outputs.items()} == {
            "landmarks": ((3, 136), np.dtype("float32")),
            "pose": ((3, 3), np.dtype("float32")),
        }
    in_float32 = 4 * model.count_params()
    assert sizes["float16"] < 0.6 * in_float32
    assert max(sizes["dynamic"], sizes["int8"]) < 0.5 * in_float32
    expected = model.predict(crops[:4].astype("float32"), verbose=0)["landmarks"]
    spread = np.ptp(expected)
    assert 0 < landmark_differences["float16"] < 0.01 * spread
    assert landmark_differences["float16"] < landmark_differences["int8"] < 0.05 * spread

    # All of the inside of int8 is integer: by the interpreter's own account of its tensors
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(tmp_path / "int8.tflite"))
    floats = [t["name"] for t in interpreter.get_tensor_details() if t["dtype"] == np.float32]
    assert len(floats) == 3, floats  # the images and the two outputs


@needs["litert"]
def test_int8_does_not_move_all_landmarks_to_one_side(tmp_path, monkeypatch):
    """The mean difference from Keras over faces is a fraction of what it is without the correction of biases."""
    keras.utils.set_random_seed(0)
    x = pixels = keras.Input((SIZE, SIZE, 3))
    for size, strides in ((4, 4), (1, 1), (1, 1), (1, 1), (1, 1)):
        x = keras.layers.Conv2D(64, size, strides, activation="relu", kernel_initializer="he_normal")(x)
    model = LandmarkNet(keras.Model(pixels, x))
    heads(model, landmarks=0.1, pose=10.0)
    crops, weights = images(100), model.get_weights()
    expected = model.predict(crops.astype("float32"), verbose=0)["landmarks"]

    def shift(name):
        export_model(model, tmp_path / name, precision="int8", calibration=crops, info=INFO)
        found = ExportedModel(tmp_path / name)(crops)["landmarks"]
        return np.abs((found - expected).mean(axis=0)).mean()

    corrected = shift("corrected.tflite")
    for new, old in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(new, old)
    monkeypatch.setattr(exporting, "corrected_biases", lambda *_: contextlib.nullcontext())
    assert corrected < 0.5 * shift("plain.tflite")


@needs["onnx"]
def test_nothing_is_replaced_unasked(tmp_path):
    model, path = small_network(), tmp_path / "net.onnx"
    for name in ("net.onnx", "net.onnx.json"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(FileExistsError, match=rf"overwrite=True.*Received: .*{name}$"):
            export_model(model, path, info=INFO)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    path.write_text("mine")
    export_model(model, path, info=INFO, overwrite=True)
    assert ExportedModel(path).input_shape == (None, SIZE, SIZE, 3)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite|holds other files"):
        export_model(model, folder, info=INFO, overwrite=True)


@pytest.mark.parametrize(
    ("path", "kwargs", "message"),
    [
        ("net.pb", {}, r"formats are 'onnx' \(\.onnx\).*format=None for 'net.pb'"),
        ("net.onnx", {"format": "coreml"}, "formats are.*format='coreml'"),
        ("net.tflite", {"format": "onnx"}, r"ends in \.onnx.*'net.tflite'"),
        ("net.onnx", {"format": "saved_model"}, "being a folder.*'net.onnx'"),
        ("net.onnx", {"precision": "int8"}, "precisions of onnx are float32.*precision='int8'"),
        ("net.tflite", {"precision": "int4"}, "precisions of litert are float32, float16.*'int4'"),
        ("net.tflite", {"precision": "int8"}, "needs crops of faces.*without calibration"),
        ("net.tflite", {"calibration": np.zeros(3)}, "no other precision.*'float32' with calibration"),
        ("net.onnx", {"info": None}, "pass info=LandmarkModelInfo"),
        ("net.onnx", {"info": LandmarkModelInfo("300w", image_size=64)}, r"64 x 64.*\(None, 32, 32, 3\)"),
        ("net.onnx", {"info": dataclasses.replace(INFO, pose_output="head")}, "an output 'head'.*landmarks"),
    ],
)
def test_settings_that_do_not_fit(path, kwargs, message, tmp_path):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        export_model(small_network(), tmp_path / path, **{"info": INFO, **kwargs})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (np.zeros((20, SIZE, SIZE, 3), np.float32), "uint8 of the shape.*float32"),
        (np.zeros((20, 48, 48, 3), np.uint8), r"32, 32.*\(20, 48, 48, 3\)"),
        (np.zeros((3, SIZE, SIZE, 3), np.uint8), "at least 16 crops"),
        (
            np.random.default_rng(0).integers(0, 2, (20, SIZE, SIZE, 3)).astype(np.uint8),
            "0 to 255.*from 0 to 1",
        ),
        (
            np.tile(np.arange(SIZE * SIZE * 3).reshape(1, SIZE, SIZE, 3) % 256, (20, 1, 1, 1)).astype(
                np.uint8
            ),
            "alike",
        ),
        ("faces", "calibration must be"),
    ],
)
def test_calibrations_that_do_not_fit(calibration, message, tmp_path):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        export_model(
            small_network(), tmp_path / "net.tflite", precision="int8", calibration=calibration, info=INFO
        )


def test_only_a_keras_model_can_be_exported(tmp_path):
    def function(images):
        return {"landmarks": np.zeros((len(images), 136)), "pose": np.zeros((len(images), 3))}

    with pytest.raises(ValueError, match="Received: function"):
        export_model(LandmarkPredictor(function, info=INFO), tmp_path / "net.onnx")
    with pytest.raises(FileNotFoundError, match="no such model"):
        export_model(tmp_path / "none.keras", tmp_path / "net.onnx")


@on_tensorflow
@pytest.mark.parametrize(
    ("path", "package"),
    [("net.onnx", "tf2onnx"), ("net.onnx", "onnx"), ("net.xml", "openvino")],
)
def test_a_missing_converter_is_named(path, package, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == package else find(name, *more)
    )
    with pytest.raises(ImportError, match=f"needs {package}: pip install {package}.*keras-asm"):
        export_model(small_network(), tmp_path / path, info=INFO)


@pytest.mark.parametrize(
    ("name", "package"),
    [("net.onnx", "onnxruntime"), ("net.tflite", "ai-edge-litert"), ("net.xml", "openvino")],
)
def test_a_missing_runtime_is_named(name, package, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(b"")
    for module in ("onnxruntime", "ai_edge_litert.interpreter", "tensorflow.lite", "openvino"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        ExportedModel(tmp_path / name)


@on_tensorflow
@needs["onnx"]
def test_without_a_runtime_the_comparison_is_not_skipped_in_silence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.warns(UserWarning, match="not compared.*pip install onnxruntime"):
        report = export_model(small_network(), tmp_path / "net.onnx", info=INFO)
    assert report.landmark_difference is None
    assert report.path.exists()


def test_files_that_are_no_networks(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such model"):
        ExportedModel(tmp_path / "none.onnx")
    (tmp_path / "net.h5").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"exported network.*'net.h5'"):
        ExportedModel(tmp_path / "net.h5")
    if installed("onnxruntime"):
        (tmp_path / "cut.onnx").write_bytes(b"no protobuf")
        with pytest.raises(DatasetError, match=r"cut.onnx: the runtime cannot read"):
            ExportedModel(tmp_path / "cut.onnx")
        with pytest.raises(ValueError, match="n_threads"):
            ExportedModel(tmp_path / "cut.onnx", n_threads=0)


@keras.saving.register_keras_serializable(package="test_export")
class Unusual(keras.layers.Layer):
    """An operator that neither format has."""

    def call(self, x):
        import tensorflow as tf

        return tf.raw_ops.Betainc(a=tf.abs(x) + 1, b=tf.abs(x) + 1, x=tf.sigmoid(x))


@on_tensorflow
@pytest.mark.parametrize("path", [pytest.param(PATHS[f], marks=needs[f]) for f in ("onnx", "litert")])
def test_an_operator_that_a_format_lacks_is_named(path, tmp_path):
    pixels = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Dense(136)(keras.layers.GlobalAveragePooling2D()(pixels))
    model = keras.Model(pixels, Unusual(name="landmarks")(x))
    with pytest.raises(ExportError, match="(?s)cannot take this network.*(?i:betainc)"):
        export_model(model, tmp_path / path, info=dataclasses.replace(INFO, pose_output=None))
    assert not list(tmp_path.iterdir())  # nothing half written


def channels_first_network():
    pixels = keras.Input((3, SIZE, SIZE))
    x = pixels
    for layer in (
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        keras.layers.Conv2D(8, 5, 4, data_format="channels_first"),
        keras.layers.DepthwiseConv2D(3, data_format="channels_first", activation="relu6"),
        keras.layers.AveragePooling2D(2, data_format="channels_first"),
        keras.layers.GlobalAveragePooling2D(data_format="channels_first"),
    ):
        x = layer(x)
    return keras.Model(pixels, keras.layers.Dense(136, kernel_initializer="he_normal")(x))


@pytest.mark.backend
@pytest.mark.parametrize("format", [a_format(name) for name in ("onnx", "litert", "openvino", "saved_model")])
def test_channels_first(format, tmp_path, crops):
    model = channels_first_network()
    try:
        expected = keras.ops.convert_to_numpy(model(crops.astype("float32").transpose(0, 3, 1, 2)))
    except Exception as error:
        pytest.skip(f"no convolutions with channels first on this processor: {error}")
    assert np.ptp(expected, axis=0).max() > 0.05
    export_model(model, tmp_path / PATHS[format], info=dataclasses.replace(INFO, pose_output=None))
    np.testing.assert_allclose(
        ExportedModel(tmp_path / PATHS[format])(crops)["landmarks"], expected, atol=1e-4
    )


@on_tensorflow
@needs["onnx"]
def test_channels_first_where_the_processor_cannot(tmp_path):
    """TensorFlow's own convolutions, without oneDNN's, want channels last."""
    channels_first_network().save(tmp_path / "net.keras")
    code = (
        "import keras\nfrom keras_asm.export import export_model\nfrom keras_asm.inference import LandmarkModelInfo\n"
        f"info = LandmarkModelInfo('300w', image_size={SIZE}, pose_output=None)\n"
        "export_model(keras.models.load_model('net.keras'), 'net.onnx', info=info)"
    )
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"ExportError: .*channels_last.*\(None, 3, 32, 32\)", done.stderr), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["net.keras"]


@on_tensorflow
@needs["onnx"]
def test_a_wrong_conversion_is_not_written(tmp_path, monkeypatch):
    """A converter that changes a weight by a thousandth of what it should be."""
    from keras_asm.export import _worker

    real = _worker.convert

    def wrong(model, *arguments):
        model.get_layer("landmark_net").get_layer("landmarks").bias.assign_add(np.full(136, 1e-3))
        real(model, *arguments)

    monkeypatch.setattr(_worker, "convert", wrong)
    with pytest.raises(ExportError, match="other landmarks than in Keras; nothing was written"):
        export_model(small_network(), tmp_path / "net.onnx", info=INFO)
    assert not list(tmp_path.iterdir())


@on_tensorflow
@needs["onnx"]
def test_conversion_in_a_process_of_its_own(tmp_path, monkeypatch):
    """As for a network of JAX or PyTorch."""
    monkeypatch.setattr(exporting, "convert_and_run", exporting.convert_by_tensorflow)
    report = export_model(small_network(), tmp_path / "net.onnx", info=INFO)
    assert report.landmark_difference < 1e-5

    pixels = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Dense(136)(keras.layers.GlobalAveragePooling2D()(pixels))
    model = keras.Model(pixels, Unusual(name="landmarks")(x))
    with pytest.raises(ExportError, match="KERAS_BACKEND=tensorflow and imports the layers"):
        export_model(model, tmp_path / "2.onnx", info=dataclasses.replace(INFO, pose_output=None))


@needs["onnx"]
def test_a_table_belongs_to_one_file(tmp_path):
    """A table that was begun with another exported network is not gone on with."""
    first, second = small_network(), small_network()
    second.get_layer("pose").set_weights([0 * w for w in second.get_layer("pose").get_weights()])
    for name, model in (("1.onnx", first), ("2.onnx", second)):
        export_model(model, tmp_path / name, info=INFO)
    digests = {ExportedModel(tmp_path / name).digest for name in ("1.onnx", "2.onnx")}
    assert len(digests) == 2


@needs["onnx"]
def test_the_decoder_of_the_page_needs_neither_keras_nor_this_package(tmp_path, rng):
    """It gives what the predictor gives, in a process that has not imported them."""
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (decoder,) = re.findall(
        r"^```python\n(import json.*?)^landmarks, pose = ", page, re.MULTILINE | re.DOTALL
    )
    path = tmp_path / "net.onnx"
    export_model(small_network(), path, info=INFO)
    boxes = [[30, 20, 90, 75], [-20, -10, 40, 60], [60, 60, 75, 80]]  # inside, over the border, enlarged
    photo = images(1)[0].repeat(4, axis=0).repeat(4, axis=1)
    photo[:50] = rng.integers(0, 256, (50, 128, 3))
    np.save(tmp_path / "photo.npy", photo)
    code = decoder.replace("asmnet.onnx", path.as_posix()) + (
        f"import sys\nphoto = np.load('photo.npy')\nfound = [find_landmarks(photo, box) for box in {boxes}]\n"
        "np.savez('found.npz', landmarks=[f[0] for f in found], pose=[f[1] for f in found])\n"
        "assert not {'keras', 'keras_asm', 'tensorflow', 'jax', 'torch', 'PIL'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    found = np.load(tmp_path / "found.npz")
    faces = LandmarkPredictor(path)(photo, boxes=boxes)
    assert len(decoder.splitlines()) < 35
    np.testing.assert_allclose(found["landmarks"], [face.landmarks for face in faces], atol=0.05)
    np.testing.assert_allclose(found["pose"], [face.pose for face in faces], atol=0.05)


@pytest.mark.real_data
@on_tensorflow
@needs["onnx"]
@needs["litert"]
def test_parity_on_real_faces(data_root, exported_network):
    """On 554 faces of 300W common, at most 1e-4 of the crop, with heads that read like a trained network's."""
    faces = load_300w(data_root / "300w", "common")
    crops = crop_faces(faces, SIZE, verbose=0)
    model = network()
    expected = model.predict(crops.images.astype("float32"), verbose=0)["landmarks"]
    true = crops.landmarks
    for format in ("onnx", "litert"):
        found = LandmarkPredictor(exported_network(format)[0]).predict_crops(crops.images)[0]
        assert np.abs(found.reshape(len(found), -1) - expected).max() < 1e-4
        errors = [normalized_mean_error(true, p, "300w").mean() for p in (found, expected.reshape(-1, 68, 2))]
        assert abs(errors[0] - errors[1]) < 1e-4 * errors[1]
