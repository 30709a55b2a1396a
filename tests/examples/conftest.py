"""The reproduction, importable: `paper` is a package beside the scripts that use it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "reproduction"))
