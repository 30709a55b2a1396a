"""Keras layers, and what changes those of a model."""

from keras_asm.layers.asm_projection import ASMProjection
from keras_asm.layers.batch_norm import recompute_batch_norm
from keras_asm.layers.landmark_augmentation import LandmarkAugmentation

__all__ = ["ASMProjection", "LandmarkAugmentation", "recompute_batch_norm"]
