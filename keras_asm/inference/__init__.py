"""From pictures to landmarks and head pose: the predictor, detectors, confidence, and files of results."""

from keras_asm.inference.confidence import (
    ConfidenceCalibration,
    ConfidenceReport,
    fit_confidence,
    mahalanobis_distance,
    shape_distance,
)
from keras_asm.inference.detectors import (
    BoxCorrection,
    CorrectionReport,
    DlibDetector,
    MTCNNDetector,
    YuNetDetector,
    correct_boxes,
    get_detector,
    measure_box_correction,
)
from keras_asm.inference.exported import ExportedModel
from keras_asm.inference.model_info import LandmarkModelInfo, read_model_info, write_model_info
from keras_asm.inference.one_euro import OneEuroFilter
from keras_asm.inference.predictor import LandmarkPredictor, find_pictures
from keras_asm.inference.results import Face, Predictions, read_table, write_table
from keras_asm.inference.tracking import LandmarkTracker, TrackedFace
from keras_asm.inference.video import VideoFrames, write_video

__all__ = [
    "BoxCorrection",
    "ConfidenceCalibration",
    "ConfidenceReport",
    "CorrectionReport",
    "DlibDetector",
    "ExportedModel",
    "Face",
    "LandmarkModelInfo",
    "LandmarkPredictor",
    "LandmarkTracker",
    "MTCNNDetector",
    "OneEuroFilter",
    "Predictions",
    "TrackedFace",
    "VideoFrames",
    "YuNetDetector",
    "correct_boxes",
    "find_pictures",
    "fit_confidence",
    "get_detector",
    "mahalanobis_distance",
    "measure_box_correction",
    "read_model_info",
    "read_table",
    "shape_distance",
    "write_model_info",
    "write_table",
    "write_video",
]
