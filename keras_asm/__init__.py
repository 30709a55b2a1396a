"""Active shape models for Keras 3: landmark losses, networks, metrics and data.

Importing the package registers its classes with Keras, so that `keras.models.load_model` finds them. It
imports no backend besides the one that Keras uses, and scikit-learn only when `ActiveShapeModel` is asked
for.
"""

from typing import Any

from keras_asm._version import __version__
from keras_asm.applications import ASMNet, LandmarkNet, MobileNetV2Landmarks
from keras_asm.callbacks import (
    AccuracyStepSchedule,
    AlphaCosineSchedule,
    AlphaLinearSchedule,
    AlphaSchedule,
    AlphaStepSchedule,
)
from keras_asm.evaluation import evaluate_landmarks
from keras_asm.faces import LandmarkBatches
from keras_asm.inference import LandmarkModelInfo, LandmarkPredictor
from keras_asm.landmarks import LandmarkScheme, get_scheme
from keras_asm.layers import ASMProjection, LandmarkAugmentation, ShapeDecoder
from keras_asm.losses import ASMAssistedLoss, HeadPoseLoss, LandmarkLikelihoodLoss, WingLoss
from keras_asm.metrics import AreaUnderCED, FailureRate, HeadPoseError, NormalizedMeanError
from keras_asm.model_tools import (
    fold_shape_decoder,
    model_cost,
    predict_with_flip,
    recompute_batch_norm,
)
from keras_asm.shape_models import LinearShapeModel

__all__ = [
    "ASMAssistedLoss",
    "ASMNet",
    "ASMProjection",
    "AccuracyStepSchedule",
    "ActiveShapeModel",
    "AlphaCosineSchedule",
    "AlphaLinearSchedule",
    "AlphaSchedule",
    "AlphaStepSchedule",
    "AreaUnderCED",
    "FailureRate",
    "HeadPoseError",
    "HeadPoseLoss",
    "LandmarkAugmentation",
    "LandmarkBatches",
    "LandmarkLikelihoodLoss",
    "LandmarkModelInfo",
    "LandmarkNet",
    "LandmarkPredictor",
    "LandmarkScheme",
    "LinearShapeModel",
    "MobileNetV2Landmarks",
    "NormalizedMeanError",
    "ShapeDecoder",
    "WingLoss",
    "__version__",
    "evaluate_landmarks",
    "fold_shape_decoder",
    "get_scheme",
    "model_cost",
    "predict_with_flip",
    "recompute_batch_norm",
]


def __getattr__(name: str) -> Any:
    if name == "ActiveShapeModel":
        from keras_asm.shape_models import ActiveShapeModel

        return ActiveShapeModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
