"""Tables of finished runs beside the paper's, as Markdown. A table for which there are no runs is an empty text."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm import model_cost
from keras_asm.evaluation import compare_paired
from keras_asm.metrics.functional import ANGLES, area_under_ced, failure_rate
from paper import numbers
from paper.groups import BACKENDS, DATASETS, Experiment, RunGroup
from paper.settings import MODELS, NETWORKS, RECIPES, LossSetting, usual_values

NOTHING = "–"
ENOUGH_SEEDS = 3
CONTROL = "asm,accuracy=none,limit=none"

_NUMBER = re.compile(r"–|(< |[+-])?\d[\d.]*( ± [\d.]+)?( ?[*%]| [a-zA-Z]{1,2})?")

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


@dataclass(frozen=True)
class Table:
    """A table and what stands above and below it.

    Attributes:
        label: the setting of its runs.
        columns: their heads.
        rows: of cells.
        remark: below it.
    """

    label: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remark: str = ""

    def __str__(self) -> str:
        """Aligned Markdown, columns of numbers to the right."""
        columns = list(zip(self.columns, *self.rows, strict=True))
        widths = [max(3, *map(len, column)) for column in columns]
        right = [all(_NUMBER.fullmatch(cell) for cell in column[1:]) for column in columns]

        def line(cells: Sequence[str]) -> str:
            padded = (
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(cells, widths, right, strict=True)
            )
            return f"| {' | '.join(padded)} |"

        rule = ["-" * (width - 1) + (":" if r else "-") for width, r in zip(widths, right, strict=True)]
        text = "\n".join([line(self.columns), line(rule), *map(line, self.rows)])
        return "\n\n".join(part for part in (f"**{self.label}**", text, self.remark) if part)


# --- the tables of the page


def errors_table(experiments: Sequence[Experiment]) -> str:
    """NME of the paper's four models by subset, a section for each data set."""
    return _join(
        _section(
            f"{_paper_number(_PAPER_NME.get(dataset))}normalised mean error on {DATASETS[dataset]}",
            "Mean error in % of the distance between the outer eye corners, mean ± standard deviation over the seeds."
            + _about_the_paper(dataset),
            [_errors(experiment) for experiment in found],
        )
        for dataset, found in _by_dataset(experiments).items()
    )


def _errors(experiment: Experiment) -> Table:
    dataset = experiment.setting.dataset
    in_paper = dataset in _PAPER_NME
    rows = [
        [_faces(subset, n), name, _seeds(group), _nme(group, subset)]
        + ([_printed(_paper_nme(dataset, name, subset))] if in_paper else [])
        for subset, n in experiment.setting.subsets
        for name, group in experiment.models.items()
    ]
    columns = ["subset", "model", "seeds", "ours", *(["paper"] if in_paper else [])]
    return Table(experiment.label, columns, rows)


def effect_table(experiments: Sequence[Experiment]) -> str:
    """What the assisted loss changes in each of the two networks."""
    caption = f"{_P_VALUES} {_FEW_SEEDS}"
    if any(experiment.setting.dataset in _PAPER_NME for experiment in experiments):
        caption += " The paper's effects are the differences of its Tables 2 and 3, which print no spread."
    return _section(
        "Table 7 (paper): the effect of the assisted loss", caption, [_effects(e) for e in experiments]
    )


def _effects(experiment: Experiment) -> Table:
    rows = []
    for subset, n in experiment.setting.subsets:
        for network, names in numbers.LOSS_PAIRS.items():
            plain, assisted = (experiment.find(*MODELS[name]) for name in names)
            if plain is None or assisted is None:
                continue
            before, after = (_paper_nme(experiment.setting.dataset, name, subset) for name in names)
            missing = before is None or after is None
            rows.append(
                [
                    _faces(subset, n),
                    network,
                    f"{len(plain.seeds)} and {len(assisted.seeds)}",
                    _nme(plain, subset),
                    _nme(assisted, subset),
                    *_difference(plain, assisted, subset),
                    NOTHING if missing else f"{after - before:+.2f}",
                    NOTHING if missing else f"{100 * (after - before) / before:+.1f} %",
                ]
            )
    columns = ["subset", "network", "seeds", "plain", "assisted", *_DIFFERENCE, "paper", "paper, relative"]
    return Table(experiment.label, columns, rows)


def failures_table(experiments: Sequence[Experiment]) -> str:
    """Failure rate and AUC at 0.1, and what the flip test makes of them."""
    return _section(
        "Failure rate and area under the CED",
        "At an error of 0.1, the distance between the outer eye corners being 1. *Flip*: the mean of the predictions "
        "for a face and its mirror image. The caption of the paper's Table 3 announces both scores for WFLW, but we "
        "have not seen their numbers.",
        [_failures(experiment) for experiment in experiments],
    )


