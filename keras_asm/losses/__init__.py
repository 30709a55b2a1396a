"""Losses of landmarks and head pose."""

from keras_asm.losses.asm_assisted import ASMAssistedLoss, asm_assisted_loss
from keras_asm.losses.head_pose import HeadPoseLoss
from keras_asm.losses.landmark_loss import LandmarkLoss
from keras_asm.losses.likelihood import LandmarkLikelihoodLoss, landmark_likelihood_loss
from keras_asm.losses.scheduled_value import ScheduledValue
from keras_asm.losses.wing import WingLoss, wing_loss

__all__ = [
    "ASMAssistedLoss",
    "HeadPoseLoss",
    "LandmarkLikelihoodLoss",
    "LandmarkLoss",
    "ScheduledValue",
    "WingLoss",
    "asm_assisted_loss",
    "landmark_likelihood_loss",
    "wing_loss",
]
