"""Batches of faces for `fit`, on any backend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_asm.faces.face_crops import FaceCrops
from keras_asm.landmarks import as_points

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_asm.layers.landmark_augmentation import LandmarkAugmentation

__all__ = ["LandmarkBatches"]


class LandmarkBatches(keras.utils.PyDataset):
    """Feed faces to `fit`, `evaluate` and `predict`: `(images, targets)`, batch by batch.

    With poses, the targets are `{"landmarks": (batch, 2 * n_landmarks), "pose": (batch, 3)}`, float32, as
    the outputs of `ASMNet` are named. Without poses they are the landmarks alone, an array, which suits
    every model of one output, whatever its name.

    Batch `i` of an epoch, its faces and their augmentation, depends on the seed, the epoch and `i` only: two
    objects of the same settings give equal batches, with any number of workers, on every backend. (`fit`
    itself shuffles the order of the batches, unless it is called with `shuffle=False`; what draws that is
    `keras.utils.set_random_seed`.) The last batch holds what is left. Batches are NumPy arrays in memory; on JAX,
    augmented ones are arrays on the device, so that `fit` need not wait for them. The images may be a memory
    map: only those of a batch are read.

    Args:
        images: `(n, height, width, channels)`, 0 to 255, uint8 or float.
        landmarks: Normalised to the images, `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`, finite.
        pose: `(yaw, pitch, roll)` in degrees, `(n, 3)`, finite; `None` (default) gives landmarks only.
        batch_size: Faces per batch; 50 by default, as in the paper.
        shuffle: Draw a new order for each epoch. `True` by default.
        augmentation: A `LandmarkAugmentation`, applied to each batch; `None` (default) applies nothing.
        seed: Seed of the order and of the augmentation. 0 by default.
        **kwargs: `workers` and `max_queue_size`, as for every `PyDataset`.

    Attributes:
        epoch: The epoch that is served, from 0. `fit` moves it on. Set it to go on where an earlier run
            stopped, or in a training loop of your own.

    Raises:
        ValueError: If the arrays disagree or are not finite, or `use_multiprocessing` is set along with an
            augmentation, since a compiled function does not survive a fork.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.faces import LandmarkBatches
        >>> batches = LandmarkBatches(np.zeros((7, 8, 8, 3), "uint8"), np.zeros((7, 68, 2)), np.zeros((7, 3)),
        ...                           batch_size=4)
        >>> [(images.shape, targets["landmarks"].shape, targets["pose"].shape) for images, targets in batches]
        [((4, 8, 8, 3), (4, 136), (4, 3)), ((3, 8, 8, 3), (3, 136), (3, 3))]
    """

    def __init__(
        self,
        images: np.ndarray,
        landmarks: Any,
        pose: Any = None,
        *,
        batch_size: int = 50,
        shuffle: bool = True,
        augmentation: LandmarkAugmentation | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        images = np.asarray(images)
        if images.ndim != 4 or len(images) == 0:
            raise ValueError(
                "images must have the shape (n, height, width, channels), with at least one image. "
                f"Received: shape {images.shape}"
            )
        n = len(images)
        points = as_points(landmarks)
        if points.ndim != 3 or len(points) != n:
            raise ValueError(
                f"landmarks must have the shape (n, n_landmarks, 2) with n={n}, as many as images. "
                f"Received: shape {points.shape}"
            )
        _check_finite("landmarks", points, "")
        self._targets = {"landmarks": points.reshape(n, -1).astype(np.float32)}
        if pose is not None:
            angles = np.asarray(pose, dtype=np.float32)
            if angles.shape != (n, 3):
                raise ValueError(f"pose must have the shape ({n}, 3). Received: shape {angles.shape}")
            _check_finite("pose", angles, "; leave out the faces without a label, or pass pose=None")
            self._targets["pose"] = angles
        if int(batch_size) != batch_size or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number above 0. Received: {batch_size!r}")
        if augmentation is not None and self.use_multiprocessing:
            raise ValueError(
                "An augmentation runs compiled, which does not survive a fork: use threads, that is "
                "workers without use_multiprocessing. Received: use_multiprocessing=True"
            )
        self._images = images
        self.batch_size = int(batch_size)
        self.shuffle = bool(shuffle)
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0
        self._within_epoch = False
        self._served: set[int] = set()
        self._order_of_epoch: tuple[int, np.ndarray] | None = None
        self._augment = None if augmentation is None else _compiled(augmentation.apply)

    @classmethod
    def from_faces(cls, faces: FaceCrops, *, pose: bool = True, **kwargs: Any) -> LandmarkBatches:
        """Batches of what `crop_faces` or `synthetic_faces` gave.

        Args:
            faces: The faces.
            pose: Give the poses too, if the faces have them. `True` by default.
            **kwargs: As for the class.

        Returns:
            The batches.

        Raises:
            ValueError: If some of the poses are missing, or as for the class.
        """
        return cls(faces.images, faces.landmarks, faces.pose if pose else None, **kwargs)

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        """Batch `index` of the epoch: images and targets."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index {index}")
        if self._within_epoch:
            self._served.add(index)
        images, targets = self._batch(self.epoch, index)
        return images, targets if "pose" in targets else targets["landmarks"]

    def to_tf_dataset(self, repeat: bool = False) -> tf.data.Dataset:
        """The same batches as a `tf.data.Dataset`, for what takes one: `tf.distribute`, or a loop of your own.

        Each pass over the data set is an epoch. The first is the one that `epoch` says now; each pass that is
        finished moves on to the next, and one that is given up early is begun again. With `repeat`, one pass goes
        through all epochs from there on, without end and without a pause between two:

            model.fit(batches.to_tf_dataset(repeat=True), steps_per_epoch=len(batches), epochs=150)

        Batches are made ahead in a thread of TensorFlow's.

        Args:
            repeat: `True` gives the epochs one after the other, without end. `False` (default) gives one a pass.

        Returns:
            A data set of `(images, targets)` that knows its length.

        Raises:
            ImportError: If TensorFlow is not installed. It need not be the backend.

        Examples:
            >>> import numpy as np
            >>> from keras_asm.faces import LandmarkBatches
            >>> batches = LandmarkBatches(np.zeros((7, 8, 8, 3), "uint8"), np.zeros((7, 68, 2)), batch_size=4)
            >>> [tuple(images.shape) for images, _ in batches.to_tf_dataset()]
            [(4, 8, 8, 3), (3, 8, 8, 3)]
        """
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError(
                'to_tf_dataset needs TensorFlow: pip install "keras-asm[tensorflow]"'
            ) from error
        epoch = self.epoch

        def batches_of(epoch: int) -> Iterator[Any]:
            for index in range(len(self)):
                images, targets = self._batch(epoch, index)
                targets = {name: np.asarray(values) for name, values in targets.items()}
                yield np.asarray(images), targets if "pose" in targets else targets["landmarks"]

        def one_pass() -> Iterator[Any]:
            nonlocal epoch
            yield from batches_of(epoch)
            epoch += 1

        def all_epochs() -> Iterator[Any]:
            for each in itertools.count(epoch):
                yield from batches_of(each)

        def spec(values: np.ndarray) -> tf.TensorSpec:
            return tf.TensorSpec((None, *values.shape[1:]), values.dtype)

        signature = {name: spec(values) for name, values in self._targets.items()}
        data = tf.data.Dataset.from_generator(
            all_epochs if repeat else one_pass,
            output_signature=(
                spec(self._images),
                signature if "pose" in signature else signature["landmarks"],
            ),
        )
        length = tf.data.INFINITE_CARDINALITY if repeat else len(self)
        options = tf.data.Options()
        # There is nothing to tune, and an iterator whose tuning is under way can take seconds to be given up.
        options.autotune.enabled = False
        # A fixed number ahead: a consumer that stops at once must not have the epoch finished behind its back.
        return data.apply(tf.data.experimental.assert_cardinality(length)).prefetch(2).with_options(options)

    def _batch(self, epoch: int, index: int) -> tuple[Any, dict[str, Any]]:
        chosen = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        images = self._images[chosen]
        targets = {name: values[chosen] for name, values in self._targets.items()}
        if self._augment is not None and self.augmentation is not None:
            # Drawn by NumPy, so that a batch is the same on every backend and in every worker.
            rng = np.random.default_rng((self.seed, epoch, 1, index))
            uniform = rng.random((len(chosen), self.augmentation.n_draws), dtype=np.float32)
            moved = self._augment(images, targets["landmarks"], targets.get("pose"), uniform)
            if keras.config.backend() != "jax":
                moved = [None if value is None else keras.ops.convert_to_numpy(value) for value in moved]
            # Keras has no thread that prepares batches for JAX. Its arrays may still be under way: fetching
            # them would wait for the train step that the device is busy with, and the device then for us.
            images = moved[0]
            targets = {name: moved[1 + i] for i, name in enumerate(targets)}
        return images, targets

    def on_epoch_begin(self) -> None:
        """Called by Keras."""
        self._within_epoch = True

    def on_epoch_end(self) -> None:
        """Go on to the order and augmentation of the next epoch; called by Keras."""
        # `fit` also ends an epoch that it never began, and on JAX and PyTorch it begins one to build the
        # model from a single batch. With several workers, how many batches were served is a matter of
        # chance, and the epoch goes on at every end.
        if self._within_epoch and (self.workers > 1 or len(self._served) == len(self)):
            self.epoch += 1
            self._served.clear()
        self._within_epoch = False

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self._images))
        # Read and written whole, since several workers may ask at once.
        known = self._order_of_epoch
        if known is None or known[0] != epoch:
            known = epoch, np.random.default_rng((self.seed, epoch, 0)).permutation(len(self._images))
            self._order_of_epoch = known
        return known[1]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled where that pays.

    Keras has no public call for this. The backend is one that Keras has imported already.
    """
    if keras.config.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        # XLA joins what is one operation per pixel: 6 times less work of a CPU than without it.
        return tf.function(function, autograph=False, reduce_retracing=True, jit_compile=True)
    return function


def _check_finite(name: str, values: np.ndarray, hint: str) -> None:
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{name} must be finite{hint}. Received: NaN or infinity in {int(bad.sum())} of {len(values)} "
            f"faces, the first at index {int(np.argmax(bad))}"
        )
