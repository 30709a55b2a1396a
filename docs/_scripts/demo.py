"""Hook of `mkdocs build`: the page of `examples/browser`, which `prepare.py` there has made complete, as the demo."""

import shutil
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "examples" / "browser"


def on_post_build(config: Any) -> None:
    """Put beside `demo.md` what it loads."""
    others = shutil.ignore_patterns("index.html", "*.py", "__pycache__", "node_modules", "package*.json")
    shutil.copytree(PAGE, Path(config.site_dir) / "demo", ignore=others, dirs_exist_ok=True)
