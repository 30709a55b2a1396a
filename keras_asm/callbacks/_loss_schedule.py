"""How a callback changes a number inside a compiled loss."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import keras

from keras_asm.losses import ASMAssistedLoss, ScheduledValue

__all__ = ["LossSchedule"]

# Targets and shape model may differ in size by crops and augmentation, not by units
_UNLIKE = 10.0


class LossSchedule(keras.callbacks.Callback):
    """Give a quantity of the model's `ASMAssistedLoss` a new value at the start of each epoch.

    The value lives in a metric of the model (see `ScheduledValue`), which is made here, before `fit` builds
    its step, and which the loss then reads. All ASM-assisted losses of a model share it. The callback holds
    no variable itself, so it can be copied, used for several models, and used again.

    Validation is always measured with the value that the schedule ends with, so that `val_loss` can be compared
    over the epochs, and early stopping does not mistake a fall of alpha for progress. `fit` leaves that value behind,
    and `evaluate` measures by it too.

    A subclass says which quantity and which value.

    Args:
        epochs: Length of the schedule; None takes the epochs of the run.

    Raises:
        ValueError: If the model has no `ASMAssistedLoss`, the number of epochs is unknown or not positive, or two
            schedules drive one quantity.
    """

    quantity: str

    def __init__(self, epochs: int | None = None) -> None:
        super().__init__()
        if epochs is not None and epochs < 1:
            raise ValueError(
                f"epochs must be positive, or None for those of the run. Received: epochs={epochs}"
            )
        self.epochs = epochs
        self._epochs_begun = 0
        self._sizes_compared = False
        self._before_test: float | None = None

    def value_at(self, epoch: int, epochs: int, loss: ASMAssistedLoss) -> float:
        """The value in an epoch, from 0, of a run of so many epochs."""
        raise NotImplementedError

    def set_model(self, model: keras.Model) -> None:
        """Attach the metric to the model, before its step is built."""
        super().set_model(model)
        losses = self._losses(model)
        scheduled = self._attached(model)
        if scheduled is None:
            # Under the model's own distribution: a variable made outside of it lives on one device only
            strategy = getattr(model, "distribute_strategy", None)
            if strategy is not None:
                with strategy.scope():
                    scheduled = self._new_value(losses)
            else:
                scheduled = self._new_value(losses)
            # Not by attribute: a built subclass of Model refuses new attributes with state, and the metric
            # would be written into weight files.
            model._metrics.append(scheduled)
        scheduled.model, scheduled.driver = weakref.ref(model), id(self)
        quantities = [loss.quantities[self.quantity] for loss in losses]
        if any(quantity.metric is not scheduled for quantity in quantities):
            for loss, quantity in zip(losses, quantities, strict=True):
                self._warn_of_another_model(loss, quantity.metric, model)
                quantity.metric = scheduled
            # A step traced before has the old value, or another model's variable, built in
            model.train_function = None
            model.test_function = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Check, before the first step, that the compiled step will see the value."""
        self._n_epochs()
        self._epochs_begun, self._sizes_compared = 0, False
        model = self.model
        scheduled = self._attached(model)
        if scheduled is None or not any(value is scheduled for value in model.metrics):
            raise RuntimeError(
                f"The scheduled {self.quantity} is no metric of the model, so its compiled step would not see it. "
                f"Received: model {model.name!r} with metrics {[metric.name for metric in model.metrics]}"
            )
        if scheduled.driver != id(self):
            raise ValueError(
                f"One schedule may drive {self.quantity}, and the callbacks hold two; the last would win. "
                f"Received: {type(self).__name__} and another one"
            )
        for loss in self._losses(model):
            if loss.quantities[self.quantity].metric is not scheduled:
                raise RuntimeError(
                    f"The loss {loss.name!r} reads {self.quantity} from another model's metric: make one "
                    f"ASMAssistedLoss for each model. Received: model {model.name!r}"
                )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the value of this epoch."""
        if self._epochs_begun == 0 and epoch > 0 and self.epochs is None:
            warnings.warn(
                f"This run begins at epoch {epoch} of {self._n_epochs()}, and {type(self).__name__} takes these for "
                "the whole of the training. Where the epochs before it belonged to a run of another length, as in "
                f"Hyperband, {self.quantity} jumps: pass epochs=, the length of the whole, to the schedule.",
                UserWarning,
                stacklevel=2,
            )
        self._epochs_begun += 1
        self._assign(self._value_of(epoch))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """After the first step, compare the size of its targets with the shape model's."""
        if not self._sizes_compared:
            self._sizes_compared = True
            self._compare_sizes()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leave the last value of the schedule behind, for `evaluate`."""
        self._assign(self._value_of(self._n_epochs() - 1))
        self._epochs_begun = 0

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Measure with the last value of the schedule; outside of `fit`, the length of the run is not known."""
        model = self.model  # first: on JAX it brings the state of the last step back
        scheduled = self._attached(model)
        if scheduled is not None and self._epochs_begun:
            self._before_test = float(keras.ops.convert_to_numpy(scheduled.value))
            self._assign(self._value_of(self._n_epochs() - 1))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Go on with the value of the epoch."""
        if self._before_test is not None:
            self._assign(self._before_test)
            self._before_test = None

    def _value_of(self, epoch: int) -> float:
        values = {self.value_at(epoch, self._n_epochs(), loss) for loss in self._losses(self.model)}
        if len(values) > 1:
            raise ValueError(
                f"The ASM-assisted losses of a model share one {self.quantity}, but need different ones. "
                f"Received: {sorted(values)} in epoch {epoch}"
            )
        return values.pop()

    def _assign(self, value: float) -> None:
        # `self.model` first: on JAX it brings the state of the last step back before it is changed
        scheduled = self._attached(self.model)
        assert scheduled is not None
        scheduled.assign(value)

    def _compare_sizes(self) -> None:
        model = self.model  # first: on JAX it brings the state of the last step back
        scheduled = self._attached(model)
        assert scheduled is not None
        targets = float(keras.ops.convert_to_numpy(scheduled.target_size))
        for loss in self._losses(model):
            if loss.shape_model.reference_shape is None and targets > 0:  # alignment makes sizes equal
                fitted = loss.shape_model.size
                if not 1 / _UNLIKE < targets / fitted < _UNLIKE:
                    warnings.warn(
                        f"The targets of the first step have a size of {targets:.3g}, and the shapes that the shape "
                        f"model was fitted on {fitted:.3g} (root mean square of a coordinate): one of the two may be "
                        "in pixels and the other normalised. ASM(G) is then far from G. Fit the shape model on "
                        "landmarks in the units of the targets.",
                        UserWarning,
                        stacklevel=2,
                    )

    def _warn_of_another_model(
        self, loss: ASMAssistedLoss, bound: ScheduledValue | None, model: keras.Model
    ) -> None:
        other = None if bound is None or bound.model is None else bound.model()
        if other is None or other is model:
            return
        if any(loss is each for each in keras.tree.flatten(getattr(other, "loss", None))):
            warnings.warn(
                f"The loss {loss.name!r} belongs to the model {other.name!r}, and from now on reads {self.quantity} "
                f"from {model.name!r}; make one ASMAssistedLoss for each model.",
                UserWarning,
                stacklevel=2,
            )

    def _n_epochs(self) -> int:
        epochs = self.epochs if self.epochs is not None else (self.params or {}).get("epochs")
        if epochs is None:
            raise ValueError(
                f"{type(self).__name__} does not know how long the run is: pass epochs=... to it. "
                f"Received: params={self.params}"
            )
        return epochs

    def _losses(self, model: keras.Model) -> list[ASMAssistedLoss]:
        compiled = getattr(model, "loss", None)
        losses = [loss for loss in keras.tree.flatten(compiled) if isinstance(loss, ASMAssistedLoss)]
        if not losses:
            raise ValueError(
                f"{type(self).__name__} changes an ASMAssistedLoss, and the model is not compiled with one. "
                f"Received: model {model.name!r} with loss {compiled!r}"
            )
        return losses

    def _attached(self, model: keras.Model) -> ScheduledValue | None:
        for metric in model.metrics:
            if isinstance(metric, ScheduledValue) and metric.name == self.quantity:
                return metric
        return None

    def _new_value(self, losses: list[ASMAssistedLoss]) -> ScheduledValue:
        return ScheduledValue(float(getattr(losses[0], self.quantity)), name=self.quantity)
