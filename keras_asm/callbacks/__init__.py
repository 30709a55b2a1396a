"""Schedules of the ASM-assisted loss."""

from keras_asm.callbacks.schedules import (
    AccuracyStepSchedule,
    AlphaCosineSchedule,
    AlphaLinearSchedule,
    AlphaSchedule,
    AlphaStepSchedule,
    cosine_schedule,
    linear_schedule,
    step_schedule,
)

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
