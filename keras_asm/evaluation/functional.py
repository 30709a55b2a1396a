"""Evaluating predictions and comparing the results."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_asm.evaluation.evaluation_report import EvaluationReport, align, score_cells, score_header
from keras_asm.landmarks import LandmarkScheme, get_scheme
from keras_asm.metrics.errors import head_pose_error, normalized_mean_error


def evaluate_landmarks(
    y_true: Any,
    y_pred: Any,
    scheme: str | int | LandmarkScheme | None = None,
    normalizer: Any = "inter_ocular",
    pose_true: Any = None,
    pose_pred: Any = None,
    subsets: Mapping[str, Any] | None = None,
    threshold: float = 0.1,
) -> EvaluationReport:
    """Normalised error, failure rate, area under the CED and head-pose error of a set of predictions.

    Args:
        y_true: True landmarks, `(n_images, n_landmarks, 2)` or `(n_images, 2 * n_landmarks)`.
        y_pred: Predicted landmarks, in either layout and the same unit.
        scheme: Landmark scheme. By default the known scheme of that number of landmarks; `"box"` and a
            given distance need none.
        normalizer: `"inter_ocular"`, `"inter_pupil"`, `"box"`, or the distances, as in
            `normalized_mean_error`.
        pose_true: True yaw, pitch and roll in degrees, `(n_images, 3)`; given with `pose_pred` or not at
            all.
        pose_pred: Predicted angles, likewise.
        subsets: For each name the images that belong to it: a boolean mask `(n_images,)` or indices.
            All images together are reported as `"all"` in any case.
        threshold: Of the failure rate and of the area under the CED; 0.1 by default.

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
    """
    if scheme is not None:
        scheme = get_scheme(scheme)
    errors = normalized_mean_error(y_true, y_pred, scheme, normalizer)
    if errors.ndim != 1:
        raise ValueError(
            "Landmarks must be those of a set of images: (n_images, n_landmarks, 2) or "
            f"(n_images, 2 * n_landmarks). Received: shape {np.shape(y_true)}"
        )
    if (pose_true is None) != (pose_pred is None):
        missing = "pose_true" if pose_true is None else "pose_pred"
        raise ValueError(f"pose_true and pose_pred must be given together. Received: no {missing}")
    pose_errors = None if pose_true is None else head_pose_error(pose_true, pose_pred)
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
    rows = [["subset", "model", *score_header(with_pose)]]
    for subset in first.scores:
        rows += [
            [subset if name == first_name else "", name, *score_cells(report.scores[subset], with_pose)]
            for name, report in reports.items()
        ]
    return f"{first.protocol}\n{align(rows, n_names=2)}"


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
