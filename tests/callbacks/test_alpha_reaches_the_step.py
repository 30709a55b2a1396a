"""The heart of the library: the compiled step sees alpha, on every backend and in every way of training.

The model predicts zero whatever it is fed and learns nothing (learning rate 0), the base loss of `G` is 16 and
that of `ASM(G)` is 16 too (a shape model that keeps everything), so the loss of an epoch is `16 + 16 * alpha`
to the last bit: 48, 32, 24 for alpha = 2, 1, 0.5.
"""

import copy
import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

from keras_asm import (
    AccuracyStepSchedule,
    AlphaLinearSchedule,
    AlphaSchedule,
    AlphaStepSchedule,
    ASMAssistedLoss,
    LinearShapeModel,
)

pytestmark = pytest.mark.backend

N_LANDMARKS = 2
EPOCHS = 6
ALPHAS = [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]
LOSSES = [16 + 16 * alpha for alpha in ALPHAS]


def identity_shape_model() -> LinearShapeModel:
    """Keeps every shape as it is: as many components as coordinates, no limit."""
    n = 2 * N_LANDMARKS
    return LinearShapeModel(np.zeros(n), np.eye(n), np.full(n, 16.0), np.full(n, 1 / n), limit=None)


def constant_model(loss=None, **compile_args) -> keras.Model:
    inputs = keras.Input((1,))
    outputs = keras.layers.Dense(2 * N_LANDMARKS, kernel_initializer="zeros", name="landmarks")(inputs)
    model = keras.Model(inputs, outputs)
    compile_args = {"optimizer": keras.optimizers.SGD(0.0), **compile_args}
    model.compile(loss=loss or ASMAssistedLoss(identity_shape_model()), **compile_args)
    return model


X = np.ones((8, 1), "float32")
Y = np.full((8, 2 * N_LANDMARKS), 4.0, "float32")


def fit(model, callbacks=None, **arguments):
    arguments = {"epochs": EPOCHS, "batch_size": 4, "verbose": 0, "shuffle": False, **arguments}
    return model.fit(X, Y, callbacks=callbacks or [AlphaStepSchedule()], **arguments).history


@pytest.mark.parametrize("way", [{"jit_compile": True}, {"jit_compile": False}, {"run_eagerly": True}])
def test_loss_follows_alpha(way):
    history = fit(constant_model(**way))
    assert history["loss"] == LOSSES
    assert history["alpha"] == ALPHAS


def test_a_plain_number_is_what_the_loss_uses_without_a_schedule():
    model = constant_model(ASMAssistedLoss(identity_shape_model(), alpha=3.0))
    assert model.fit(X, Y, epochs=2, verbose=0).history["loss"] == [64.0, 64.0]


def test_with_validation():
    """Validation does not move with alpha: it is measured with the last one, as `evaluate` is."""
    model = constant_model()
    history = fit(model, validation_data=(X, Y))
    assert history["loss"] == LOSSES
    assert history["val_loss"] == [LOSSES[-1]] * EPOCHS
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == LOSSES[-1]


def test_validation_is_measured_with_the_last_epochs_alpha():
    """That of the last epoch, not of one beyond it, which a schedule need not know."""
    seen = set()

    def rising(epoch, epochs):
        seen.add((epoch, epochs))
        return float(epoch)

    model = constant_model()
    history = fit(model, validation_data=(X, Y), callbacks=[AlphaSchedule(rising)])
    assert history["loss"] == [16.0 + 16 * epoch for epoch in range(EPOCHS)]
    assert history["val_loss"] == [16.0 * EPOCHS] * EPOCHS
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == 16.0 * EPOCHS
    assert seen == {(epoch, EPOCHS) for epoch in range(EPOCHS)}


def test_early_stopping_leaves_the_last_alpha_for_evaluate():
    model = constant_model()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1)
    history = fit(model, validation_data=(X, Y), callbacks=[AlphaStepSchedule(), stop])
    assert history["alpha"] == ALPHAS[:2]  # nothing improves
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == LOSSES[-1]


def test_with_validation_and_a_metric():
    history = fit(constant_model(metrics=["mae"]), validation_data=(X, Y))
    assert history["val_loss"] == [LOSSES[-1]] * EPOCHS
    assert history["val_mae"] == [4.0] * EPOCHS


def test_with_several_steps_per_execution():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras refuses steps_per_execution on PyTorch")
    assert fit(constant_model(steps_per_execution=2))["loss"] == LOSSES


