"""ASMNet, the paper's network."""

from pathlib import Path

import keras

from keras_asm.applications._mobilenet_v2 import mobilenet_v2_landmark_net
from keras_asm.layers import ShapeDecoder

__all__ = ["ASMNET_TAPS", "ASMNet"]

# The block outputs that are fused, and with the last of them the end of the network: section 3.1 of the
# paper names the cut after block 15, the authors' code the taps.
ASMNET_TAPS = (
    "block_1_project_BN",
    "block_3_project_BN",
    "block_6_project_BN",
    "block_10_project_BN",
    "block_13_project_BN",
    "block_15_add",
)


def ASMNet(  # noqa: N802  # a function that reads as a class, as in keras.applications
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
    name: str = "asmnet",
) -> keras.Model:
    """ASMNet: MobileNetV2 cut after block 15, with the features of six blocks fused for two linear heads.

    With 68 landmarks and pose at width 1 it has 1,439,507 parameters and does 256 million multiply-adds on a
    224-pixel image; `MobileNetV2Landmarks`, the paper's baseline, has 2,436,043 and does 299 million.

    Args:
        input_shape: Shape of an image, in `keras.config.image_data_format()`; each side at least 32 pixels
            or None (any size).
        n_landmarks: Number of landmarks, at least 1.
        include_pose: Whether to add the head-pose output.
        width_multiplier: MobileNet's width multiplier (alpha in its paper), above 0: scales the number of
            channels of every block.
        weights: None: random. `"asmnet-photos"` or `"asmnet-drawn"`: those that come with the package, whose terms and
            errors `pretrained_file` names, for a width of 1; a head of another size than theirs (68 landmarks, pose)
            starts at random. `"imagenet"`: the backbone as trained on ImageNet, downloaded by
            `keras.applications`, for the width multipliers 0.35, 0.5, 0.75, 1, 1.3 and 1.4. A path: an HDF5
            weights file of this network (from `save_weights`), or of
            `keras.applications.MobileNetV2(include_top=False)`; the file shows which one it is. Those of a network
            without a `shape_decoder` fit one with a decoder too, and it then predicts the same at first.
        batch_norm_momentum: In [0, 1). Keras builds MobileNetV2 with 0.999, whose moving statistics lag for
            thousands of steps: the network evaluates badly while its training loss is fine. 0.9 follows
            within some 40 steps, as sets of a few thousand faces need. In runs of thousands of steps 0.99 makes
            the evaluated error steadier; `recompute_batch_norm` does so after any run.
        dropout_rate: Dropout on the fused features, in [0, 1). The paper has none, the authors' code 0.3.
        value_range: Smallest and largest value of a pixel, (0, 255) by default, uint8 or float. The network scales
            it to [-1, 1] itself; images in another range are mistaken without an error.
        shape_decoder: If given, the head predicts this decoder's coefficients instead of coordinates, as for
            `LandmarkNet`.
        include_uncertainty: Whether to add an output that says how sure each landmark is, as for `LandmarkNet`.
        name: Name of the network.

    Returns:
        A functional model whose outputs are the dict `{"landmarks": (batch, 2 * n_landmarks), "pose":
        (batch, 3)}`: normalised (x, y) interleaved, and (yaw, pitch, roll) in degrees, in float32 under
        mixed precision too. Without pose the dict has the one key `"landmarks"`; with uncertainty it has
        `"uncertain_landmarks"`, `(batch, 3 * n_landmarks)`, too.

    Raises:
        ValueError: If an argument is out of its range or the weights are those of another network.
        FileNotFoundError: If the weights file does not exist or cannot be downloaded.

    Examples:
        >>> from keras_asm.applications import ASMNet
        >>> model = ASMNet(input_shape=(64, 64, 3), n_landmarks=29, width_multiplier=0.35)
        >>> {name: tuple(output.shape) for name, output in model.output.items()}
        {'landmarks': (None, 58), 'pose': (None, 3)}

    See Also:
        - [`MobileNetV2Landmarks`][keras_asm.applications.MobileNetV2Landmarks]: the paper's larger baseline,
          with the same arguments.
        - [`LandmarkNet`][keras_asm.applications.LandmarkNet]: the same head on any backbone.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: takes a trained network from pictures
          to landmarks.
        - [Training well][training-well]: the recipe that trains it.

    References:
        Fard, Abdollahi, Mahoor, "ASMNet: a Lightweight Deep Neural Network for Face Alignment and Pose
        Estimation", CVPR Workshops 2021. Sandler et al., "MobileNetV2: Inverted Residuals and Linear
        Bottlenecks", CVPR 2018.
    """
    return mobilenet_v2_landmark_net(
        taps=ASMNET_TAPS,
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
