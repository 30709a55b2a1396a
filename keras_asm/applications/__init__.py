"""Ready networks for landmarks and head pose, and what they cost."""

from keras_asm.applications.asm_net import ASMNet
from keras_asm.applications.landmark_net import LandmarkNet
from keras_asm.applications.mobilenet_v2_landmarks import MobileNetV2Landmarks
from keras_asm.applications.model_cost import ModelCost, model_cost

__all__ = ["ASMNet", "LandmarkNet", "MobileNetV2Landmarks", "ModelCost", "model_cost"]
