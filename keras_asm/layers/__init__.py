"""Keras layers: the ASM operator, the decoder of coefficients, and the augmentation of faces."""

from keras_asm.layers.asm_projection import ASMProjection
from keras_asm.layers.landmark_augmentation import LandmarkAugmentation, augment
from keras_asm.layers.shape_decoder import ShapeDecoder

__all__ = ["ASMProjection", "LandmarkAugmentation", "ShapeDecoder", "augment"]
