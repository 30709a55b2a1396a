"""A landmark and head-pose network on top of any Keras model."""

import difflib
import math
from collections.abc import Sequence
from numbers import Integral

import keras

from keras_asm.layers import ShapeDecoder
from keras_asm.model_tools.batch_norm import batch_norm_layers

__all__ = ["LandmarkNet"]

_HEAD_STDDEV = 1e-3
_FIRST_LOG_SCALE = math.log(0.2)  # what a landmark is off, of a crop's side, while all lie in its middle


def LandmarkNet(  # noqa: N802  # a function that reads as a class, as in keras.applications
    backbone: keras.Model,
    taps: Sequence[str] | None = None,
    n_landmarks: int = 68,
    include_pose: bool = True,
    dropout_rate: float = 0.0,
    batch_norm_momentum: float | None = None,
    data_format: str | None = None,
    shape_decoder: ShapeDecoder | None = None,
    include_uncertainty: bool = False,
    name: str = "landmark_net",
) -> keras.Model:
    """Puts ASMNet's fused, globally pooled head on any functional Keras model.

    The features of every tap are averaged over space, concatenated, and read by one linear layer per task:

    `landmarks = W_l f + b_l`, `pose = W_p f + b_p`, `f = concat(mean_space(tap_1), ..., mean_space(tap_k))`.

    The backbone is taken as it is: its inputs, and so its preprocessing, become the network's. Layers behind
    the last tap are left out; the others are shared with `backbone`, not copied, so freezing or loading the
    backbone acts on the network too. Pooling and head compute in float32 (or wider) under every dtype policy,
    because a half-precision output rounds at 0.1 pixel on a 224-pixel image. The heads' weights start near
    zero (standard deviation 0.001).

    Args:
        backbone: Functional or built Sequential model. Wrap any other model first:
            `keras.Model(inputs, model(inputs))` with `inputs = keras.Input(...)`.
        taps: Names of the backbone's layers whose outputs are fused, each `(batch, height, width, channels)`
            (channels first if `data_format` says so), `(batch, tokens, channels)` or `(batch, channels)`.
            Default: the backbone's own outputs.
        n_landmarks: Number of landmarks, at least 1.
        include_pose: Whether to add the head-pose output.
        dropout_rate: Dropout on the fused features, in [0, 1). The paper has none, the authors' code 0.3.
        batch_norm_momentum: If given, in [0, 1), set on every BatchNormalization layer of the backbone.
            Several backbones of `keras.applications` come with 0.999 and more, whose moving statistics lag
            for thousands of steps. Default: the backbone's own values.
        data_format: `"channels_last"` or `"channels_first"`, of the backbone's feature maps. Default:
            `keras.config.image_data_format()`.
        shape_decoder: If given, the linear layer predicts this decoder's coefficients, and the decoder makes
            landmarks of them: the network starts at the mean shape, and what it has to learn is of size 1.
            With few faces or few epochs this lowers the error by much; `fold_shape_decoder` takes it out of the
            trained network. It is copied. Default: the linear layer predicts the coordinates themselves.
        include_uncertainty: Whether to add an output that says how sure each landmark is, for `LandmarkLikelihoodLoss`.
        name: Name of the network.

    Returns:
        A functional model whose outputs are the dict `{"landmarks": (batch, 2 * n_landmarks), "pose":
        (batch, 3)}`: normalised (x, y) interleaved, and (yaw, pitch, roll) in degrees. Without pose the dict
        has the one key, so that batches and predictions look the same for every network. With uncertainty there is
        `"uncertain_landmarks"` too, `(batch, 3 * n_landmarks)`: the same landmarks, and then the natural logarithm of
        what each may be off; `split_log_scale` takes them apart. One output holds both because a loss of Keras sees
        one output.

    Raises:
        ValueError: If an argument is out of its range, a tap does not exist (near matches are listed) or its
            features cannot be pooled.

    Examples:
        >>> import keras
        >>> from keras_asm.applications import LandmarkNet
        >>> backbone = keras.applications.MobileNetV3Small(
        ...     input_shape=(64, 64, 3), include_top=False, weights=None)
        >>> model = LandmarkNet(backbone, taps=["expanded_conv_2_add", "expanded_conv_10_add"], n_landmarks=5)
        >>> model.output_names
        ['landmarks', 'pose']
        >>> [tuple(output.shape) for output in model.outputs]
        [(None, 10), (None, 3)]

    See Also:
        - [`ASMNet`][keras_asm.applications.ASMNet]: this head on six blocks of MobileNetV2.
        - [`ShapeDecoder`][keras_asm.layers.ShapeDecoder]: what `shape_decoder` takes.
        - [Ten backbones][ten-backbones]: which layers to tap.

    References:
        Fard, Abdollahi, Mahoor, "ASMNet: a Lightweight Deep Neural Network for Face Alignment and Pose
        Estimation", CVPR Workshops 2021, section 3.1.
    """
    if not isinstance(n_landmarks, Integral) or n_landmarks < 1:
        raise ValueError(f"n_landmarks must be an integer of at least 1. Received: {n_landmarks!r}")
    if not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must lie in [0, 1). Received: {dropout_rate!r}")
    if batch_norm_momentum is not None and not 0 <= batch_norm_momentum < 1:
        raise ValueError(f"batch_norm_momentum must lie in [0, 1). Received: {batch_norm_momentum!r}")
    if shape_decoder is not None and shape_decoder.n_features != 2 * n_landmarks:
        raise ValueError(
            f"shape_decoder must decode the network's landmarks, n_landmarks={n_landmarks} of 2 coordinates. "
            f"Received: a decoder of {shape_decoder.n_features} coordinates"
        )
    features = _tapped_features(backbone, taps)

    # "float32" under mixed precision, "float64" where the user computes in float64.
    head_dtype = keras.backend.result_type(keras.config.dtype_policy().variable_dtype, "float32")
    pooled = [_global_average(*item, data_format=data_format, dtype=head_dtype) for item in features.items()]
    x = pooled[0]
    if len(pooled) > 1:
        x = keras.layers.Concatenate(name="fused_features", dtype=head_dtype)(pooled)
    if dropout_rate:
        x = keras.layers.Dropout(dropout_rate, name="fused_features_dropout", dtype=head_dtype)(x)
    if shape_decoder is None:
        outputs = {"landmarks": _dense(2 * int(n_landmarks), "landmarks", head_dtype)(x)}
    else:
        coefficients = _dense(shape_decoder.n_coefficients, "landmark_coefficients", head_dtype)(x)
        decoder = ShapeDecoder.from_config(
            {**shape_decoder.get_config(), "name": "landmarks", "dtype": head_dtype}
        )
        outputs = {"landmarks": decoder(coefficients)}
    if include_uncertainty:
        log_scale = _dense(int(n_landmarks), "log_scale", head_dtype, bias=_FIRST_LOG_SCALE)(x)
        both = keras.layers.Concatenate(name="uncertain_landmarks", dtype=head_dtype)
        outputs["uncertain_landmarks"] = both([outputs["landmarks"], log_scale])
    if include_pose:
        outputs["pose"] = _dense(3, "pose", head_dtype)(x)
    # Backbones of keras.applications may keep a list of one input, which Keras warns of when given an array.
    inputs = backbone.inputs[0] if len(backbone.inputs) == 1 else backbone.input
    model = keras.Model(inputs, outputs, name=name)
    if batch_norm_momentum is not None:
        for layer in batch_norm_layers(model):
            layer.momentum = batch_norm_momentum
    return model


