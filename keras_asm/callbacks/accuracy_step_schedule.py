"""A curriculum of PCA accuracies."""

from __future__ import annotations

from collections.abc import Sequence

from keras_asm.callbacks.loss_schedule import LossSchedule
from keras_asm.callbacks.schedules import step_schedule
from keras_asm.losses import ASMAssistedLoss

__all__ = ["AccuracyStepSchedule"]


class AccuracyStepSchedule(LossSchedule):
    """Smooth the true landmarks less and less: a higher PCA accuracy in each part of the run.

    Of the components in the loss's shape model, only as many take part as the accuracy needs; fit the shape
    model with the highest one. The number appears in the history as `n_components`. It goes well with a
    schedule of alpha.

    Args:
        accuracies: fractions of the variance, each in (0, 1], for equal parts of the run.
        epochs: length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: no accuracies or one out of range; an accuracy above that of the shape model; the model has
            no `ASMAssistedLoss`; the number of epochs is unknown or not positive.

    Examples:
        >>> from keras_asm import AccuracyStepSchedule
        >>> AccuracyStepSchedule((0.80, 0.95)).accuracies
        (0.8, 0.95)
    """

    quantity = "n_components"

    def __init__(self, accuracies: Sequence[float] = (0.80, 0.90, 0.97), epochs: int | None = None) -> None:
        super().__init__(epochs)
        if not accuracies or not all(0 < accuracy <= 1 for accuracy in accuracies):
            raise ValueError(f"accuracies must be fractions in (0, 1]. Received: accuracies={accuracies}")
        self.accuracies = tuple(map(float, accuracies))

    def value_at(self, epoch: int, epochs: int, loss: ASMAssistedLoss) -> float:
        """Number of components in an epoch, from 0, of a run of so many epochs."""
        accuracy = step_schedule(epoch, epochs, self.accuracies)
        return float(loss.shape_model.n_components_for(accuracy))
