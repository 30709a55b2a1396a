"""Ready networks for landmarks and head pose."""

from keras_asm.applications.asm_net import ASMNet
from keras_asm.applications.landmark_net import LandmarkNet
from keras_asm.applications.mobilenet_v2_landmarks import MobileNetV2Landmarks
from keras_asm.applications.pretrained import PRETRAINED, pretrained_file

__all__ = ["PRETRAINED", "ASMNet", "LandmarkNet", "MobileNetV2Landmarks", "pretrained_file"]
