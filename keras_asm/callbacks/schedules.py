"""Schedules of the ASM-assisted loss: pure functions of the epoch, and the callbacks that apply them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from keras_asm.callbacks._loss_schedule import LossSchedule
from keras_asm.losses import ASMAssistedLoss

__all__ = [
    "AccuracyStepSchedule",
    "AlphaCosineSchedule",
    "AlphaLinearSchedule",
    "AlphaSchedule",
    "AlphaStepSchedule",
    "cosine_schedule",
    "linear_schedule",
    "step_schedule",
]


def step_schedule(epoch: int, epochs: int, values: Sequence[float] = (2.0, 1.0, 0.5)) -> float:
    """One value after another, each for an equal part of the run (Eq. 10 for the default values).

    With three values and `l` epochs: the first while `epoch < l/3`, the second while `epoch < 2l/3`, then
    the third. The paper leaves `epoch = l/3` open; here the next value begins with it.

    Args:
        epoch: Epoch, from 0. At `epochs` and beyond, the last value holds.
        epochs: Length of the run.
        values: At least one.

    Examples:
        >>> [step_schedule(epoch, epochs=6) for epoch in range(7)]
        [2.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.5]

    See Also:
        - [`AlphaStepSchedule`][keras_asm.callbacks.AlphaStepSchedule]: the callback that sets alpha by it.
        - [`linear_schedule`][keras_asm.callbacks.linear_schedule]: equal steps instead of a few large ones.
        - [`cosine_schedule`][keras_asm.callbacks.cosine_schedule]: slow at both ends.
    """
    # In whole numbers: epoch / epochs < 1 / 3 would be at the mercy of rounding.
    return values[min(epoch * len(values) // epochs, len(values) - 1)]


def linear_schedule(epoch: int, epochs: int, initial: float = 2.0, final: float = 0.0) -> float:
    """From `initial` in the first epoch to `final` in the last, by equal steps.

    Args:
        epoch: Epoch, from 0. Beyond the last epoch, `final` holds.
        epochs: Length of the run; a run of one epoch has only `initial`.
        initial: Value at epoch 0.
        final: Value at epoch `epochs - 1`.

    Examples:
        >>> [linear_schedule(epoch, epochs=5) for epoch in range(5)]
        [2.0, 1.5, 1.0, 0.5, 0.0]

    See Also:
        - [`AlphaLinearSchedule`][keras_asm.callbacks.AlphaLinearSchedule]: the callback that sets alpha by
          it.
        - [`cosine_schedule`][keras_asm.callbacks.cosine_schedule]: the same ends, along half a cosine wave.
    """
    return initial + (final - initial) * _progress(epoch, epochs)


def cosine_schedule(epoch: int, epochs: int, initial: float = 2.0, final: float = 0.0) -> float:
    """From `initial` in the first epoch to `final` in the last, along half a cosine wave.

    Args:
        epoch: Epoch, from 0. Beyond the last epoch, `final` holds.
        epochs: Length of the run; a run of one epoch has only `initial`.
        initial: Value at epoch 0.
        final: Value at epoch `epochs - 1`.

    Examples:
        >>> [round(cosine_schedule(epoch, epochs=5), 3) for epoch in range(5)]
        [2.0, 1.707, 1.0, 0.293, 0.0]

    See Also:
        - [`AlphaCosineSchedule`][keras_asm.callbacks.AlphaCosineSchedule]: the callback that sets alpha by
          it.
        - [`linear_schedule`][keras_asm.callbacks.linear_schedule]: the same ends, by equal steps.
    """
    return final + (initial - final) * (1 + math.cos(math.pi * _progress(epoch, epochs))) / 2


def _progress(epoch: int, epochs: int) -> float:
    return min(epoch / (epochs - 1), 1.0) if epochs > 1 else 0.0


class AlphaSchedule(LossSchedule):
    """Set the alpha of an `ASMAssistedLoss` in each epoch to a function of the epoch.

    Alpha appears in the progress bar and the history as `alpha`. A run that is resumed with
    `initial_epoch` goes on where it was. `AlphaStepSchedule`, `AlphaLinearSchedule` and
    `AlphaCosineSchedule` are ready-made.

    Args:
        schedule: Function `(epoch, epochs) -> alpha`, of the epoch (from 0) and the length of the run.
        epochs: Length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: If the model has no `ASMAssistedLoss`, the number of epochs is unknown or not positive, or the
            function returns a negative number or one that is not finite.

    Examples:
        >>> from keras_asm import AlphaSchedule
        >>> halving = AlphaSchedule(lambda epoch, epochs: 2.0 * 0.5**epoch)
        >>> halving.schedule(2, 10)
        0.5

    See Also:
        - [`AlphaStepSchedule`][keras_asm.callbacks.AlphaStepSchedule]: the paper's schedule.
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: the loss whose alpha it sets.
        - [`ScheduledValue`][keras_asm.losses.ScheduledValue]: how a value reaches the compiled step.
        - [Alpha and its schedules][alpha-and-its-schedules]: which schedule to choose.
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


