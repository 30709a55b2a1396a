"""A KerasTuner search, which copies the callbacks for every trial."""

import warnings

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


@pytest.mark.parametrize("epochs", [None, 4])
def test_hyperband_goes_on_with_trials(tmp_path, epochs):
    """Hyperband trains the best trials again for longer: a schedule must know the length of the whole."""
    shape_model = LinearShapeModel(np.zeros(4), np.eye(4), np.full(4, 16.0), np.full(4, 0.25), limit=None)
    runs = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            runs.append((self.params["epochs"], epoch, logs["alpha"]))

    def build(hp):
        hp.Choice("nothing", [1, 2, 3, 4])
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, kernel_initializer="zeros")])
        model.compile(keras.optimizers.SGD(0.0), ASMAssistedLoss(shape_model))
        return model

    tuner = keras_tuner.Hyperband(
        build, objective="loss", max_epochs=4, factor=2, hyperband_iterations=1, directory=tmp_path, seed=0
    )
    x, y = np.ones((4, 1), "float32"), np.full((4, 4), 4.0, "float32")
    callbacks = [AlphaStepSchedule((2.0, 1.0), epochs=epochs), Watch()]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuner.search(x, y, epochs=4, verbose=0, callbacks=callbacks)
    assert any(epoch > 0 and length < 4 for length, epoch, _ in runs)  # trials were gone on with
    jumps = [w for w in caught if "as in Hyperband" in str(w.message)]
    if epochs is None:
        assert jumps
    else:
        assert not jumps
        assert all(alpha == (2.0 if epoch < 2 else 1.0) for _, epoch, alpha in runs)
