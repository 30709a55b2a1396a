"""Tables of finished runs beside the paper's, as Markdown. A table for which there are no runs is an empty text."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm import model_cost
from keras_asm.evaluation import compare_paired
from keras_asm.metrics.functional import ANGLES, area_under_ced, failure_rate
from paper import numbers
from paper.groups import BACKENDS, DATASETS, Experiment, RunGroup, written
from paper.markdown import NOTHING, Table, join, mean_and_spread, section
from paper.settings import MODELS, NETWORKS, RECIPES, LossSetting, usual_values

ENOUGH_SEEDS = 3
PRINTED = "as the paper printed it"
CONTROL = "asm,accuracy=none,limit=none"

_PAPER_NME = {"300w": numbers.NME_300W, "wflw": numbers.NME_WFLW}
_PAPER_SIZE = RECIPES["paper"]["image_size"]
_N_LANDMARKS = {"wflw": 98}  # 68 elsewhere

_FEW_SEEDS = f"A star marks an effect with fewer than {ENOUGH_SEEDS} seeds on a side, which says little of other seeds."
_P_VALUES = (
    "Differences are in percentage points of NME, negative where the second is better. *p images*: Wilcoxon's "
    "signed-rank test over the test faces, for these very networks. *p seeds*: Welch's test over the seeds, for other "
    "trainings. *Flip*: the mean of the predictions for a face and its mirror image."
)
_DETAIL = (
    "*Detail*: how much of what smoothing takes from the true landmarks is in the predictions, as the slope of "
    "P - ASM(P) over G - ASM(G), ASM of 90 % of the variance of the test faces: 1 would be all of it."
)


# --- the tables of the page


def errors_table(experiments: Sequence[Experiment]) -> str:
    """NME of the paper's four models by subset, a section for each data set."""
    return join(
        section(
            f"{_paper_number(_PAPER_NME.get(dataset))}normalised mean error on {DATASETS[dataset]}",
            "Mean error in % of the distance between the outer eye corners, mean ± standard deviation over the seeds; "
            f"a star marks fewer than {ENOUGH_SEEDS}. A row is a setting, and only numbers within a row can be "
            "compared." + _about_the_paper(dataset),
            [_errors(dataset, found)],
        )
        for dataset, found in _by_dataset(experiments).items()
    )


def _errors(dataset: str, experiments: Sequence[Experiment]) -> Table:
    models = [name for name in MODELS if any(name in experiment.models for experiment in experiments)]
    heads, cells = _settings(experiments)
    rows = []
    for subset, found in _by_subset(experiments).items():
        printed = [_printed(_paper_nme(dataset, name, subset)) for name in models]
        if set(printed) - {NOTHING}:
            rows.append([_paper_faces(dataset, subset), *_paper_setting(dataset, heads), *printed])
        for experiment, n in found:
            ours = [_few(experiment.models.get(name), _nme, subset) for name in models]
            if experiment.models:
                rows.append([_faces(subset, n), *cells(experiment), *ours])
    return Table("", ["subset", *heads, *models], rows)


def effect_table(experiments: Sequence[Experiment]) -> str:
    """What the assisted loss changes in each of the two networks."""
    caption = f"{_P_VALUES} {_FEW_SEEDS}"
    if any(experiment.setting.dataset in _PAPER_NME for experiment in experiments):
        caption += " The paper's effects are the differences of its Tables 2 and 3, which print no spread."
    return section(
        "Table 7 (paper): the effect of the assisted loss",
        caption,
        [_effects(dataset, found) for dataset, found in _by_dataset(experiments).items()],
    )


