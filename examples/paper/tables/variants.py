"""What losses, recipes, faces, pixels and epochs bring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from paper.groups import BACKENDS, DATASETS, Experiment, RunGroup, written
from paper.settings import LossSetting, usual_values
from paper.tables.cells import (
    DETAIL,
    DIFFERENCE,
    FEW_SEEDS,
    NO_DIFFERENCE,
    P_VALUES,
    detail,
    difference,
    flip_nme,
    nme,
    pose_error,
    subset_cell,
)
from paper.tables.markdown import NOTHING, Table, mean_and_spread, section

CONTROL = "asm,accuracy=none,limit=none"


def losses_table(experiments: Sequence[Experiment]) -> str:
    """Every loss that a network was trained with."""
    caption = (
        "On the largest test set. *Components*: of the shape model. *ASM(G)*: its mean distance from the true "
        "landmarks of the training faces, as an NME in %, before any training; of the most accurate shape model where "
        "accuracies follow one another. *Pose*: mean error of the three angles in degrees, against the labels. "
        f"{DETAIL} {P_VALUES} Here the second is the row's loss and the first the plain loss over the same base; of "
        f"a plain loss, the plain squared error. {FEW_SEEDS}"
    )
    if any(group.loss == CONTROL for experiment in experiments for group in experiment.groups):
        caption += (
            f" `{CONTROL}` is a control: its shape model keeps everything, so that ASM(G) is G and the loss is the "
            "plain one times 1 + alpha. It has the assisted loss's scale and nothing else of it; `normalize=yes` takes "
            "that scale away."
        )
    return section("Variants of the loss", caption, [_losses(experiment) for experiment in experiments])


def _losses(experiment: Experiment) -> Table:
    subset = experiment.setting.main_subset
    rows = []
    for group in experiment.groups:
        if not any(g.network == group.network and g.loss != group.loss for g in experiment.groups):
            continue
        loss = LossSetting.parse(group.loss)
        base = str(LossSetting(assisted=False, base=loss.base)) if loss.assisted else "plain"
        plain = experiment.find(group.network, base)
        shape_model = group.records[0]["shape_model"]
        rows.append(
            [
                group.network,
                f"`{group.loss}`",
                str(len(group.seeds)),
                NOTHING if shape_model is None else str(shape_model["n_components"]),
                NOTHING if shape_model is None else f"{100 * shape_model['train_nme']:.2f}",
                nme(group, subset),
                flip_nme(group, subset),
                pose_error(group, subset),
                detail(group, subset),
                *(NO_DIFFERENCE if plain in (None, group) else difference(plain, group, subset)),
            ]
        )
    n = dict(experiment.setting.subsets)[subset]
    columns = [
        "network",
        "loss",
        "seeds",
        "components",
        "ASM(G)",
        f"NME %, {subset_cell(subset, n)}",
        "NME %, flip",
        "pose",
        "detail",
        *DIFFERENCE,
    ]
    return Table(experiment.label, columns, rows)


def recipes_table(experiments: Sequence[Experiment]) -> str:
    """What the parts of a recipe bring to the plain loss, at equal faces, image size and epochs."""
    kinds: dict[tuple[Any, ...], list[tuple[Experiment, RunGroup]]] = {}
    for experiment in experiments:
        setting, values = experiment.setting, experiment.setting.values
        for group in experiment.groups:
            if group.loss.startswith("plain"):
                faces = setting.dataset, setting.n_train, values.label_noise, setting.subsets
                key = group.network, *faces, values.image_size, values.epochs, setting.backend
                kinds.setdefault(key, []).append((experiment, group))
    return section(
        "Recipes and their parts",
        "Networks trained on the same faces, at the same image size and for as many epochs, without the assisted "
        "loss. Where runs differ, a column says in what. *Pose*: mean error of the three angles in degrees, against "
        f"the labels. {P_VALUES} Here the first is the first row. {FEW_SEEDS}",
        [_recipes(found) for found in kinds.values() if len(found) > 1],
    )


def _recipes(found: Sequence[tuple[Experiment, RunGroup]]) -> Table:
    setting = found[0][0].setting
    subset = setting.main_subset
    found = sorted(found, key=lambda pair: -pair[1].errors(subset).mean())
    options = [
        {"loss": f"`{group.loss}`"}
        | {name: getattr(experiment.setting.values, name) for name in usual_values("paper")}
        for experiment, group in found
    ]
    differ = [name for name in options[0] if len({option[name] for option in options}) > 1]
    first = found[0][1]
    rows = []
    for option, (_, group) in zip(options, found, strict=True):
        rows.append(
            [
                *(NOTHING if option[name] is None else written(option[name]) for name in differ),
                str(len(group.seeds)),
                nme(group, subset),
                flip_nme(group, subset),
                pose_error(group, subset),
                *(NO_DIFFERENCE if group is first else difference(first, group, subset)),
            ]
        )
    n = dict(setting.subsets)[subset]
    columns = [name.replace("_", " ") for name in differ]
    columns += ["seeds", f"NME %, {subset_cell(subset, n)}", "NME %, flip", "pose", *DIFFERENCE]
    values = setting.values
    label = (
        f"{DATASETS[setting.dataset]}, {first.network}: {values.image_size} px, {values.epochs} epochs, "
        f"{setting.n_train} training faces, {BACKENDS[setting.backend]}"
    )
    return Table(label, columns, rows)


def scaling_table(experiments: Sequence[Experiment]) -> str:
    """What more faces, pixels and epochs bring to the plain loss, all else being equal."""
    kinds: dict[tuple[Any, ...], list[tuple[Experiment, RunGroup]]] = {}
    for experiment in experiments:
        setting = experiment.setting
        rest = replace(setting.values, **_NO_SCALE)
        for group in experiment.groups:
            if group.loss.startswith("plain"):
                key = rest, group.network, group.loss, setting.subsets, setting.backend
                kinds.setdefault(key, []).append((experiment, group))
    return section(
        "Faces, pixels and epochs",
        "The same network, loss and recipe with more of each. Where runs differ otherwise, a column says in what. "
        "*Steps*: batches in the whole run. *Pose*: mean error of the three angles in degrees, against the labels. "
        f"{DETAIL}",
        [_scaling(found) for found in kinds.values() if len({_scale(e) for e, _ in found}) > 1],
    )


_MAY_DIFFER: dict[str, Any] = {
    "extra_dataset": None,
    "weights": None,
    "learning_rate": 0.0,
    "pose_base": "",
    "batch_norm_momentum": 0.0,
}
_NO_SCALE: dict[str, Any] = {"image_size": 0, "epochs": 0, "max_train_faces": None, **_MAY_DIFFER}
"""Where the rows of a table of `scaling_table` may differ: its scale, and what has a column if it differs."""


def _scale(experiment: Experiment) -> tuple[int, int, int]:
    setting = experiment.setting
    return setting.values.image_size, setting.values.epochs, setting.n_train


def _scaling(found: Sequence[tuple[Experiment, RunGroup]]) -> Table:
    setting = found[0][0].setting
    subset = setting.main_subset
    found = sorted(found, key=lambda pair: -pair[1].errors(subset).mean())
    differ = [
        name
        for name in _MAY_DIFFER
        if len({getattr(experiment.setting.values, name) for experiment, _ in found}) > 1
    ]
    rows = []
    for experiment, group in found:
        values, n_train = experiment.setting.values, experiment.setting.n_train
        options = [getattr(values, name) for name in differ]
        rows.append(
            [
                f"{values.image_size} px",
                str(values.epochs),
                str(n_train),
                str(values.epochs * math.ceil(n_train / values.batch_size)),
                *(NOTHING if option is None else written(option) for option in options),
                str(len(group.seeds)),
                nme(group, subset),
                flip_nme(group, subset),
                pose_error(group, subset),
                detail(group, subset),
                mean_and_spread([record["seconds"] for record in group.records], 0),
            ]
        )
    columns = ["images", "epochs", "faces", "steps", *(name.replace("_", " ") for name in differ), "seeds"]
    columns += [f"NME %, {subset_cell(subset, dict(setting.subsets)[subset])}", "NME %, flip"]
    columns += ["pose", "detail", "seconds a run"]
    _, group = found[0]
    label = (
        f"{DATASETS[setting.dataset]}, {group.network}, `{group.loss}`: recipe {setting.recipe(_NO_SCALE)}, "
        f"{BACKENDS[setting.backend]}"
    )
    return Table(label, columns, rows)
