"""One report for a set of predictions, several side by side, and whether two methods differ."""

from keras_asm.evaluation.evaluation_report import EvaluationReport
from keras_asm.evaluation.functional import compare_reports, evaluate_landmarks
from keras_asm.evaluation.paired_comparison import PairedComparison, compare_paired

__all__ = [
    "EvaluationReport",
    "PairedComparison",
    "compare_paired",
    "compare_reports",
    "evaluate_landmarks",
]
