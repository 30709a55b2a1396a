"""Alpha along half a cosine wave."""

from __future__ import annotations

from functools import partial

from keras_asm.callbacks.alpha_schedule import AlphaSchedule
from keras_asm.callbacks.schedules import cosine_schedule

__all__ = ["AlphaCosineSchedule"]


class AlphaCosineSchedule(AlphaSchedule):
    """Alpha from one value in the first epoch to another in the last, along half a cosine wave.

    Args:
        initial: alpha in the first epoch, at least 0.
        final: alpha in the last epoch; the default 0 ends on the true landmarks alone.
        epochs: length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: a negative value; the model has no `ASMAssistedLoss`; the number of epochs is unknown or
            not positive.

    Examples:
        >>> from keras_asm import AlphaCosineSchedule
        >>> [round(AlphaCosineSchedule().schedule(epoch, 11), 6) for epoch in (0, 5, 10)]
        [2.0, 1.0, 0.0]
    """

    def __init__(self, initial: float = 2.0, final: float = 0.0, epochs: int | None = None) -> None:
        if min(initial, final) < 0:
            raise ValueError(f"alpha must not be negative. Received: initial={initial}, final={final}")
        super().__init__(partial(cosine_schedule, initial=float(initial), final=float(final)), epochs)