def _dense(size: int, name: str, dtype: str, bias: float = 0.0) -> keras.layers.Dense:
    # Near zero: every face starts in the middle of its crop, or as the decoder's mean, and looks ahead. Keras's default
    # starts with random landmarks of the order of the whole crop, which training has to unlearn first.
    initializer = keras.initializers.RandomNormal(stddev=_HEAD_STDDEV)
    return keras.layers.Dense(
        size,
        kernel_initializer=initializer,
        bias_initializer=keras.initializers.Constant(bias),
        name=name,
        dtype=dtype,
    )


def _tapped_features(backbone: keras.Model, taps: Sequence[str] | None) -> dict[str, keras.KerasTensor]:
    """The symbolic features by name, in the order of the taps."""
    # Neither a subclassed model nor an unbuilt Sequential has a graph that could be tapped.
    if not isinstance(backbone, keras.Model) or not getattr(backbone, "inputs", None):
        raise ValueError(
            "backbone must be a functional model or a Sequential model with an Input; wrap any other as "
            f"keras.Model(inputs, model(inputs)) with inputs = keras.Input(...). Received: {backbone!r}"
        )
    if taps is None:
        return {f"output_{i}": tensor for i, tensor in enumerate(backbone.outputs)}
    if isinstance(taps, str) or not taps or len(set(taps)) != len(taps):
        raise ValueError(f"taps must be a list of different layer names, at least one. Received: {taps!r}")
    layers = {layer.name: layer for layer in backbone.layers}
    features = {}
    for tap in taps:
        if tap not in layers:
            near = difflib.get_close_matches(str(tap), layers, n=5, cutoff=0.4)
            raise ValueError(
                f"taps must name layers of the backbone {backbone.name!r} (of its top level: layers inside a "
                f"nested model cannot be tapped). Near matches: {near}. Received: {tap!r}"
            )
        features[tap] = layers[tap].output
    return features


def _global_average(
    name: str, tensor: keras.KerasTensor, data_format: str | None, dtype: str
) -> keras.KerasTensor:
    """(batch, channels) of a feature map, of tokens, or of features that are pooled already."""
    rank = len(tensor.shape) if hasattr(tensor, "shape") else None
    if rank == 4:
        return keras.layers.GlobalAveragePooling2D(
            data_format=data_format, name=f"{name}_global_pool", dtype=dtype
        )(tensor)
    if rank == 3:
        return keras.layers.GlobalAveragePooling1D(
            data_format="channels_last", name=f"{name}_global_pool", dtype=dtype
        )(tensor)
    if rank == 2:
        return tensor
    raise ValueError(
        f"The features of {name!r} must have shape (batch, height, width, channels), (batch, tokens, "
        f"channels) or (batch, channels). Received: {getattr(tensor, 'shape', tensor)}"
    )
