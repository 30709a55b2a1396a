"""Batches of faces for `fit`, on any backend."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_asm._backend import compiled
from keras_asm.faces.face_crops import FaceCrops
from keras_asm.landmarks import as_points
from keras_asm.pose import mean_face_3d
from keras_asm.shape_models.procrustes import align_to

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_asm.layers.landmark_augmentation import LandmarkAugmentation

__all__ = ["LandmarkBatches"]

_FACES = (68, 98)  # numbers of landmarks of which a mean face is known


class LandmarkBatches(keras.utils.PyDataset):
    """Feed faces to `fit`, `evaluate` and `predict`: `(images, targets)`, batch by batch.

    With poses, the targets are `{"landmarks": (batch, 2 * n_landmarks), "pose": (batch, 3)}`, float32, as
    the outputs of `ASMNet` are named. Without poses they are the landmarks alone, an array, which suits
    every model of one output, whatever its name. With `uncertainty`, the landmarks come once more, as the target of the
    output `"uncertain_landmarks"` of a network with `include_uncertainty=True`.

    Batch `i` of an epoch, its faces and their augmentation, depends on the seed, the epoch and `i` only: two
    objects of the same settings give equal batches on every backend. (`fit`
    itself shuffles the order of the batches, unless it is called with `shuffle=False`; what draws that is
    `keras.utils.set_random_seed`.) The last batch holds what is left. Batches are NumPy arrays in memory; on JAX,
    augmented ones are arrays on the device, so that `fit` need not wait for them. The images may be a memory
    map: only those of a batch are read. Where `keras.config.image_data_format()` is `"channels_first"`, batches
    have their channels first.

    To train, pass an augmentation or `shuffle=True`. Without either, faces come in their order, so that what
    `predict` returns stands beside them.

    Args:
        images: `(n, height, width, channels)`, uint8 or float, with values from 0 to 255 or as `value_range` says.
        landmarks: Normalised to the images, which span [-0.5, 0.5], `(n, n_landmarks, 2)` or
            `(n, 2 * n_landmarks)` with x and y in turn; NaN where a landmark has no position, which the losses and
            metrics of this library leave out.
        pose: `(yaw, pitch, roll)` in degrees, `(n, 3)`, NaN for a face whose pose is not known, which `HeadPoseLoss`
            and `HeadPoseError` leave out; `None` (default) gives landmarks only.
        batch_size: Faces per batch; 50 by default, as in the paper.
        shuffle: Draw a new order for each epoch. By default where there is an augmentation.
        augmentation: A `LandmarkAugmentation`, applied to each batch; `None` (default) applies nothing.
        seed: Seed of the order and of the augmentation. 0 by default.
        value_range: Smallest and largest value of a pixel; (0, 255) by default, as `ASMNet` takes them. An
            augmentation must have the same.
        uncertainty: Give a target for the output `"uncertain_landmarks"`. `False` by default.
        shard: `(index, count)` gives part `index` of the `count` equal parts of every batch, for training by several
            processes: together they serve the batches of one process, every face once. Only the images of the part are
            read. `batch_size` is that of all processes together, and all need the same arguments otherwise. `(0, 1)`
            by default.

    Attributes:
        epoch: The epoch that is served, from 0. `fit` moves it on. Set it to go on where an earlier run
            stopped, or in a training loop of your own.

    Raises:
        ValueError: If the arrays disagree or are not finite; if landmarks are in pixels, counted from the corner or
            all x before all y; if pixels are not within the range of values; if a batch does not divide into the parts
            of `shard`.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.faces import LandmarkBatches
        >>> batches = LandmarkBatches(np.zeros((7, 8, 8, 3), "uint8"), np.zeros((7, 68, 2)), np.zeros((7, 3)),
        ...                           batch_size=4)
        >>> [(images.shape, targets["landmarks"].shape, targets["pose"].shape) for images, targets in batches]
        [((4, 8, 8, 3), (4, 136), (4, 3)), ((3, 8, 8, 3), (3, 136), (3, 3))]

    See Also:
        - [`FaceCrops`][keras_asm.faces.FaceCrops]: where the faces come from.
        - [`LandmarkAugmentation`][keras_asm.layers.LandmarkAugmentation]: changes each batch.
        - [`predict_with_flip`][keras_asm.model_tools.predict_with_flip]: predicts from them.
        - [Batches][batches]: shuffling, several processes and shards.
    """

    def __init__(
        self,
        images: np.ndarray,
        landmarks: Any,
        pose: Any = None,
        *,
        batch_size: int = 50,
        shuffle: bool | None = None,
        augmentation: LandmarkAugmentation | None = None,
        seed: int = 0,
        value_range: tuple[float, float] = (0.0, 255.0),
        uncertainty: bool = False,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        # One thread of Keras's. Several ask ahead, and what they have at the end of an epoch that `steps_per_epoch`
        # cuts short is lost, so that faces would be left out
        super().__init__(workers=1)
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
        if images.shape[-1] > 4:
            raise ValueError(
                "images must have their channels last, (n, height, width, channels), whatever the data format; batches "
                f"follow keras.config.image_data_format(). Received: shape {images.shape}"
            )
        _check_positions(points)
        _check_normalized(points, flat=np.ndim(landmarks) == 2)
        _check_values(images, value_range)
        if augmentation is not None and tuple(augmentation.value_range) != tuple(value_range):
            raise ValueError(
                "The augmentation must have the value_range of the images. "
                f"Received: {tuple(augmentation.value_range)} and {tuple(value_range)}"
            )
        self._targets = {"landmarks": points.reshape(n, -1).astype(np.float32)}
        if pose is not None:
            angles = np.asarray(pose, dtype=np.float32)
            if angles.shape != (n, 3):
                raise ValueError(f"pose must have the shape ({n}, 3). Received: shape {angles.shape}")
            known = ~np.isnan(angles).any(axis=1)
            if not known.any():
                raise ValueError("pose must be known of one face at least; or pass None. Received: only NaN")
            _check_finite("pose", angles[known], " or NaN")
            self._targets["pose"] = angles
        if int(batch_size) != batch_size or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number above 0. Received: {batch_size!r}")
        self.shard = _checked_shard(shard, int(batch_size), n)
        self._images = images
        self.batch_size = int(batch_size)
        self.shuffle = augmentation is not None if shuffle is None else bool(shuffle)
        self.augmentation = augmentation
        self.seed = seed
        self.uncertainty = uncertainty
        self.epoch = 0
        self._within_epoch = False
        self._served: set[int] = set()
        self._order_of_epoch: tuple[int, np.ndarray] | None = None
        self._augment: Callable[..., Any] | None = None  # compiled when it is needed

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
            ValueError: As for the class.
        """
        return cls(faces.images, faces.landmarks, faces.pose if pose else None, **kwargs)

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        """Batch `index` of the epoch: images and targets."""
        if not 0 <= index < len(self):
            raise IndexError(f"There are {len(self)} batches. Received: index {index}")
        # A pass that `steps_per_epoch` divides goes on between two epochs of `fit`, where TensorFlow prepares batches.
        if self._within_epoch or self._served:
            self._served.add(index)
        images, targets = self._batch(self.epoch, index)
        return images, self._as_outputs(targets)

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
                yield np.asarray(images), self._as_outputs(targets)

        def one_pass() -> Iterator[Any]:
            nonlocal epoch
            yield from batches_of(epoch)
            epoch += 1

        def all_epochs() -> Iterator[Any]:
            for each in itertools.count(epoch):
                yield from batches_of(each)

        def spec(values: np.ndarray) -> tf.TensorSpec:
            return tf.TensorSpec((None, *values.shape[1:]), values.dtype)

        shown = self._images[:0]
        if keras.config.image_data_format() == "channels_first":
            shown = shown.transpose(0, 3, 1, 2)
        signature = {name: spec(values) for name, values in self._targets.items()}
        data = tf.data.Dataset.from_generator(
            all_epochs if repeat else one_pass,
            output_signature=(
                spec(shown),
                self._as_outputs(signature),
            ),
        )
        length = tf.data.INFINITE_CARDINALITY if repeat else len(self)
        options = tf.data.Options()
        # There is nothing to tune, and an iterator whose tuning is under way can take seconds to be given up.
        options.autotune.enabled = False
        # A fixed number ahead: a consumer that stops at once must not have the epoch finished behind its back.
        return data.apply(tf.data.experimental.assert_cardinality(length)).prefetch(2).with_options(options)

    def _batch(self, epoch: int, index: int) -> tuple[Any, dict[str, Any]]:
        whole = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        part, parts = self.shard
        mine = slice(part * len(whole) // parts, (part + 1) * len(whole) // parts)
        chosen = whole[mine]
        images = self._images[chosen]
        targets = {name: values[chosen] for name, values in self._targets.items()}
        if self.augmentation is not None:
            if self._augment is None:
                self._augment = compiled(self.augmentation.apply)
            # Drawn by NumPy and for the whole batch, so that a face is the same on every backend and in every process.
            rng = np.random.default_rng((self.seed, epoch, 1, index))
            uniform = rng.random((len(whole), self.augmentation.n_draws), dtype=np.float32)[mine]
            moved = self._augment(images, targets["landmarks"], targets.get("pose"), uniform)
            if keras.config.backend() != "jax":
                moved = [None if value is None else keras.ops.convert_to_numpy(value) for value in moved]
            # Keras has no thread that prepares batches for JAX. Its arrays may still be under way: fetching
            # them would wait for the train step that the device is busy with, and the device then for us.
            images = moved[0]
            targets = {name: moved[1 + i] for i, name in enumerate(targets)}
        if keras.config.image_data_format() == "channels_first":
            images = images.transpose(0, 3, 1, 2)
        return images, targets

    def _as_outputs(self, targets: dict[str, Any]) -> Any:
        """The targets in the form of the network's outputs."""
        if self.uncertainty:
            return {**targets, "uncertain_landmarks": targets["landmarks"]}
        return targets if "pose" in targets else targets["landmarks"]

    def __getstate__(self) -> dict[str, Any]:
        # A compiled function can be neither copied nor pickled
        return {**self.__dict__, "_augment": None}

    def on_epoch_begin(self) -> None:
        """Called by Keras."""
        self._within_epoch = True

    def on_epoch_end(self) -> None:
        """Go on to the order and augmentation of the next epoch; called by Keras."""
        # `fit` also ends an epoch that it never began, and on JAX and PyTorch it begins one to build the
        # model from a single batch.
        if self._within_epoch and len(self._served) == len(self):
            self.epoch += 1
            self._served.clear()
        self._within_epoch = False

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self._images))
        # Read and written whole, since a thread of `tf.data` may ask at the same time.
        known = self._order_of_epoch
        if known is None or known[0] != epoch:
            known = epoch, np.random.default_rng((self.seed, epoch, 0)).permutation(len(self._images))
            self._order_of_epoch = known
        return known[1]


