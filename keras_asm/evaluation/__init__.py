"""One report for a set of predictions, and several side by side."""

from keras_asm.evaluation.evaluation_report import EvaluationReport
from keras_asm.evaluation.functional import compare_reports, evaluate_landmarks

__all__ = ["EvaluationReport", "compare_reports", "evaluate_landmarks"]
