"""What the benchmarks share: who takes turns, what is said of the machine, and how a page gets its tables."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def take_turns(
    jobs: Mapping[str, Callable[[], Any]], rounds: int, *, seed: int = 0
) -> dict[str, list[float]]:
    """Processor seconds of each job in each round; the order within a round is drawn anew.

    A job that gives a number has timed itself.
    """
    rng = np.random.default_rng(seed)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name in rng.permutation(list(jobs)):
            began = time.process_time()
            timed = jobs[name]()
            spent = time.process_time() - began
            seconds[name].append(float(f"{timed if isinstance(timed, float) else spent:.4g}"))
    return seconds


def ratio(seconds: Mapping[str, list[float]], of: str, to: str) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, over the rounds, of one job's time over another's."""
    ratios = np.asarray(seconds[of]) / np.asarray(seconds[to])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(low), float(middle), float(high)


def processor() -> str:
    """The name of the processor."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        lines = [line.split(":", 1) for line in path.read_text().splitlines() if ":" in line]
        about = {key.strip(): value.strip() for key, value in reversed(lines)}
        if "model name" in about:
            return f"{about['model name']} (family {about['cpu family']}, model {about['model']})"
    return platform.processor() or platform.machine()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Those of the packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load_average() -> float | None:
    """How many processes want a core, over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def fill_page(path: Path, tables: Mapping[str, str]) -> None:
    """Put the tables between `<!-- begin: NAME -->` and `<!-- end: NAME -->` of a page."""
    page = path.read_text(encoding="utf-8")
    for name, table in tables.items():
        before, begin, rest = page.partition(f"<!-- begin: {name} -->\n")
        _, end, after = rest.partition(f"<!-- end: {name} -->")
        if not end:
            raise ValueError(
                f"The page needs <!-- begin: {name} --> and <!-- end: {name} -->. Received: {path}"
            )
        page = f"{before}{begin}\n{table}\n\n{end}{after}"
    path.write_text(page, encoding="utf-8")