class AlphaStepSchedule(AlphaSchedule):
    """Alpha in equal steps over the run: 2, then 1, then 0.5, for a third each (Eq. 10).

    The smoothed landmarks lead at first and the true ones at the end. The last value leaves a bias of
    `alpha / (1 + alpha)` of `ASM(G) - G`; `AlphaStepSchedule((2, 1, 0))` ends without it.

    Args:
        values: Alpha in each part of the run, each at least 0.
        epochs: Length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: If there are no values or a negative one, or as `AlphaSchedule`.

    Examples:
        >>> from keras_asm import AlphaStepSchedule
        >>> [AlphaStepSchedule().schedule(epoch, 150) for epoch in (0, 49, 50, 99, 100, 149)]
        [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]

    See Also:
        - [`AlphaLinearSchedule`][keras_asm.callbacks.AlphaLinearSchedule]: falls in every epoch.
        - [`step_schedule`][keras_asm.callbacks.step_schedule]: the same as a function of the epoch.
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: the loss whose alpha it sets.
        - [Alpha and its schedules][alpha-and-its-schedules]: which schedule to choose.
    """

    def __init__(self, values: Sequence[float] = (2.0, 1.0, 0.5), epochs: int | None = None) -> None:
        if isinstance(values, int | float):
            raise ValueError(
                "The first argument is the values of alpha, such as (2.0, 1.0, 0.5); the length of the schedule is "
                f"epochs={values}. Received: values={values}"
            )
        if not values or min(values) < 0:
            raise ValueError(f"values must be at least one number, none negative. Received: values={values}")
        super().__init__(partial(step_schedule, values=tuple(map(float, values))), epochs)


class AlphaLinearSchedule(AlphaSchedule):
    """Alpha from one value in the first epoch to another in the last, by equal steps.

    Args:
        initial: Alpha in the first epoch, at least 0.
        final: Alpha in the last epoch; the default 0 ends on the true landmarks alone.
        epochs: Length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: If a value is negative, or as `AlphaSchedule`.

    Examples:
        >>> from keras_asm import AlphaLinearSchedule
        >>> [round(AlphaLinearSchedule().schedule(epoch, 11), 6) for epoch in (0, 5, 10)]
        [2.0, 1.0, 0.0]

    See Also:
        - [`AlphaCosineSchedule`][keras_asm.callbacks.AlphaCosineSchedule]: the same ends, along half a cosine
          wave.
        - [`AlphaStepSchedule`][keras_asm.callbacks.AlphaStepSchedule]: the paper's schedule.
        - [`linear_schedule`][keras_asm.callbacks.linear_schedule]: the same as a function of the epoch.
    """

    def __init__(self, initial: float = 2.0, final: float = 0.0, epochs: int | None = None) -> None:
        if min(initial, final) < 0:
            raise ValueError(f"alpha must not be negative. Received: initial={initial}, final={final}")
        super().__init__(partial(linear_schedule, initial=float(initial), final=float(final)), epochs)


class AlphaCosineSchedule(AlphaSchedule):
    """Alpha from one value in the first epoch to another in the last, along half a cosine wave.

    Args:
        initial: Alpha in the first epoch, at least 0.
        final: Alpha in the last epoch; the default 0 ends on the true landmarks alone.
        epochs: Length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: If a value is negative, or as `AlphaSchedule`.

    Examples:
        >>> from keras_asm import AlphaCosineSchedule
        >>> [round(AlphaCosineSchedule().schedule(epoch, 11), 6) for epoch in (0, 5, 10)]
        [2.0, 1.0, 0.0]

    See Also:
        - [`AlphaLinearSchedule`][keras_asm.callbacks.AlphaLinearSchedule]: the same ends, by equal steps.
        - [`AlphaStepSchedule`][keras_asm.callbacks.AlphaStepSchedule]: the paper's schedule.
        - [`cosine_schedule`][keras_asm.callbacks.cosine_schedule]: the same as a function of the epoch.
    """

    def __init__(self, initial: float = 2.0, final: float = 0.0, epochs: int | None = None) -> None:
        if min(initial, final) < 0:
            raise ValueError(f"alpha must not be negative. Received: initial={initial}, final={final}")
        super().__init__(partial(cosine_schedule, initial=float(initial), final=float(final)), epochs)


class AccuracyStepSchedule(LossSchedule):
    """Smooth the true landmarks less and less: a higher PCA accuracy in each part of the run.

    Of the components in the loss's shape model, only as many take part as the accuracy needs; fit the shape
    model with the highest one. The number appears in the history as `n_components`. It goes well with a
    schedule of alpha.

    Args:
        accuracies: Fractions of the variance, each in (0, 1], for equal parts of the run.
        epochs: Length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: If there are no accuracies, one is out of range or above that of the shape model, or as
            `AlphaSchedule`.

    Examples:
        >>> from keras_asm import AccuracyStepSchedule
        >>> AccuracyStepSchedule((0.80, 0.95)).accuracies
        (0.8, 0.95)

    See Also:
        - [`AlphaStepSchedule`][keras_asm.callbacks.AlphaStepSchedule]: changes the weight of the smoothed
          landmarks instead.
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: the loss whose components it counts.
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: what the accuracy
          means.
    """

    quantity = "n_components"

    def __init__(self, accuracies: Sequence[float] = (0.80, 0.90, 0.97), epochs: int | None = None) -> None:
        super().__init__(epochs)
        if isinstance(accuracies, int | float):
            raise ValueError(
                "The first argument is the accuracies, such as (0.80, 0.90, 0.97); the length of the schedule is "
                f"epochs=. Received: accuracies={accuracies}"
            )
        if not accuracies or not all(0 < accuracy <= 1 for accuracy in accuracies):
            raise ValueError(f"accuracies must be fractions in (0, 1]. Received: accuracies={accuracies}")
        self.accuracies = tuple(map(float, accuracies))

    def value_at(self, epoch: int, epochs: int, loss: ASMAssistedLoss) -> float:
        """Number of components in an epoch, from 0, of a run of so many epochs."""
        accuracy = step_schedule(epoch, epochs, self.accuracies)
        return float(loss.shape_model.n_components_for(accuracy))
