"""The base loss that another loss is built over: from any form, to a configuration, and unreduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

__all__ = ["BaseLoss", "call_base", "get_base", "serialize_base"]

BaseLoss: TypeAlias = keras.losses.Loss | Callable[[Any, Any], Any]


def get_base(base: str | dict[str, Any] | BaseLoss) -> BaseLoss:
    """The base loss that is meant.

    Args:
        base: A Keras loss, its name, its configuration, or a registered function `(y_true, y_pred) -> loss`.

    Raises:
        ValueError: If there is no such loss, or a function is not registered.

    Examples:
        >>> from keras_asm.losses._base import get_base
        >>> get_base("huber").__name__
        'huber'
    """
    if isinstance(base, dict):
        return keras.losses.deserialize(base)
    try:
        loss = keras.losses.get(base)
    except ValueError:
        loss = None
    if loss is None:
        raise ValueError(
            f"base must be a Keras loss, its name, its configuration or a function. Received: base={base!r}"
        )
    if not isinstance(loss, keras.losses.Loss) and not _comes_back(loss):
        raise ValueError(
            "A function as base must be registered, or a saved model could not be loaded: decorate it with "
            f"@keras.saving.register_keras_serializable(). Received: base={base!r}"
        )
    return loss


def _comes_back(function: Callable[[Any, Any], Any]) -> bool:
    """Whether Keras finds a function again by what it would write into a file."""
    try:
        return keras.losses.get(keras.losses.serialize(function)) is function
    except Exception:  # by its kind: ValueError, TypeError, AttributeError, ...
        return False


def serialize_base(base: BaseLoss) -> dict[str, Any]:
    """The configuration of a base loss, for `get_base`."""
    config = keras.losses.serialize(base)
    # Some losses of Keras forget arguments here (Huber its delta, in 3.15), and would come back as another loss
    for argument, value in getattr(base, "_fn_kwargs", {}).items():
        config["config"].setdefault(argument, value)
    return config


def call_base(base: BaseLoss, y_true: Any, y_pred: Any) -> Any:
    """The base loss, not reduced: a loss object's own reduction is passed over."""
    return base.call(y_true, y_pred) if isinstance(base, keras.losses.Loss) else base(y_true, y_pred)