def _effects(dataset: str, experiments: Sequence[Experiment]) -> Table:
    heads, cells = _settings(experiments)
    rows = []
    for subset, found in _by_subset(experiments).items():
        for network, names in numbers.LOSS_PAIRS.items():
            ours = [
                [_faces(subset, n), network, *cells(experiment), *_effect(*pair, subset)]
                for experiment, n in found
                if None not in (pair := [experiment.models.get(name) for name in names])
            ]
            before, after = (_paper_nme(dataset, name, subset) for name in names)
            if ours and before is not None and after is not None:
                printed = [NOTHING, _printed(before), _printed(after), f"{after - before:+.2f}"]
                printed += [f"{100 * (after - before) / before:+.1f} %", *_NO_DIFFERENCE[2:]]
                rows.append(
                    [_paper_faces(dataset, subset), network, *_paper_setting(dataset, heads), *printed]
                )
            rows += ours
    columns = ["subset", "network", *heads, "seeds", "plain", "assisted", *_DIFFERENCE]
    return Table(DATASETS[dataset], columns, rows)


def _effect(plain: RunGroup, assisted: RunGroup, subset: str) -> list[str]:
    seeds = f"{len(plain.seeds)} and {len(assisted.seeds)}"
    return [seeds, _nme(plain, subset), _nme(assisted, subset), *_difference(plain, assisted, subset)]


def failures_table(experiments: Sequence[Experiment]) -> str:
    """Failure rate and AUC at 0.1, and what the flip test makes of them."""
    return section(
        "Failure rate and area under the CED",
        "At an error of 0.1, the distance between the outer eye corners being 1. *Flip*: the mean of the predictions "
        "for a face and its mirror image. The caption of the paper's Table 3 announces both scores for WFLW, but we "
        "have not seen their numbers.",
        [_failures(dataset, found) for dataset, found in _by_dataset(experiments).items()],
    )


def _failures(dataset: str, experiments: Sequence[Experiment]) -> Table:
    scores: list[tuple[str, Callable[[np.ndarray], float], int]] = [
        ("NME %", lambda errors: 100 * errors.mean(), 2),
        ("FR %", lambda errors: 100 * failure_rate(errors), 1),
        ("AUC", area_under_ced, 3),
    ]
    heads, cells = _settings(experiments)
    rows = [
        [_faces(subset, n), *cells(experiment), group.network, f"`{group.loss}`", str(len(group.seeds))]
        + [
            mean_and_spread([score(errors) for errors in group.errors(subset, kind)], digits)
            for _, score, digits in scores
            for kind in ("nme", "nme_flip")
        ]
        for subset, found in _by_subset(experiments).items()
        for experiment, n in found
        for group in experiment.groups
    ]
    names = [head for name, _, _ in scores for head in (name, f"{name}, flip")]
    return Table(DATASETS[dataset], ["subset", *heads, "network", "loss", "seeds", *names], rows)


def sizes_table(experiments: Sequence[Experiment]) -> str:
    """Parameters and multiply-adds of the two networks at width 1."""
    rows: dict[tuple[str, str, bool], list[str]] = {}
    for experiment in experiments:
        values = experiment.setting.values
        for group in experiment.groups:
            with_pose = group.records[0]["data"]["pose"] and values.pose_weight > 0
            key = experiment.setting.dataset, group.network, with_pose
            if values.width_multiplier == 1.0 and key not in rows:
                rows[key] = _size(*key, group.records[0]["model"])
    columns = ["network", "parameters", "paper", "multiply-adds", "FLOPs", "paper, FLOPs"]
    tables = [
        Table(
            f"{DATASETS[dataset]}, width 1", columns, [row for key, row in rows.items() if key[0] == dataset]
        )
        for dataset in _by_dataset(experiments)
    ]
    return section(
        "Table 1 (paper): parameters and multiply-adds",
        f"At {_PAPER_SIZE} px. FLOPs count two for each multiply-add, as the paper's do. The paper's errors in this "
        "table are those of its Tables 2 and 3.",
        tables,
    )


def _size(dataset: str, network: str, with_pose: bool, model: dict[str, int]) -> list[str]:
    at_paper_size = _multiply_adds(network, _PAPER_SIZE, _N_LANDMARKS.get(dataset, 68), with_pose)
    return [
        network if with_pose else f"{network} without a pose head",
        f"{model['parameters'] / 1e6:.3f} M",
        f"{_printed(numbers.n_parameters(network))} M",
        f"{at_paper_size / 1e6:.1f} M",
        f"{2 * at_paper_size / 1e9:.2f} B",
        f"{_printed(numbers.SIZE_AND_ERROR.value(network, 'flops'))} B",
    ]