def _checked_shard(shard: tuple[int, int], batch_size: int, n: int) -> tuple[int, int]:
    """The part as plain numbers; raises where there is no such part, or batches do not divide into equal ones."""
    try:
        index, count = (operator.index(value) for value in shard)
    except (TypeError, ValueError):
        index, count = 0, 0
    if not 0 <= index < count:
        raise ValueError(f"shard must be (index, count) with 0 <= index < count. Received: shard={shard!r}")
    last = n % batch_size
    if batch_size % count or last % count:
        raise ValueError(
            f"Every batch must divide into {count} equal parts, or the processes would not step together: choose a "
            "batch_size and a number of faces that do. "
            f"Received: batch_size={batch_size} and {n} faces, with {last} in the last batch"
        )
    return index, count


def _check_positions(points: np.ndarray) -> None:
    """Raises where a landmark is neither two finite numbers nor two NaN."""
    nowhere = np.isnan(points)
    bad = (np.isinf(points) | (nowhere != nowhere.all(axis=-1, keepdims=True))).any(axis=(1, 2))
    if bad.any():
        raise ValueError(
            "landmarks must be finite, or two NaN where they have no position. Received: infinity or half a position "
            f"in {int(bad.sum())} of {len(points)} faces, the first at index {int(np.argmax(bad))}"
        )


