import copy
import multiprocessing.dummy
import sys
import time

import keras
import numpy as np
import pytest

from keras_asm.faces import CropTransform, FaceCrops, LandmarkBatches
from keras_asm.layers.landmark_augmentation import LandmarkAugmentation
from keras_asm.synthetic import synthetic_faces

N = 23


@pytest.fixture
def arrays(rng):
    return {
        # The first pixel numbers the face.
        "images": np.arange(N, dtype=np.uint8)[:, None, None, None] * np.ones((12, 12, 3), np.uint8),
        "landmarks": np.arange(N)[:, None, None] / 100 + rng.uniform(-0.1, 0.1, (N, 68, 2)),
        "pose": np.arange(N)[:, None] * np.array([1.0, 2, 3]),
    }


def everything(batches):
    return [(images, *targets.values()) for images, targets in batches]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_every_face_once_with_its_own_targets(arrays):
    batches = LandmarkBatches(**arrays, batch_size=5, seed=1, shuffle=True)
    assert len(batches) == 5
    assert [len(images) for images, _ in batches] == [5, 5, 5, 5, 3]
    seen = []
    for images, targets in batches:
        assert (images.dtype, targets["landmarks"].dtype, targets["pose"].dtype) == (
            "uint8", "float32", "float32",
        )  # fmt: skip
        faces = images[:, 0, 0, 0]
        np.testing.assert_array_equal(targets["pose"], arrays["pose"][faces])
        np.testing.assert_allclose(targets["landmarks"], arrays["landmarks"].reshape(N, -1)[faces], rtol=1e-6)
        seen += list(faces)
    assert sorted(seen) == list(range(N))
    assert seen != list(range(N))


def test_without_shuffling_the_order_stays(arrays):
    batches = LandmarkBatches(**arrays, batch_size=5, shuffle=False)
    for _ in range(2):
        assert [int(face) for images, _ in batches for face in images[:, 0, 0, 0]] == list(range(N))
        batches.epoch += 1


def test_each_epoch_has_its_own_order_and_it_can_be_resumed(arrays):
    batches = LandmarkBatches(**arrays, batch_size=5, shuffle=True)
    first = everything(batches)
    batches.epoch += 1
    second = everything(batches)
    assert any((a[0] != b[0]).any() for a, b in zip(first, second, strict=True))
    resumed = LandmarkBatches(**arrays, batch_size=5, shuffle=True)
    resumed.epoch = 1
    assert_equal(everything(resumed), second)


def test_landmarks_alone_are_an_array(arrays):
    images, targets = LandmarkBatches(arrays["images"], arrays["landmarks"], batch_size=5)[0]
    assert (images.shape, targets.shape) == ((5, 12, 12, 3), (5, 136))


def test_flat_landmarks(arrays):
    flat = LandmarkBatches(**{**arrays, "landmarks": arrays["landmarks"].reshape(N, -1)})
    assert_equal(everything(flat), everything(LandmarkBatches(**arrays)))


