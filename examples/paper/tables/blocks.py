"""All tables, by the names of their blocks in a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from paper.groups import Experiment
from paper.tables.every_run import failures_table, runs_table
from paper.tables.known_pose import known_pose_table
from paper.tables.paper_tables import effect_table, errors_table, pose_table, sizes_table
from paper.tables.peers import peers_table
from paper.tables.variants import losses_table, recipes_table, scaling_table

BLOCKS: dict[str, Callable[[Sequence[Experiment]], str]] = {
    "sizes": sizes_table,
    "errors": errors_table,
    "pose": pose_table,
    "effect": effect_table,
    "failures": failures_table,
    "known_pose": known_pose_table,
    "losses": losses_table,
    "recipes": recipes_table,
    "scaling": scaling_table,
    "runs": runs_table,
}
"""What makes each block of a page from the runs, by the block's name; `peers` is the block that it lacks."""


def make_blocks(experiments: Sequence[Experiment], peers: Sequence[dict[str, Any]] = ()) -> dict[str, str]:
    """The text of every block, empty where there is nothing to tell."""
    return {**{name: make(experiments) for name, make in BLOCKS.items()}, "peers": peers_table(peers)}
