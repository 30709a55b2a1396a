"""The result of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_asm.metrics.errors import ANGLES, area_under_ced, failure_rate


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """Errors of every image, and their summary over all images and over each subset.

    `str(report)` is an aligned table, with the error and the failure rate in per cent.

    Attributes:
        errors: Normalised mean error of each image, a fraction, `(n_images,)`.
        pose_errors: Absolute yaw, pitch and roll errors in degrees, `(n_images, 3)`, or `None`.
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
        errors = self.errors[indices]
        scores: dict[str, float] = {
            "n_images": len(errors),
            "nme": float(errors.mean()),
            "failure_rate": failure_rate(errors, self.threshold),
            "area_under_ced": area_under_ced(errors, self.threshold),
        }
        if self.pose_errors is not None:
            means = self.pose_errors[indices].mean(axis=0)
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
            [name, *score_cells(scores, self.pose_errors is not None)] for name, scores in self.scores.items()
        ]
        header = ["subset", *score_header(self.pose_errors is not None)]
        return f"{self.protocol}\n{align([header, *rows], n_names=1)}"

    @property
    def protocol(self) -> str:
        """What two reports must share to be compared."""
        scheme = "" if self.scheme is None else f"landmark scheme {self.scheme}, "
        return f"{scheme}normalized by {self.normalizer}, threshold {100 * self.threshold:g} %"


def score_header(with_pose: bool) -> list[str]:
    """The heads of the columns that `score_cells` fills."""
    return ["images", "NME %", "FR %", "AUC", *([f"{angle} deg" for angle in ANGLES] if with_pose else [])]


def score_cells(scores: Mapping[str, float], with_pose: bool) -> list[str]:
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


def align(rows: Sequence[Sequence[str]], n_names: int) -> str:
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
