"""The paper's schedule of alpha."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from keras_asm.callbacks.alpha_schedule import AlphaSchedule
from keras_asm.callbacks.schedules import step_schedule

__all__ = ["AlphaStepSchedule"]


class AlphaStepSchedule(AlphaSchedule):
    """Alpha in equal steps over the run: 2, then 1, then 0.5, for a third each (Eq. 10).

    The smoothed landmarks lead at first and the true ones at the end. The last value leaves a bias of
    `alpha / (1 + alpha)` of `ASM(G) - G`; `AlphaStepSchedule((2, 1, 0))` ends without it.

    Args:
        values: alpha in each part of the run, each at least 0.
        epochs: length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: no values, or a negative one; the model has no `ASMAssistedLoss`; the number of epochs is
            unknown or not positive.

    Examples:
        >>> from keras_asm import AlphaStepSchedule
        >>> [AlphaStepSchedule().schedule(epoch, 150) for epoch in (0, 49, 50, 99, 100, 149)]
        [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, values: Sequence[float] = (2.0, 1.0, 0.5), epochs: int | None = None) -> None:
        if not values or min(values) < 0:
            raise ValueError(f"values must be at least one number, none negative. Received: values={values}")
        super().__init__(partial(step_schedule, values=tuple(map(float, values))), epochs)
