"""One report for a set of predictions, several side by side, and whether two methods differ."""

from keras_asm.evaluation.paired_comparison import PairedComparison, compare_paired
from keras_asm.evaluation.reports import EvaluationReport, compare_reports, evaluate_landmarks

__all__ = [
    "EvaluationReport",
    "PairedComparison",
    "compare_paired",
    "compare_reports",
    "evaluate_landmarks",
]