def test_resumed_run_goes_on_where_it_was():
    with pytest.warns(UserWarning, match="begins at epoch 3 of 6.*pass epochs="):
        assert fit(constant_model(), initial_epoch=3)["loss"] == LOSSES[3:]
    schedule = AlphaStepSchedule(epochs=EPOCHS)
    assert fit(constant_model(), initial_epoch=3, callbacks=[schedule])["loss"] == LOSSES[3:]


def test_second_fit_starts_again():
    model = constant_model()
    fit(model)
    assert fit(model)["loss"] == LOSSES


def test_schedule_after_a_fit_without_one():
    model = constant_model()
    assert fit(model, callbacks=[keras.callbacks.Callback()])["loss"] == [32.0] * EPOCHS
    assert fit(model)["loss"] == LOSSES


def test_after_evaluate_and_predict():
    model = constant_model()
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert fit(model)["loss"] == LOSSES
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == LOSSES[-1]


def test_after_compiling_again():
    model = constant_model()
    fit(model)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=ASMAssistedLoss(identity_shape_model()))
    assert fit(model)["loss"] == LOSSES


def test_saved_loaded_and_fitted_again(tmp_path):
    model = constant_model()
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.loss.alpha == 0.5
    assert loaded.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == LOSSES[-1]
    assert fit(loaded, validation_data=(X, Y))["loss"] == LOSSES
    # and the first model is as it was
    assert fit(model)["loss"] == LOSSES


def test_saved_during_training(tmp_path):
    model = constant_model()
    path = tmp_path / "{epoch}.keras"
    fit(model, callbacks=[AlphaStepSchedule(), keras.callbacks.ModelCheckpoint(path)])
    alphas = [keras.models.load_model(tmp_path / f"{epoch + 1}.keras").loss.alpha for epoch in range(EPOCHS)]
    assert alphas == ALPHAS


def test_weights_file_does_not_depend_on_the_schedule(tmp_path):
    scheduled, plain = constant_model(), constant_model()
    fit(scheduled)
    scheduled.save_weights(tmp_path / "scheduled.weights.h5")
    plain.load_weights(tmp_path / "scheduled.weights.h5")
    plain.save_weights(tmp_path / "plain.weights.h5")
    scheduled.load_weights(tmp_path / "plain.weights.h5")
    assert fit(scheduled)["loss"] == LOSSES


def test_backup_and_restore(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    backup = tmp_path / "backup"
    with pytest.raises(KeyboardInterrupt):
        fit(constant_model(), [AlphaStepSchedule(), keras.callbacks.BackupAndRestore(backup), Interrupt()])
    history = fit(constant_model(), [AlphaStepSchedule(), keras.callbacks.BackupAndRestore(backup)])
    assert history["loss"] == LOSSES[3:]


def test_two_outputs_share_alpha():
    inputs = keras.Input((1,))
    outputs = {
        name: keras.layers.Dense(2 * N_LANDMARKS, kernel_initializer="zeros", name=name)(inputs)
        for name in ("first", "second")
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss={name: ASMAssistedLoss(identity_shape_model()) for name in outputs},
        loss_weights={"first": 1.0, "second": 0.5},
    )
    history = model.fit(
        X, dict.fromkeys(outputs, Y), epochs=EPOCHS, verbose=0, callbacks=[AlphaStepSchedule()]
    )
    assert history.history["loss"] == [1.5 * loss for loss in LOSSES]
    assert history.history["second_loss"] == LOSSES


def test_subclassed_model():
    class Constant(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2 * N_LANDMARKS, kernel_initializer="zeros")

        def call(self, inputs):
            return self.dense(inputs)

    model = Constant()
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=ASMAssistedLoss(identity_shape_model()))
    assert fit(model, validation_data=(X, Y))["loss"] == LOSSES
    assert fit(model)["loss"] == LOSSES


def test_sequential_model_built_by_fit():
    model = keras.Sequential([keras.layers.Dense(2 * N_LANDMARKS, kernel_initializer="zeros")])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=ASMAssistedLoss(identity_shape_model()))
    assert fit(model)["loss"] == LOSSES


def test_one_loss_for_two_models_in_turn():
    # What a KerasTuner search does when the loss is made outside of its build function
    loss = ASMAssistedLoss(identity_shape_model())
    first, second = constant_model(loss), constant_model(loss)
    assert fit(first, validation_data=(X, Y))["loss"] == LOSSES
    for model in (second, first):
        with pytest.warns(UserWarning, match="make one ASMAssistedLoss for each model"):
            assert fit(model, validation_data=(X, Y))["loss"] == LOSSES


