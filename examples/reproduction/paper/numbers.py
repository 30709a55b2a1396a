"""The numbers that the ASMNet paper prints, from `numbers.toml`, and where they contradict each other."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "LOSS_PAIRS",
    "N_TEST_FACES",
    "N_TRAINING_FACES",
    "TABLES",
    "Contradiction",
    "PaperTable",
    "contradictions",
    "load_tables",
]

LOSS_PAIRS = {"mnv2": ("mnv2", "mnv2_r"), "ASMNet": ("ASMNet_nr", "ASMNet")}
"""For each network, its model without the assisted loss and the one with it."""

N_TRAINING_FACES = {"300w": 3148, "wflw": 7500}
"""As in the authors' configuration."""

N_TEST_FACES = {"300w": {"common": 554, "challenging": 135, "full": 689}, "wflw": {"test": 2500}}


@dataclass(frozen=True)
class PaperTable:
    """One table as it was printed.

    Attributes:
        number: Of the table in the paper.
        caption: As printed, without the numbers of references; "" where we have not seen it.
        columns: Names of the columns; dots where the printed head has two levels.
        units: Unit of each column, "" for text.
        rows: Name of the row to its cells as printed, in the order of `columns`.
        note: What a reader has to know.
    """

    number: int
    caption: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    note: str

    def __post_init__(self) -> None:
        for name, cells in self.rows.items():
            if not len(cells) == len(self.columns) == len(self.units):
                raise ValueError(f"Expected {len(self.columns)} cells and units. Received: {name!r}: {cells}")

    def value(self, row: str, column: str) -> float:
        """The number of a row and a column.

        Raises:
            KeyError: If there is none.
        """
        if column not in self.columns:
            raise KeyError(f"The columns are {self.columns}. Received: {column!r}")
        if row not in self.rows:
            raise KeyError(f"The rows are {tuple(self.rows)}. Received: {row!r}")
        return float(self.rows[row][self.columns.index(column)])


def load_tables(path: Path) -> dict[str, PaperTable]:
    """The tables of a file, by name."""
    file = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)  # 4.70 stays 4.70
    return {
        name: PaperTable(
            number=table["number"],
            caption=table["caption"],
            columns=tuple(table["columns"]),
            units=tuple(table["units"]),
            rows={row: tuple(map(str, cells)) for row, cells in table["rows"].items()},
            note=table["note"],
        )
        for name, table in file.items()
    }


TABLES = load_tables(Path(__file__).with_name("numbers.toml"))


@dataclass(frozen=True)
class Contradiction:
    """Two numbers of the paper, in one unit, that ought to be one; each with the place where it is printed."""

    what: str
    first: tuple[str, float]
    second: tuple[str, float]


def contradictions() -> list[Contradiction]:
    """Where the printed tables disagree: Table 1 with 2, Table 7 with 2 and 3, and Table 2 with itself."""
    found = []
    nme = {"300W": TABLES["nme_300w"], "WFLW": TABLES["nme_wflw"]}
    for model in ("mnv2", "mnv2_r", "ASMNet_nr", "ASMNet"):
        first, second = TABLES["size_and_error"].value(model, "300w"), nme["300W"].value(model, "full")
        found.append(Contradiction(f"NME of {model} on 300W full", ("Table 1", first), ("Table 2", second)))
        n_common, n_challenging, n_full = N_TEST_FACES["300w"].values()
        common, challenging = (nme["300W"].value(model, subset) for subset in ("common", "challenging"))
        mean = round((n_common * common + n_challenging * challenging) / n_full, 2)
        weighted = "Table 2, mean over the 554 common and 135 challenging faces", mean
        found.append(Contradiction(f"NME of {model} on 300W full", ("Table 2", second), weighted))
    for row in TABLES["loss_effect"].rows:
        dataset, subset = row.split(", ")
        column = {"WFLWfull": "test", "WFLWlarge pose": "pose"}.get(dataset + subset, subset)
        for network, (without, with_it) in LOSS_PAIRS.items():
            difference = round(nme[dataset].value(without, column) - nme[dataset].value(with_it, column), 2)
            printed = TABLES["loss_effect"].value(row, network)
            table = f"Table {nme[dataset].number}, difference"
            what = f"gain of {network} on {dataset} {subset}"
            found.append(Contradiction(what, ("Table 7", printed), (table, difference)))
    return [c for c in found if abs(c.first[1] - c.second[1]) > 0.011]
