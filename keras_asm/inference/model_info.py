"""What the inputs and outputs of a landmark network mean, kept with its file."""

from __future__ import annotations

import json
import math
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm._bounded_archives import read_member
from keras_asm._whole_files import replacing_file
from keras_asm.datasets import DatasetError
from keras_asm.inference.confidence import ConfidenceCalibration
from keras_asm.landmarks import LandmarkScheme, get_scheme, serialize_scheme
from keras_asm.shape_models import LinearShapeModel

__all__ = ["LandmarkModelInfo", "read_model_info", "write_model_info"]

_FORMAT = "keras_asm.LandmarkModelInfo/1"
# Keras reads the members that it knows by name and passes over any other.
_MEMBER = "keras_asm_model_info.json"
# A shape model of 1000 landmarks with all its components takes some 100 MB as text
_MAX_BYTES = 1 << 28
# What every network of this library keeps to. They are written so that another program can read them, and compared
# when they are read, so that a file of another convention is refused.
_CONVENTIONS = {
    "box": "bounding box of the landmarks; a crop is a square with its centre and 1 + 2 * crop_margin its longer side",
    "channels": "RGB",
    "coordinates": "x right, y down; x = (pixel + 0.5) / image_size - 0.5, so that the crop spans -0.5 to 0.5",
    "landmarks": "x and y interleaved",
    "pose": "yaw, pitch, roll in degrees; R = Rx(pitch) Ry(yaw) Rz(roll) with y up and z toward the camera",
}


