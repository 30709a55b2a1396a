"""One report for a set of predictions, several side by side, whether two methods differ, and calibrated scales."""

from keras_asm.evaluation.calibration import fit_scale_factor, interval_coverage, interval_half_width
from keras_asm.evaluation.paired_comparison import PairedComparison, compare_paired
from keras_asm.evaluation.reports import EvaluationReport, compare_reports, evaluate_landmarks

__all__ = [
    "EvaluationReport",
    "PairedComparison",
    "compare_paired",
    "compare_reports",
    "evaluate_landmarks",
    "fit_scale_factor",
    "interval_coverage",
    "interval_half_width",
]
