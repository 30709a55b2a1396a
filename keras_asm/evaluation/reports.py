"""Evaluating predictions: the report of a set of images, and several reports side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_asm.landmarks import LandmarkScheme, get_scheme
from keras_asm.metrics import area_under_ced, failure_rate, head_pose_error, normalized_mean_error
from keras_asm.metrics.errors import ANGLES

__all__ = ["EvaluationReport", "compare_reports", "evaluate_landmarks"]


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Errors of every image, and their summary over all images and over each subset.

    `str(report)` is an aligned table, with the error and the failure rate in per cent.

    Attributes:
        errors: Normalised mean error of each image, a fraction, `(n_images,)`; NaN for a face without a size,
            which the scores leave out.
        pose_errors: Absolute yaw, pitch and roll errors in degrees, `(n_images, 3)`, NaN where the true pose is not
            known, or `None`.
        subsets: Indices of the images of each subset; subsets may overlap.
        scheme: Name of the landmark scheme, or `None`.
        normalizer: Name of the normaliser, `"given"` if the distances were given.
        threshold: Of the failure rate and of the area under the CED.
        scores: For `"all"` and for each subset: `n_images`, `nme`, `failure_rate`, `area_under_ced` and,
            where there are poses, `yaw_error`, `pitch_error` and `roll_error` (mean absolute errors in
            degrees) and their mean, `pose_error`.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.evaluation import EvaluationReport
        >>> report = EvaluationReport(np.array([0.03, 0.05, 0.16]), subsets={"hard": np.array([1, 2])})
        >>> print(report)
        normalized by inter_ocular, threshold 10 %
        subset  images  NME %  FR %    AUC
        all          3   8.00  33.3  0.400
        hard         2  10.50  50.0  0.250

    See Also:
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: makes it.
        - [`compare_reports`][keras_asm.evaluation.compare_reports]: puts several side by side.
        - [`plot_ced`][keras_asm.visualization.plot_ced]: draws the errors that it holds.
    """

    errors: np.ndarray
    pose_errors: np.ndarray | None = None
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    scheme: str | None = None
    normalizer: str = "inter_ocular"
    threshold: float = 0.1
    scores: Mapping[str, Mapping[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        members = {"all": np.arange(len(self.errors)), **self.subsets}
        object.__setattr__(self, "scores", {name: self._summarise(i) for name, i in members.items()})

    def _summarise(self, indices: np.ndarray) -> dict[str, float]:
        indices = indices[np.isfinite(self.errors[indices])]
        if not len(indices):
            raise ValueError("At least one face of each subset needs a size to divide by. Received: none")
        errors = self.errors[indices]
        scores: dict[str, float] = {
            "n_images": len(errors),
            "nme": float(errors.mean()),
            "failure_rate": failure_rate(errors, self.threshold),
            "area_under_ced": area_under_ced(errors, self.threshold),
        }
        if self.pose_errors is not None:
            known = self.pose_errors[indices]
            known = known[np.isfinite(known).all(axis=1)]
            means = known.mean(axis=0) if len(known) else np.full(3, np.nan)
            scores |= {f"{angle}_error": float(mean) for angle, mean in zip(ANGLES, means, strict=True)}
            scores["pose_error"] = float(means.mean())
        return scores

    def to_dict(self) -> dict[str, Any]:
        """Everything the report holds, as JSON-ready values; fractions stay fractions."""
        return {
            "scheme": self.scheme,
            "normalizer": self.normalizer,
            "threshold": self.threshold,
            "scores": {name: dict(scores) for name, scores in self.scores.items()},
            "subsets": {name: indices.tolist() for name, indices in self.subsets.items()},
            "errors": self.errors.tolist(),
            "pose_errors": None if self.pose_errors is None else self.pose_errors.tolist(),
        }

    def __str__(self) -> str:
        rows = [
            [name, *_score_cells(scores, self.pose_errors is not None)]
            for name, scores in self.scores.items()
        ]
        header = ["subset", *_score_header(self.pose_errors is not None)]
        return f"{self.protocol}\n{_align([header, *rows], n_names=1)}"

    @property
    def protocol(self) -> str:
        """What two reports must share to be compared."""
        scheme = "" if self.scheme is None else f"landmark scheme {self.scheme}, "
        return f"{scheme}normalized by {self.normalizer}, threshold {100 * self.threshold:g} %"


def evaluate_landmarks(
    y_true: Any,
    y_pred: Any,
    scheme: str | int | LandmarkScheme | None = None,
    normalizer: Any = "inter_ocular",
    pose_true: Any = None,
    pose_pred: Any = None,
    subsets: Mapping[str, Any] | None = None,
    threshold: float = 0.1,
    weights: Any = None,
) -> EvaluationReport:
    """Normalised error, failure rate, area under the CED and head-pose error of a set of predictions.

    Args:
        y_true: True landmarks, `(n_images, n_landmarks, 2)` or `(n_images, 2 * n_landmarks)`. Those that are NaN have
            no position and do not count.
        y_pred: Predicted landmarks, in either layout and the same unit.
        scheme: Landmark scheme. By default the known scheme of that number of landmarks; `"box"` and a
            given distance need none.
        normalizer: `"inter_ocular"`, `"inter_pupil"`, `"box"`, or the distances, as in
            `normalized_mean_error`.
        pose_true: True yaw, pitch and roll in degrees, `(n_images, 3)`; given with `pose_pred` or not at
            all. Images for which it is NaN do not count for the pose.
        pose_pred: Predicted angles, likewise.
        subsets: For each name the images that belong to it: a boolean mask `(n_images,)` or indices.
            All images together are reported as `"all"` in any case.
        threshold: Of the failure rate and of the area under the CED; 0.1 by default.
        weights: Weights of the landmarks, `(n_images, n_landmarks)`, as in `normalized_mean_error`.

    Returns:
        The report, with the errors of every image.

    Raises:
        ValueError: As `normalized_mean_error` and `head_pose_error`, or if only one of the poses is given,
            numbers of images differ, or a subset is empty or names images that are not there.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.evaluation import evaluate_landmarks
        >>> y_true = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 5.0, 5.0]])
        >>> y_pred = y_true + [0.6, 0.8, 0.6, 0.8]
        >>> print(evaluate_landmarks(y_true, y_pred, normalizer="box", subsets={"small": [1]}))
        normalized by box, threshold 10 %
        subset  images  NME %   FR %    AUC
        all          2  15.00   50.0  0.000
        small        1  20.00  100.0  0.000

    See Also:
        - [`EvaluationReport`][keras_asm.evaluation.EvaluationReport]: what it returns.
        - [`compare_paired`][keras_asm.evaluation.compare_paired]: tells whether two methods differ.
        - [`normalizing_distance`][keras_asm.landmarks.normalizing_distance]: what the errors are divided by.
        - [Reading the metrics right][reading-the-metrics-right]: what the numbers can say.
    """
    if scheme is not None:
        scheme = get_scheme(scheme)
    errors = normalized_mean_error(y_true, y_pred, scheme, normalizer, weights)
    if errors.ndim != 1:
        raise ValueError(
            "Landmarks must be those of a set of images: (n_images, n_landmarks, 2) or "
            f"(n_images, 2 * n_landmarks). Received: shape {np.shape(y_true)}"
        )
    if (pose_true is None) != (pose_pred is None):
        missing = "pose_true" if pose_true is None else "pose_pred"
        raise ValueError(f"pose_true and pose_pred must be given together. Received: no {missing}")
    pose_errors = None if pose_true is None else _pose_errors(pose_true, pose_pred)
    if pose_errors is not None and pose_errors.shape != (len(errors), 3):
        raise ValueError(
            f"Poses must have the shape ({len(errors)}, 3), as there are {len(errors)} shapes. "
            f"Received: shape {pose_errors.shape}"
        )
    if scheme is None and isinstance(normalizer, str) and normalizer != "box":
        scheme = get_scheme(np.reshape(y_true, (len(errors), -1, 2)).shape[1])
    return EvaluationReport(
        errors=errors,
        pose_errors=pose_errors,
        subsets={name: _indices(name, members, len(errors)) for name, members in (subsets or {}).items()},
        scheme=None if scheme is None else scheme.name,
        normalizer=normalizer if isinstance(normalizer, str) else "given",
        threshold=threshold,
    )


def compare_reports(reports: Mapping[str, EvaluationReport]) -> str:
    """Several reports on the same images as one table, subset by subset.

    Args:
        reports: Reports by the name of what they report on; at least one.

    Returns:
        An aligned table, with the error and the failure rate in per cent.

    Raises:
        ValueError: If the reports differ in scheme, normaliser, threshold or subsets.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.evaluation import EvaluationReport, compare_reports
        >>> first, second = (EvaluationReport(np.array(e)) for e in ([0.04, 0.12], [0.03, 0.06]))
        >>> print(compare_reports({"MSE": first, "ASM": second}))
        normalized by inter_ocular, threshold 10 %
        subset  model  images  NME %  FR %    AUC
        all     MSE         2   8.00  50.0  0.300
                ASM         2   4.50   0.0  0.550

    See Also:
        - [`evaluate_landmarks`][keras_asm.evaluation.evaluate_landmarks]: makes a report.
        - [`compare_paired`][keras_asm.evaluation.compare_paired]: tells whether the difference is more than
          luck.
    """
    if not reports:
        raise ValueError("At least one report is needed. Received: none")
    first_name, first = next(iter(reports.items()))
    for name, report in reports.items():
        for what, one, other in (
            ("protocol", first.protocol, report.protocol),
            (
                "subsets",
                *({k: v["n_images"] for k, v in r.scores.items()} for r in (first, report)),
            ),
        ):
            if one != other:
                raise ValueError(
                    f"Only reports on the same images can be compared; they differ in their {what}. "
                    f"Received: {first_name!r} {one}, {name!r} {other}"
                )
    with_pose = any(report.pose_errors is not None for report in reports.values())
    rows = [["subset", "model", *_score_header(with_pose)]]
    for subset in first.scores:
        rows += [
            [subset if name == first_name else "", name, *_score_cells(report.scores[subset], with_pose)]
            for name, report in reports.items()
        ]
    return f"{first.protocol}\n{_align(rows, n_names=2)}"


def _indices(name: str, members: Any, n_images: int) -> np.ndarray:
    array = np.asarray(members)
    if name == "all":
        raise ValueError("'all' names all images; give the subset another name. Received: subset 'all'")
    if array.dtype == bool and array.shape == (n_images,):
        array = np.flatnonzero(array)
    if (
        array.ndim != 1
        or array.size == 0
        or not np.issubdtype(array.dtype, np.integer)
        or array.min() < 0
        or array.max() >= n_images
    ):
        raise ValueError(
            f"Subset {name!r} must be a mask of {n_images} images that holds at least one, or their indices "
            f"from 0 to {n_images - 1}. Received: {array.dtype} array of shape {np.shape(members)}"
        )
    return array


def _pose_errors(pose_true: Any, pose_pred: Any) -> np.ndarray:
    """`head_pose_error`, NaN where the true pose is."""
    true = np.asarray(pose_true, dtype=np.float64)
    known = ~np.isnan(true).any(axis=-1, keepdims=True)
    return np.where(known, head_pose_error(np.where(known, true, 0.0), pose_pred), np.nan)


def _score_header(with_pose: bool) -> list[str]:
    """The heads of the columns that `_score_cells` fills."""
    return ["images", "NME %", "FR %", "AUC", *([f"{angle} deg" for angle in ANGLES] if with_pose else [])]


def _score_cells(scores: Mapping[str, float], with_pose: bool) -> list[str]:
    """The summary of one set of images as it is printed."""
    cells = [
        f"{scores['n_images']}",
        f"{100 * scores['nme']:.2f}",
        f"{100 * scores['failure_rate']:.1f}",
        f"{scores['area_under_ced']:.3f}",
    ]
    if with_pose:
        cells += [f"{scores[f'{a}_error']:.2f}" if f"{a}_error" in scores else "-" for a in ANGLES]
    return cells


def _align(rows: Sequence[Sequence[str]], n_names: int) -> str:
    """A table with its first columns flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < n_names else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
