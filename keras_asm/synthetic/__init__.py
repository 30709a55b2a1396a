"""Drawn faces with exact landmarks and head pose, without a download."""

from keras_asm.synthetic.drawn_faces import synthetic_faces

__all__ = ["synthetic_faces"]
