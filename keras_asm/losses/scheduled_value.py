"""A number that a callback changes during `fit` and that compiled steps see."""

from __future__ import annotations

from typing import Any

import keras

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
        self._value = value
        if self.metric is not None and value is not None:
            self.metric.assign(value)
