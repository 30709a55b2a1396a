"""Pictures of finished runs: error distributions as in the paper's Fig. 6, predictions as in its Figs. 3 to 5."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_asm.landmarks import as_points
from keras_asm.metrics import normalized_mean_error
from keras_asm.visualization import contact_sheet, plot_ced
from paper.data import Faces
from paper.results import Group

__all__ = ["write_ced", "write_overlays"]

_N_SHOWN = 12
_ROUNDING = 1e-3  # of errors from predictions with five decimals; other faces are farther off


def write_ced(groups: Sequence[Group], output: Path) -> list[Path]:
    """Draw the error distributions of an experiment's models, over all seeds, with a panel for each subset."""
    output.mkdir(parents=True, exist_ok=True)
    panels = {}
    for subset in dict.fromkeys(subset for group in groups for subset in group.subsets):
        errors = {group.model: group.errors(subset) for group in groups}
        panels[subset] = {name: e.ravel() for name, e in errors.items() if e is not None}
    path = output / f"ced_{groups[0].experiment}.png"
    plot_ced({subset: curves for subset, curves in panels.items() if curves}, path)
    return [path]


def write_overlays(groups: Sequence[Group], faces: Faces, runs: Path, output: Path) -> list[Path]:
    """Draw predictions beside the truth, from the best to the worst face; a sheet for each model.

    Args:
        groups: of one experiment. The first seed that left predictions is drawn.
        faces: of its data set, whose test faces are drawn, or the held-out ones that the runs were tested on.
        runs: folder that `run.py` wrote to.
        output: folder for the sheets.

    Returns:
        The files that were written.

    Raises:
        ValueError: If predictions are there, but not for these faces.
    """
    written = []
    output.mkdir(parents=True, exist_ok=True)
    for group in groups:
        names = [name for name in group.names if (runs / "predictions" / f"{name}.json").is_file()]
        if not names:
            continue
        held_out = faces.held_out(group.settings.hold_out)
        poses, landmarks, errors = _predictions(names[0], group, held_out, runs)
        shown = np.argsort(errors)[np.linspace(0, len(errors) - 1, _N_SHOWN).round().astype(int)]
        written.append(output / f"predictions_{group.experiment}_{group.model}.png")
        contact_sheet(
            held_out.test.images[shown],
            landmarks=landmarks[shown],
            true_landmarks=held_out.test.landmarks[shown],
            poses=None if poses is None else poses[shown],
            captions=[f"NME {error:.1%}" for error in errors[shown]],
            scheme=held_out.test.scheme,
            normalized=True,
            columns=4,
            path=written[-1],
        )
    return written


def _predictions(
    name: str, group: Group, faces: Faces, runs: Path
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Poses, landmarks and errors of a run, if they are of these faces."""
    file = json.loads((runs / "predictions" / f"{name}.json").read_text(encoding="utf-8"))
    landmarks = as_points(file["landmarks"])
    expected = group.of_seeds([int(name.rsplit("-", 1)[1])]).errors(group.main_subset)
    if landmarks.shape == faces.test.landmarks.shape and expected is not None:
        errors = normalized_mean_error(faces.test.landmarks, landmarks, faces.test.scheme)
        found = errors[faces.subsets.get(group.main_subset, np.arange(0))]
        if found.shape == expected[0].shape and np.abs(found - expected[0]).max() < _ROUNDING:
            return (np.array(file["pose"]) if "pose" in file else None), landmarks, errors
    raise ValueError(
        f"Expected predictions of {name} for the faces that were read. "
        f"Received: those of other faces, or of another run, for {len(faces.test)} faces"
    )
