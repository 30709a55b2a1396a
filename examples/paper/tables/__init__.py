"""Tables of finished runs beside the paper's, as Markdown. A table for which there are no runs is an empty text."""

from paper.tables.blocks import make_blocks
from paper.tables.peers import read_peers

__all__ = ["make_blocks", "read_peers"]
