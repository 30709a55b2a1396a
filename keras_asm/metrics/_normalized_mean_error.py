from collections.abc import Mapping
from typing import Any

import keras

from keras_asm.landmarks import LandmarkScheme
from keras_asm.metrics._landmark_metric import LandmarkMetric


@keras.saving.register_keras_serializable(package="keras_asm")
class NormalizedMeanError(LandmarkMetric):
    """Mean over all images of `normalized_mean_error`: a fraction, not per cent.

    Args:
        scheme: Landmark scheme: a name, a number of landmarks or a `LandmarkScheme`. By default the known
            scheme of the landmarks that arrive.
        normalizer: `"inter_ocular"` (the default), `"inter_pupil"`, `"box"`, or one distance for all
            images, in the unit of the landmarks: 1.0 leaves them as they are, and `1 / width` of the
            crop gives pixels.
        name: Name in the history.
        dtype: Of the computation; float32 by default, under mixed precision too.

    Raises:
        ValueError: If the scheme or the normaliser is unknown, or, when a batch is traced, the number of
            landmarks is not the scheme's.

    Examples:
        >>> from keras_asm.metrics import NormalizedMeanError
        >>> metric = NormalizedMeanError(normalizer="box")
        >>> metric.update_state([[0.0, 0.0, 10.0, 10.0]], [[3.0, 4.0, 10.0, 10.0]])
        >>> float(metric.result())
        0.25
    """

    def __init__(
        self,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None = None,
        normalizer: str | float = "inter_ocular",
        name: str = "normalized_mean_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(scheme, normalizer, name, dtype)
