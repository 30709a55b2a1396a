"""Functions that act on any Keras model: cost, batch norm's statistics, the flip test, folding its decoder."""

from keras_asm.model_tools.batch_norm import recompute_batch_norm
from keras_asm.model_tools.cost import ModelCost, model_cost
from keras_asm.model_tools.flip import predict_with_flip
from keras_asm.model_tools.folding import fold_shape_decoder

__all__ = ["ModelCost", "fold_shape_decoder", "model_cost", "predict_with_flip", "recompute_batch_norm"]
