"""Finished runs, sorted into what may be averaged and what may be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from paper.settings import MODELS, NETWORKS, RECIPES, RunSettings, usual_values

DATASETS = {
    "300w": "300W",
    "wflw": "WFLW",
    "youtube_faces": "YouTube Faces",
    "aflw2000": "AFLW2000-3D",
    "synthetic": "synthetic faces",
}
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


@dataclass(frozen=True)
class Setting:
    """What runs must have in common to be compared. Runs of two settings are never mixed.

    Attributes:
        values: a run's settings; the network, the loss and the seed say nothing here.
        n_train: number of training faces.
        n_test: number of test faces.
        subsets: name and number of faces of each subset of the test set.
        backend: Keras's.
    """

    values: RunSettings
    n_train: int
    n_test: int
    subsets: tuple[tuple[str, int], ...]
    backend: str

    @classmethod
    def of(cls, record: dict[str, Any]) -> Setting:
        """The setting of a run."""
        data = record["data"]
        return cls(
            values=replace(RunSettings(**record["settings"]), network="", loss="", seed=0),
            n_train=data["train"],
            n_test=data["test"],
            subsets=tuple(data["subsets"].items()),
            backend=record["versions"]["backend"],
        )

    @property
    def dataset(self) -> str:
        """Name of the data set, as `reproduce_paper.py` takes it."""
        return self.values.dataset

    @property
    def main_subset(self) -> str:
        """The largest subset, the first of them if there are several."""
        return max(self.subsets, key=lambda subset: subset[1])[0]

    def recipe(self, without: Iterable[str] = ()) -> str:
        """The recipe, and what is not the recipe's.

        Args:
            without: settings that are told elsewhere.
        """
        return ", ".join([self.values.recipe, *self._unusual(without)])

    def __str__(self) -> str:
        values = self.values
        first, *rest = self._unusual(["image_size", "epochs", "batch_size"]) or [""]
        return ", ".join(
            [
                f"{DATASETS.get(self.dataset, self.dataset)}: {values.image_size} px",
                f"{values.epochs} epochs",
                f"batch {values.batch_size}",
                f"{values.recipe} recipe" + (f" with {first}" if first else ""),
                *rest,
                f"{self.n_train} training faces",
                f"{self.n_test} test faces",
                BACKENDS.get(self.backend, self.backend),
            ]
        )

    @property
    def order(self) -> tuple[Any, ...]:
        """Where readers look for it: the paper's recipe first, small images before large ones, the simple first."""
        values = self.values
        unusual = self._unusual()
        return (
            list(DATASETS).index(self.dataset),
            list(RECIPES).index(values.recipe),
            values.hold_out or 0,
            values.label_noise or 0,
            -self.n_train,
            values.image_size,
            values.epochs,
            values.weights is not None,
            len(unusual),
            unusual,
            self.subsets,
            self.backend,
        )

    def _unusual(self, without: Iterable[str] = ()) -> list[str]:
        usual = usual_values(self.values.recipe)
        return [
            f"{name.replace('_', ' ')} {written(getattr(self.values, name))}"
            for name in [field.name for field in fields(RunSettings) if field.name in usual]
            if name not in without and getattr(self.values, name) != usual[name]
        ]


def written(value: Any) -> str:
    """A setting in a table; files of weights without their ending."""
    return "none" if value is None else str(value).removesuffix(".weights.h5")


@dataclass(frozen=True)
class RunGroup:
    """Runs that differ by their seed alone.

    Attributes:
        network: one of `NETWORKS`.
        loss: a `LossSetting`, as text.
        records: of the runs, by seed.
    """

    network: str
    loss: str
    records: tuple[dict[str, Any], ...]

    @property
    def model(self) -> str | None:
        """The paper's name of it, if it is one of its four models."""
        return next((name for name, pair in MODELS.items() if pair == (self.network, self.loss)), None)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the runs."""
        return tuple(record["settings"]["seed"] for record in self.records)

    def has(self, subset: str, kind: str) -> bool:
        """Whether every run has such errors."""
        return all(kind in record["results"][subset] for record in self.records)

    def errors(self, subset: str, kind: str = "nme") -> np.ndarray:
        """Errors of each run and image: `nme` and `nme_flip` as fractions, `pose_error` in degrees."""
        return np.array([record["results"][subset][kind] for record in self.records])


@dataclass(frozen=True)
class Experiment:
    """All runs of a setting.

    Attributes:
        setting: of all of them.
        groups: by network, then by loss, the plain loss first.
    """

    setting: Setting
    groups: tuple[RunGroup, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Of every run."""
        return [record for group in self.groups for record in group.records]

    @property
    def models(self) -> dict[str, RunGroup]:
        """Those of the paper's four models that were run, by the paper's names and in its order."""
        found = {group.model: group for group in self.groups}
        return {name: found[name] for name in MODELS if name in found}

    @property
    def label(self) -> str:
        """The setting and the devices, for readers."""
        devices = dict.fromkeys(record["device"].split(",")[0] for record in self.records)
        return f"{self.setting} on {' and '.join(devices)}"

    def find(self, network: str, loss: str) -> RunGroup | None:
        """The runs of a network with a loss."""
        return next((g for g in self.groups if (g.network, g.loss) == (network, loss)), None)


def group_runs(records: Iterable[dict[str, Any]]) -> list[Experiment]:
    """Sort runs by their settings, and by network and loss within a setting.

    Args:
        records: as `read_records` gives them.

    Returns:
        An experiment for each setting, in the order in which they are read.

    Raises:
        ValueError: If a run is there twice, which would count its seed twice.
    """
    found: dict[Setting, dict[tuple[str, str], dict[int, dict[str, Any]]]] = {}
    for record in records:
        settings = record["settings"]
        pairs = found.setdefault(Setting.of(record), {})
        seeds = pairs.setdefault((settings["network"], settings["loss"]), {})
        if settings["seed"] in seeds:
            raise ValueError(f"A run must be there once. Received: {record['name']} twice")
        seeds[settings["seed"]] = record
    return [
        Experiment(
            setting,
            tuple(
                RunGroup(*pair, tuple(record for _, record in sorted(pairs[pair].items())))
                for pair in sorted(pairs, key=_order)
            ),
        )
        for setting, pairs in sorted(found.items(), key=lambda item: item[0].order)
    ]


def _order(pair: tuple[str, str]) -> tuple[Any, ...]:
    network, loss = pair
    return list(NETWORKS).index(network), loss != "plain", loss != "asm", loss