@functools.cache
def _multiply_adds(network: str, image_size: int, n_landmarks: int, with_pose: bool) -> int:
    shape = (image_size, image_size, 3)
    model = NETWORKS[network](input_shape=shape, n_landmarks=n_landmarks, include_pose=with_pose)
    return model_cost(model).multiply_adds


def pose_table(experiments: Sequence[Experiment]) -> str:
    """Mean absolute errors of the head pose."""
    return section(
        "Table 4 (paper): head pose",
        "Mean absolute error in degrees against the labels of the data set; those of 300W come from a teacher network, "
        "so that they measure agreement with it; the paper's teacher was HopeNet. It does not say on which of the test "
        "sets of 300W it measured.",
        [_pose(dataset, found) for dataset, found in _by_dataset(experiments).items()],
    )


def _pose(dataset: str, experiments: Sequence[Experiment]) -> Table:
    heads, cells = _settings(experiments)
    names = [name for name in MODELS if any(name in experiment.models for experiment in experiments)]
    printed = {name: numbers.pose_mae(name, dataset) for name in names if dataset in _PAPER_NME}
    rows = [
        [NOTHING, *_paper_setting(dataset, heads), name, NOTHING, *map(_printed, angles)]
        for name, angles in printed.items()
    ]
    for subset, found in _by_subset(experiments).items():
        for experiment, n in found:
            for name, group in experiment.models.items():
                if group.has(subset, "pose_error"):
                    ours = group.errors(subset, "pose_error").mean(axis=1).T
                    row = [_faces(subset, n), *cells(experiment), name, str(len(group.seeds))]
                    rows.append([*row, *(mean_and_spread(angle, 2) for angle in ours)])
    columns = ["subset", *heads, "model", "seeds", *ANGLES]
    return Table(DATASETS[dataset], columns, rows if len(rows) > len(printed) else [])


def known_pose_table(experiments: Sequence[Experiment]) -> str:
    """Mean absolute errors of the head pose on AFLW2000-3D, where it is known."""
    return section(
        "Head pose on AFLW2000-3D",
        "Mean absolute error in degrees against the true pose; faces within +-99 degrees, and their mean of the three "
        "angles by the size of the yaw and where no angle is over 30. The networks have seen no face of it. The last "
        "row is the geometric teacher on the landmarks of the data set.",
        [
            _known_pose(experiments, "network", "By the network's pose output"),
            _known_pose(
                experiments, "landmarks", "By the geometric teacher on the landmarks that the network finds"
            ),
        ],
    )


_POSE_SUBSETS = {
    "yaw_0_30": "yaw 0-30",
    "yaw_30_60": "30-60",
    "yaw_60_90": "60-90",
    "within_30": "all within 30",
}


def _known_pose(experiments: Sequence[Experiment], source: str, label: str) -> Table:
    tests = [
        (experiment, group, found)
        for experiment in experiments
        for group in experiment.groups
        if (found := _pose_tests(group, source))
    ]
    heads, cells = _settings([experiment for experiment, *_ in tests])
    rows = [
        [
            *cells(experiment),
            group.network,
            f"`{group.loss}`",
            str(len(found)),
            *_known_pose_cells(found, source),
        ]
        for experiment, group, found in tests
    ]
    if not rows:
        return Table(label, [], [])
    *_, (any_test, *_) = tests[0]
    nothing = [NOTHING] * (len(heads) + 2)
    rows.append(["annotated landmarks", *nothing, *_known_pose_cells([any_test], "annotated")])
    columns = [*heads, "network", "loss", "seeds", f"MAE ({any_test['within_99']['faces']})", *ANGLES]
    columns += [f"{name} ({any_test[subset]['faces']})" for subset, name in _POSE_SUBSETS.items()]
    return Table(label, columns, rows)


