"""Jobs that are killed end as those that are not; examples/benchmarks/kills.py with a few kills."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmarks" / "kills.py"


def test_killed_and_gone_on_with():
    command = [sys.executable, str(SCRIPT), "--jobs", "training", "labels", "--kills", "3"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr[-3000:]
    rows = [
        line.split("|") for line in run.stdout.splitlines() if line.startswith(("| training", "| labels"))
    ]
    assert len(rows) == 2
    for _, _, kills, ended, same, stuck, _, _ in rows:
        assert int(kills) == 3
        assert int(ended) == int(same) >= 1
        assert int(stuck) == 0