@pytest.mark.backend
class TestAugmentation:
    def make(self, arrays, seed=0):
        return LandmarkBatches(**arrays, batch_size=5, seed=seed, augmentation=LandmarkAugmentation())

    def test_equal_seeds_give_equal_batches_in_any_order_of_asking(self, arrays):
        first, second = self.make(arrays), self.make(arrays)
        expected = everything(first)
        assert expected[0][0].dtype == np.uint8
        backwards = [second[i] for i in reversed(range(len(second)))][::-1]
        assert_equal(expected, [(images, *targets.values()) for images, targets in backwards])
        first.epoch = 1
        assert np.abs(everything(first)[0][1] - expected[0][1]).max() > 0.01
        assert np.abs(everything(self.make(arrays, seed=1))[0][1] - expected[0][1]).max() > 0.01

    def test_threads_give_the_same(self, arrays):
        batches = self.make(arrays)
        with multiprocessing.dummy.Pool(4) as pool:
            threaded = pool.map(batches.__getitem__, list(range(len(batches))) * 3)
        assert_equal(everything(batches) * 3, [(images, *targets.values()) for images, targets in threaded])

    def test_images_follow_their_landmarks(self):
        """A white spot at a landmark stays there in augmented batches."""
        y, x = np.mgrid[:64, :64]
        spot = np.exp(-((x - 40) ** 2 + (y - 25) ** 2) / 18) * 255
        images = np.repeat(np.round(spot).astype(np.uint8)[None, ..., None], 3, axis=3).repeat(8, axis=0)
        landmark = (np.array([[[40, 25]]]) + 0.5) / 64 - 0.5
        augmentation = LandmarkAugmentation(None, flip=None, contrast=None, brightness=None)
        batches = LandmarkBatches(images, landmark.repeat(8, axis=0), augmentation=augmentation)
        moved, targets = batches[0]
        weight = moved.astype(float).mean(axis=3)
        centroid = (
            np.stack([(weight * x).sum((1, 2)), (weight * y).sum((1, 2))], 1) / weight.sum((1, 2))[:, None]
        )
        np.testing.assert_allclose(centroid, (targets + 0.5) * 64 - 0.5, atol=0.2)
        assert np.ptp(targets, axis=0).min() > 0.02

    def test_no_workers(self, arrays):
        """Several would lose faces where `steps_per_epoch` cuts an epoch short."""
        with pytest.raises(TypeError, match="workers"):
            LandmarkBatches(**arrays, workers=2)

    @pytest.mark.backend
    def test_what_predict_returns_stands_beside_the_faces(self, arrays):
        """Without an augmentation, faces come in their order."""
        means = arrays["images"].astype(float).mean(axis=(1, 2, 3))
        model = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.GlobalAveragePooling2D()])
        predicted = model.predict(LandmarkBatches(**arrays, batch_size=5), verbose=0).mean(axis=1)
        np.testing.assert_allclose(predicted, means, rtol=1e-4)
        shuffled = model.predict(LandmarkBatches(**arrays, batch_size=5, shuffle=True), verbose=0).mean(
            axis=1
        )
        assert not np.allclose(shuffled, means, rtol=1e-4)
        assert LandmarkBatches(**arrays, augmentation=LandmarkAugmentation()).shuffle

    @pytest.mark.backend
    def test_channels_first(self, arrays):
        augmentation = LandmarkAugmentation(seed=0)
        last = everything(LandmarkBatches(**arrays, batch_size=5, augmentation=augmentation))
        keras.config.set_image_data_format("channels_first")
        try:
            batches = LandmarkBatches(**arrays, batch_size=5, augmentation=augmentation)
            first = [(np.moveaxis(np.asarray(images), 1, -1), *rest) for images, *rest in everything(batches)]
            if keras.backend.backend() == "tensorflow":
                assert next(iter(batches.to_tf_dataset()))[0].shape == (5, 3, 12, 12)
        finally:
            keras.config.set_image_data_format("channels_last")
        assert_equal(first, last)
        with pytest.raises(ValueError, match=r"channels last.*Received: shape \(23, 3, 12, 12\)"):
            LandmarkBatches(np.moveaxis(arrays["images"], -1, 1), arrays["landmarks"])

    @pytest.mark.backend
    def test_copies(self, arrays):
        batches = LandmarkBatches(**arrays, batch_size=5, augmentation=LandmarkAugmentation())
        expected = everything(batches)
        assert_equal(everything(copy.deepcopy(batches)), expected)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda points: (points + 0.5) * 224, "must be normalised.*as of pixels"),
            (lambda points: points + 0.5, "counted from the middle.*subtract 0.5"),
        ],
    )
    def test_landmarks_in_other_units_are_refused(self, change, message):
        faces = synthetic_faces(4, image_size=16)
        with pytest.raises(ValueError, match=message):
            LandmarkBatches(faces.images, change(faces.landmarks))

    def test_flat_landmarks_with_all_x_first_are_refused(self):
        faces = synthetic_faces(4, image_size=16)
        LandmarkBatches(faces.images, faces.landmarks.reshape(4, -1))
        with pytest.raises(ValueError, match="x and y in turn.*if all x come first"):
            LandmarkBatches(faces.images, faces.landmarks.transpose(0, 2, 1).reshape(4, -1))

    @pytest.mark.backend
    def test_range_of_values(self):
        faces = synthetic_faces(4, image_size=16)
        small = faces.images.astype("float32") / 255
        with pytest.raises(
            ValueError, match=r"values from 0 to 255.*Received: float32 values from 0.* to [01]"
        ):
            LandmarkBatches(small, faces.landmarks)
        with pytest.raises(ValueError, match=r"must have the value_range of the images"):
            LandmarkBatches(small, faces.landmarks, value_range=(0, 1), augmentation=LandmarkAugmentation())

        def batch(images, value_range):
            augmentation = LandmarkAugmentation(value_range=value_range)
            batches = LandmarkBatches(
                images, faces.landmarks, value_range=value_range, augmentation=augmentation
            )
            return np.asarray(batches[0][0])

        large = batch(faces.images.astype("float32"), (0, 255))
        np.testing.assert_allclose(batch(small, (0, 1)), large / 255, atol=1e-5)
        centred = batch(faces.images.astype("float32") / 127.5 - 1, (-1, 1))
        np.testing.assert_allclose(centred, large / 127.5 - 1, atol=2e-5)

    def test_fit_evaluate_predict(self, arrays):
        inputs = keras.Input((12, 12, 3))
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        heads = {
            "landmarks": keras.layers.Dense(136, name="landmarks")(x),
            "pose": keras.layers.Dense(3, name="pose")(x),
        }
        model = keras.Model(inputs, heads)
        model.compile(
            "sgd", loss={"landmarks": "mse", "pose": "mse"}, loss_weights={"landmarks": 1.0, "pose": 1e-6}
        )
        train = LandmarkBatches(**arrays, batch_size=5, augmentation=LandmarkAugmentation())
        plain = LandmarkBatches(**arrays, batch_size=5, shuffle=False)
        history = model.fit(train, epochs=3, validation_data=plain, verbose=0).history
        assert train.epoch >= 3
        assert np.isfinite(history["loss"] + history["val_loss"]).all()
        assert model.predict(plain, verbose=0)["landmarks"].shape == (N, 136)

    def test_fit_sees_the_epochs_that_iterating_shows(self, arrays):
        """The loss of a model that always gives zeros is the mean square of what it was fed."""
        batches = LandmarkBatches(
            arrays["images"],
            arrays["landmarks"],
            batch_size=5,
            augmentation=LandmarkAugmentation(),
        )
        expected = []
        for epoch in range(3):
            batches.epoch = epoch
            shown = np.concatenate([targets for _, targets in batches])
            expected.append((shown.astype(float) ** 2).mean())
        batches.epoch = 0
        inputs = keras.Input((12, 12, 3))
        outputs = keras.layers.Dense(136, kernel_initializer="zeros")(keras.layers.Flatten()(inputs))
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(0.0), loss="mse")
        history = model.fit(batches, epochs=3, verbose=0).history
        np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
        assert batches.epoch == 3

    @pytest.mark.parametrize("pause", [0.0, 0.1])
    def test_partial_epochs_of_fit_go_through_all_faces(self, arrays, pause):
        """With `steps_per_epoch`, the order changes once every face was seen, also by a thread between two epochs."""
        made = []

        class Recorded(LandmarkBatches):
            def _batch(self, epoch, index):
                made.append((epoch, index))
                time.sleep(pause / 3)
                return super()._batch(epoch, index)

        class Paused(keras.callbacks.Callback):  # as validation does
            def on_epoch_end(self, epoch, logs=None):
                time.sleep(pause)

        batches = Recorded(arrays["images"], arrays["landmarks"], batch_size=4, shuffle=True)
        inputs = keras.Input((12, 12, 3))
        model = keras.Model(inputs, keras.layers.Dense(136)(keras.layers.Flatten()(inputs)))
        model.compile("sgd", loss="mse")
        made.clear()
        model.fit(batches, epochs=6, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[Paused()])
        # 18 steps, 6 of them a pass. Keras looks at a few batches before it begins, and may prepare some ahead.
        wanted = [(epoch, index) for epoch in range(3) for index in range(6)]
        assert any(made[i : i + 18] == wanted for i in range(len(made)))


