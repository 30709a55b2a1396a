"""Scores, settings and times of all runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_asm.metrics.errors import area_under_ced, failure_rate
from paper.groups import DATASETS, Experiment, written
from paper.settings import usual_values
from paper.tables.cells import by_dataset, by_subset, setting_columns, subset_cell
from paper.tables.markdown import Table, mean_and_spread, section


def failures_table(experiments: Sequence[Experiment]) -> str:
    """Failure rate and AUC at 0.1, and what the flip test makes of them."""
    return section(
        "Failure rate and area under the CED",
        "At an error of 0.1, the distance between the outer eye corners being 1. *Flip*: the mean of the predictions "
        "for a face and its mirror image. The caption of the paper's Table 3 announces both scores for WFLW, but we "
        "have not seen their numbers.",
        [_failures(dataset, found) for dataset, found in by_dataset(experiments).items()],
    )


def _failures(dataset: str, experiments: Sequence[Experiment]) -> Table:
    scores: list[tuple[str, Callable[[np.ndarray], float], int]] = [
        ("NME %", lambda errors: 100 * errors.mean(), 2),
        ("FR %", lambda errors: 100 * failure_rate(errors), 1),
        ("AUC", area_under_ced, 3),
    ]
    heads, cells = setting_columns(experiments)
    rows = [
        [subset_cell(subset, n), *cells(experiment), group.network, f"`{group.loss}`", str(len(group.seeds))]
        + [
            mean_and_spread([score(errors) for errors in group.errors(subset, kind)], digits)
            for _, score, digits in scores
            for kind in ("nme", "nme_flip")
        ]
        for subset, found in by_subset(experiments).items()
        for experiment, n in found
        for group in experiment.groups
    ]
    names = [head for name, _, _ in scores for head in (name, f"{name}, flip")]
    return Table(DATASETS[dataset], ["subset", *heads, "network", "loss", "seeds", *names], rows)


def runs_table(experiments: Sequence[Experiment]) -> str:
    """What the recipes are, and what the runs took, and on what."""
    return section(
        "Settings and time",
        "Every run, by its settings. Seconds are those of the training epochs, on a machine that may have done other "
        "work too. What a recipe has where nothing else is said stands in the last table.",
        [
            *(_runs(dataset, found) for dataset, found in by_dataset(experiments).items()),
            _recipe_values(experiments),
        ],
    )


def _runs(dataset: str, experiments: Sequence[Experiment]) -> Table:
    heads, cells = setting_columns(experiments)
    rows = [
        [
            *cells(experiment),
            group.network,
            f"`{group.loss}`",
            ", ".join(map(str, group.seeds)),
            mean_and_spread([record["seconds"] for record in group.records], 0),
            "; ".join(dict.fromkeys(record["device"] for record in group.records)),
        ]
        for experiment in experiments
        for group in experiment.groups
    ]
    records = [record for experiment in experiments for record in experiment.records]
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in record["versions"].items() if name != "backend")
        for record in records
    )
    notes = dict.fromkeys(note for record in records for note in record["data"]["notes"])
    remark = f"Versions: {'; '.join(versions)}." + (f" Data: {'; '.join(notes)}." if notes else "")
    columns = [*heads, "network", "loss", "seeds", "seconds a run", "device"]
    return Table(DATASETS[dataset], columns, rows, remark)


def _recipe_values(experiments: Sequence[Experiment]) -> Table:
    recipes = dict.fromkeys(experiment.setting.values.recipe for experiment in experiments)
    values = {recipe: usual_values(recipe) for recipe in recipes}
    rows = [
        [name.replace("_", " "), *(written(values[recipe][name]) for recipe in recipes)]
        for name in usual_values("paper")
        if any(values[recipe][name] is not None for recipe in recipes)
    ]
    return Table("What a recipe has", ["", *(f"{recipe} recipe" for recipe in recipes)], rows)
