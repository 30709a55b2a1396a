"""Cells and columns that several tables have."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras_asm.evaluation import compare_paired
from paper.groups import BACKENDS, Experiment, RunGroup
from paper.tables.markdown import NOTHING, mean_and_spread

ENOUGH_SEEDS = 3
FEW_SEEDS = f"A star marks an effect with fewer than {ENOUGH_SEEDS} seeds on a side, which says little of other seeds."
P_VALUES = (
    "Differences are in percentage points of NME, negative where the second is better. *p images*: Wilcoxon's "
    "signed-rank test over the test faces, for these very networks. *p seeds*: Welch's test over the seeds, for other "
    "trainings. *Flip*: the mean of the predictions for a face and its mirror image."
)
DETAIL = (
    "*Detail*: how much of what smoothing takes from the true landmarks is in the predictions, as the slope of "
    "P - ASM(P) over G - ASM(G), ASM of 90 % of the variance of the test faces: 1 would be all of it."
)
DIFFERENCE = ("difference", "relative", "p images", "p seeds", "difference, flip", "p seeds, flip")
NO_DIFFERENCE = [NOTHING] * len(DIFFERENCE)


def setting_columns(experiments: Sequence[Experiment]) -> tuple[list[str], Callable[[Experiment], list[str]]]:
    """Heads of columns that tell settings of a data set apart, and what gives their cells."""
    several = len({experiment.setting.backend for experiment in experiments}) > 1

    def cells(experiment: Experiment) -> list[str]:
        setting, values = experiment.setting, experiment.setting.values
        told = ["image_size", "epochs"]
        if values.max_train_faces == setting.n_train:
            told.append("max_train_faces")
        scale = setting.n_train, values.image_size, values.epochs
        return [setting.recipe(told), *map(str, scale), *([BACKENDS[setting.backend]] if several else [])]

    return ["recipe", "faces", "px", "epochs", *(["backend"] if several else [])], cells


def by_dataset(experiments: Sequence[Experiment]) -> dict[str, list[Experiment]]:
    found: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        found.setdefault(experiment.setting.dataset, []).append(experiment)
    return found


def by_subset(experiments: Sequence[Experiment]) -> dict[str, list[tuple[Experiment, int]]]:
    """The experiments that have a subset, each with the number of its faces."""
    found: dict[str, list[tuple[Experiment, int]]] = {}
    for experiment in experiments:
        for subset, n in experiment.setting.subsets:
            found.setdefault(subset, []).append((experiment, n))
    return found


def subset_cell(subset: str, n: int) -> str:
    return f"{subset} ({n})"


def nme(group: RunGroup, subset: str) -> str:
    return mean_and_spread(100 * group.errors(subset).mean(axis=1), 2)


def flip_nme(group: RunGroup, subset: str) -> str:
    return mean_and_spread(100 * group.errors(subset, "nme_flip").mean(axis=1), 2)


def pose_error(group: RunGroup, subset: str) -> str:
    if not group.has(subset, "pose_error"):
        return NOTHING
    return mean_and_spread(group.errors(subset, "pose_error").mean(axis=(1, 2)), 2)


def detail(group: RunGroup, subset: str) -> str:
    if not group.has(subset, "detail"):
        return NOTHING
    return mean_and_spread(group.errors(subset, "detail"), 2)


def starred(group: RunGroup | None, cell: Callable[[RunGroup, str], str], subset: str) -> str:
    """A cell, with a star if it has few seeds."""
    if group is None:
        return NOTHING
    return cell(group, subset) + (" *" if len(group.seeds) < ENOUGH_SEEDS else "")


def difference(first: RunGroup, second: RunGroup, subset: str) -> list[str]:
    """Cells of `DIFFERENCE`."""
    plain, flip = (
        compare_paired(first.errors(subset, kind), second.errors(subset, kind))
        for kind in ("nme", "nme_flip")
    )
    few = " *" if min(plain.n_seeds_a, plain.n_seeds_b) < ENOUGH_SEEDS else ""
    return [
        f"{100 * plain.difference:+.2f}{few}",
        NOTHING if plain.relative is None else f"{100 * plain.relative:+.1f} %",
        _p_value(plain.p_images),
        _p_value(plain.p_seeds),
        f"{100 * flip.difference:+.2f}{few}",
        _p_value(flip.p_seeds),
    ]


def _p_value(p: float | None) -> str:
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"