def test_a_schedule_that_is_given_to_evaluate():
    """It changes nothing there: `evaluate` is no run whose length it could know."""
    model = constant_model()
    fit(model)
    result = model.evaluate(X, Y, verbose=0, return_dict=True, callbacks=[AlphaStepSchedule()])
    assert result["loss"] == LOSSES[-1]


def test_two_schedules_of_one_quantity():
    with pytest.raises(ValueError, match="One schedule may drive alpha"):
        fit(constant_model(), [AlphaStepSchedule(), AlphaLinearSchedule()])


def test_alpha_set_by_hand_that_a_compiled_step_does_not_see():
    loss = ASMAssistedLoss(identity_shape_model(), alpha=3.0)
    model = constant_model(loss)
    fit(model, [keras.callbacks.Callback()])
    if keras.backend.backend() == "torch":  # nothing is compiled
        loss.alpha = 4.0
        assert fit(model, [keras.callbacks.Callback()])["loss"] == [80.0] * EPOCHS
    else:
        with pytest.warns(UserWarning, match="holds the old value, 3.0.*Received: 4.0"):
            loss.alpha = 4.0


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_shape_model_in_other_units_than_the_targets(scale):
    n = 2 * N_LANDMARKS
    model = LinearShapeModel(
        np.zeros(n), np.eye(n), np.full(n, (4.0 * scale) ** 2), np.full(n, 1 / n), limit=None
    )
    with pytest.warns(UserWarning, match=f"size of 4, .* fitted on {4 * scale:g} .*pixels"):
        fit(constant_model(ASMAssistedLoss(model)))


