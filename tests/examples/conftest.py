"""What examples import from beside them: `example_faces`, and the package `paper` of the reproduction."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "reproduction")]
