"""The README as PyPI shows it, where links relative to the repository lead nowhere. All else is in pyproject.toml."""

import re
from pathlib import Path

from setuptools import setup

REPOSITORY = "https://github.com/keras-asm/keras-asm"
IMAGES = "https://raw.githubusercontent.com/keras-asm/keras-asm"
RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")


def with_absolute_links(readme: str, revision: str = "main") -> str:
    """A Markdown text whose relative links and images lead into the repository."""

    def absolute(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        base = f"{IMAGES}/{revision}" if mark else f"{REPOSITORY}/blob/{revision}"
        return f"{mark}[{text}]({base}/{target})"

    return RELATIVE.sub(absolute, readme)


if __name__ == "__main__":
    setup(
        long_description=with_absolute_links(Path("README.md").read_text(encoding="utf-8")),
        long_description_content_type="text/markdown",
    )
