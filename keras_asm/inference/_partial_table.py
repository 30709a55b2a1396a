"""A table of predictions that is being made, picture by picture, and can be gone on with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from keras_asm._whole_files import replacing_file
from keras_asm.datasets import DatasetError
from keras_asm.inference.results import Face, parse_rows, table_header, table_rows

__all__ = ["PartialTable", "part_path"]


class PartialTable:
    """The rows of a table that is being made; what an earlier process has made of it is kept."""

    def __init__(
        self, table: str | PathLike[str], settings: Mapping[str, Any], scheme: Any, scales: bool
    ) -> None:
        self.path = part_path(table)
        self.scheme = scheme
        self.scales = scales  # whether landmarks have them
        self.pictures: dict[str, list[Face]] = {}
        self.unreadable: dict[str, str] = {}
        first = json.dumps(settings)
        try:
            with open(self.path, encoding="utf-8", newline="") as file:
                found = file.readline()
                if found.rstrip("\n") != first:
                    raise DatasetError(
                        f"this table was begun with other pictures, boxes or settings: call as before to go on, or "
                        f"remove the file. Received: {_differences(found, settings)}",
                        self.path,
                    )
                self.pictures, self.unreadable, _ = parse_rows(file, self.path, scheme)
        except FileNotFoundError:
            pass
        # Written anew, without the rows of a picture that was cut off
        with replacing_file(self.path, "w", encoding="utf-8", newline="") as file:
            file.write(first + "\n")
            csv.writer(file, lineterminator="\n").writerow(table_header(scheme, scales))
            for picture, faces in self.pictures.items():
                file.write(self._rows(picture, faces, self.unreadable.get(picture, "")))

    def _rows(self, picture: str, faces: Sequence[Face], error: str) -> str:
        text = io.StringIO()
        rows = table_rows(picture, faces, self.scheme.n_landmarks, error, self.scales)
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()

    def add(self, picture: str, faces: Sequence[Face], error: str) -> None:
        """Write the rows of a picture."""
        self._file.write(self._rows(picture, faces, error))
        self._file.flush()

    def __enter__(self) -> PartialTable:
        self._file = open(self.path, "a", encoding="utf-8", newline="")  # closed by __exit__
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def part_path(table: str | PathLike[str]) -> Path:
    """What a table is called while it is not complete."""
    return Path(table).with_name(Path(table).name + ".part")


def _differences(line: str, settings: Mapping[str, Any]) -> str:
    try:
        found = json.loads(line)
        return "other " + ", ".join(name for name, value in settings.items() if found.get(name) != value)
    except (ValueError, AttributeError):
        return "a file of another kind"
