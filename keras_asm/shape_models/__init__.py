"""Statistical models of landmark shapes: NumPy and scikit-learn, no Keras."""

from typing import Any

from keras_asm.shape_models.linear_shape_model import LinearShapeModel
from keras_asm.shape_models.procrustes import ProcrustesSums, procrustes_mean

__all__ = ["ActiveShapeModel", "LinearShapeModel", "ProcrustesSums", "procrustes_mean"]


def __getattr__(name: str) -> Any:
    # scikit-learn takes longer to import than this package: it waits until a shape model is asked for
    if name == "ActiveShapeModel":
        from keras_asm.shape_models.active_shape_model import ActiveShapeModel

        return ActiveShapeModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
