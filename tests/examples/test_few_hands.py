"""The example of few annotated pictures that are no faces."""

import re
import runpy
from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="hands are drawn with Pillow")

SCRIPT = Path(__file__).parents[2] / "examples" / "few_hands.py"


def test_table(monkeypatch, capsys):
    options = ["--pictures", "5", "3", "--seeds", "0", "--steps", "1", "--image-size", "32"]
    monkeypatch.setattr("sys.argv", [str(SCRIPT), *options, "--ways", "plain", "decoder"])
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    runpy.run_path(str(SCRIPT), run_name="__main__")
    head, _, *rows = (line for line in capsys.readouterr().out.splitlines() if line[:1] == "|")
    assert head == "| pictures | plain | decoder |"
    errors = [re.fullmatch(r"\| (\d+) \| ([\d.]+) \| ([\d.]+) \|", row).groups() for row in rows]
    assert [int(n) for n, *_ in errors] == [5, 3]
    for _, plain, decoder in errors:
        # The decoder begins at the mean shape, which is off by about 15 %; a plain layer begins anywhere
        assert 5 < float(decoder) < 30 < float(plain)


def test_spread():
    measured = runpy.run_path(str(SCRIPT))["measured"]
    assert measured([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert measured([1.5]) == "1.50"
