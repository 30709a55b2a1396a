"""Landmark and head-pose errors: plain NumPy functions, and the same as streaming Keras metrics."""

from keras_asm.metrics.errors import (
    area_under_ced,
    cumulative_error_distribution,
    failure_rate,
    head_pose_error,
    normalized_mean_error,
)
from keras_asm.metrics.streaming import AreaUnderCED, FailureRate, HeadPoseError, NormalizedMeanError

__all__ = [
    "AreaUnderCED",
    "FailureRate",
    "HeadPoseError",
    "NormalizedMeanError",
    "area_under_ced",
    "cumulative_error_distribution",
    "failure_rate",
    "head_pose_error",
    "normalized_mean_error",
]
