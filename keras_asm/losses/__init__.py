"""Losses of landmarks and head pose."""

from keras_asm.losses.asm_assisted_loss import ASMAssistedLoss, asm_assisted_loss
from keras_asm.losses.head_pose_loss import HeadPoseLoss
from keras_asm.losses.scheduled_value import ScheduledValue
from keras_asm.losses.wing_loss import WingLoss, wing_loss

__all__ = ["ASMAssistedLoss", "HeadPoseLoss", "ScheduledValue", "WingLoss", "asm_assisted_loss", "wing_loss"]
