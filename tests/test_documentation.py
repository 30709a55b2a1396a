"""Every Python block of the README and the documentation is run."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
# What takes minutes on the page, and seconds here
SMALLER = {"tutorial": {"n_pictures = 200\n": "n_pictures = 15\n", "epochs = 20\n": "epochs = 1\n"}}
LIST_ITEM = re.compile(r" *(?:[-*]|\d+\.) ")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda p: p.stem
)
def test_blocks(page, tmp_path, monkeypatch):
    """The blocks of a page run one after another, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "examples")
    text = page.read_text()
    for long, short in SMALLER.get(page.stem, {}).items():
        assert text.count(long) == 1
        text = text.replace(long, short)
    namespace = {}
    for block in BLOCK.findall(text):
        exec(compile(block, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_relative_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_lists_follow_a_blank_line(page):
    """Without one, the site shows the list as part of the paragraph above it, though GitHub does not."""
    for paragraph in re.split(r"\n\s*\n", CODE.sub("", page.read_text())):
        first, *others = paragraph.strip("\n").split("\n")
        assert LIST_ITEM.match(first) or not any(map(LIST_ITEM.match, others)), paragraph


def test_every_promise_names_tests_that_exist():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "promises.md").read_text())
    assert len(named) > 30
    for path, name in named:
        source = (ROOT / path).read_text()
        assert not name or re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{path}::{name}"


def test_the_notebook_is_the_tutorial():
    """Else: python docs/_scripts/tutorial.py"""
    jupytext = pytest.importorskip("jupytext", reason="the notebook is made by jupytext")
    script = runpy.run_path(str(ROOT / "docs" / "_scripts" / "tutorial.py"))
    made = script["as_notebook"]((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    kept = jupytext.read(ROOT / "docs" / "tutorial.ipynb")

    def cells(notebook):
        return [(cell.cell_type, cell.id, cell.source) for cell in notebook.cells]

    assert cells(kept) == cells(made)
    code = [source + "\n" for kind, _, source in cells(kept) if kind == "code"]
    assert code == BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text())


def test_outputs_of_the_tutorial_stand_below_its_cells(monkeypatch, tmp_path):
    pytest.importorskip("jupytext", reason="the notebook is made by jupytext")
    script = runpy.run_path(str(ROOT / "docs" / "_scripts" / "tutorial.py"))
    page = "```text\npip\n```\n\n```python\nx = 2\n```\n\nWords.\n\n```python\nprint(x)\n```\n"
    (tmp_path / "assets").mkdir()
    monkeypatch.setitem(script["with_outputs"].__globals__, "DOCS", tmp_path)
    once = script["with_outputs"](page)
    assert once == page + "\n```text\n2\n```\n"
    assert script["with_outputs"](once) == once
