"""Do the tests notice wrong code? Changes it in small ways with mutmut, and reports the changes that no test fails on.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python .ci/mutation_test.py              # 120 mutants of each package
    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python .ci/mutation_test.py --sample 0   # all of them

Needs mutmut 3.8.1 in the environment of the tests, and `os.fork`; PyTorch forks safely on a CPU. Packages, tests and
what is not mutated stand in `pyproject.toml`. The sample is that of the names' hashes: a larger one holds the smaller.
Results are kept in `mutants/`, and a second run tests only those that are new or survived. Delete it to start anew.

Prints each survivor as a diff, and a table with the 95 % interval of what all mutants of a package would give.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mutmut.__main__ as mutmut
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.utils.format_utils import get_mutant_name
from mutmut.workers.isolation import ForkRunner

ROOT = Path(__file__).parents[1]
KILLED = ("killed", "timeout", "segfault")


def mutants() -> dict[str, list[str]]:
    """The names of all mutants of each package, in the order in which a sample draws them."""
    names: dict[str, list[str]] = {}
    for path in mutmut.walk_mutatable_files():
        made = mutmut.mutate_file_contents(str(path), path.read_text(encoding="utf-8"))
        names.setdefault(path.parent.name, []).extend(
            get_mutant_name(path, name) for name in made.mutant_names
        )
    return {
        package: sorted(found, key=lambda name: hashlib.sha256(name.encode()).digest())
        for package, found in names.items()
    }


def statuses() -> dict[str, str]:
    """What is known of each mutant so far."""
    data = mutmut.collect_source_file_mutation_data(mutant_names=())[0]
    return {name: mutmut.status_by_exit_code[code] for _, name, code in data}


def interval(part: int, of: int, everything: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a fraction of `everything`, of which `of` were drawn."""
    if of == everything:
        return part / of, part / of
    z2 = 1.96**2 * (everything - of) / (everything - 1)  # the finite population's correction
    centre, half = part + z2 / 2, math.sqrt(z2 * (part * (of - part) / of + z2 / 4))
    return (centre - half) / (of + z2), (centre + half) / (of + z2)


def table(sample: dict[str, list[str]], everything: dict[str, list[str]]) -> Iterator[str]:
    """Markdown: how many mutants were killed."""
    known = statuses()
    yield "| package | mutants | tested | killed | survived | survived, % | 95 % interval |"
    yield "|---|---|---|---|---|---|---|"
    for package, names in sample.items():
        counts = Counter(
            known[name] in KILLED for name in names if known.get(name, "not checked") != "not checked"
        )
        tested = counts.total()
        low, high = interval(counts[False], tested, len(everything[package])) if tested else (0.0, 1.0)
        yield (
            f"| `{package}` | {len(everything[package])} | {tested} | {counts[True]} | {counts[False]} "
            f"| {100 * counts[False] / max(tested, 1):.1f} | {100 * low:.1f} to {100 * high:.1f} |"
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", help="losses, metrics, ...; all of pyproject.toml by default")
    parser.add_argument("--sample", type=int, default=120, help="mutants of a package; 0: all")
    parser.add_argument("--report", action="store_true", help="only report what is known")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    everything = mutants()
    sample = {
        package: names[: arguments.sample or None]
        for package, names in everything.items()
        if not arguments.packages or package in arguments.packages
    }
    if not arguments.report:
        known = statuses()
        rest = [n for names in sample.values() for n in names if known.get(n) not in KILLED]
        if not Path("mutants/mutmut-stats.json").exists():
            # The run that times the tests shows that they pass; mutmut would run them once more
            ForkRunner.run_clean_tests = lambda self, tests: 0
        with contextlib.suppress(KeyboardInterrupt):
            if rest:
                mutmut._run(rest, max_children=1)
    known = statuses()
    for name in (n for names in sample.values() for n in names):
        if known.get(name, "not checked") not in (*KILLED, "not checked"):
            print(f"\n{name}: {known[name]}\n{get_diff_for_mutant(name)}")
    print("\n".join(["", *table(sample, everything)]))


if __name__ == "__main__":
    sys.exit(main())
