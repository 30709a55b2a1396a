"""Schedules of the ASM-assisted loss, and backups of a training."""

from keras_asm.callbacks.atomic_backup import AtomicBackupAndRestore
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
    "AtomicBackupAndRestore",
    "cosine_schedule",
    "linear_schedule",
    "step_schedule",
]
