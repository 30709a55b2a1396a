"""Any schedule of alpha."""

from __future__ import annotations

import math
from collections.abc import Callable

from keras_asm.callbacks.loss_schedule import LossSchedule
from keras_asm.losses import ASMAssistedLoss

__all__ = ["AlphaSchedule"]


class AlphaSchedule(LossSchedule):
    """Set the alpha of an `ASMAssistedLoss` in each epoch to a function of the epoch.

    Alpha appears in the progress bar and the history as `alpha`. A run that is resumed with
    `initial_epoch` goes on where it was. `AlphaStepSchedule`, `AlphaLinearSchedule` and
    `AlphaCosineSchedule` are ready-made.

    Args:
        schedule: function `(epoch, epochs) -> alpha`, of the epoch (from 0) and the length of the run.
        epochs: length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: the model has no `ASMAssistedLoss`; the number of epochs is unknown or not positive; the
            function returns a negative number or one that is not finite.

    Examples:
        >>> from keras_asm import AlphaSchedule
        >>> halving = AlphaSchedule(lambda epoch, epochs: 2.0 * 0.5**epoch)
        >>> halving.schedule(2, 10)
        0.5
    """

    quantity = "alpha"

    def __init__(self, schedule: Callable[[int, int], float], epochs: int | None = None) -> None:
        super().__init__(epochs)
        if not callable(schedule):
            raise ValueError(f"schedule must be a function (epoch, epochs) -> alpha. Received: {schedule!r}")
        self.schedule = schedule

    def value_at(self, epoch: int, epochs: int, loss: ASMAssistedLoss) -> float:
        """Alpha in an epoch, from 0, of a run of so many epochs."""
        alpha = self.schedule(epoch, epochs)
        if not (math.isfinite(alpha) and alpha >= 0):
            raise ValueError(
                f"alpha must be a finite number, at least 0. Received: schedule({epoch}, {epochs}) = {alpha}"
            )
        return float(alpha)
