from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_asm.landmarks import LandmarkScheme
from keras_asm.metrics._landmark_metric import LandmarkMetric
from keras_asm.metrics.functional import check_threshold


@keras.saving.register_keras_serializable(package="keras_asm")
class AreaUnderCED(LandmarkMetric):
    """Area under the cumulative error distribution of all images, `mean(max(0, 1 - e / t))`.

    Exact, since the closed form is a mean over images; see `area_under_ced`. An image whose prediction
    is not a number adds nothing.

    Args:
        threshold: Positive; 0.1 by default.
        scheme: As in `NormalizedMeanError`.
        normalizer: As in `NormalizedMeanError`.
        name: Name in the history.
        dtype: Of the computation; float32 by default, under mixed precision too.

    Raises:
        ValueError: As `NormalizedMeanError`, or if the threshold is not positive.

    Examples:
        >>> from keras_asm.metrics import AreaUnderCED
        >>> metric = AreaUnderCED(threshold=0.5, normalizer="box")
        >>> metric.update_state([[0.0, 0.0, 10.0, 10.0]], [[3.0, 4.0, 10.0, 10.0]])
        >>> float(metric.result())
        0.5
    """

    def __init__(
        self,
        threshold: float = 0.1,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None = None,
        normalizer: str | float = "inter_ocular",
        name: str = "area_under_ced",
        dtype: Any = None,
    ) -> None:
        super().__init__(scheme, normalizer, name, dtype)
        check_threshold(threshold)
        self.threshold = float(threshold)

    def _score(self, errors: Any) -> Any:
        # The comparison is false for NaN, which backends' maximum treats each in its own way.
        return ops.where(errors <= self.threshold, 1.0 - errors / self.threshold, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON-ready."""
        return {**super().get_config(), "threshold": self.threshold}