def _pose_tests(group: RunGroup, source: str) -> list[dict[str, Any]]:
    tests = [record["pose_test"] for record in group.records if "pose_test" in record]
    return [test for test in tests if source in test["within_99"]]


def _known_pose_cells(tests: Sequence[dict[str, Any]], source: str) -> list[str]:
    """Over the runs, the mean of the angles, each angle, and the mean of the angles in each subset."""
    errors = {subset: np.array([test[subset][source] for test in tests]) for subset in tests[0]}
    values = [errors["within_99"].mean(axis=1), *errors["within_99"].T]
    values += [errors[subset].mean(axis=1) for subset in _POSE_SUBSETS]
    return [mean_and_spread(value, 2) for value in values]


def losses_table(experiments: Sequence[Experiment]) -> str:
    """Every loss that a network was trained with."""
    caption = (
        "On the largest test set. *Components*: of the shape model. *ASM(G)*: its mean distance from the true "
        "landmarks of the training faces, as an NME in %, before any training; of the most accurate shape model where "
        "accuracies follow one another. *Pose*: mean error of the three angles in degrees, against the labels. "
        f"{_DETAIL} {_P_VALUES} Here the second is the row's loss and the first the plain loss over the same base; of "
        f"a plain loss, the plain squared error. {_FEW_SEEDS}"
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
                _seeds(group),
                NOTHING if shape_model is None else str(shape_model["n_components"]),
                NOTHING if shape_model is None else f"{100 * shape_model['train_nme']:.2f}",
                _nme(group, subset),
                _flip_nme(group, subset),
                _pose_error(group, subset),
                _detail(group, subset),
                *(_NO_DIFFERENCE if plain in (None, group) else _difference(plain, group, subset)),
            ]
        )
    n = dict(experiment.setting.subsets)[subset]
    columns = [
        "network",
        "loss",
        "seeds",
        "components",
        "ASM(G)",
        f"NME %, {_faces(subset, n)}",
        "NME %, flip",
        "pose",
        "detail",
        *_DIFFERENCE,
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
        f"the labels. {_P_VALUES} Here the first is the first row. {_FEW_SEEDS}",
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
                _seeds(group),
                _nme(group, subset),
                _flip_nme(group, subset),
                _pose_error(group, subset),
                *(_NO_DIFFERENCE if group is first else _difference(first, group, subset)),
            ]
        )
    n = dict(setting.subsets)[subset]
    columns = [name.replace("_", " ") for name in differ]
    columns += ["seeds", f"NME %, {_faces(subset, n)}", "NME %, flip", "pose", *_DIFFERENCE]
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
        f"{_DETAIL}",
        [_scaling(found) for found in kinds.values() if len({_scale(e) for e, _ in found}) > 1],
    )


_MAY_DIFFER = {
    "extra_dataset": None,
    "weights": None,
    "learning_rate": 0.0,
    "pose_base": "",
    "batch_norm_momentum": 0.0,
}
_NO_SCALE = {"image_size": 0, "epochs": 0, "max_train_faces": None, **_MAY_DIFFER}
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
                _seeds(group),
                _nme(group, subset),
                _flip_nme(group, subset),
                _pose_error(group, subset),
                _detail(group, subset),
                mean_and_spread([record["seconds"] for record in group.records], 0),
            ]
        )
    columns = ["images", "epochs", "faces", "steps", *(name.replace("_", " ") for name in differ), "seeds"]
    columns += [f"NME %, {_faces(subset, dict(setting.subsets)[subset])}", "NME %, flip"]
    columns += ["pose", "detail", "seconds a run"]
    _, group = found[0]
    label = (
        f"{DATASETS[setting.dataset]}, {group.network}, `{group.loss}`: recipe {setting.recipe(_NO_SCALE)}, "
        f"{BACKENDS[setting.backend]}"
    )
    return Table(label, columns, rows)


