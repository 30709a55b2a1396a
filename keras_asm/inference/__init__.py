"""Predictions that are better than one look at the image."""

from keras_asm.inference.predict_with_flip import predict_with_flip

__all__ = ["predict_with_flip"]
