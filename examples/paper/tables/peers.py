"""Methods that are no networks, as `peers.py` measures them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from paper.groups import DATASETS
from paper.tables.markdown import NOTHING, Table, section


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
    return section(
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
