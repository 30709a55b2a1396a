"""The example's table on AFLW2000-3D, and the figures that the documentation gives."""

import re
import runpy
from pathlib import Path

import pytest

from keras_asm.datasets import DatasetError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "geometric_pose.py"
ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<faces>\d+) \| (?P<numbers>[\d. |]+) \|", re.MULTILINE)


@pytest.fixture
def run(monkeypatch, capsys):
    """What the script prints, run in this process: starting another takes far longer than the table."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", [str(SCRIPT), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.real_data
def test_table(run, data_root):
    printed = run("--root", str(data_root / "AFLW2000"))
    model_fit, annotated = printed.split("| re-annotated |")
    # MAE, yaw, pitch, roll in degrees, a tenth or so above what was measured
    for text, bounds in (
        (
            model_fit,
            {
                "all": (2.3, 1.6, 3.2, 2.2),
                "yaw 0-30": (1.5, 1.5, 2.1, 1.0),
                "yaw 60-90": (6.0, 1.9, 8.4, 7.9),
            },
        ),
        (
            annotated,
            {
                "all": (3.2, 2.9, 4.3, 2.6),
                "yaw 0-30": (2.4, 2.4, 3.3, 1.4),
                "yaw 30-60": (3.6, 4.1, 4.0, 2.8),
            },
        ),
    ):
        rows = {row["name"]: row for row in ROW.finditer(text)}
        assert int(rows["all"]["faces"]) == 1378
        for name, most in bounds.items():
            found = [float(number) for number in rows[name]["numbers"].split("|")]
            assert all(value < bound for value, bound in zip(found, most, strict=True)), (name, found)
    # The guide prints the same rows.
    guide = (ROOT / "docs" / "pose.md").read_text()
    for row in ROW.finditer(printed):
        assert f"| {row['name'].removeprefix('yaw ')} | {row['faces']} | {row['numbers']} |" in guide, row[
            "name"
        ]


def test_without_the_folder(run):
    with pytest.raises(DatasetError, match="expected the folder that holds AFLW2000-3D"):
        run("--root", "nowhere")
