"""Keras layers: the ASM operator, and the augmentation of faces."""

from keras_asm.layers.asm_projection import ASMProjection
from keras_asm.layers.landmark_augmentation import LandmarkAugmentation, augment

__all__ = ["ASMProjection", "LandmarkAugmentation", "augment"]
