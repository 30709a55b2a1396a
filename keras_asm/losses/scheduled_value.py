"""A number that a callback changes during `fit` and that compiled steps see."""

from __future__ import annotations

import warnings
import weakref
from typing import Any

import keras

from keras_asm._backend import is_concrete

__all__ = ["Quantity", "ScheduledValue"]


@keras.saving.register_keras_serializable(package="keras_asm")
class ScheduledValue(keras.metrics.Metric):
    """A scalar in the guise of a metric, because that is what reaches the compiled step everywhere.

    A Python number in a loss becomes a constant of the compiled step, and so does a `keras.Variable` on
    JAX, whose step sees no variables but those of the model, the optimizer and the model's metrics. A
    metric's variable is passed in and out of the step on every backend, and its value appears in the
    progress bar and in TensorBoard.

    It computes nothing: batches do not update it, and the reset at the start of an epoch leaves it alone.

    Args:
        value: Initial value.
        name: What it is called in the logs.
        dtype: Float type; Keras's `floatx` by default.

    Attributes:
        value: The variable.
        target_size: Root mean square of the targets' coordinates in the last step, a variable; 0 before the first.
        model: Weak reference to the model that it is a metric of; None before a schedule has attached it.
        driver: `id` of the schedule that drives it; None before.

    Examples:
        >>> from keras_asm.losses import ScheduledValue
        >>> alpha = ScheduledValue(2.0, name="alpha")
        >>> alpha.reset_state()  # an epoch begins, and the value stays
        >>> float(alpha.result())
        2.0
        >>> _ = alpha.value.assign(0.5)
        >>> float(alpha.result())
        0.5

    See Also:
        - [`AlphaSchedule`][keras_asm.callbacks.AlphaSchedule]: sets one in each epoch.
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: has one for alpha.
        - [Why a metric][why-a-metric]: the other ways, and where they fail.
    """

    def __init__(self, value: float = 0.0, name: str = "scheduled_value", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        # The default aggregation sums over replicas, so that two replicas would halve or double the value
        self.value = self.add_variable(
            shape=(),
            initializer=keras.initializers.Constant(value),
            aggregation="only_first_replica",
            name="value",
        )
        # Written by the loss in each step, read by the schedule after the first; it appears in no log
        self.target_size = self.add_variable(
            shape=(), initializer="zeros", aggregation="only_first_replica", name="target_size"
        )
        self.model: weakref.ref[keras.Model] | None = None
        self.driver: int | None = None

    def assign(self, value: float) -> None:
        """Set the value."""
        self.value.assign(value)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the value is not learned from batches."""

    def reset_state(self) -> None:
        """Do nothing: the value outlives the epoch."""

    def result(self) -> Any:
        """The value."""
        # A sum, not the variable's own buffer: JAX donates that buffer to the next step and deletes it
        return self.value + 0

    def get_config(self) -> dict[str, Any]:
        """The present value, name and type."""
        return {**super().get_config(), "value": float(keras.ops.convert_to_numpy(self.value))}


class Quantity:
    """A number of a loss: its own, until a schedule binds it to a metric of the model that is trained.

    Args:
        value: The loss's own number; None where there is none to compute with.

    Attributes:
        metric: What the number is read from once a schedule has bound it; None before.
    """

    def __init__(self, value: float | None = None) -> None:
        self.metric: ScheduledValue | None = None
        self._value = value
        self._compiled = False

    @property
    def in_step(self) -> Any:
        """What a step computes with: the metric's variable, or a constant."""
        return self._value if self.metric is None else self.metric.value

    @property
    def value(self) -> float | None:
        """The number as it is now."""
        value = self.in_step
        return None if value is None else float(keras.ops.convert_to_numpy(value))

    @value.setter
    def value(self, value: float | None) -> None:
        if self.metric is None and self._compiled and value != self._value:
            warnings.warn(
                f"A compiled step holds the old value, {self._value}, as a constant and goes on with it. Compile the "
                f"model again, or let a schedule drive the loss. Received: {value}",
                UserWarning,
                stacklevel=3,
            )
        self._value = value
        if self.metric is not None and value is not None:
            self.metric.assign(value)

    def observe(self, y_true: Any) -> None:
        """Tell the schedule how large the targets of a step are, and remember that a step has been compiled."""
        if self.metric is not None:
            there = keras.ops.logical_not(keras.ops.isnan(y_true))  # NaN: a landmark without a position
            square = keras.ops.square(keras.ops.where(there, y_true, keras.ops.zeros_like(y_true)))
            count = keras.ops.maximum(keras.ops.sum(keras.ops.cast(there, y_true.dtype)), 1.0)
            size = keras.ops.sqrt(keras.ops.sum(square) / count)
            self.metric.target_size.assign(keras.ops.cast(size, self.metric.dtype))
        elif not is_concrete(y_true):
            self._compiled = True
