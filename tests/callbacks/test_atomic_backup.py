"""A training that is stopped at any moment goes on from a whole backup, and ends as if it had not been stopped."""

import re

import keras
import numpy as np
import pytest

from keras_asm.callbacks import AlphaStepSchedule, AtomicBackupAndRestore
from keras_asm.faces import LandmarkBatches
from keras_asm.losses import ASMAssistedLoss
from keras_asm.shape_models import ActiveShapeModel

pytestmark = pytest.mark.backend
EPOCHS = 4
# Without a seed, Keras draws dropout from PyTorch's own generator, which is not in a backup
SEED = 3 if keras.config.backend() == "torch" else None


class StopError(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    """Stops within an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at, self.epoch = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == self.at:
            raise StopError


@pytest.fixture
def fit(rng):
    images = rng.integers(0, 255, (12, 4, 4, 1), dtype=np.uint8)
    landmarks = rng.normal(0, 0.1, (12, 5, 2)).astype(np.float32)

    def call(folder, *callbacks, move_batches=True, **settings):
        """A new process, as far as training is concerned: the backup, its history, the weights and Adam's state."""
        keras.utils.set_random_seed(1)
        batches = LandmarkBatches(images, landmarks, batch_size=4, shuffle=True)
        layers = [keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        model = keras.Sequential([*layers, keras.layers.Dropout(0.5, seed=SEED), keras.layers.Dense(10)])
        model.compile("adam", ASMAssistedLoss(ActiveShapeModel(0.9).fit(landmarks)), jit_compile=False)
        backup = AtomicBackupAndRestore(folder, batches if move_batches else None, **settings)
        history = model.fit(
            batches,
            epochs=EPOCHS,
            shuffle=False,
            verbose=0,
            callbacks=[AlphaStepSchedule(epochs=EPOCHS), backup, *callbacks],
        ).history
        variables = [*model.variables, *model.optimizer.variables]
        return backup, history, [keras.ops.convert_to_numpy(variable) for variable in variables]

    return call


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_stopped_twice_and_the_same_to_the_last_bit(fit, tmp_path):
    _, expected, weights = fit(tmp_path / "undisturbed")
    folder = tmp_path / "stopped"
    for epoch in (1, 3):
        with pytest.raises(StopError):
            fit(folder, StopAt(epoch))
    backup, history, found = fit(folder, delete_checkpoint=False)
    assert backup.initial_epoch == 3
    assert history == {name: values[3:] for name, values in expected.items()}
    assert_same(found, weights)
    # Once more: everything is there, and nothing is trained
    backup, history, found = fit(folder, delete_checkpoint=False)
    assert (backup.initial_epoch, history) == (EPOCHS, {})
    assert_same(found, weights)


def test_without_the_batches_it_is_another_run(fit, tmp_path):
    """What the argument is for: without it, the faces come in the order of the first epochs again."""
    *_, weights = fit(tmp_path / "undisturbed")
    with pytest.raises(StopError):
        fit(tmp_path / "stopped", StopAt(2))
    backup, _, found = fit(tmp_path / "stopped", move_batches=False)
    assert backup.initial_epoch == 2
    assert any((a != b).any() for a, b in zip(found, weights, strict=True))


def test_a_backup_that_is_cut_off_is_none(fit, tmp_path, monkeypatch):
    with pytest.raises(StopError):
        fit(tmp_path, StopAt(2))

    def half(self, filepath, overwrite=True, **kwargs):
        with open(filepath, "wb") as file:
            file.write(b"\x89HDF\r\n\x1a\n")
        raise StopError

    with monkeypatch.context() as patched:
        patched.setattr(keras.Model, "save_weights", half)
        with pytest.raises(StopError):
            fit(tmp_path)
    (tmp_path / ".epoch-000003.part").mkdir()  # as SIGKILL leaves it
    (tmp_path / ".epoch-000003.part" / "latest.weights.h5").write_bytes(b"cut off")
    backup, history, _ = fit(tmp_path, StopAt(None))
    assert (backup.initial_epoch, len(history["loss"])) == (2, EPOCHS - 2)


def test_the_folder(fit, tmp_path):
    with pytest.raises(StopError):
        fit(tmp_path, StopAt(2))
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000002"]
    fit(tmp_path, delete_checkpoint=False)
    assert [path.name for path in tmp_path.iterdir()] == [f"epoch-{EPOCHS:06d}"]
    fit(tmp_path)
    assert not list(tmp_path.iterdir())
    fit(tmp_path, write=False)
    assert not list(tmp_path.iterdir())


def test_one_that_only_restores(fit, tmp_path):
    with pytest.raises(StopError):
        fit(tmp_path, StopAt(2))
    backup, history, _ = fit(tmp_path, write=False)
    assert (backup.initial_epoch, len(history["loss"])) == (2, EPOCHS - 2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-000002"]


def test_what_a_kill_left_half_removed_is_in_no_ones_way(fit, tmp_path):
    with pytest.raises(StopError):
        fit(tmp_path, StopAt(2))
    half = tmp_path / ".epoch-000002.part"
    half.mkdir()
    (half / "random.npz").write_bytes(b"cut off")
    fit(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_backup_of_another_model_is_refused(tmp_path):
    """One with dropout into one without: their weights fit, and the states of their generators do not."""
    x = np.ones((4, 2), "float32")

    def fit_one(*layers):
        model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(1)])
        model.compile("sgd", "mse", jit_compile=False)
        backup = AtomicBackupAndRestore(tmp_path, delete_checkpoint=False)
        assert backup.initial_epoch == 0
        model.fit(x, x[:, :1], verbose=0, callbacks=[backup])

    fit_one(keras.layers.Dropout(0.5, seed=1))
    with pytest.raises(ValueError, match="of another model: expected the states of 0 .*Received: 1 in"):
        fit_one()


def test_something_without_an_epoch():
    with pytest.raises(
        ValueError, match=re.escape("attribute epoch, as LandmarkBatches does. Received: str")
    ):
        AtomicBackupAndRestore("backup", "batches")
