"""The paper's tables, with its numbers as rows among ours."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from keras_asm import model_cost
from keras_asm.metrics.errors import ANGLES
from paper import numbers
from paper.groups import DATASETS, Experiment, RunGroup
from paper.settings import MODELS, NETWORKS, RECIPES
from paper.tables.cells import (
    DIFFERENCE,
    ENOUGH_SEEDS,
    FEW_SEEDS,
    NO_DIFFERENCE,
    P_VALUES,
    by_dataset,
    by_subset,
    difference,
    nme,
    setting_columns,
    starred,
    subset_cell,
)
from paper.tables.markdown import NOTHING, Table, join, mean_and_spread, section

PRINTED = "as the paper printed it"
_PAPER_NME = {"300w": numbers.NME_300W, "wflw": numbers.NME_WFLW}
_PAPER_SIZE = RECIPES["paper"]["image_size"]
_N_LANDMARKS = {"wflw": 98}  # 68 elsewhere


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
        for dataset in by_dataset(experiments)
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
        for dataset, found in by_dataset(experiments).items()
    )


def _errors(dataset: str, experiments: Sequence[Experiment]) -> Table:
    models = [name for name in MODELS if any(name in experiment.models for experiment in experiments)]
    heads, cells = setting_columns(experiments)
    rows = []
    for subset, found in by_subset(experiments).items():
        printed = [_printed(_paper_nme(dataset, name, subset)) for name in models]
        if any(cell != NOTHING for cell in printed):
            rows.append([_paper_faces(dataset, subset), *_paper_setting(dataset, heads), *printed])
        for experiment, n in found:
            ours = [starred(experiment.models.get(name), nme, subset) for name in models]
            if experiment.models:
                rows.append([subset_cell(subset, n), *cells(experiment), *ours])
    return Table("", ["subset", *heads, *models], rows)


def pose_table(experiments: Sequence[Experiment]) -> str:
    """Mean absolute errors of the head pose."""
    return section(
        "Table 4 (paper): head pose",
        "Mean absolute error in degrees against the labels of the data set; those of 300W come from a teacher network, "
        "so that they measure agreement with it; the paper's teacher was HopeNet. It does not say on which of the test "
        "sets of 300W it measured.",
        [_pose(dataset, found) for dataset, found in by_dataset(experiments).items()],
    )


def _pose(dataset: str, experiments: Sequence[Experiment]) -> Table:
    heads, cells = setting_columns(experiments)
    names = [name for name in MODELS if any(name in experiment.models for experiment in experiments)]
    printed = {name: numbers.pose_mae(name, dataset) for name in names if dataset in _PAPER_NME}
    rows = [
        [NOTHING, *_paper_setting(dataset, heads), name, NOTHING, *map(_printed, angles)]
        for name, angles in printed.items()
    ]
    for subset, found in by_subset(experiments).items():
        for experiment, n in found:
            for name, group in experiment.models.items():
                if group.has(subset, "pose_error"):
                    ours = group.errors(subset, "pose_error").mean(axis=1).T
                    row = [subset_cell(subset, n), *cells(experiment), name, str(len(group.seeds))]
                    rows.append([*row, *(mean_and_spread(angle, 2) for angle in ours)])
    columns = ["subset", *heads, "model", "seeds", *ANGLES]
    return Table(DATASETS[dataset], columns, rows if len(rows) > len(printed) else [])


def effect_table(experiments: Sequence[Experiment]) -> str:
    """What the assisted loss changes in each of the two networks."""
    caption = f"{P_VALUES} {FEW_SEEDS}"
    if any(experiment.setting.dataset in _PAPER_NME for experiment in experiments):
        caption += " The paper's effects are the differences of its Tables 2 and 3, which print no spread."
    return section(
        "Table 7 (paper): the effect of the assisted loss",
        caption,
        [_effects(dataset, found) for dataset, found in by_dataset(experiments).items()],
    )


def _effects(dataset: str, experiments: Sequence[Experiment]) -> Table:
    heads, cells = setting_columns(experiments)
    rows = []
    for subset, found in by_subset(experiments).items():
        for network, names in numbers.LOSS_PAIRS.items():
            ours = []
            for experiment, n in found:
                plain, assisted = (experiment.models.get(name) for name in names)
                if plain is not None and assisted is not None:
                    effect = _effect(plain, assisted, subset)
                    ours.append([subset_cell(subset, n), network, *cells(experiment), *effect])
            before, after = (_paper_nme(dataset, name, subset) for name in names)
            if ours and before is not None and after is not None:
                printed = [NOTHING, _printed(before), _printed(after), f"{after - before:+.2f}"]
                printed += [f"{100 * (after - before) / before:+.1f} %", *NO_DIFFERENCE[2:]]
                rows.append(
                    [_paper_faces(dataset, subset), network, *_paper_setting(dataset, heads), *printed]
                )
            rows += ours
    columns = ["subset", "network", *heads, "seeds", "plain", "assisted", *DIFFERENCE]
    return Table(DATASETS[dataset], columns, rows)


def _effect(plain: RunGroup, assisted: RunGroup, subset: str) -> list[str]:
    seeds = f"{len(plain.seeds)} and {len(assisted.seeds)}"
    return [seeds, nme(plain, subset), nme(assisted, subset), *difference(plain, assisted, subset)]


def _paper_setting(dataset: str, heads: Sequence[str]) -> list[str]:
    """Cells of `setting_columns` for the numbers that the paper printed."""
    recipe = RECIPES["paper"]
    scale = numbers.N_TRAINING_FACES[dataset], recipe["image_size"], recipe["epochs"]
    return [PRINTED, *map(str, scale), *[NOTHING] * (len(heads) - 4)]


def _paper_faces(dataset: str, subset: str) -> str:
    n = numbers.N_TEST_FACES[dataset].get(subset)
    return subset if n is None else subset_cell(subset, n)


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