class TestTfDataset:
    @pytest.fixture(autouse=True)
    def _tensorflow(self):
        pytest.importorskip("tensorflow", reason="to_tf_dataset needs TensorFlow")

    @pytest.mark.backend
    @pytest.mark.parametrize("augmented", [False, True])
    @pytest.mark.parametrize("pose", [False, True])
    def test_equal_batches(self, arrays, augmented, pose):
        def make():
            return LandmarkBatches(
                arrays["images"],
                arrays["landmarks"],
                arrays["pose"] if pose else None,
                batch_size=5,
                seed=4,
                augmentation=LandmarkAugmentation() if augmented else None,
            )

        batches, other = make(), make()
        batches.epoch = other.epoch = 2
        data = batches.to_tf_dataset()
        assert int(data.cardinality()) == 5
        for epoch in (2, 3, 4):
            other.epoch = epoch
            shown = list(data.as_numpy_iterator())
            if pose:
                shown = [(images, *targets.values()) for images, targets in shown]
                assert_equal(shown, everything(other))
            else:
                assert_equal(shown, list(other))
            assert shown[0][0].dtype == np.uint8
        assert batches.epoch == 2

    def test_a_pass_that_is_given_up_is_begun_again(self, arrays):
        batches = LandmarkBatches(**arrays, batch_size=2)
        data = batches.to_tf_dataset()
        first = next(iter(data.as_numpy_iterator()))[0]
        np.testing.assert_array_equal(first, next(iter(data.as_numpy_iterator()))[0])

    @pytest.mark.backend
    @pytest.mark.parametrize("repeat", [False, True])
    def test_fit_sees_the_epochs_of_the_batches(self, arrays, repeat):
        batches = LandmarkBatches(
            arrays["images"], arrays["landmarks"], batch_size=4, augmentation=LandmarkAugmentation()
        )
        batches.epoch = 5
        data = batches.to_tf_dataset(repeat)
        expected = []
        for epoch in range(5, 8):
            batches.epoch = epoch
            shown = np.concatenate([targets for _, targets in batches])
            expected.append((shown.astype(float) ** 2).mean())
        inputs = keras.Input((12, 12, 3))
        outputs = keras.layers.Dense(136, kernel_initializer="zeros")(keras.layers.Flatten()(inputs))
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(0.0), loss="mse")
        steps = len(batches) if repeat else None
        history = model.fit(data, epochs=3, steps_per_epoch=steps, verbose=0).history
        np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)

    def test_repeated_epochs_follow_one_another(self, arrays):
        batches = LandmarkBatches(arrays["images"], arrays["landmarks"], batch_size=5, seed=4)
        data = batches.to_tf_dataset(repeat=True)
        assert int(data.cardinality()) == -1  # INFINITE_CARDINALITY
        shown = list(data.take(3 * len(batches)).as_numpy_iterator())
        expected = []
        for epoch in range(3):
            batches.epoch = epoch
            expected += list(batches)
        assert_equal(shown, expected)

    def test_without_tensorflow(self, arrays, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        with pytest.raises(ImportError, match=r'pip install "keras-asm\[tensorflow\]"'):
            LandmarkBatches(**arrays).to_tf_dataset()


class TestFromFaces:
    def test_crops(self, arrays):
        transform = CropTransform(np.full((N, 2), 50.0), np.full(N, 20.0), 12)
        crops = FaceCrops(arrays["images"], arrays["landmarks"], transform, arrays["pose"])
        assert_equal(everything(LandmarkBatches.from_faces(crops)), everything(LandmarkBatches(**arrays)))

    def test_synthetic_faces(self):
        faces = synthetic_faces(3, seed=0, image_size=32)
        images, targets = LandmarkBatches.from_faces(faces, shuffle=False)[0]
        np.testing.assert_array_equal(images, faces.images)
        pixels = (targets["landmarks"].reshape(3, 68, 2) + 0.5) * 32 - 0.5
        np.testing.assert_allclose(pixels, faces.source_landmarks, atol=1e-4)
        np.testing.assert_array_equal(targets["pose"], faces.pose)
        assert LandmarkBatches.from_faces(faces, pose=False)[0][1].shape == (3, 136)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((N, 12, 12))}, "n, height, width, channels"),
        ({"images": np.zeros((0, 12, 12, 3))}, "at least one"),
        ({"images": np.zeros((5, 12, 12, 3))}, "n=5"),
        ({"landmarks": np.zeros((N, 137))}, "Received: shape"),
        ({"landmarks": np.full((N, 68, 2), np.inf)}, "landmarks must be finite.*23 of 23"),
        ({"landmarks": np.tile([0.1, np.nan], (N, 68, 1))}, "half a position in 23 of 23"),
        ({"pose": np.zeros((N, 2))}, "pose must have"),
        ({"pose": np.where(np.arange(N) == 7, np.inf, 0)[:, None] + np.zeros(3)}, "1 of 23.*index 7"),
        ({"pose": np.full((N, 3), np.nan)}, "known of one face at least"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
    ],
)
def test_bad_input(arrays, changes, message):
    with pytest.raises(ValueError, match=message):
        LandmarkBatches(**{**arrays, **changes})


