"""Head pose where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_asm.metrics.errors import ANGLES
from paper.groups import DATASETS, Experiment, RunGroup
from paper.tables.cells import setting_columns
from paper.tables.markdown import NOTHING, Table, mean_and_spread, section


def known_pose_table(experiments: Sequence[Experiment]) -> str:
    """Mean absolute errors of the head pose on AFLW2000-3D, where it is known."""
    return section(
        "Head pose on AFLW2000-3D",
        "Mean absolute error in degrees against the true pose; faces within +-99 degrees, and their mean of the three "
        "angles by the size of the yaw and where no angle is over 30. The networks have seen no face of it. The last "
        "row is the geometric teacher on the landmarks of the data set.",
        [
            _known_pose(found, source, f"{DATASETS[dataset]}, {how}")
            for (dataset, _), found in _by_faces(experiments).items()
            for source, how in (
                ("network", "by the network's pose output"),
                ("landmarks", "by the geometric teacher on the landmarks that the network finds"),
            )
        ],
    )


def _by_faces(experiments: Sequence[Experiment]) -> dict[Any, list[Experiment]]:
    """By the data set that was trained on and the numbers of faces in the test, which stand in the heads of columns."""
    found: dict[Any, list[Experiment]] = {}
    for experiment in experiments:
        test = next((record["pose_test"] for record in experiment.records if "pose_test" in record), None)
        if test is not None:
            counts = tuple(part["faces"] for part in test.values())
            found.setdefault((experiment.setting.dataset, counts), []).append(experiment)
    return found


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
    heads, cells = setting_columns([experiment for experiment, *_ in tests])
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
