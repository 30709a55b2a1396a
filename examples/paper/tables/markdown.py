"""Markdown: tables whose columns of numbers stand to the right, sections, and numbers with their spread."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NOTHING = "–"

_NUMBER = re.compile(r"–|(< |[+-])?\d[\d.]*( ± [\d.]+)?( ?[*%]| [a-zA-Z]{1,2})?")


@dataclass(frozen=True)
class Table:
    """A table and what stands above and below it.

    Attributes:
        label: what its rows have in common; it may be empty.
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
        return join([f"**{self.label}**" if self.label else "", text, self.remark])


def section(title: str, caption: str, tables: Iterable[Table]) -> str:
    """A heading, a caption and those tables that have rows; empty if none has."""
    texts = [str(table) for table in tables if table.rows]
    return join([f"### {title[0].upper()}{title[1:]}", caption, *texts]) if texts else ""


def join(texts: Iterable[str]) -> str:
    """Paragraphs, without the empty ones."""
    return "\n\n".join(text for text in texts if text)


def mean_and_spread(values: Sequence[float] | np.ndarray, digits: int) -> str:
    """`mean ± standard deviation`, of a sample; the mean alone of a single value."""
    values = np.asarray(values, dtype=np.float64)
    mean = f"{values.mean():.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.{digits}f}"