@pytest.mark.parametrize("index", [-1, 5])
def test_batches_beyond_the_last(arrays, index):
    with pytest.raises(IndexError, match="There are 5 batches"):
        LandmarkBatches(**arrays, batch_size=5)[index]


@pytest.mark.parametrize("crop_margin", [None, 0.25])
def test_landmarks_without_a_position_stay_without(crop_margin):
    """The augmentation moves the others as if all had a position, and none of its numbers becomes NaN by them."""
    faces = synthetic_faces(6, image_size=16)
    landmarks = np.array(faces.landmarks)
    inner = np.array([30, 31, 50])  # not on the box of the landmarks
    landmarks[:3, inner] = np.nan
    landmarks[5] = np.nan
    augmentation = LandmarkAugmentation("300w", rotation=5, crop_margin=crop_margin, seed=0)
    arguments = {"batch_size": 6, "augmentation": augmentation, "shuffle": False}
    (images, partial), (_, whole) = (
        LandmarkBatches(faces.images, points, **arguments)[0] for points in (landmarks, faces.landmarks)
    )
    partial, whole = (np.asarray(x).reshape(6, 68, 2) for x in (partial, whole))
    there = ~np.isnan(partial)
    assert not there[5].any()
    assert there[3:5].all()
    assert (~there[:3, :, 0]).sum(axis=1).tolist() == [3, 3, 3]
    np.testing.assert_allclose(partial[:5][there[:5]], whole[:5][there[:5]], atol=1e-5)
    assert np.isfinite(np.asarray(images, np.float32)).all()
    with pytest.raises(ValueError, match="must be normalised"):
        LandmarkBatches(faces.images, 100 * landmarks)