@dataclass(frozen=True, eq=False)
class LandmarkModelInfo:
    """What a predictor needs to know of a network beside its weights.

    Three things are the same for all networks of this library, and are not settings: crops are upright RGB squares
    around the bounding box of the landmarks, landmarks are normalised so that the crop spans -0.5 to 0.5, and poses are
    `(yaw, pitch, roll)` in degrees. They are written into the file nevertheless, and compared when it is read.

    Attributes:
        scheme: Scheme of the landmarks. Its name or number of landmarks will do.
        image_size: Width and height of the crops that the network takes, in pixels.
        crop_margin: What the crops of training had on each side of the box, as a fraction of its longer side; 0.25 by
            default, as in `crop_faces`.
        value_range: Smallest and largest value of a pixel; (0, 255) by default.
        fill_mode: What was beyond the border of a picture in training, `"nearest"` (default) or `"constant"`, as in
            `crop_faces`.
        landmarks_output: Name of the output with the landmarks; `"landmarks"` by default. A network with one output
            needs no names.
        pose_output: Name of the output with the head pose; `"pose"` by default. `None` if there is none.
        shape_model: A shape model of normalised landmarks, for the confidence and to put implausible shapes back;
            whatever `LinearShapeModel.of` takes. By default none, and neither of the two.
        calibration: What `fit_confidence` has found. By default none, and no confidence.
        uncertainty_output: Name of the output that says how sure each landmark is: landmarks and log scales,
            `(batch, 3 * n_landmarks)`, as `"uncertain_landmarks"` of networks made with `include_uncertainty=True`, or
            log scales alone, `(batch, n_landmarks)`. By default none, and no `landmark_scales`.
        scale_factor: What `fit_scale_factor` has found, which the predicted scales are multiplied by: a number, or one
            for each landmark; 1 by default.
        notice: Terms under which the weights may be used, in a sentence; by default none.

    Raises:
        ValueError: If a value is out of range, or the shape model has another number of landmarks than the scheme.

    Examples:
        >>> from keras_asm.inference import LandmarkModelInfo
        >>> info = LandmarkModelInfo("300w", image_size=64, pose_output=None)
        >>> LandmarkModelInfo.from_config(info.get_config()).scheme.n_landmarks
        68

    See Also:
        - [`write_model_info`][keras_asm.inference.write_model_info]: puts it where a predictor finds it.
        - [`read_model_info`][keras_asm.inference.read_model_info]: reads it back.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: follows it.
        - [A network of yours][a-network-of-yours]: what to fill in.
    """

    scheme: LandmarkScheme
    image_size: int
    crop_margin: float = 0.25
    value_range: tuple[float, float] = (0.0, 255.0)
    fill_mode: str = "nearest"
    landmarks_output: str = "landmarks"
    pose_output: str | None = "pose"
    shape_model: LinearShapeModel | None = None
    calibration: ConfidenceCalibration | None = None
    uncertainty_output: str | None = None
    scale_factor: float | tuple[float, ...] = 1.0
    notice: str = ""

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("scheme", get_scheme(self.scheme))
        if not isinstance(self.image_size, Integral) or self.image_size < 1:
            raise ValueError(f"image_size must be a whole number above 0. Received: {self.image_size!r}")
        put("image_size", int(self.image_size))
        if not (isinstance(self.crop_margin, Real) and -0.5 < self.crop_margin < math.inf):
            raise ValueError(f"crop_margin must be a number above -0.5. Received: {self.crop_margin!r}")
        try:
            low, high = map(float, self.value_range)
        except (TypeError, ValueError):
            low = high = math.nan
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                f"value_range must be a smaller and a larger number. Received: {self.value_range!r}"
            )
        put("value_range", (low, high))
        if self.fill_mode not in ("nearest", "constant"):
            raise ValueError(f"fill_mode must be 'nearest' or 'constant'. Received: {self.fill_mode!r}")
        if self.shape_model is not None:
            model = LinearShapeModel.of(self.shape_model)
            put("shape_model", model)
            if (model.n_landmarks, model.n_dims) != (self.scheme.n_landmarks, 2):
                raise ValueError(
                    f"The shape model must be of {self.scheme.n_landmarks} landmarks in the plane, as the scheme "
                    f"{self.scheme.name!r}. Received: {model.n_landmarks} landmarks of {model.n_dims} coordinates"
                )
        if self.calibration is not None and self.shape_model is None:
            raise ValueError(
                "A calibration needs the shape model that it belongs to. Received: shape_model=None"
            )
        try:
            factors = np.asarray(self.scale_factor, dtype=np.float64)
        except (TypeError, ValueError):
            factors = np.empty((0, 0))
        good = bool((np.isfinite(factors) & (factors > 0)).all())
        if factors.shape not in ((), (self.scheme.n_landmarks,)) or not good:
            raise ValueError(
                f"scale_factor must be a finite number above 0, or {self.scheme.n_landmarks} of them, one a landmark. "
                f"Received: {self.scale_factor!r}"
            )
        put("scale_factor", float(factors) if factors.ndim == 0 else tuple(factors.tolist()))

    def get_config(self) -> dict[str, Any]:
        """Everything, and the conventions, as plain JSON."""
        return {
            "format": _FORMAT,
            "scheme": serialize_scheme(self.scheme),
            "image_size": self.image_size,
            "crop_margin": float(self.crop_margin),
            "value_range": list(self.value_range),
            "fill_mode": self.fill_mode,
            "landmarks_output": self.landmarks_output,
            "pose_output": self.pose_output,
            "shape_model": None if self.shape_model is None else self.shape_model.get_config(),
            "calibration": None if self.calibration is None else self.calibration.get_config(),
            "uncertainty_output": self.uncertainty_output,
            "scale_factor": self.scale_factor
            if isinstance(self.scale_factor, float)
            else list(self.scale_factor),
            "notice": self.notice,
            "conventions": dict(_CONVENTIONS),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LandmarkModelInfo:
        """The inverse of `get_config`.

        Raises:
            ValueError: If it is not such a configuration, has other conventions, or a value is out of range.
        """
        received = config.get("format") if isinstance(config, Mapping) else type(config).__name__
        if received != _FORMAT:
            raise ValueError(f"Expected a description of the format {_FORMAT!r}. Received: {received!r}")
        values = dict(config)
        del values["format"]
        conventions = values.pop("conventions", None)
        if conventions != _CONVENTIONS:
            other = {
                k: v for k, v in dict(conventions or {}).items() if _CONVENTIONS.get(k) != v
            } or conventions
            raise ValueError(f"Expected a network of the conventions {_CONVENTIONS}. Received: {other}")
        try:
            for name, cls_ in (("shape_model", LinearShapeModel.from_config), ("calibration", _calibration)):
                if values[name] is not None:
                    values[name] = cls_(values[name])
            values["value_range"] = tuple(values["value_range"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"Expected a whole description of the format {_FORMAT!r}. "
                f"Received: one that is damaged ({type(error).__name__}: {error})"
            ) from error


def _calibration(config: Mapping[str, Any]) -> ConfidenceCalibration:
    return ConfidenceCalibration(**config)


def write_model_info(path: str | PathLike[str], info: LandmarkModelInfo) -> Path:
    """Put a description where a predictor finds it: into a `.keras` file, or beside any other.

    A `.keras` file is a zip archive, and `keras.models.load_model` passes over members that it does not know; so the
    description stays with the file when it is moved or renamed. It is lost when the model is loaded and saved by
    Keras alone. Beside a file of another kind, such as `net.onnx` or a folder, lies `net.onnx.json`.

    Args:
        path: The model's file or folder, which must be there. A `.keras` file is replaced, whole or not at all.
        info: The description.

    Returns:
        The file that holds the description now.

    Raises:
        FileNotFoundError: If there is no such model.

    Examples:
        >>> import keras
        >>> from keras_asm.inference import LandmarkModelInfo, read_model_info, write_model_info
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(136)])
        >>> model.save("net.keras")
        >>> _ = write_model_info("net.keras", LandmarkModelInfo("300w", image_size=8, pose_output=None))
        >>> keras.models.load_model("net.keras").output_shape, read_model_info("net.keras").image_size
        ((None, 136), 8)

    See Also:
        - [`read_model_info`][keras_asm.inference.read_model_info]: reads it back.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: its `save` writes network and
          description at once.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There must be a model to describe. Received: {path}")
    text = json.dumps(info.get_config(), indent=1, allow_nan=False)
    if not _is_archive(path):
        beside = _beside(path)
        with replacing_file(beside, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        return beside
    with replacing_file(path, "w+b") as file, zipfile.ZipFile(path) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.infolist():
            if member.filename != _MEMBER:
                with old.open(member) as source, new.open(member, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
        new.writestr(_MEMBER, text, zipfile.ZIP_DEFLATED)
    return path


def read_model_info(path: str | PathLike[str]) -> LandmarkModelInfo:
    """Read the description that belongs to a model's file, in it or beside it.

    Args:
        path: The model's file or folder, or its description's own file (`.json`).

    Returns:
        The description. What lies in the file goes before what lies beside it.

    Raises:
        FileNotFoundError: If there is no such model.
        DatasetError: If it has no description, or one that is damaged or of other conventions. Names the file.

    Examples:
        >>> import tempfile
        >>> from keras_asm import ASMNet, LandmarkModelInfo, LandmarkPredictor
        >>> from keras_asm.inference import read_model_info
        >>> net = ASMNet(input_shape=(32, 32, 3), width_multiplier=0.35)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     LandmarkPredictor(net, info=LandmarkModelInfo("300w", image_size=32)).save(f"{folder}/net.keras")
        ...     info = read_model_info(f"{folder}/net.keras")
        >>> info.image_size, info.scheme.name
        (32, '300w')

    See Also:
        - [`write_model_info`][keras_asm.inference.write_model_info]: writes it.
        - [`LandmarkModelInfo`][keras_asm.inference.LandmarkModelInfo]: what it returns.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no such model. Received: {path}")
    text, origin = None, path
    if path.suffix.lower() == ".json":
        text = path.read_bytes()
    elif _is_archive(path):
        with zipfile.ZipFile(path) as archive:
            if _MEMBER in archive.namelist():
                try:
                    text = read_member(archive, _MEMBER, _MAX_BYTES)
                except ValueError as error:
                    raise DatasetError(f"the description cannot be read: {error}", path) from error
    if text is None and _beside(path).exists():
        origin = _beside(path)
        text = origin.read_bytes()
    if text is None:
        raise DatasetError(
            "the file does not say what the network's outputs mean. Pass info=LandmarkModelInfo(scheme=..., "
            "image_size=..., crop_margin=...), with the values of its training, or put it there for good by "
            f"write_model_info. Received: nothing of that kind in it, and no file {_beside(path).name} beside it",
            path,
        )
    try:
        return LandmarkModelInfo.from_config(json.loads(text))
    except ValueError as error:  # of JSON too
        raise DatasetError(str(error), origin) from error
    except RecursionError:
        raise DatasetError("expected JSON of a few levels. Received: thousands", origin) from None


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".keras" and zipfile.is_zipfile(path)


def _beside(path: Path) -> Path:
    return path.with_name(f"{os.path.basename(path)}.json")
