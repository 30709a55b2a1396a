"""One call that writes a landmark network in another program's format, and proves it."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_asm.export._bias_correction import corrected_biases
from keras_asm.export._convert import FORMATS, ExportError, need
from keras_asm.export._worker import convert_and_run, convert_by_tensorflow
from keras_asm.inference import LandmarkModelInfo, LandmarkPredictor, write_model_info
from keras_asm.model_tools import fold_shape_decoder

__all__ = ["ExportError", "ExportReport", "export_model"]

_N_SAMPLES = 4
_MIN_CALIBRATION = 16
_LANDMARK_TOLERANCE = 1e-4  # of the crop, in float32
_POSE_TOLERANCE = 0.02  # degrees; 1e-4 of the range of a head's pose
_LOG_SCALE_TOLERANCE = 1e-3  # a thousandth of a scale


@dataclass(frozen=True)
class ExportReport:
    """What `export_model` has written, and how far it is from the network in Keras.

    Attributes:
        path: The file or folder.
        info_path: The description beside it.
        format: `"onnx"`, `"litert"`, `"openvino"` or `"saved_model"`.
        precision: `"float32"`, `"float16"`, `"dynamic"` or `"int8"`.
        converted_by: Backend that converted, `"tensorflow"` wherever it is installed.
        n_bytes: Size of the network on disk, without its description.
        landmark_difference: Largest difference of a coordinate from the network in Keras, in units of the crop, on
            a few images: of the calibration, or random ones. `None` if the format's runtime is not installed.
        pose_difference: Largest difference of an angle, in degrees. `None` likewise, or if there is no pose.

    Examples:
        `export_model` makes one:

        >>> from keras_asm.export import ExportReport
        >>> report = ExportReport(
        ...     path="net.onnx", info_path="net.onnx.json", format="onnx", precision="float32",
        ...     converted_by="tensorflow", n_bytes=5_700_000, landmark_difference=1.7e-7, pose_difference=2.3e-5)
        >>> f"{report.n_bytes / 1e6:.1f} MB, off by {report.landmark_difference:.0e} of the crop"
        '5.7 MB, off by 2e-07 of the crop'

    See Also:
        - [`export_model`][keras_asm.export.export_model]: makes it.
        - [`LandmarkModelInfo`][keras_asm.inference.LandmarkModelInfo]: the description beside the file.
        - [What 8 bits cost, and what gives it back][what-8-bits-cost-and-what-gives-it-back]: differences
          that are to be expected.
    """

    path: Path
    info_path: Path
    format: str
    precision: str
    converted_by: str
    n_bytes: int
    landmark_difference: float | None
    pose_difference: float | None


def export_model(
    model: Any,
    path: str | PathLike[str],
    format: str | None = None,
    *,
    precision: str = "float32",
    calibration: Any = None,
    info: LandmarkModelInfo | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Write a landmark network for another runtime, with its description beside it, and compare the two.

    Whatever the network and the format, the file takes one input and has one to three outputs:

    | name | shape | what |
    |---|---|---|
    | `images` | `(batch, image_size, image_size, 3)` | float32, RGB from 0 to 255; preprocessing is inside |
    | `landmarks` | `(batch, 2 * n_landmarks)` | float32, x and y interleaved, from -0.5 to 0.5 over the crop |
    | `pose` | `(batch, 3)` | float32, yaw, pitch and roll in degrees; only if the network has it |
    | `log_scale` | `(batch, n_landmarks)` | float32, log of how far each landmark may be off; see below |

    The logarithm is the natural one, of the units of the landmarks. It is there if the description has an
    `uncertainty_output`, but not in int8.

    The batch is free. A `ShapeDecoder` is folded, a network in mixed precision becomes one in float32, and other
    outputs are left out. `LandmarkPredictor(path)` runs the file.

    Keras and the vendors' converters do the work, by TensorFlow wherever it is installed: a network of another backend
    is converted by a process of its own. Without TensorFlow, PyTorch and JAX export to ONNX alone.

    Args:
        model: A Keras model, a `LandmarkPredictor` of one, or what `LandmarkPredictor` loads: the path of a `.keras`
            file with a description, or the name of a trained network.
        path: The new file, or folder for a SavedModel.
        format: `"onnx"`, `"litert"`, `"openvino"` or `"saved_model"`. By default by the end of the name: `.onnx`,
            `.tflite`, `.xml`, and none.
        precision: `"float32"` (default), and for LiteRT `"float16"` (weights in half precision), `"dynamic"` (weights
            of 8 bits, computing partly in float) or `"int8"` (all but the first and the last tensor in 8 bits).
        calibration: For int8, crops of faces such as the network will see: uint8 `(n, image_size, image_size, 3)`, or
            `FaceCrops`. From 16 on; some 200 of the training set are usual. They decide the range of values that each
            layer can give, and by how much its bias is corrected for the rounding of its kernel (Nagel et al., 2019,
            *Data-Free Quantization Through Weight Equalization and Bias Correction*).
        info: The network's description; by default that of the predictor or the file.
        overwrite: Replace what is there. `False` by default.

    Returns:
        What was written and how much it differs. In float32, a difference of more than 1e-4 of the crop is an error.

    Raises:
        ValueError: If the description is missing or does not fit, the format or precision does not exist or does not
            fit the name, or calibration crops are missing or not what the network takes.
        FileExistsError: If there is something at the path and `overwrite` is not set.
        ImportError: If a converter is not installed. Says how to install it.
        ExportError: If the format cannot take the network, or it gives other numbers there. A `ValueError`.

    Warns:
        UserWarning: If the runtime of the format is not installed, so that nothing was compared.

    Examples:
        >>> from keras_asm import ASMNet
        >>> from keras_asm.export import export_model
        >>> from keras_asm.inference import LandmarkModelInfo, LandmarkPredictor
        >>> net = ASMNet(input_shape=(32, 32, 3), width_multiplier=0.35)  # or a trained one
        >>> report = export_model(net, "net.onnx", info=LandmarkModelInfo("300w", image_size=32))
        >>> report.landmark_difference < 1e-4
        True
        >>> face, = LandmarkPredictor("net.onnx")(np.zeros((64, 64, 3), "uint8"), boxes="image")
        >>> face.landmarks.shape
        (68, 2)

    See Also:
        - [`ExportedModel`][keras_asm.inference.ExportedModel]: runs the file in Python.
        - [`fold_shape_decoder`][keras_asm.model_tools.fold_shape_decoder]: what is done to a decoder before.
        - [`LandmarkModelInfo`][keras_asm.inference.LandmarkModelInfo]: the description that goes with it.
        - [Phones, browsers, servers][phones-browsers-servers]: formats, precisions and speed.
    """
    target = Path(path)
    format = _format_of(target, format)
    _check_precision(format, precision, calibration)
    _check_free(target, format, overwrite)
    network, info = _network_of(model, info)
    if (
        precision == "int8"
    ):  # one step of 8 bits for landmarks and log scales, side by side, would be too coarse
        info = dataclasses.replace(info, uncertainty_output=None)
    faces = None if precision != "int8" else _calibration_of(calibration, info)
    backend = keras.config.backend()
    by = "tensorflow" if importlib.util.find_spec("tensorflow") is not None else backend
    if by != "tensorflow" and format != "onnx":
        raise ImportError(
            f"Exporting to {format} needs TensorFlow, beside {backend}; ONNX does not: pip install tensorflow"
        )
    need(format, by)

    prepared = _prepared(network, info)
    samples = _samples(info.image_size) if faces is None else faces[:_N_SAMPLES]
    try:
        expected = {name: keras.ops.convert_to_numpy(value) for name, value in prepared(samples).items()}
    except Exception as error:  # TensorFlow has its own classes of them
        if not _channels_first(network):
            raise
        raise ExportError(
            "TensorFlow has convolutions with channels first only where oneDNN computes them, on x86. Make the network "
            "anew with keras.config.set_image_data_format('channels_last'), and load its weights there: those of "
            f"convolutions are the same. Received: a network of inputs {tuple(network.inputs[0].shape)}, and "
            f"{str(error)[:300]}"
        ) from error
    described = dataclasses.replace(
        info,
        landmarks_output="landmarks",
        pose_output=None if info.pose_output is None else "pose",
        uncertainty_output=None if info.uncertainty_output is None else "log_scale",
        value_range=(0.0, 255.0),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside where it will be, since only within a file system is a file replaced in one step
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        part = Path(folder) / target.name
        run = convert_and_run if by == backend else convert_by_tensorflow
        with contextlib.nullcontext() if faces is None else corrected_biases(prepared, faces):
            found = run(prepared, part, format, precision, faces, samples)
        differences: dict[str, float] = {}
        if isinstance(found, str):
            warnings.warn(
                f"The exported network was not compared with the one in Keras. Received: {found}",
                stacklevel=2,
            )
        else:
            differences = _differences(expected, found, format, precision)
        n_bytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        write_model_info(part, described)
        for new in sorted(Path(folder).iterdir()):
            _replace(new, target.with_name(new.name))
    return ExportReport(
        path=target,
        info_path=target.with_name(target.name + ".json"),
        format=format,
        precision=precision,
        converted_by=by,
        n_bytes=n_bytes,
        landmark_difference=differences.get("landmarks"),
        pose_difference=differences.get("pose"),
    )


def _format_of(path: Path, format: str | None) -> str:
    by_suffix = {suffix: name for name, (suffix, _) in FORMATS.items()}
    if format is None:
        format = by_suffix.get(path.suffix)
    if format not in FORMATS:
        raise ValueError(
            "The formats are "
            + ", ".join(f"{name!r} ({suffix or 'a folder'})" for name, (suffix, _) in FORMATS.items())
            + f". Received: format={format!r} for {path.name!r}"
        )
    suffix = FORMATS[format][0]
    if path.suffix != suffix and (suffix or path.suffix in by_suffix):
        raise ValueError(
            f"The name of a network in the format {format!r} ends in {suffix or 'no suffix, being a folder'}. "
            f"Received: {path.name!r}"
        )
    return format


def _check_precision(format: str, precision: str, calibration: Any) -> None:
    precisions = FORMATS[format][1]
    if precision not in precisions:
        raise ValueError(
            f"The precisions of {format} are {', '.join(precisions)}; those below float32 are LiteRT's. "
            f"Received: precision={precision!r}"
        )
    if (precision == "int8") != (calibration is not None):
        raise ValueError(
            "precision='int8' needs crops of faces for its calibration, calibration=crops.images, and no other "
            f"precision takes them. Received: precision={precision!r} "
            f"{'with' if calibration is not None else 'without'} calibration"
        )


def _check_free(path: Path, format: str, overwrite: bool) -> None:
    paths = [path, path.with_name(path.name + ".json")]
    if format == "openvino":
        paths.append(path.with_suffix(".bin"))
    there = [str(found) for found in paths if found.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"Pass overwrite=True to replace an exported network, or choose another path. Received: {', '.join(there)}"
        )
    if format == "saved_model" and path.is_dir() and any(path.iterdir()):
        if not (path / "saved_model.pb").exists():
            raise FileExistsError(
                f"A folder is replaced only if it holds a SavedModel. Received: {path}, which holds other files"
            )
    elif path.is_dir() and format != "saved_model":
        raise FileExistsError(f"There is a folder of that name. Received: {path}")


def _network_of(model: Any, info: LandmarkModelInfo | None) -> tuple[keras.Model, LandmarkModelInfo]:
    """The Keras model and its description, which fit."""
    if isinstance(model, LandmarkPredictor):
        info = model.info if info is None else info
        model = model.model
    predictor = LandmarkPredictor(model, info=info)
    if not isinstance(predictor.model, keras.Model):
        raise ValueError(
            "A Keras model can be exported, or a predictor or a .keras file with one. "
            f"Received: {type(predictor.model).__name__}"
        )
    return predictor.model, predictor.info


def _prepared(model: keras.Model, info: LandmarkModelInfo) -> keras.Model:
    """The network with the inputs and outputs that every exported one has, in float32."""
    if any(layer.compute_dtype not in (None, "float32") for layer in model._flatten_layers()):
        model = _in_float32(model)
    if isinstance(model, keras.Sequential) or getattr(model, "inputs", None):
        model = fold_shape_decoder(model)
    size = info.image_size
    images = keras.Input((size, size, 3), name="images", dtype="float32")
    x = images
    low, high = info.value_range
    if (low, high) != (0.0, 255.0):
        x = keras.layers.Rescaling((high - low) / 255, offset=low, dtype="float32", name="to_value_range")(x)
    if _channels_first(model):
        x = keras.layers.Permute((3, 1, 2), name="to_channels_first")(x)
    outputs = model(x)
    if isinstance(outputs, list | tuple):
        outputs = dict(zip(model.output_names, outputs, strict=True))
    elif not isinstance(outputs, Mapping):
        if info.pose_output is not None:
            raise ValueError(
                f"The description names a pose output, {info.pose_output!r}: the model must return a dictionary with "
                "it, or the description have pose_output=None. Received: a model with one output"
            )
        outputs = {info.landmarks_output: outputs}
    names = {
        info.landmarks_output: "landmarks",
        info.pose_output: "pose",
        info.uncertainty_output: "log_scale",
    }
    missing = [name for name in names if name is not None and name not in outputs]
    if missing:
        raise ValueError(
            f"The description names an output {missing[0]!r}. Received: a model with the outputs {sorted(outputs)}"
        )
    found = {new: outputs[name] for name, new in names.items() if name is not None}
    if len(found["landmarks"].shape) == 3:
        found["landmarks"] = keras.layers.Flatten(name="flat_landmarks")(found["landmarks"])
    n_landmarks = info.scheme.n_landmarks
    if "log_scale" in found and found["log_scale"].shape[-1] == 3 * n_landmarks:
        found["log_scale"] = found["log_scale"][:, 2 * n_landmarks :]
    # In the order of their names, in which converters have them
    return keras.Model(images, dict(sorted(found.items())), name="exported")


def _channels_first(model: keras.Model) -> bool:
    shape: tuple[Any, ...] = tuple(model.inputs[0].shape) if getattr(model, "inputs", None) else ()
    return len(shape) == 4 and shape[1] == 3 and shape[3] != 3


def _in_float32(model: keras.Model) -> keras.Model:
    """A copy that computes in float32, of a network in mixed precision."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    try:
        new = keras.models.clone_model(model, clone_function=copied, recursive=True)
        new.set_weights(model.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ExportError(
            "A network is exported in float32. Make it anew under keras.config.set_dtype_policy('float32') and load "
            f"its weights there. Received: a network in other precision that cannot be copied ({error})"
        ) from error
    return new


def _calibration_of(calibration: Any, info: LandmarkModelInfo) -> np.ndarray:
    """Float32 images."""
    images = np.asarray(getattr(calibration, "images", calibration))
    size = info.image_size
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3) or len(images) < _MIN_CALIBRATION:
        raise ValueError(
            f"calibration must be at least {_MIN_CALIBRATION} crops of faces, RGB, uint8 of the shape "
            f"(n, {size}, {size}, 3), such as the images of crop_faces(dataset, image_size=..., ...). "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if np.ptp(images) < 64 or (images == images[:1]).all():
        raise ValueError(
            "calibration must be different pictures over the whole range from 0 to 255, since it decides which values "
            f"can be told apart. Received: values from {images.min()} to {images.max()}"
            + (", all pictures alike" if (images == images[:1]).all() else "")
        )
    return images.astype(np.float32)


def _samples(size: int) -> np.ndarray:
    """Random images of several contrasts, for the comparison."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (_N_SAMPLES, size, size, 3))
    contrast = np.linspace(0.2, 1, _N_SAMPLES)[:, None, None, None]
    return np.round(127.5 + 127.5 * contrast * noise).astype(np.float32)


def _differences(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], format: str, precision: str
) -> dict[str, float]:
    """Largest difference of each output; raises if it is more than rounding."""
    if {name: value.shape for name, value in found.items()} != {
        name: value.shape for name, value in expected.items()
    }:
        raise ExportError(
            f"The network in {format} has other outputs than in Keras: expected "
            f"{ {name: value.shape for name, value in expected.items()} }. "
            f"Received: { {name: value.shape for name, value in found.items()} }"
        )
    differences = {name: float(np.abs(found[name] - expected[name]).max()) for name in expected}
    for name, tolerance, unit in (
        ("landmarks", _LANDMARK_TOLERANCE, 0.5),
        ("pose", _POSE_TOLERANCE, 100.0),
        ("log_scale", _LOG_SCALE_TOLERANCE, 5.0),
    ):
        if name not in expected:
            continue
        # Rounding grows with the numbers, and an untrained network may give large ones
        allowed = tolerance * max(1.0, float(np.abs(expected[name]).max()) / unit)
        if not np.isfinite(differences[name]) or (precision == "float32" and differences[name] > allowed):
            raise ExportError(
                f"The network in {format} ({precision}) gives other {name} than in Keras; nothing was written. Please "
                f"report it, with the network's layers. Received: a difference of {differences[name]:.3g}, where "
                f"{allowed:.3g} is rounding"
            )
    return differences


def _replace(new: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    os.replace(new, old)