@pytest.mark.backend
@pytest.mark.parametrize("count", [2, 3])
def test_parts_of_processes_are_the_batches_of_one(arrays, count):
    """Every face once an epoch over the processes, with the augmentation that it has in one process."""
    arrays = {name: values[:18] for name, values in arrays.items()}
    settings = {"batch_size": 12, "seed": 1, "augmentation": LandmarkAugmentation(68, flip=0.5)}
    whole = LandmarkBatches(**arrays, **settings)
    parts = [LandmarkBatches(**arrays, **settings, shard=(index, count)) for index in range(count)]
    for epoch in range(2):
        for batches in (whole, *parts):
            batches.epoch = epoch
        for expected, *of_processes in zip(whole, *parts, strict=True):
            for i, values in enumerate((expected[0], *expected[1].values())):
                found = [np.asarray((images, *targets.values())[i]) for images, targets in of_processes]
                assert len({len(part) for part in found}) == 1
                np.testing.assert_allclose(np.concatenate(found), np.asarray(values), atol=1e-4)
    plain = [LandmarkBatches(**arrays, batch_size=12, shuffle=True, shard=(i, count)) for i in range(count)]
    seen = [int(face) for batches in plain for images, _ in batches for face in images[:, 0, 0, 0]]
    assert sorted(seen) == list(range(18))


def test_parts_of_a_memory_map_as_tf_data(arrays, tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    np.save(tmp_path / "images.npy", arrays["images"][:18])
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    settings = {"batch_size": 12, "shuffle": True}
    parts = [
        LandmarkBatches(images, arrays["landmarks"][:18], shard=(i, 2), **settings).to_tf_dataset()
        for i in range(2)
    ]
    whole = LandmarkBatches(images, arrays["landmarks"][:18], **settings)
    of_epochs = []
    for epoch in range(2):
        whole.epoch = epoch
        found = [
            np.concatenate([batch[0] for batch in both])[:, 0, 0, 0] for both in zip(*parts, strict=True)
        ]
        for batch, (expected, _) in zip(found, whole, strict=True):
            np.testing.assert_array_equal(batch, expected[:, 0, 0, 0])
        of_epochs.append(list(np.concatenate(found)))
        assert sorted(of_epochs[-1]) == list(range(18))
    assert of_epochs[0] != of_epochs[1]


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 0), (0.5, 2), 1, (0, 1, 2)])
def test_no_such_part(arrays, shard):
    with pytest.raises(ValueError, match=r"shard must be \(index, count\).*Received: shard="):
        LandmarkBatches(**arrays, shard=shard)


def test_batches_that_do_not_divide(arrays):
    with pytest.raises(ValueError, match="2 equal parts.*Received: batch_size=5 and 23 faces, with 3 in the"):
        LandmarkBatches(**arrays, batch_size=5, shard=(0, 2))
    with pytest.raises(ValueError, match="batch_size=4 and 23 faces, with 3 in the last"):
        LandmarkBatches(**arrays, batch_size=4, shard=(0, 2))