def _check_normalized(points: np.ndarray, flat: bool) -> None:
    """Raises where landmarks cannot be normalised ones: a crop spans [-0.5, 0.5]."""
    whole = points[~np.isnan(points).any(axis=(1, 2))]
    if not len(whole):  # the middle of what is there in place of what is not
        known = points[~np.isnan(points).all(axis=(1, 2))]
        if not len(known):
            return
        whole, flat = np.where(np.isnan(known), np.nanmean(known, axis=1, keepdims=True), known), False
    points = whole
    reach = float(np.median(np.abs(points).max(axis=(1, 2))))
    if reach > 2.0:
        raise ValueError(
            "landmarks must be normalised: x = (pixel + 0.5) / width - 0.5, so that the image spans [-0.5, 0.5]; "
            f"crop_faces does so. Received: coordinates from {points.min():.4g} to {points.max():.4g}, as of pixels"
        )
    if points.min() >= 0 and points.mean() > 0.25:
        raise ValueError(
            "landmarks must be counted from the middle of the image, which spans [-0.5, 0.5]; subtract 0.5 from those "
            f"that are counted from its corner. Received: coordinates from {points.min():.4g} to {points.max():.4g}"
        )
    if flat and points.shape[1] in _FACES:
        face = mean_face_3d(points.shape[1])[:, :2] * [1, -1]
        columns = points.reshape(len(points), 2, -1).transpose(0, 2, 1)  # what they are if all x come first
        if _distance(columns, face) < _distance(points, face) / 2:
            raise ValueError(
                "Flat landmarks must have x and y in turn: x1, y1, x2, y2, ... Those with all x first become so by "
                "reshape(n, 2, -1).transpose(0, 2, 1). Received: shapes that are faces only if all x come first"
            )


