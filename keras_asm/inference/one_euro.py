"""The One-Euro filter, which smooths what is still and follows what moves."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["OneEuroFilter"]


class OneEuroFilter:
    """A low-pass filter whose cutoff rises with speed: still values do not jitter, and fast ones lag little.

        dx'_t = a(derivative_cutoff) (x_t - x'_(t-1)) rate + (1 - a(derivative_cutoff)) dx'_(t-1)
        cutoff = min_cutoff + beta |dx'_t|
        x'_t = a(cutoff) x_t + (1 - a(cutoff)) x'_(t-1),   a(c) = 1 / (1 + rate / (2 pi c))

    Each element of an array is filtered by itself. The first values come back as they are, with a speed of 0.

    Args:
        rate: Values per second, if there are no time stamps; 30 by default.
        min_cutoff: Cutoff at rest in Hz, above 0. Less removes more jitter; 1 by default.
        beta: Rise of the cutoff in Hz per unit of speed, from 0. More lags less; 0 by default.
        derivative_cutoff: Cutoff of the speed in Hz, above 0; 1 by default.

    Raises:
        ValueError: If a setting is out of range.

    Source:
        Casiez, Roussel and Vogel: "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
        Systems", CHI 2012.

    Examples:
        >>> import math
        >>> from keras_asm.inference import OneEuroFilter
        >>> smooth = OneEuroFilter(rate=2 * math.pi)  # a(1 Hz) is 1/2
        >>> smooth([0.0, 8.0]).tolist(), smooth([4.0, 8.0]).tolist(), smooth([4.0, 8.0]).tolist()
        ([0.0, 8.0], [2.0, 8.0], [3.0, 8.0])

    See Also:
        - [`LandmarkTracker`][keras_asm.inference.LandmarkTracker]: smooths each face with it.
        - [Choose the smoothing][choose-the-smoothing]: how to set the two parameters.
    """

    def __init__(
        self, rate: float = 30.0, min_cutoff: float = 1.0, beta: float = 0.0, derivative_cutoff: float = 1.0
    ) -> None:
        positive = (rate, min_cutoff, derivative_cutoff)
        if not (all(0 < value < np.inf for value in positive) and 0 <= beta < np.inf):
            raise ValueError(
                "rate, min_cutoff and derivative_cutoff must be above 0, and beta at least 0. Received: "
                f"rate={rate}, min_cutoff={min_cutoff}, beta={beta}, derivative_cutoff={derivative_cutoff}"
            )
        self.rate = float(rate)
        self.min_cutoff = float(min_cutoff)
        self.beta = float(beta)
        self.derivative_cutoff = float(derivative_cutoff)
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        self._last: np.ndarray | None = None
        self._speed: Any = 0.0
        self._time: float | None = None

    def __call__(self, values: Any, time: float | None = None) -> np.ndarray:
        """Smooth the next values.

        Args:
            values: Of any shape, the same in each call until `reset`.
            time: Time stamp in seconds, above the last one. `None` (default) for `1 / rate` after the last values.

        Returns:
            Float64, of the shape of `values`.

        Raises:
            ValueError: If values are not finite or of another shape, or a time stamp is not above the last one.
        """
        values = np.array(values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("Values must be finite. Received: NaN or infinity")
        if self._last is None:
            self._last, self._speed, self._time = values, np.zeros_like(values), time
            return values.copy()
        if values.shape != self._last.shape:
            raise ValueError(f"Values must keep the shape {self._last.shape}. Received: shape {values.shape}")
        rate = self.rate
        if time is not None and self._time is not None:
            if not time > self._time:
                raise ValueError(f"Time stamps must rise, above {self._time}. Received: {time}")
            rate = 1 / (time - self._time)
        self._time = time
        weight = _weight(self.derivative_cutoff, rate)
        self._speed = weight * (values - self._last) * rate + (1 - weight) * self._speed
        weight = _weight(self.min_cutoff + self.beta * np.abs(self._speed), rate)
        self._last = weight * values + (1 - weight) * self._last
        return self._last.copy()


def _weight(cutoff: Any, rate: float) -> Any:
    return 1 / (1 + rate / (2 * np.pi * cutoff))
