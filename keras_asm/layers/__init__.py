"""Keras layers."""

from keras_asm.layers.asm_projection import ASMProjection

__all__ = ["ASMProjection"]
