"""Every Python block of the README and the documentation is run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LIST_ITEM = re.compile(r" *(?:[-*]|\d+\.) ")


@pytest.mark.parametrize(
    "page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda p: p.stem
)
def test_blocks(page, tmp_path, monkeypatch):
    """The blocks of a page run one after another, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in BLOCK.findall(page.read_text()):
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
