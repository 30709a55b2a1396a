"""Schedules as pure functions of the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["cosine_schedule", "linear_schedule", "step_schedule"]


def step_schedule(epoch: int, epochs: int, values: Sequence[float] = (2.0, 1.0, 0.5)) -> float:
    """One value after another, each for an equal part of the run (Eq. 10 for the default values).

    With three values and `l` epochs: the first while `epoch < l/3`, the second while `epoch < 2l/3`, then
    the third. The paper leaves `epoch = l/3` open; here the next value begins with it.

    Args:
        epoch: epoch, from 0. At `epochs` and beyond, the last value holds.
        epochs: length of the run.
        values: at least one.

    Examples:
        >>> [step_schedule(epoch, epochs=6) for epoch in range(7)]
        [2.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.5]
    """
    # In whole numbers: epoch / epochs < 1 / 3 would be at the mercy of rounding.
    return values[min(epoch * len(values) // epochs, len(values) - 1)]


def linear_schedule(epoch: int, epochs: int, initial: float = 2.0, final: float = 0.0) -> float:
    """From `initial` in the first epoch to `final` in the last, by equal steps.

    Args:
        epoch: epoch, from 0. Beyond the last epoch, `final` holds.
        epochs: length of the run; a run of one epoch has only `initial`.
        initial: value at epoch 0.
        final: value at epoch `epochs - 1`.

    Examples:
        >>> [linear_schedule(epoch, epochs=5) for epoch in range(5)]
        [2.0, 1.5, 1.0, 0.5, 0.0]
    """
    return initial + (final - initial) * _progress(epoch, epochs)


def cosine_schedule(epoch: int, epochs: int, initial: float = 2.0, final: float = 0.0) -> float:
    """From `initial` in the first epoch to `final` in the last, along half a cosine wave.

    Args:
        epoch: epoch, from 0. Beyond the last epoch, `final` holds.
        epochs: length of the run; a run of one epoch has only `initial`.
        initial: value at epoch 0.
        final: value at epoch `epochs - 1`.

    Examples:
        >>> [round(cosine_schedule(epoch, epochs=5), 3) for epoch in range(5)]
        [2.0, 1.707, 1.0, 0.293, 0.0]
    """
    return final + (initial - final) * (1 + math.cos(math.pi * _progress(epoch, epochs))) / 2


def _progress(epoch: int, epochs: int) -> float:
    return min(epoch / (epochs - 1), 1.0) if epochs > 1 else 0.0
