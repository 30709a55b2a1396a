"""The paper's baseline: MobileNetV2 with the two heads."""

from pathlib import Path

import keras

from keras_asm.applications._mobilenet_v2 import mobilenet_v2_landmark_net
from keras_asm.layers import ShapeDecoder

__all__ = ["MobileNetV2Landmarks"]


def MobileNetV2Landmarks(  # noqa: N802  # a function that reads as a class, as in keras.applications
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    n_landmarks: int = 68,
    include_pose: bool = True,
    width_multiplier: float = 1.0,
    weights: str | Path | None = None,
    batch_norm_momentum: float = 0.9,
    dropout_rate: float = 0.0,
    value_range: tuple[float, float] = (0.0, 255.0),
    shape_decoder: ShapeDecoder | None = None,
    include_uncertainty: bool = False,
    name: str = "mobilenet_v2_landmarks",
) -> keras.Model:
    """The paper's baseline (mnv2): the whole MobileNetV2, globally pooled, with a linear head for each task.

    Every argument means what it means for `ASMNet`, which has 41 % fewer parameters.

    Args:
        input_shape: Shape of an image, each side at least 32 pixels or None.
        n_landmarks: Number of landmarks, at least 1.
        include_pose: Whether to add the head-pose output.
        width_multiplier: MobileNet's width multiplier, above 0.
        weights: None, `"imagenet"`, or the path of a weights file of this network or of its backbone.
        batch_norm_momentum: Momentum of the moving statistics, in [0, 1).
        dropout_rate: Dropout on the pooled features, in [0, 1).
        value_range: Smallest and largest value of a pixel, (0, 255) by default.
        shape_decoder: As for `LandmarkNet`.
        include_uncertainty: Whether to add an output that says how sure each landmark is, as for `LandmarkNet`.
        name: Name of the network.

    Returns:
        A functional model with the outputs of `ASMNet`.

    Raises:
        ValueError: If an argument is out of its range or the weights are those of another network.
        FileNotFoundError: If the weights file does not exist or cannot be downloaded.

    Examples:
        >>> from keras_asm.applications import MobileNetV2Landmarks
        >>> model = MobileNetV2Landmarks(input_shape=(32, 32, 3), width_multiplier=0.35, include_pose=False)
        >>> model.output_shape
        (None, 136)

    See Also:
        - [`ASMNet`][keras_asm.applications.ASMNet]: the smaller network of the paper, from the same backbone.
        - [`model_cost`][keras_asm.model_tools.model_cost]: counts parameters and multiply-adds of both.

    References:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
    """
    return mobilenet_v2_landmark_net(
        taps=None,
        input_shape=input_shape,
        n_landmarks=n_landmarks,
        include_pose=include_pose,
        width_multiplier=width_multiplier,
        weights=weights,
        batch_norm_momentum=batch_norm_momentum,
        dropout_rate=dropout_rate,
        value_range=value_range,
        shape_decoder=shape_decoder,
        include_uncertainty=include_uncertainty,
        name=name,
    )
