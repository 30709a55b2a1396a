"""Sweeps of settings with KerasTuner, which is imported when this package is."""

from keras_asm.tuning.hypermodel import Backbone, LandmarkHyperModel

__all__ = ["Backbone", "LandmarkHyperModel"]
