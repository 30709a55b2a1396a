"""The JSON files that runs leave: how they are written, and what they say of the machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_asm
from paper.settings import RunSettings

__all__ = ["device", "read_records", "read_run", "rounded", "versions", "write_json"]


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a file whole or not at all, a list of numbers on one line."""
    text = json.dumps(record, indent=1, allow_nan=False)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]), text)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


def read_records(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """What finished runs and measured peers left below the folders; other files are passed over."""
    files = sorted(path for folder in folders for path in folder.rglob("*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return [r for r in records if isinstance(r, dict) and (r.get("kind") == "run" or "method" in r)]


def read_run(path: Path) -> tuple[dict[str, Any], RunSettings, Path]:
    """The record of a run, its settings, and the file of its weights."""
    record = json.loads(path.read_text(encoding="utf-8"))
    weights = path.parents[1] / "checkpoints" / path.parent.name / f"{path.stem}.weights.h5"
    return record, RunSettings.read(record["settings"], str(path)), weights


def rounded(values: Any, digits: int) -> list[Any]:
    """An array as nested lists of numbers of so many decimals."""
    return np.asarray(values, dtype=np.float64).round(digits).tolist()


def versions() -> dict[str, str]:
    """Of everything that decides numbers."""
    backend = keras.config.backend()
    found = {"keras_asm": keras_asm.__version__, "keras": keras.version(), "backend": backend}
    for package in ("tensorflow", "tensorflow-cpu") if backend == "tensorflow" else (backend,):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "numpy": np.__version__, "python": platform.python_version()}


def device() -> str:
    """What a run computes on, in words."""
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        found = jax.devices()[0]
        if found.platform != "cpu":
            return found.device_kind
    elif backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    else:
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} CPU core{'s' if cores != 1 else ''}, {platform.machine()}"
