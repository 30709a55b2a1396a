"""Losses of landmarks and head pose."""

from keras_asm.losses.asm_assisted_loss import ASMAssistedLoss, asm_assisted_loss
from keras_asm.losses.head_pose_loss import HeadPoseLoss
from keras_asm.losses.scheduled_value import ScheduledValue

__all__ = ["ASMAssistedLoss", "HeadPoseLoss", "ScheduledValue", "asm_assisted_loss"]