def _distance(points: np.ndarray, face: np.ndarray) -> float:
    """Median distance of shapes from a face after alignment, in sizes of the face."""
    face = face - face.mean(axis=0)
    aligned, _ = align_to(points.astype(np.float64), face)
    return float(np.median(np.linalg.norm(aligned - face, axis=(1, 2)) / np.linalg.norm(face)))


def _check_values(images: np.ndarray, value_range: tuple[float, float]) -> None:
    """Raises where pixels are not in the range that they should be in; a few images tell."""
    low, high = (float(value) for value in value_range)
    if not low < high:
        raise ValueError(f"value_range must be a pair, low < high. Received: {value_range!r}")
    few = np.asarray(images[:: max(1, len(images) // 16)], dtype=np.float32)
    darkest, brightest = float(few.min()), float(few.max())
    margin = 0.01 * (high - low)
    # A set in 0..1 would be all but black in 0..255
    dark = images.dtype.kind == "f" and darkest < brightest <= low + margin
    if darkest < low - margin or brightest > high + margin or dark:
        raise ValueError(
            f"images must hold values from {low:g} to {high:g}: scale them, or pass as value_range the range that they "
            f"have. Received: {images.dtype} values from {darkest:g} to {brightest:g}"
        )


def _check_finite(name: str, values: np.ndarray, hint: str) -> None:
    bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{name} must be finite{hint}. Received: NaN or infinity in {int(bad.sum())} of {len(values)} "
            f"faces, the first at index {int(np.argmax(bad))}"
        )
