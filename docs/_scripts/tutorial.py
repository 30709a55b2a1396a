"""Make what belongs to `docs/tutorial.md`: the notebook of the same cells, and what they print and draw.

    python docs/_scripts/tutorial.py            # writes docs/tutorial.ipynb
    python docs/_scripts/tutorial.py --run      # first runs the page (minutes), and writes what it printed and drew

The page is the source. What a cell prints stands below it in a `text` block, and pictures go to `docs/assets`. Needs
jupytext; `--run` needs the extras `plot` and `export`, too.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
from PIL import Image

DOCS = Path(__file__).parents[1]
PAGE, NOTEBOOK = DOCS / "tutorial.md", DOCS / "tutorial.ipynb"
CELL = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--run", action="store_true", help="run the page and put down what it prints and draws"
    )
    if parser.parse_args().run:
        PAGE.write_text(with_outputs(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    jupytext.write(as_notebook(PAGE.read_text(encoding="utf-8")), NOTEBOOK)


def as_notebook(page: str) -> Any:
    """The page as a notebook, whose cells are numbered so that it is the same each time."""
    notebook = jupytext.reads(page, fmt="md")
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def with_outputs(page: str) -> str:
    """Run the cells one after the other in a new folder; the page with what each printed."""
    sys.path.insert(0, str(DOCS.parent / "examples"))
    names: dict[str, Any] = {}

    def run(cell: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(cell[1], str(PAGE), "exec"), names)
        sys.stdout.write(printed.getvalue())
        sys.stdout.flush()
        shown = f"\n```text\n{printed.getvalue().strip()}\n```\n" if printed.getvalue().strip() else ""
        return f"```python\n{cell[1]}```\n{shown}"

    with tempfile.TemporaryDirectory() as folder:
        before = os.getcwd()
        os.chdir(folder)
        try:
            page = CELL.sub(run, page)
            for picture in Path(folder).glob("*.png"):
                # 256 colours: the noise in the pictures makes true colour three times as large
                small = Image.open(picture).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
                small.save(DOCS / "assets" / f"tutorial_{picture.name}", optimize=True)
        finally:
            os.chdir(before)
    return page


if __name__ == "__main__":
    main()
