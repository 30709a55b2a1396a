"""One network, one format: Keras's export and the vendors' converters, by the backend of this process."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

__all__ = ["FORMATS", "ExportError", "convert", "need"]

# Format: what its file is called, and the precisions it can have
FORMATS = {
    "onnx": (".onnx", ("float32",)),
    "litert": (".tflite", ("float32", "float16", "dynamic", "int8")),
    "openvino": (".xml", ("float32",)),
    "saved_model": ("", ("float32",)),
}
# What Keras's export imports for a format, on a backend; the package's name if it is another
_NEEDS = {
    ("onnx", "tensorflow"): ("tf2onnx", "onnx"),
    ("onnx", "jax"): ("jax2onnx", "onnx"),
    ("onnx", "torch"): ("onnx",),
    ("openvino", "tensorflow"): ("openvino",),
}


class ExportError(ValueError):
    """A network that a format cannot take, or that gives other numbers there.

    Examples:
        >>> from keras_asm.export import ExportError
        >>> issubclass(ExportError, ValueError)
        True

    See Also:
        - [`export_model`][keras_asm.export.export_model]: raises it.
        - [When it is refused][when-it-is-refused]: what to do then.
    """


def need(format: str, backend: str) -> None:
    """Raise ImportError, before any work, if a converter is missing."""
    for package in _NEEDS.get((format, backend), ()):
        if importlib.util.find_spec(package) is None:
            extra = {"onnx": "export-onnx", "openvino": "export-openvino"}[format]
            raise ImportError(
                f"Exporting to {format} on {backend} needs {package}: pip install {package}"
                + (f', or pip install "keras-asm[{extra}]"' if backend == "tensorflow" else "")
            )


def convert(
    model: keras.Model, path: Path, format: str, precision: str, calibration: np.ndarray | None
) -> None:
    """Write a network that `export_model` has prepared.

    Args:
        model: One input `images`, a dictionary of outputs.
        path: The new file or folder, whose name ends as the format wants it.
        format: Of `FORMATS`.
        precision: Of that format.
        calibration: Float32 images, for int8.

    Raises:
        ExportError: If the format cannot take the network.
    """
    options: dict[str, Any] = {}
    if format == "litert":
        options = _litert_options(precision, calibration)
    try:
        with _quiet():
            model(np.zeros((1, *model.inputs[0].shape[1:]), "float32"))  # Keras exports what was called once
            model.export(
                str(path),
                format={"saved_model": "tf_saved_model"}.get(format, format),
                verbose=False,
                **options,
            )
            if format == "onnx":
                _name_onnx(path, list(model.output))
            if format == "openvino":
                _name_openvino(path, list(model.output))
    except (KeyboardInterrupt, MemoryError):
        raise
    except Exception as error:  # each converter has its own classes of them
        raise ExportError(
            f"The converter to {format} cannot take this network. If it names an operator, a layer computes something "
            "that the format does not have: write that layer with other operators, leave it out (layers for training "
            "alone, such as augmentation, belong into the data), or choose another format. "
            f"Received: {_reason(error)}"
        ) from error


def _litert_options(precision: str, calibration: np.ndarray | None) -> dict[str, Any]:
    import tensorflow as tf

    sets = tf.lite.OpsSet
    # Keras would allow operators of TensorFlow, too, which LiteRT's runtime does not have
    options: dict[str, Any] = {"target_spec": {"supported_ops": [sets.TFLITE_BUILTINS]}}
    if precision != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        options["target_spec"]["supported_types"] = [tf.float16]
    if precision == "int8":
        assert calibration is not None  # export_model sees to it
        images = calibration
        options["target_spec"]["supported_ops"] = [sets.TFLITE_BUILTINS_INT8]
        options["representative_dataset"] = lambda: ([image[None]] for image in images)
    return options


def _name_onnx(path: Path, names: list[str]) -> None:
    """Give the outputs and the batch's axis their names, which Keras keeps on TensorFlow only."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    new = dict(zip([output.name for output in graph.output], names, strict=True))
    if list(new) != names:
        for node in graph.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = new.get(value.name, value.name)
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _name_openvino(path: Path, names: list[str]) -> None:
    """Leave the outputs the names of the network, of the several that they get, whose order says nothing."""
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": "NO"})  # the weights' file is written anew
    model = core.read_model(str(path))
    for output in model.outputs:
        output.set_names(output.get_names() & set(names))
    openvino.serialize(model, str(path), str(path.with_suffix(".bin")))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what converters print and warn of while all goes well."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # LiteRT's converter names the operators in the midst of its call stack
    named = [line for line in lines if "op is neither" in line or "Op:" in line or "ops:" in line]
    return f"{type(error).__name__}: {os.linesep.join((named or lines)[:3])[:500]}"
