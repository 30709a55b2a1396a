"""Schedules of the ASM-assisted loss."""

from keras_asm.callbacks.accuracy_step_schedule import AccuracyStepSchedule
from keras_asm.callbacks.alpha_cosine_schedule import AlphaCosineSchedule
from keras_asm.callbacks.alpha_linear_schedule import AlphaLinearSchedule
from keras_asm.callbacks.alpha_schedule import AlphaSchedule
from keras_asm.callbacks.alpha_step_schedule import AlphaStepSchedule
from keras_asm.callbacks.schedules import cosine_schedule, linear_schedule, step_schedule

__all__ = [
    "AccuracyStepSchedule",
    "AlphaCosineSchedule",
    "AlphaLinearSchedule",
    "AlphaSchedule",
    "AlphaStepSchedule",
    "cosine_schedule",
    "linear_schedule",
    "step_schedule",
]
