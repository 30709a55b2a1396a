"""Pictures of finished runs: error distributions as in the paper's Fig. 6, predictions as in its Figs. 3 to 5."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_asm.landmarks import as_points
from keras_asm.metrics import normalized_mean_error
from keras_asm.visualization import contact_sheet, plot_ced
from paper.data import Faces
from paper.groups import Experiment

_N_SHOWN = 12
_ROUNDING = 1e-3  # of errors from predictions with five decimals; other faces are farther off


def write_ced(experiments: Sequence[Experiment], output: Path) -> list[Path]:
    """Draw the error distributions of all networks and losses, over all seeds; a plot for each setting and subset."""
    written = []
    output.mkdir(parents=True, exist_ok=True)
    for experiment in experiments:
        for subset, _ in experiment.setting.subsets:
            errors = {
                group.model or f"{group.network}, {group.loss}": group.errors(subset).ravel()
                for group in experiment.groups
            }
            written.append(output / f"ced_{_slug(experiment)}_{subset}.png")
            plot_ced(errors, written[-1])
    return written


def write_overlays(experiment: Experiment, faces: Faces, folders: Sequence[Path], output: Path) -> list[Path]:
    """Draw predictions beside the truth, from the best to the worst face; a sheet for each network and loss.

    Args:
        experiment: of which the first seed of each network and loss is drawn.
        faces: of its data set, whose test faces are drawn, or the held-out ones that the runs were tested on.
        folders: to look for predictions in; runs without them are left out.
        output: folder for the sheets.

    Returns:
        The files that were written.

    Raises:
        ValueError: If predictions are there, but not for these faces.
    """
    written = []
    faces = faces.held_out(experiment.setting.values.hold_out)
    output.mkdir(parents=True, exist_ok=True)
    for group in experiment.groups:
        record = group.records[0]
        files = [path for folder in folders for path in folder.rglob(f"predictions/{record['name']}.json")]
        if not files:
            continue
        predictions, errors = _predictions_of(record, files, faces, experiment.setting.main_subset)
        shown = np.argsort(errors)[np.linspace(0, len(errors) - 1, _N_SHOWN).round().astype(int)]
        name = f"predictions_{_slug(experiment)}_{_plain(f'{group.network} {group.loss}')}.png"
        written.append(output / name)
        contact_sheet(
            faces.test.images[shown],
            landmarks=predictions["landmarks"][shown],
            true_landmarks=faces.test.landmarks[shown],
            poses=np.array(predictions["pose"])[shown] if "pose" in predictions else None,
            captions=[f"NME {error:.1%}" for error in errors[shown]],
            scheme=faces.test.scheme,
            normalized=True,
            columns=4,
            path=written[-1],
        )
    return written


def _predictions_of(
    record: dict[str, Any], files: Iterable[Path], faces: Faces, subset: str
) -> tuple[dict[str, Any], np.ndarray]:
    """Those of the files that give the errors of the record: a name may be that of runs on other faces too."""
    expected = np.array(record["results"][subset]["nme"])
    indices = faces.subsets.get(subset, np.arange(0))
    for path in files:
        predictions = json.loads(path.read_text(encoding="utf-8"))
        landmarks = as_points(predictions["landmarks"])
        if landmarks.shape != faces.test.landmarks.shape or len(indices) != len(expected):
            continue
        errors = normalized_mean_error(faces.test.landmarks, landmarks, faces.test.scheme)
        if np.abs(errors[indices] - expected).max() < _ROUNDING:
            return {**predictions, "landmarks": landmarks}, errors
    raise ValueError(
        f"The predictions of {record['name']} are of other faces than those that were read, or of another run. "
        f"Received: {len(faces.test)} faces, whose errors are not those of the run"
    )


def _slug(experiment: Experiment) -> str:
    """Short, since a file name has its limits, and another for each setting."""
    setting, values = str(experiment.setting), experiment.setting.values
    digest = hashlib.sha256(setting.encode()).hexdigest()[:6]
    return _plain(f"{values.dataset}_{values.recipe}_{values.image_size}px_{values.epochs}ep_{digest}")


def _plain(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-").lower()
