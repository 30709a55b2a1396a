"""A KerasTuner search, which copies the callbacks for every trial."""

import keras
import numpy as np
import pytest

from keras_asm import AlphaStepSchedule, ASMAssistedLoss, LinearShapeModel

keras_tuner = pytest.importorskip("keras_tuner", reason="KerasTuner is not installed: the tuner extra")


def test_alpha_in_every_trial(tmp_path):
    shape_model = LinearShapeModel(np.zeros(4), np.eye(4), np.ones(4), np.full(4, 0.25), limit=None)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((logs["alpha"], logs["loss"]))

    def build(hp):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, kernel_initializer="zeros")])
        model.compile(
            keras.optimizers.SGD(0.0), ASMAssistedLoss(shape_model, alpha=hp.Choice("alpha", [0.1, 0.7]))
        )
        return model

    tuner = keras_tuner.GridSearch(build, objective="loss", directory=tmp_path, project_name="search")
    x, y = np.ones((8, 1), "float32"), np.full((8, 4), 4.0, "float32")
    tuner.search(x, y, epochs=3, verbose=0, callbacks=[AlphaStepSchedule(), Watch()])
    # Two trials of three epochs each; the loss is 16 + 16 alpha
    assert seen == [(2.0, 48.0), (1.0, 32.0), (0.5, 24.0)] * 2
