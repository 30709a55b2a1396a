"""A backup of a training that a kill at any moment leaves whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_asm._whole_files import replacing_folder

__all__ = ["AtomicBackupAndRestore"]

_PREFIX = "epoch-"
_RANDOM = "random.npz"


class AtomicBackupAndRestore(keras.callbacks.Callback):
    """`keras.callbacks.BackupAndRestore`, each backup whole or not there, whenever the process is killed.

    Keras's callback writes the weights over those of the last epoch, and then the number of the epoch. A process that
    is killed while it does leaves weights that cannot be read, or those of one epoch beside the number of another, from
    which training goes on without an error. Here each backup is a folder of Keras's callback, made under another name
    and renamed when it is complete; the one before it is removed after that. The states of the model's random
    generators, such as those of dropout, are kept too, which a weights file of Keras does not hold. On PyTorch, Keras
    draws dropout from PyTorch's own generator, which is not kept, unless the layer has a `seed`.

    A run that goes on ends at the numbers of an undisturbed one, if it is given the same data: pass `batches`, and
    `fit(..., shuffle=False)`, since what `fit` shuffles by begins anew. The history that `fit` returns begins at the
    epoch that it went on from; `keras.callbacks.CSVLogger(append=True)` keeps all.

    Args:
        backup_dir: Folder of the backups, and of nothing else.
        batches: A `LandmarkBatches`, or several, that are to serve the epoch that is trained; anything with an
            attribute `epoch`. None by default.
        write: Whether to make backups; with False they are restored only, as all processes but one of a distributed
            run should do. True by default.
        delete_checkpoint: Whether to remove the last backup when training has ended, as Keras does. True by default.
            With False, calling `fit` again restores the trained weights and trains no further.

    Attributes:
        initial_epoch: The epoch that training went on from, 0 where there was no backup; for loops of your own.

    Raises:
        ValueError: If the model is not built when training begins.

    Examples:
        >>> import keras
        >>> from keras_asm.callbacks import AtomicBackupAndRestore
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> backup = AtomicBackupAndRestore("backup", delete_checkpoint=False)
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, verbose=0, callbacks=[backup])
        >>> history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=5, verbose=0, callbacks=[backup])
        >>> backup.initial_epoch, len(history.history["loss"])
        (3, 2)

    See Also:
        - [`LandmarkBatches`][keras_asm.faces.LandmarkBatches]: gives the same batches again from any epoch.
        - [A run that is killed][a-run-that-is-killed]: how to set up such a run.
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        batches: Any = None,
        write: bool = True,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        self.backup_dir = Path(backup_dir)
        self.batches = [] if batches is None else keras.tree.flatten(batches)
        for each in self.batches:
            if not hasattr(each, "epoch"):
                raise ValueError(
                    "batches must have an attribute epoch, as LandmarkBatches does. "
                    f"Received: {type(each).__name__}"
                )
        self.write = write
        self.delete_checkpoint = delete_checkpoint
        self.initial_epoch = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Restore the newest backup."""
        backups = self._backups()
        self.initial_epoch = int(backups[-1].name.removeprefix(_PREFIX)) if backups else 0
        if backups:
            self._of_keras(backups[-1]).on_train_begin()
            own = self._random_states()
            with np.load(backups[-1] / _RANDOM) as states:
                if len(own) != len(states):
                    raise ValueError(
                        f"The backup is of another model: expected the states of {len(own)} random generators, one for "
                        f"each layer such as Dropout. Received: {len(states)} in {backups[-1]}"
                    )
                for variable, state in zip(own, states.values(), strict=True):
                    variable.assign(state)
        for each in self.batches:  # before the first epoch too, for loops of one's own
            each.epoch = self.initial_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Have the batches serve this epoch, whatever Keras read of them to build the model."""
        for each in self.batches:
            each.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Make a backup, and remove those before it."""
        if not self.write:
            if keras.config.backend() == "jax":
                # To read the variables, JAX needs all processes: this one throws away what it reads
                with tempfile.TemporaryDirectory() as folder:
                    self._save(Path(folder), epoch)
            return
        target = self.backup_dir / f"{_PREFIX}{epoch + 1:06d}"
        older = [backup for backup in self._backups() if backup != target]
        if target.exists():
            self._remove(target)
        with replacing_folder(target) as part:
            self._save(part, epoch)
        for backup in older:
            self._remove(backup)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Remove the last backup, if that is wished."""
        if self.write and self.delete_checkpoint:
            for backup in self._backups():
                self._remove(backup)

    def _backups(self) -> list[Path]:
        """The complete ones, the newest last."""
        return sorted(self.backup_dir.glob(f"{_PREFIX}*"))

    def _save(self, folder: Path, epoch: int) -> None:
        self._of_keras(folder).on_epoch_end(epoch)
        np.savez(folder / _RANDOM, *map(keras.ops.convert_to_numpy, self._random_states()))

    def _random_states(self) -> list[keras.Variable]:
        """The variables of the model that are no weights."""
        weights = {id(weight) for weight in self.model.weights}
        return [variable for variable in self.model.variables if id(variable) not in weights]

    def _of_keras(self, folder: Path) -> keras.callbacks.BackupAndRestore:
        callback = keras.callbacks.BackupAndRestore(str(folder))
        callback.set_model(self.model)
        return callback

    def _remove(self, backup: Path) -> None:
        # Under another name first, so that what a killed process has half removed is not taken for a backup
        gone = backup.with_name(f".{backup.name}.part")
        shutil.rmtree(gone, ignore_errors=True)
        os.replace(backup, gone)
        shutil.rmtree(gone)
