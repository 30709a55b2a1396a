"""Exported networks, run by the runtime of their format. Needs neither Keras nor the backend that trained them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.datasets import DatasetError

__all__ = ["ExportedModel", "is_exported"]

_Run = Callable[[np.ndarray], dict[str, np.ndarray]]
_Opened = tuple[_Run, Sequence[int | str | None]]  # and the shape of its input


class ExportedModel:
    """A network in a file of another format than Keras's, as a function of images.

    | file | runtime | install |
    |---|---|---|
    | `.onnx` | ONNX Runtime | `onnxruntime` |
    | `.tflite` | LiteRT | `ai-edge-litert`, or TensorFlow |
    | `.xml`, with its `.bin` beside it | OpenVINO | `openvino` |
    | a folder with a `saved_model.pb` | TensorFlow | `tensorflow` |

    `LandmarkPredictor("net.onnx")` makes one itself.

    Args:
        path: The file or folder, such as `keras_asm.export.export_model` writes it.
        n_threads: Threads that the runtime may use, at least 1; not for a SavedModel. By default what the runtime
            chooses: LiteRT takes 1, ONNX Runtime and OpenVINO all cores.

    Attributes:
        path: The file or folder.
        input_shape: Of the images, with `None` where any size will do.

    Raises:
        FileNotFoundError: If there is no such file.
        DatasetError: If it is of another kind, or damaged, or needs operators that the runtime lacks. Names the file.
        ValueError: If `n_threads` is out of range.
        ImportError: If the runtime is not installed.

    Examples:
        >>> from keras_asm import ASMNet
        >>> from keras_asm.export import export_model
        >>> from keras_asm.inference import ExportedModel, LandmarkModelInfo
        >>> net = ASMNet(input_shape=(32, 32, 3), width_multiplier=0.35)  # or a trained one
        >>> _ = export_model(net, "net.onnx", info=LandmarkModelInfo("300w", image_size=32))
        >>> outputs = ExportedModel("net.onnx")(np.zeros((2, 32, 32, 3), "float32"))
        >>> {name: output.shape for name, output in outputs.items()}
        {'landmarks': (2, 136), 'pose': (2, 3)}

    See Also:
        - [`export_model`][keras_asm.export.export_model]: writes such files.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: takes one in place of a Keras model.
        - [Without Keras][without-keras]: what must be installed.
    """

    def __init__(self, path: str | PathLike[str], n_threads: int | None = None) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f"There is no such model. Received: {self.path}")
        if not is_exported(self.path):
            raise DatasetError(
                "expected an exported network: .onnx, .tflite, .xml or a folder with a saved_model.pb. "
                f"Received: {self.path.name!r}",
                self.path,
            )
        if n_threads is not None and (int(n_threads) != n_threads or n_threads < 1 or self.path.is_dir()):
            raise ValueError(
                "n_threads must be a whole number above 0, or None; TensorFlow's threads are set for the whole "
                f"process, by tf.config.threading. Received: {n_threads!r} for {self.path.name!r}"
            )
        try:
            opened = _saved_model if self.path.is_dir() else _RUNTIMES[self.path.suffix.lower()]
            self._run, shape = opened(self.path, n_threads)
        except (ImportError, DatasetError):
            raise
        except Exception as error:  # each runtime has its own classes of them
            raise DatasetError(
                "the runtime cannot read this network: export it again, or install a newer runtime. Received: "
                f"{_first_line(error)}",
                self.path,
            ) from error
        # LiteRT would take images of any size, and give numbers
        self.input_shape = tuple(size if isinstance(size, int) and size > 0 else None for size in shape)

    @property
    def digest(self) -> str:
        """SHA-256 of the network, in hexadecimal digits."""
        found = hashlib.sha256()
        files = [self.path, self.path.with_suffix(".bin")] if self.path.is_file() else self.path.rglob("*")
        for file in sorted(files):
            if file.is_file():
                found.update(file.read_bytes())
        return found.hexdigest()

    def __call__(self, images: Any) -> dict[str, np.ndarray]:
        """What the network gives.

        Args:
            images: `(n, image_size, image_size, 3)`, RGB from 0 to 255.

        Returns:
            The outputs by their names: `landmarks`, `(n, 2 * n_landmarks)`, and `pose`, `(n, 3)`, if the network was
            written by `export_model`.
        """
        images = np.ascontiguousarray(images, dtype=np.float32)
        if len(images.shape) != len(self.input_shape) or any(
            want is not None and have != want
            for have, want in zip(images.shape, self.input_shape, strict=True)
        ):
            raise ValueError(
                f"{self.path.name} takes images of the shape {self.input_shape}. Received: {images.shape}"
            )
        return self._run(images)


def is_exported(path: str | PathLike[str]) -> bool:
    """Whether a path is that of an exported network, by its name or by what is in the folder."""
    path = Path(path)
    if path.is_dir():
        return (path / "saved_model.pb").is_file()
    return path.suffix.lower() in (".onnx", ".tflite", ".xml")


def _onnx(path: Path, n_threads: int | None) -> _Opened:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError("An .onnx file needs ONNX Runtime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    if n_threads is not None:
        options.intra_op_num_threads = n_threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {given.name: images}), strict=True)), given.shape


def _litert(path: Path, n_threads: int | None) -> _Opened:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tensorflow.lite import Interpreter
        except ImportError as error:
            raise ImportError("A .tflite file needs LiteRT: pip install ai-edge-litert") from error
    interpreter = Interpreter(str(path), num_threads=n_threads)
    # Tensors have names that a converter made up; the signature has those of the network.
    run = interpreter.get_signature_runner()
    ((name, given),) = run.get_input_details().items()
    # A signature runner keeps its memory; what it returned is copied, as the next call writes there.
    return (
        lambda images: {key: np.array(value) for key, value in run(**{name: images}).items()},
        given["shape_signature"].tolist(),
    )


def _openvino(path: Path, n_threads: int | None) -> _Opened:
    try:
        import openvino
    except ImportError as error:
        raise ImportError("An .xml file needs OpenVINO: pip install openvino") from error
    if not path.with_suffix(".bin").exists():
        raise DatasetError(
            f"the weights of a network of OpenVINO lie beside it. Received: no {path.stem}.bin", path
        )
    # By default, some processors compute in bfloat16, which is off by 0.1 pixel and more
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if n_threads is not None:
        settings["INFERENCE_NUM_THREADS"] = n_threads
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    names = [output.get_any_name() for output in compiled.outputs]
    shape = [None if size.is_dynamic else size.get_length() for size in compiled.inputs[0].partial_shape]
    return lambda images: dict(zip(names, map(np.array, compiled(images).values()), strict=True)), shape


def _saved_model(path: Path, _: int | None) -> _Opened:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError("A SavedModel needs TensorFlow: pip install tensorflow") from error
    module = tf.saved_model.load(str(path))  # kept by the function below: its variables die with it
    serve = module.signatures["serving_default"]
    (given,) = serve.structured_input_signature[1].values()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = module.signatures["serving_default"](**{given.name: tf.constant(images)})
        return {name: value.numpy() for name, value in outputs.items()}

    return run, given.shape.as_list()


_RUNTIMES = {".onnx": _onnx, ".tflite": _litert, ".xml": _openvino}


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