def _failures(experiment: Experiment) -> Table:
    scores: list[tuple[str, Callable[[np.ndarray], float], int]] = [
        ("NME %", lambda errors: 100 * errors.mean(), 2),
        ("FR %", lambda errors: 100 * failure_rate(errors), 1),
        ("AUC", area_under_ced, 3),
    ]
    rows = [
        [
            _faces(subset, n),
            name,
            _seeds(group),
            *(
                mean_and_spread([score(errors) for errors in group.errors(subset, kind)], digits)
                for _, score, digits in scores
                for kind in ("nme", "nme_flip")
            ),
        ]
        for subset, n in experiment.setting.subsets
        for name, group in experiment.models.items()
    ]
    heads = [head for name, _, _ in scores for head in (name, f"{name}, flip")]
    return Table(experiment.label, ["subset", "model", "seeds", *heads], rows)


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
    return _section(
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
    return _section(
        "Table 4 (paper): head pose",
        "Mean absolute error in degrees against the labels of the data set; those of 300W come from a teacher network, "
        "so that they measure agreement with it; the paper's teacher was HopeNet. It does not say on which of the test "
        "sets of 300W it measured: its numbers stand beside our largest.",
        [_pose(experiment) for experiment in experiments],
    )


def _pose(experiment: Experiment) -> Table:
    setting = experiment.setting
    in_paper = setting.dataset in _PAPER_NME
    rows = []
    for subset, n in setting.subsets:
        for name, group in experiment.models.items():
            if not group.has(subset, "pose_error"):
                continue
            ours = group.errors(subset, "pose_error").mean(axis=1).T
            row = [_faces(subset, n), name, _seeds(group), *(mean_and_spread(angle, 2) for angle in ours)]
            if in_paper:
                paper = numbers.pose_mae(name, setting.dataset)
                row += [_printed(angle if subset == setting.main_subset else None) for angle in paper]
            rows.append(row)
    columns = ["subset", "model", "seeds", *ANGLES, *(f"paper, {a}" for a in ANGLES if in_paper)]
    return Table(experiment.label, columns, rows)


def known_pose_table(experiments: Sequence[Experiment]) -> str:
    """Mean absolute errors of the head pose on AFLW2000-3D, where it is known."""
    return _section(
        "Head pose on AFLW2000-3D",
        "Mean absolute error in degrees against the true pose; faces within +-99 degrees, and their mean of the three "
        "angles by the size of the yaw and where no angle is over 30. The networks have seen no face of it. *Head*: of "
        "the network's pose output. *Its landmarks*: the geometric teacher on the landmarks that the network finds. "
        "*Annotated landmarks*: the geometric teacher on those of the data set.",
        [_known_pose(experiment) for experiment in experiments],
    )


_POSE_SUBSETS = {
    "yaw_0_30": "yaw 0-30",
    "yaw_30_60": "30-60",
    "yaw_60_90": "60-90",
    "within_30": "all within 30",
}


def _known_pose(experiment: Experiment) -> Table:
    tests = [
        (group, found)
        for group in experiment.groups
        if (found := [record["pose_test"] for record in group.records if "pose_test" in record])
    ]
    if not tests:
        return Table(experiment.label, [], [])
    rows = [
        [group.network, f"`{group.loss}`", str(len(found)), name, *_known_pose_cells(found, source)]
        for group, found in tests
        for source, name in (("network", "head"), ("landmarks", "its landmarks"))
        if source in found[0]["within_99"]
    ]
    any_test = tests[0][1][0]
    rows.append([NOTHING] * 3 + ["annotated landmarks", *_known_pose_cells([any_test], "annotated")])
    columns = ["network", "loss", "seeds", "pose from", "MAE", *ANGLES]
    columns += [f"{name} ({any_test[subset]['faces']})" for subset, name in _POSE_SUBSETS.items()]
    return Table(f"{experiment.label}; AFLW2000-3D, {any_test['within_99']['faces']} faces", columns, rows)


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
    return _section("Variants of the loss", caption, [_losses(experiment) for experiment in experiments])


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
    return _section(
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
                *(NOTHING if option[name] is None else str(option[name]) for name in differ),
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
    return _section(
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
                *(NOTHING if option is None else str(option) for option in options),
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
        f"{DATASETS[setting.dataset]}, {group.network}, `{group.loss}`: {setting.values.recipe} recipe, "
        f"augmentation {setting.values.augmentation}, {BACKENDS[setting.backend]}"
    )
    return Table(label, columns, rows)


def runs_table(experiments: Sequence[Experiment]) -> str:
    """What the runs took, and on what."""
    return _section(
        "Settings and time",
        "Seconds are those of the training epochs, on a machine that may have done other work too.",
        [_runs(experiment) for experiment in experiments],
    )


def _runs(experiment: Experiment) -> Table:
    rows = [
        [
            group.network,
            f"`{group.loss}`",
            ", ".join(map(str, group.seeds)),
            ", ".join(dict.fromkeys(str(len(record["history"]["loss"])) for record in group.records)),
            mean_and_spread([record["seconds"] for record in group.records], 0),
            "; ".join(dict.fromkeys(record["device"] for record in group.records)),
        ]
        for group in experiment.groups
    ]
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in record["versions"].items() if name != "backend")
        for record in experiment.records
    )
    notes = dict.fromkeys(note for record in experiment.records for note in record["data"]["notes"])
    values = experiment.setting.values
    remark = (
        f"Adam from {values.learning_rate:g}, schedule {values.schedule}, augmentation {values.augmentation}, "
        f"weight of the pose loss {values.pose_weight:g}, {values.precision}. Versions: {'; '.join(versions)}."
        + (f" Data: {'; '.join(notes)}." if notes else "")
    )
    columns = ["network", "loss", "seeds", "epochs", "seconds a run", "device"]
    return Table(experiment.label, columns, rows, remark)


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
    return _section(
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


def mean_and_spread(values: Sequence[float] | np.ndarray, digits: int) -> str:
    """`mean ± standard deviation`, of a sample; the mean alone of a single value."""
    values = np.asarray(values, dtype=np.float64)
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.{digits}f}"


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


def _section(title: str, caption: str, tables: Iterable[Table]) -> str:
    """A heading, a caption and those tables that have rows; empty if none has."""
    texts = [str(table) for table in tables if table.rows]
    return _join([f"### {title[0].upper()}{title[1:]}", caption, *texts]) if texts else ""


def _join(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in texts if text)