@pytest.mark.parametrize("scale", [0.125, 8.0])
def test_shape_model_of_somewhat_other_size(scale):
    """Crops and augmentation change sizes too: up to ten times is no matter of units."""
    n = 2 * N_LANDMARKS
    variances = np.full(n, (4.0 * scale) ** 2)
    model = LinearShapeModel(np.zeros(n), np.eye(n), variances, np.full(n, 1 / n), limit=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(constant_model(ASMAssistedLoss(model)))


@pytest.mark.parametrize("empty", [np.nan, 0.0])
def test_a_first_step_without_landmarks_says_nothing_of_units(empty):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        constant_model().fit(X, np.full_like(Y, empty), epochs=1, verbose=0, callbacks=[AlphaStepSchedule()])


def test_copied_callback():
    callback = AlphaStepSchedule()
    fit(constant_model(), [callback])
    assert fit(constant_model(), [copy.deepcopy(AlphaStepSchedule())])["loss"] == LOSSES
    assert fit(constant_model(), [callback])["loss"] == LOSSES


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = constant_model(optimizer=keras.optimizers.SGD(0.0))
        assert fit(model)["loss"] == LOSSES
    finally:
        keras.config.set_dtype_policy("float32")


def test_learning_rate_and_gradients_follow_alpha():
    # One step of SGD on p = w from w = 0 with target 4: the gradient of (4 - w)^2 (1 + alpha) / 4 per output
    model = constant_model(optimizer=keras.optimizers.SGD(1.0))
    model.fit(X, Y, batch_size=8, epochs=1, verbose=0, callbacks=[AlphaSchedule(lambda epoch, epochs: 3.0)])
    np.testing.assert_allclose(model.get_weights()[1], np.full(4, 2 * 4 * (1 + 3) / 4), rtol=1e-6)


def test_alpha_set_by_hand_after_a_schedule():
    loss = ASMAssistedLoss(identity_shape_model())
    model = constant_model(loss)
    fit(model)
    loss.alpha = 4.0
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["loss"] == 80.0


def test_longer_schedule_than_run():
    assert fit(constant_model(), [AlphaStepSchedule(epochs=12)])["alpha"] == [2, 2, 2, 2, 1, 1]


def test_linear_schedule_to_zero():
    history = fit(constant_model(), [AlphaLinearSchedule()], epochs=5)
    assert history["loss"] == [48.0, 40.0, 32.0, 24.0, 16.0]


def test_accuracy_schedule_and_alpha_together():
    # Four equal components: an accuracy of 0.3 keeps 2 (more than 0.3), 0.6 keeps 3, 1.0 keeps all 4.
    # The mean is 0 and the prediction 0, so base(ASM(G), P) is 16 for each coordinate kept: 8, 12, 16.
    schedules = [AccuracyStepSchedule((0.3, 0.6, 1.0)), AlphaStepSchedule((2.0, 1.0))]
    history = fit(constant_model(), schedules, validation_data=(X, Y))
    assert history["n_components"] == [2, 2, 3, 3, 4, 4]
    assert history["loss"] == [16 + 2 * 8, 16 + 2 * 8, 16 + 2 * 12, 16 + 12, 16 + 16, 16 + 16]
    assert history["val_loss"] == [32.0] * EPOCHS


def test_progress_bar_shows_alpha(capsys):
    fit(constant_model(), verbose=2)
    assert "alpha: 2.0000" in capsys.readouterr().out


TWO_REPLICAS_TENSORFLOW = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
if LOSS_OUTSIDE:
    loss = test.ASMAssistedLoss(test.identity_shape_model())
with strategy.scope():
    model = test.constant_model(loss if LOSS_OUTSIDE else None)
"""

TWO_REPLICAS_JAX = """
import jax
assert len(jax.devices()) == 2
if LOSS_OUTSIDE:
    loss = test.ASMAssistedLoss(test.identity_shape_model())
keras.distribution.set_distribution(keras.distribution.DataParallel())
model = test.constant_model(loss if LOSS_OUTSIDE else None)
"""


@pytest.mark.parametrize("loss_outside", [False, True])
def test_two_replicas(loss_outside):
    backend = keras.backend.backend()
    scripts = {"tensorflow": TWO_REPLICAS_TENSORFLOW, "jax": TWO_REPLICAS_JAX}
    if backend not in scripts:
        pytest.skip("Keras has no data parallelism inside one process on PyTorch")
    script = (
        "import importlib.util, keras\n"
        f"spec = importlib.util.spec_from_file_location('test', {__file__!r})\n"
        "test = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(test)\n"
        f"LOSS_OUTSIDE = {loss_outside}\n"
        f"{scripts[backend]}"
        "history = test.fit(model, validation_data=(test.X, test.Y))\n"
        "assert history['loss'] == test.LOSSES, history\n"
        "assert history['val_loss'] == [test.LOSSES[-1]] * test.EPOCHS, history\n"
        "assert history['alpha'] == test.ALPHAS, history\n"
        "print('as expected')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True)
    assert "as expected" in run.stdout, run.stderr[-3000:]


def test_losses_that_need_different_numbers_are_refused():
    """For an accuracy of 0.6, three of four equal components, and one of four of which it has 70 %."""
    n = 2 * N_LANDMARKS
    other = LinearShapeModel(
        np.zeros(n), np.eye(n), np.array([7.0, 1, 1, 1]), np.array([0.7, 0.1, 0.1, 0.1]), limit=None
    )
    inputs = keras.Input((1,))
    model = keras.Model(inputs, {name: keras.layers.Dense(n, name=name)(inputs) for name in ("a", "b")})
    losses = {"a": ASMAssistedLoss(identity_shape_model()), "b": ASMAssistedLoss(other)}
    model.compile(keras.optimizers.SGD(0.0), losses)
    told = r"share one n_components, but need different ones. Received: \[1.0, 3.0\] in epoch 0"
    with pytest.raises(ValueError, match=told):
        model.fit(X, {"a": Y, "b": Y}, verbose=0, callbacks=[AccuracyStepSchedule((0.6,))])


def test_model_that_is_not_compiled():
    with pytest.raises(ValueError, match="the model is not compiled with one.*with loss None"):
        AlphaStepSchedule().set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(4)]))


def test_model_without_the_loss():
    with pytest.raises(ValueError, match=r"not compiled with one.*Received: model .* with loss 'mse'"):
        fit(constant_model("mse"))


def test_unknown_number_of_epochs():
    callbacks = keras.callbacks.CallbackList([AlphaStepSchedule()], model=constant_model())
    callbacks.set_params({"epochs": None, "steps": 2, "verbose": 0})
    with pytest.raises(ValueError, match="does not know how long the run is"):
        callbacks.on_train_begin()


def test_loss_that_another_model_took_over():
    loss = ASMAssistedLoss(identity_shape_model())
    first, second = constant_model(loss), constant_model(loss)
    schedule = AlphaStepSchedule()
    schedule.set_params({"epochs": 3})
    schedule.set_model(first)
    with pytest.warns(UserWarning, match="make one ASMAssistedLoss"):
        AlphaStepSchedule().set_model(second)
    with pytest.raises(RuntimeError, match="reads alpha from another model's metric"):
        schedule.on_train_begin()


def test_metric_that_was_lost():
    schedule = AlphaStepSchedule()
    schedule.set_params({"epochs": 3})
    model = constant_model()
    schedule.set_model(model)
    model._metrics.clear()
    with pytest.raises(RuntimeError, match="is no metric of the model"):
        schedule.on_train_begin()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_schedule_that_returns_nonsense(value):
    with pytest.raises(ValueError, match="alpha must be a finite number"):
        fit(constant_model(), [AlphaSchedule(lambda epoch, epochs: value)])
