"""The example of few annotated pictures that are no faces."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="hands are drawn with Pillow")

SCRIPT = Path(__file__).parents[2] / "examples" / "few_hands.py"


def test_table(monkeypatch, capsys):
    options = ["--pictures", "5", "--seeds", "0", "--steps", "1", "--image-size", "32"]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *options, "--ways", "decoder"])
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    runpy.run_path(str(SCRIPT), run_name="__main__")
    head, _, row = (line for line in capsys.readouterr().out.splitlines() if line[:1] == "|")
    assert head == "| pictures | decoder |"
    n, error = re.fullmatch(r"\| (\d+) \| ([\d.]+) \|", row).groups()
    assert n == "5"
    assert 5 < float(error) < 30  # it begins at the mean shape, which is off by about 15 %


def test_spread(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    measured = runpy.run_path(str(SCRIPT))["measured"]
    assert measured([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert measured([1.5]) == "1.50"
