"""What ASMNet and its baseline share: MobileNetV2 with preprocessing, under a landmark head, and its weights.

The blocks are those of `keras.applications`, so that every weights file of that network fits.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_asm.applications.landmark_net import LandmarkNet
from keras_asm.applications.pretrained import PRETRAINED, pretrained_file
from keras_asm.layers import ShapeDecoder

__all__ = ["mobilenet_v2_backbone", "mobilenet_v2_landmark_net"]

_IMAGENET_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
_MIN_SIZE = 32  # five halvings


def mobilenet_v2_landmark_net(
    taps: Sequence[str] | None,
    input_shape: tuple[int | None, int | None, int],
    n_landmarks: int,
    include_pose: bool,
    width_multiplier: float,
    weights: str | Path | None,
    batch_norm_momentum: float,
    dropout_rate: float,
    value_range: tuple[float, float],
    shape_decoder: ShapeDecoder | None,
    include_uncertainty: bool,
    name: str,
) -> keras.Model:
    """LandmarkNet on MobileNetV2 that scales its images itself; the arguments are those of `ASMNet`."""
    if weights in PRETRAINED and (width_multiplier != 1 or taps is None):
        raise ValueError(
            f"weights={weights!r} are of ASMNet with a width_multiplier of 1. "
            f"Received: {name} with width_multiplier={width_multiplier!r}"
        )
    backbone = mobilenet_v2_backbone(
        input_shape, width_multiplier, value_range, imagenet=weights == "imagenet"
    )
    build = functools.partial(
        LandmarkNet,
        backbone,
        taps,
        n_landmarks=n_landmarks,
        include_pose=include_pose,
        dropout_rate=dropout_rate,
        batch_norm_momentum=batch_norm_momentum,
        include_uncertainty=include_uncertainty,
        name=name,
    )
    model = build(shape_decoder=shape_decoder)
    if weights in (None, "imagenet"):
        return model
    # A network of the same layers, without the decoder: what `fold_shape_decoder` makes
    plain = model if shape_decoder is None else build(shape_decoder=None)
    if weights in PRETRAINED:
        _load_pretrained(str(weights), model, plain)
    else:
        _load_weights_file(Path(weights), model, backbone, plain)
    return model


def mobilenet_v2_backbone(
    input_shape: tuple[int | None, int | None, int],
    width: float,
    value_range: tuple[float, float],
    imagenet: bool,
) -> keras.Model:
    """Whole MobileNetV2 without its classifier, behind a layer that scales the images to [-1, 1]."""
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    channels_last = keras.config.image_data_format() == "channels_last"
    sides = shape[:2] if channels_last else shape[1:]
    if len(shape) != 3 or any(side is not None and side < _MIN_SIZE for side in sides):
        form = "(height, width, channels)" if channels_last else "(channels, height, width)"
        raise ValueError(
            f"input_shape must be {form} with sides of at least {_MIN_SIZE} pixels. Received: {input_shape}"
        )
    if width <= 0:
        raise ValueError(f"width_multiplier must be above 0. Received: {width!r}")
    if imagenet and width not in _IMAGENET_WIDTHS:
        raise ValueError(
            f"weights='imagenet' exist for width_multiplier in {_IMAGENET_WIDTHS} only. Received: {width!r}"
        )
    low, high = (float(value) for value in value_range)
    if not low < high:
        raise ValueError(f"value_range must be a pair, low < high. Received: {value_range!r}")
    images = keras.Input(shape, name="images")
    # Adds no weights, so that weights files of the bare network still fit.
    half = (high - low) / 2
    scaled = keras.layers.Rescaling(1 / half, offset=-1.0 - low / half, name="preprocessing")(images)
    try:
        return keras.applications.MobileNetV2(
            input_tensor=scaled,
            # Keras compares the shape's wrong axis with the tensor's where channels are first.
            input_shape=shape if channels_last else None,
            alpha=width,
            include_top=False,
            weights="imagenet" if imagenet else None,
        )
    except ValueError:
        raise
    except Exception as error:  # keras.utils.get_file raises a bare Exception when there is no network
        if not imagenet:
            raise
        raise FileNotFoundError(
            "The ImageNet weights of MobileNetV2 could not be downloaded. Pass the path of a copy of them as "
            f"`weights`, or None for random weights. Received: weights='imagenet' ({error})"
        ) from error


def _load_pretrained(name: str, model: keras.Model, plain: keras.Model) -> None:
    """The weights of a trained network that comes with the package; heads of another size stay as they are.

    Args:
        name: of `PRETRAINED`.
        model: the network.
        plain: it, or a network of the same layers without its decoder.
    """
    trained = keras.models.load_model(pretrained_file(name), compile=False)
    known = {layer.name for layer in trained.layers}
    for layer in plain.layers:
        if not layer.weights or layer.name not in known:
            continue
        values = trained.get_layer(layer.name).get_weights()
        if [value.shape for value in values] == [tuple(weight.shape) for weight in layer.weights]:
            layer.set_weights(values)
    if plain is not model and plain.get_layer("landmarks").units == trained.get_layer("landmarks").units:
        _unfold(plain, model)
    elif plain is not model:
        _copy_other_heads(plain, model)


def _load_weights_file(path: Path, model: keras.Model, backbone: keras.Model, plain: keras.Model) -> None:
    """Loads a file of the network, of it without its decoder, or of its backbone, or says what else it holds."""
    if not path.is_file():
        raise FileNotFoundError(
            f"weights must be None, 'imagenet' or the path of a weights file that exists. Received: {path}"
        )
    found = _shapes_in_file(path)
    if found == _shapes_of(model):
        model.load_weights(path)
    elif found == _shapes_of(plain):
        plain.load_weights(path)
        _unfold(plain, model)
    elif found == _shapes_of(backbone):
        # The layers are shared with the network; those behind its last tap are read and left unused.
        backbone.load_weights(path)
    else:
        raise ValueError(_mismatch(path, found, model))


def _unfold(plain: keras.Model, model: keras.Model) -> None:
    """The heads of a network without a decoder, in a network with one of all the same layers.

    `x K + b = mean + (x K' + b') B` for every `x` if `K' = K / B` and `b' = (b - mean) / B`, for a `B` with an inverse.
    """
    basis, mean_shape = model.get_layer("landmarks").affine_map()
    if len(basis) < len(mean_shape):
        raise ValueError(
            "weights of a network without a shape_decoder fit one whose decoder reaches every shape, with a "
            f"coefficient for each of {len(mean_shape)} coordinates. "
            f"Received: a decoder of {len(basis)} coefficients"
        )
    kernel, bias = (w.astype(np.float64) for w in plain.get_layer("landmarks").get_weights())
    inverse = np.linalg.inv(basis)
    model.get_layer("landmark_coefficients").set_weights([kernel @ inverse, (bias - mean_shape) @ inverse])
    _copy_other_heads(plain, model)


def _copy_other_heads(plain: keras.Model, model: keras.Model) -> None:
    for layer in model.layers:
        if layer.name in ("pose", "log_scale"):
            layer.set_weights(plain.get_layer(layer.name).get_weights())


def _shapes_of(model: keras.Model) -> Counter[tuple[int, ...]]:
    return Counter(tuple(weight.shape) for weight in model.weights)


def _shapes_in_file(path: Path) -> Counter[tuple[int, ...]]:
    """Shapes of the layers' weights in a file of Keras 3 (.weights.h5) or of Keras 2 (.h5)."""
    # Comes with Keras; imported here to keep the import of the package light.
    import h5py

    shapes: Counter[tuple[int, ...]] = Counter()

    def count(name: str, item: Any) -> None:
        is_weight = isinstance(item, h5py.Dataset) and np.issubdtype(item.dtype, np.floating)
        # The states of optimizers are as large as the weights; those of random generators are integers.
        if is_weight and not name.startswith("optimizer"):
            shapes[item.shape] += 1

    try:
        with h5py.File(path, "r") as file:
            file.visititems(count)
    except OSError as error:
        raise ValueError(
            "weights must be an HDF5 file as `save_weights` writes it (.weights.h5); open a whole saved "
            f"model with keras.models.load_model. Received: {path} ({error})"
        ) from error
    return shapes


def _mismatch(path: Path, found: Counter[tuple[int, ...]], model: keras.Model) -> str:
    """Names the difference in the heads, the only layers whose kernels are matrices."""
    expected_heads = {shape for shape in _shapes_of(model) if len(shape) == 2}
    found_heads = {shape for shape in found if len(shape) == 2}
    expected = f"weights of {model.name!r} with heads of shape {sorted(expected_heads)}, or of its backbone"
    missing, extra = sorted(expected_heads - found_heads), sorted(found_heads - expected_heads)
    if len(missing) == len(extra) == 1 and missing[0][0] == extra[0][0]:
        reason = f"the file's network has {extra[0][1] // 2} landmarks, this one has {missing[0][1] // 2}"
    elif not found_heads:
        reason = "the file holds no head, and its layers are not those of the backbone"
    elif found_heads == expected_heads and not _shapes_of(model) - found:
        reason = "the file's network has a shape_decoder, or other layers, that this one lacks"
    elif found_heads == expected_heads:
        reason = "the heads agree, the backbones do not"
    else:
        reason = f"the file's heads have shape {sorted(found_heads)}"
    return f"The weights do not fit: {reason}. Expected {expected}. Received: {path}"
