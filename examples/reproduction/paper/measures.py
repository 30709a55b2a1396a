"""What a table says of runs: each measure as the text of its cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_asm.evaluation import compare_paired
from keras_asm.metrics import area_under_ced, failure_rate
from paper.results import Group

__all__ = ["ENOUGH_SEEDS", "NOTHING", "compare", "known_pose", "mean_and_spread", "measure"]

NOTHING = "–"
ENOUGH_SEEDS = 3

_POSE_SUBSETS = {
    "yaw_0_30": "yaw 0-30",
    "yaw_30_60": "30-60",
    "yaw_60_90": "60-90",
    "within_30": "all within 30",
}
_SCORES: dict[str, tuple[Callable[[np.ndarray], float], int]] = {
    "NME %": (lambda errors: 100 * errors.mean(), 2),
    "FR %": (lambda errors: 100 * failure_rate(errors), 1),
    "AUC": (area_under_ced, 3),
}


def mean_and_spread(values: Sequence[float] | np.ndarray, digits: int) -> str:
    """`mean ± standard deviation`, of a sample; the mean alone of a single value."""
    values = np.asarray(values, dtype=np.float64)
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.{digits}f}"


def measure(group: Group, subset: str) -> dict[str, str]:
    """Scores over the seeds of a group on a subset, by the names of their columns."""
    cells = {}
    for name, (score, digits) in _SCORES.items():
        for head, kind in ((name, "nme"), (f"{name}, flip", "nme_flip")):
            errors = group.errors(subset, kind)
            cells[head] = (
                NOTHING if errors is None else mean_and_spread([score(run) for run in errors], digits)
            )
    pose = group.errors(subset, "pose_error")
    angles = [] if pose is None else [*pose.mean(axis=1).T, pose.mean(axis=(1, 2))]
    for i, head in enumerate(("yaw", "pitch", "roll", "pose")):
        cells[head] = mean_and_spread(angles[i], 2) if angles else NOTHING
    detail = group.errors(subset, "detail")
    return {**cells, "detail": NOTHING if detail is None else mean_and_spread(detail, 2)}


def compare(first: Group, second: Group, subset: str) -> dict[str, str]:
    """What the second changes, in percentage points of NME, by the names of their columns."""
    plain, flip = (
        compare_paired(first.errors(subset, kind), second.errors(subset, kind))
        for kind in ("nme", "nme_flip")
    )
    few = " *" if min(plain.n_seeds_a, plain.n_seeds_b) < ENOUGH_SEEDS else ""
    return {
        "difference": f"{100 * plain.difference:+.2f}{few}",
        "relative": NOTHING if plain.relative is None else f"{100 * plain.relative:+.1f} %",
        "p images": _p_value(plain.p_images),
        "p seeds": _p_value(plain.p_seeds),
        "difference, flip": f"{100 * flip.difference:+.2f}{few}",
        "p seeds, flip": _p_value(flip.p_seeds),
    }


def known_pose(group: Group, source: str) -> dict[str, str]:
    """Errors in degrees where the head pose is known, of one of the sources; empty if no run was tested."""
    rows = [row for row in group.results.known_pose if row["run"] in group.names and row["source"] == source]
    if not rows:
        return {}
    subsets: dict[str, list[list[float]]] = {}
    for row in rows:
        subsets.setdefault(row["subset"], []).append([row["yaw"], row["pitch"], row["roll"]])
    faces = {row["subset"]: row["faces"] for row in rows}
    whole = np.array(subsets["within_99"])
    cells = {"seeds": str(len(whole)), f"MAE ({faces['within_99']})": mean_and_spread(whole.mean(axis=1), 2)}
    cells |= {angle: mean_and_spread(whole[:, i], 2) for i, angle in enumerate(("yaw", "pitch", "roll"))}
    for subset, head in _POSE_SUBSETS.items():
        cells[f"{head} ({faces[subset]})"] = mean_and_spread(np.mean(subsets[subset], axis=1), 2)
    return cells


def _p_value(p: float | None) -> str:
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
