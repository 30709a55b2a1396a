"""Landmark and head-pose errors: plain NumPy functions, and the same as streaming Keras metrics.

The modules of the classes begin with an underscore, because the functions carry the same names.
"""

from keras_asm.metrics._area_under_ced import AreaUnderCED
from keras_asm.metrics._failure_rate import FailureRate
from keras_asm.metrics._head_pose_error import HeadPoseError
from keras_asm.metrics._normalized_mean_error import NormalizedMeanError
from keras_asm.metrics.functional import (
    area_under_ced,
    cumulative_error_distribution,
    failure_rate,
    head_pose_error,
    normalized_mean_error,
)

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
