"""The results of finished runs: one table of runs, their errors, and what may be averaged.

| file             | what                                                                                       |
|------------------|--------------------------------------------------------------------------------------------|
| `runs.csv`       | a row for each run: its settings, faces, versions, device, time                             |
| `errors.npz`     | `EXPERIMENT/MODEL-SEED/SUBSET/KIND`: whole numbers, in the units of `UNITS`                 |
| `history.npz`    | `EXPERIMENT/MODEL-SEED/KEY`: a training curve, a number for each epoch                      |
| `known_pose.csv` | mean absolute errors in degrees on AFLW2000-3D, where the head pose is known                |
| `peers.csv`      | non-neural baselines, and networks measured as they are                                     |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paper.settings import Experiment, RunSettings

__all__ = ["UNITS", "Group", "Results", "run_settings"]

UNITS = {"nme": 1e5, "nme_flip": 1e5, "pose_error": 1e2, "detail": 1e4}
"""Kinds of errors, and how many of the stored units make 1: the errors are rounded to so many decimals."""

_SCORES = {"nme": "nme", "failure_rate": "failure_rate", "area_under_ced": "auc"}
_CLEAN_LABELS = {"label_noise": 0.0, "clean": "none"}
_NUMBERS = ("train", "test", "parameters", "multiply_adds", "n_components", "asm_nme", "seconds")


class Results:
    """Everything that tables and figures are made of.

    Attributes:
        runs: the row of each run, by its name.
        errors: of each run, subset and kind, as stored.
        history: training curves.
        known_pose: the file's rows.
        peers: the file's rows.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, np.ndarray] = {}
        self.history: dict[str, np.ndarray] = {}
        self.known_pose: list[dict[str, Any]] = []
        self.peers: list[dict[str, Any]] = []

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read a folder that `save` wrote; one that is not there is empty."""
        results = cls()
        if not (folder / "runs.csv").is_file():
            return results
        text = {"dtype": str, "keep_default_na": False}
        results.runs = {
            row["run"]: {**_added_since(row), **row, **{name: _number(row[name]) for name in _NUMBERS}}
            for row in pd.read_csv(folder / "runs.csv", **text).to_dict("records")
        }
        for name in ("errors", "history"):
            with np.load(folder / f"{name}.npz") as file:
                setattr(results, name, dict(file))
        for name in ("known_pose", "peers"):
            if (folder / f"{name}.csv").is_file():
                setattr(results, name, pd.read_csv(folder / f"{name}.csv").to_dict("records"))
        results.peers = [
            {**row, **{k: row.get(k, v) for k, v in _CLEAN_LABELS.items()}} for row in results.peers
        ]
        return results

    def save(self, folder: Path) -> None:
        """Write the files, the same bytes for the same results."""
        folder.mkdir(parents=True, exist_ok=True)
        # Of objects: a column of whole numbers with gaps would be written as 4.0
        columns = None if self.runs else ["run"]  # a file without a column cannot be read
        pd.DataFrame(self.runs.values(), columns=columns, dtype=object).to_csv(
            folder / "runs.csv", index=False
        )
        for name in ("errors", "history"):
            np.savez_compressed(folder / f"{name}.npz", **dict(sorted(getattr(self, name).items())))
        for name in ("known_pose", "peers"):
            if getattr(self, name):
                pd.DataFrame(getattr(self, name)).to_csv(folder / f"{name}.csv", index=False)

    def add(self, record: Mapping[str, Any], experiments: Mapping[str, Experiment]) -> bool:
        """Take in what a run or a peer left; gives whether it is new.

        A record that does not name its experiment is of the first one that has its settings.

        Raises:
            ValueError: If it is of no experiment, or another run of the same name is there.
        """
        if "method" in record:
            return self._add_peer(record)
        settings = RunSettings.read(record["settings"])
        experiment, model = record.get("experiment"), record.get("model_name")
        if experiment is None:
            experiment, model = _experiment_of(settings, experiments)
        run = f"{experiment}/{model}-{settings.seed}"
        errors = {
            f"{run}/{subset}/{kind}": _whole(values, UNITS[kind])
            for subset, kinds in record["results"].items()
            for kind, values in kinds.items()
        }
        if run in self.runs:
            if all(
                name in self.errors and np.array_equal(self.errors[name], e) for name, e in errors.items()
            ):
                return False
            raise ValueError(
                f"A run must be there once, and this one has other errors. Received: {run} again"
            )
        data, shape_model = record["data"], record["shape_model"] or {}
        self.runs[run] = {
            "run": run,
            "experiment": experiment,
            "model": model,
            **_cells(settings),
            "train": data["train"],
            "test": data["test"],
            "extra": data.get("extra", 0),
            "pose": _cell(data["pose"]),
            "parameters": record["model"]["parameters"],
            "multiply_adds": record["model"]["multiply_adds"],
            "n_components": shape_model.get("n_components"),
            "asm_nme": shape_model.get("train_nme"),
            "seconds": record["seconds"],
            "device": record["device"],
            "backend": record["versions"]["backend"],
            "versions": ", ".join(f"{k} {v}" for k, v in record["versions"].items() if k != "backend"),
            "notes": "; ".join(data["notes"]),
        }
        self.errors |= errors
        self.history |= {
            f"{run}/{key}": np.array(values, np.float32) for key, values in record["history"].items()
        }
        self.known_pose += [
            {"run": run, "subset": subset, "faces": found["faces"], "source": source}
            | dict(zip(("yaw", "pitch", "roll"), angles, strict=True))
            for subset, found in record.get("pose_test", {}).items()
            for source, angles in found.items()
            if source != "faces"
        ]
        return True

    def _add_peer(self, record: Mapping[str, Any]) -> bool:
        faces, settings = record["faces"], record["settings"]
        row = {
            "method": record["method"],
            **{name: faces[name] for name in ("dataset", "image_size", "train", "test")},
            **{name: faces.get(name, default) for name, default in _CLEAN_LABELS.items()},
            "epochs": settings.get("epochs"),
            **{short: record["scores"][name] for name, short in _SCORES.items()},
            **{name: record[name] for name in ("model_bytes", "milliseconds_per_face", "training_seconds")},
            "device": record["device"],
            "versions": ", ".join(f"{k} {v}" for k, v in record["versions"].items()),
            "settings": json.dumps(settings),
        }
        same = ("method", "settings", "dataset", "image_size", "train", "test", *_CLEAN_LABELS)
        if any(all(row[name] == old[name] for name in same) for old in self.peers):
            return False
        self.peers.append(row)
        return True

    def groups(self, experiments: Mapping[str, Experiment]) -> list[Group]:
        """Runs that differ by their seed alone, in the order of the experiments and their models.

        Runs on other numbers of training faces or another backend are other groups.

        Raises:
            ValueError: If a run is of none of the experiments.
        """
        found: dict[tuple[Any, ...], list[str]] = {}
        for name, run in self.runs.items():
            key = run["experiment"], run["model"], run["train"], run["backend"]
            found.setdefault(key, []).append(name)
        order = [(e.name, model) for e in experiments.values() for model in e.models]
        unknown = [names[0] for key, names in found.items() if key[:2] not in order]
        if unknown:
            raise ValueError(f"Expected runs of known experiments; --file names more. Received: {unknown}")
        groups = [
            Group(experiment, model, train, backend, run_settings(self.runs[names[0]]), self, tuple(names))
            for (experiment, model, train, backend), names in found.items()
        ]
        return sorted(groups, key=lambda g: (order.index((g.experiment, g.model)), -g.train, g.backend))


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed alone.

    Attributes:
        experiment: its name.
        model: its name in the experiment.
        train: number of training faces.
        backend: Keras's.
        settings: of the first run.
        results: that they are of.
        names: of the runs, by seed.
    """

    experiment: str
    model: str
    train: int
    backend: str
    settings: RunSettings
    results: Results
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(sorted(self.names, key=_seed)))

    def of_seeds(self, seeds: Iterable[int]) -> Group:
        """Only the runs of these seeds."""
        wanted = set(seeds)
        names = tuple(name for name in self.names if _seed(name) in wanted)
        return Group(**{**vars(self), "names": names})

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The rows of the runs."""
        return [self.results.runs[name] for name in self.names]

    @property
    def subsets(self) -> dict[str, int]:
        """Every subset that any of the runs was tested on, and its number of faces."""
        found: dict[str, int] = {}
        for key, values in self.results.errors.items():
            run, subset, kind = key.rsplit("/", 2)
            if kind == "nme" and run in self.names:
                found[subset] = len(values)
        order = ("common", "challenging", "full", "private")
        return dict(
            sorted(found.items(), key=lambda item: (item[0] in order and order.index(item[0]), item[0]))
        )

    @property
    def main_subset(self) -> str:
        """The subset that every run was tested on, the largest of them if there are several."""
        n_seeds = {subset: len(self.seeds(subset)) for subset in self.subsets}
        return max(self.subsets, key=lambda subset: (n_seeds[subset], self.subsets[subset]))

    def seeds(self, subset: str | None = None) -> tuple[int, ...]:
        """Seeds of the runs, or of those that were tested on a subset."""
        errors = self.results.errors
        return tuple(_seed(n) for n in self.names if subset is None or f"{n}/{subset}/nme" in errors)

    def errors(self, subset: str, kind: str = "nme") -> np.ndarray | None:
        """Of each run and image: `nme` and `nme_flip` as fractions, `pose_error` in degrees; `detail` of each run.

        None unless every run that was tested on the subset has them.
        """
        errors, runs = (
            self.results.errors,
            [n for n in self.names if f"{n}/{subset}/nme" in self.results.errors],
        )
        if not runs or any(f"{name}/{subset}/{kind}" not in errors for name in runs):
            return None
        return np.stack([errors[f"{name}/{subset}/{kind}"] / UNITS[kind] for name in runs])


def _seed(name: str) -> int:
    return int(name.rsplit("-", 1)[1])


def _experiment_of(settings: RunSettings, experiments: Mapping[str, Experiment]) -> tuple[str, str]:
    for experiment in experiments.values():
        for model in experiment.models:
            if experiment.run(model, settings.seed) == settings:
                return experiment.name, model
    raise ValueError(f"Expected the settings of an experiment. Received: {settings}")


def _whole(values: Any, units: float) -> np.ndarray:
    """Rounded numbers in whole units, as small as they fit; dividing gives the same numbers again."""
    whole = np.rint(np.asarray(values) * units).astype(np.int64)
    kind = next(
        k for k in (np.uint16, np.int16, np.int32, np.int64) if np.array_equal(whole.astype(k), whole)
    )
    return whole.astype(kind)


def _cells(settings: RunSettings) -> dict[str, str]:
    values = settings.to_dict()
    return {name: _cell(value) for name, value in _flat(values)}


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name == "loss":
            yield from ((f"loss.{part}", cell) for part, cell in value.items())
        else:
            yield name, value


def _added_since(row: Mapping[str, str]) -> dict[str, str]:
    """Settings that were not there when the row was written, at their defaults, which are what they were then."""
    return {
        f.name: _cell(f.default)
        for f in fields(RunSettings)
        if f.name not in row and f.default is not MISSING
    }


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def run_settings(row: Mapping[str, Any]) -> RunSettings:
    """The settings of a row of the table of runs."""
    loss = {
        name.removeprefix("loss."): _value(cell) for name, cell in row.items() if name.startswith("loss.")
    }
    own = {name: _value(row[name]) for name in RunSettings.__dataclass_fields__ if name != "loss"}
    return RunSettings.read({**own, "loss": loss}, row["run"])


def _value(cell: Any) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _number(cell: str) -> float | int | None:
    return None if cell == "" else json.loads(cell)
