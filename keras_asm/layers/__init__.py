"""Keras layers."""

from keras_asm.layers.asm_projection import ASMProjection
from keras_asm.layers.landmark_augmentation import LandmarkAugmentation

__all__ = ["ASMProjection", "LandmarkAugmentation"]