def runs_table(experiments: Sequence[Experiment]) -> str:
    """What the recipes are, and what the runs took, and on what."""
    return section(
        "Settings and time",
        "Every run, by its settings. Seconds are those of the training epochs, on a machine that may have done other "
        "work too. What a recipe has where nothing else is said stands in the last table.",
        [
            *(_runs(dataset, found) for dataset, found in _by_dataset(experiments).items()),
            _recipe_values(experiments),
        ],
    )


def _runs(dataset: str, experiments: Sequence[Experiment]) -> Table:
    heads, cells = _settings(experiments)
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


# --- methods that are no networks


def read_peers(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """What `peers.py` left below the folders; other files are passed over."""
    files = sorted(path for folder in folders for path in folder.rglob("*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return [
        record for record in records if isinstance(record, dict) and {"method", "scores"} <= record.keys()
    ]


def peers_table(peers: Sequence[dict[str, Any]]) -> str:
    """Scores and costs of methods that are no networks, a table for each set of crops."""
    by_faces: dict[str, list[dict[str, Any]]] = {}
    for record in peers:
        by_faces.setdefault(_crops(record.get("faces", {})), []).append(record)
    columns = [
        "method",
        "image size",
        "epochs",
        "NME %",
        "FR %",
        "AUC",
        "size",
        "a face",
        "training",
        "device",
    ]
    tables = [
        Table(
            label,
            columns,
            [_peer(record) for record in sorted(found, key=lambda record: -record["scores"].get("nme", 0))],
        )
        for label, found in by_faces.items()
    ]
    return section(
        "Beside methods that are no networks",
        "One training of each, measured by `examples/peers.py`, one face at a time; what the methods are stands there. "
        "Times are processor times on one core, but the training of networks is by the clock. The ridge cascade always "
        "averages over the mirror image, as the flip test does.",
        tables,
    )


def _crops(faces: dict[str, Any]) -> str:
    dataset = faces.get("dataset", "unknown faces")
    counts = [f"{faces[part]} {part} faces" for part in ("train", "test") if part in faces]
    return ", ".join([DATASETS.get(dataset, dataset), *counts]).replace("train faces", "training faces")


def _peer(record: dict[str, Any]) -> list[str]:
    def scaled(values: dict[str, Any], name: str, factor: float, digits: int, unit: str = "") -> str:
        return f"{factor * values[name]:.{digits}f}{unit}" if name in values else NOTHING

    scores = record["scores"]
    return [
        record["method"],
        scaled(record.get("faces", {}), "image_size", 1, 0, " px"),
        scaled(record.get("settings", {}), "epochs", 1, 0),
        scaled(scores, "nme", 100, 2),
        scaled(scores, "failure_rate", 100, 1),
        scaled(scores, "area_under_ced", 1, 3),
        scaled(record, "model_bytes", 1e-6, 3, " MB"),
        scaled(record, "milliseconds_per_face", 1, 1, " ms"),
        scaled(record, "training_seconds", 1, 0, " s"),
        record.get("device", NOTHING),
    ]


# --- all of them

BLOCKS: dict[str, Callable[[Sequence[Experiment]], str]] = {
    "sizes": sizes_table,
    "errors": errors_table,
    "pose": pose_table,
    "effect": effect_table,
    "failures": failures_table,
    "known_pose": known_pose_table,
    "losses": losses_table,
    "recipes": recipes_table,
    "scaling": scaling_table,
    "runs": runs_table,
}
"""What makes each block of a page from the runs, by the block's name; `peers` is the block that it lacks."""


def make_blocks(experiments: Sequence[Experiment], peers: Sequence[dict[str, Any]] = ()) -> dict[str, str]:
    """The text of every block, empty where there is nothing to tell."""
    return {**{name: make(experiments) for name, make in BLOCKS.items()}, "peers": peers_table(peers)}


# --- what they share


_DIFFERENCE = ("difference", "relative", "p images", "p seeds", "difference, flip", "p seeds, flip")
_NO_DIFFERENCE = [NOTHING] * len(_DIFFERENCE)


def _difference(first: RunGroup, second: RunGroup, subset: str) -> list[str]:
    """Cells of `_DIFFERENCE`."""
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


def _nme(group: RunGroup, subset: str) -> str:
    return mean_and_spread(100 * group.errors(subset).mean(axis=1), 2)


def _pose_error(group: RunGroup, subset: str) -> str:
    if not group.has(subset, "pose_error"):
        return NOTHING
    return mean_and_spread(group.errors(subset, "pose_error").mean(axis=(1, 2)), 2)


def _detail(group: RunGroup, subset: str) -> str:
    if not group.has(subset, "detail"):
        return NOTHING
    return mean_and_spread(group.errors(subset, "detail"), 2)


def _flip_nme(group: RunGroup, subset: str) -> str:
    return mean_and_spread(100 * group.errors(subset, "nme_flip").mean(axis=1), 2)


def _seeds(group: RunGroup) -> str:
    return f"{len(group.seeds)} seed{'s' if len(group.seeds) > 1 else ''}"


def _paper_faces(dataset: str, subset: str) -> str:
    n = numbers.N_TEST_FACES[dataset].get(subset)
    return subset if n is None else _faces(subset, n)


def _few(group: RunGroup | None, cell: Callable[[RunGroup, str], str], subset: str) -> str:
    """A cell, with a star if it has few seeds."""
    if group is None:
        return NOTHING
    return cell(group, subset) + (" *" if len(group.seeds) < ENOUGH_SEEDS else "")


def _faces(subset: str, n: int) -> str:
    return f"{subset} ({n})"


def _printed(value: float | None) -> str:
    """A number of the paper, with the decimals that it prints: two, once three."""
    if value is None:
        return NOTHING
    return f"{value:.2f}" if value == round(value, 2) else f"{value:g}"


def _paper_nme(dataset: str, model: str, subset: str) -> float | None:
    table = _PAPER_NME.get(dataset)
    return table.value(model, subset) if table is not None and subset in table.columns else None


def _paper_number(table: numbers.PaperTable | None) -> str:
    return "" if table is None else f"Table {table.number} (paper): "


def _about_the_paper(dataset: str) -> str:
    if dataset not in _PAPER_NME:
        return ""
    recipe = RECIPES["paper"]
    return (
        f" The paper trained on {numbers.N_TRAINING_FACES[dataset]} faces, at {recipe['image_size']} px, for "
        f"{recipe['epochs']} epochs with batches of {recipe['batch_size']}."
    )


def _by_dataset(experiments: Sequence[Experiment]) -> dict[str, list[Experiment]]:
    found: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        found.setdefault(experiment.setting.dataset, []).append(experiment)
    return found


def _by_subset(experiments: Sequence[Experiment]) -> dict[str, list[tuple[Experiment, int]]]:
    """The experiments that have a subset, each with the number of its faces."""
    found: dict[str, list[tuple[Experiment, int]]] = {}
    for experiment in experiments:
        for subset, n in experiment.setting.subsets:
            found.setdefault(subset, []).append((experiment, n))
    return found


def _settings(experiments: Sequence[Experiment]) -> tuple[list[str], Callable[[Experiment], list[str]]]:
    """Heads of columns that tell settings of a data set apart, and what gives their cells."""
    several = len({experiment.setting.backend for experiment in experiments}) > 1

    def cells(experiment: Experiment) -> list[str]:
        setting, values = experiment.setting, experiment.setting.values
        told = {
            "image_size",
            "epochs",
            *(["max_train_faces"] if values.max_train_faces == setting.n_train else []),
        }
        scale = setting.n_train, values.image_size, values.epochs
        return [setting.recipe(told), *map(str, scale), *([BACKENDS[setting.backend]] if several else [])]

    return ["recipe", "faces", "px", "epochs", *(["backend"] if several else [])], cells


def _paper_setting(dataset: str, heads: Sequence[str]) -> list[str]:
    """Cells of `_settings` for the numbers that the paper printed."""
    recipe = RECIPES["paper"]
    scale = numbers.N_TRAINING_FACES[dataset], recipe["image_size"], recipe["epochs"]
    return [PRINTED, *map(str, scale), *[NOTHING] * (len(heads) - 4)]
