"""Functions that act on any Keras model: what it costs, its batch norm's statistics, the flip test."""

from keras_asm.model_tools.batch_norm import recompute_batch_norm
from keras_asm.model_tools.cost import ModelCost, model_cost
from keras_asm.model_tools.flip import predict_with_flip

__all__ = ["ModelCost", "model_cost", "predict_with_flip", "recompute_batch_norm"]
