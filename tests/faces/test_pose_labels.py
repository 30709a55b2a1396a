"""Labels from a teacher: what it is shown, what is kept, and what survives an interruption."""

import dataclasses
import io
import pickle
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_asm.datasets import DatasetError, LandmarkDataset
from keras_asm.faces import crop_faces, label_pose
from keras_asm.pose import GeometricPoseEstimator
from keras_asm.synthetic import synthetic_faces

N = 10
SETTINGS = {"image_size": 16, "batch_size": 3, "verbose": 0}


class Teacher:
    """The mean of each colour; counts what it is shown and gives up after `patience` faces."""

    def __init__(self, patience=10**9):
        self.shown = []
        self.patience = patience

    def __call__(self, images):
        assert images.dtype == np.uint8
        assert images.shape[1:] == (16, 16, 3)
        if len(self.shown) >= self.patience:
            raise KeyboardInterrupt
        self.shown += list(images)
        return images.mean(axis=(1, 2)) - 100.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    drawn = synthetic_faces(N, seed=3, image_size=48, workers=1)
    for i, image in enumerate(drawn.images):
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder, drawn.source_landmarks


@pytest.fixture
def dataset(folder):
    path, landmarks = folder
    return LandmarkDataset(
        tuple(str(path / f"{i}.png") for i in range(N)), landmarks, scheme="300w", title="Drawn"
    )


def expected(dataset):
    return crop_faces(dataset, image_size=16, verbose=0).images.mean(axis=(1, 2)) - 100.0


def test_images(dataset):
    teacher = Teacher()
    labelled = label_pose(dataset, teacher, **SETTINGS)
    np.testing.assert_allclose(labelled.pose, expected(dataset))
    assert len(teacher.shown) == N
    assert dataset.pose is None
    assert (labelled.image_paths, labelled.title) == (dataset.image_paths, "Drawn")


def test_crops(dataset):
    crops = crop_faces(dataset, image_size=16, verbose=0)
    np.testing.assert_allclose(label_pose(crops, Teacher(), **SETTINGS).pose, expected(dataset), rtol=1e-6)


@pytest.mark.parametrize("kind", ["dataset", "crops"])
def test_landmarks(dataset, kind, tmp_path):
    """The geometric teacher says itself that it takes landmarks; images are not opened."""
    if kind == "crops":
        faces = crop_faces(dataset, image_size=16, verbose=0)
    else:
        faces = dataclasses.replace(dataset, image_paths=[f"nowhere/{i}.png" for i in range(N)], names=None)
    teacher = GeometricPoseEstimator()
    pose = label_pose(faces, teacher, cache=tmp_path / "c.npz", teacher_name="geometric", **SETTINGS).pose
    np.testing.assert_allclose(pose, teacher(dataset.landmarks), atol=1e-3)
    by_hand = label_pose(faces, lambda points: teacher(points), inputs="landmarks", verbose=0).pose
    # Batches of another size differ in their last bits, and crops keep poses in float32, which may round them apart
    rounding = np.finfo(np.float32).eps if kind == "crops" else 1e-7
    np.testing.assert_allclose(by_hand, pose, rtol=rounding, atol=1e-9)


@pytest.mark.backend
@pytest.mark.parametrize("named", [True, False])
def test_a_keras_model(dataset, named):
    inputs = keras.Input((16, 16, 3))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    pose = keras.layers.Rescaling(1.0, offset=-100.0)(keras.layers.Dropout(0.9)(mean))
    model = keras.Model(inputs, {"pose": pose, "landmarks": mean} if named else pose)
    labelled = label_pose(dataset, model, **SETTINGS)
    np.testing.assert_allclose(labelled.pose, expected(dataset), atol=1e-3)


def test_labels_that_are_there_stay(dataset):
    pose = np.full((N, 3), np.nan)
    pose[[1, 4]] = 7.0
    some = dataclasses.replace(dataset, pose=pose)
    teacher = Teacher()
    labelled = label_pose(some, teacher, **SETTINGS)
    others = np.delete(np.arange(N), [1, 4])
    np.testing.assert_array_equal(labelled.pose[[1, 4]], 7.0)
    np.testing.assert_allclose(labelled.pose[others], expected(dataset)[others])
    assert len(teacher.shown) == N - 2
    again = Teacher()
    assert label_pose(labelled, again, **SETTINGS).pose is not None
    assert not again.shown
    np.testing.assert_allclose(
        label_pose(labelled, Teacher(), overwrite=True, **SETTINGS).pose, expected(dataset)
    )


def test_goes_on_after_an_interruption(dataset, tmp_path):
    kept = {"cache": tmp_path / "sub" / "poses.npz", "teacher_name": "mean 1", **SETTINGS}
    with pytest.raises(KeyboardInterrupt):
        label_pose(dataset, Teacher(patience=6), **kept)
    assert [path.name for path in kept["cache"].parent.iterdir()] == ["poses.npz"]
    teacher = Teacher()
    labelled = label_pose(dataset, teacher, **kept)
    assert len(teacher.shown) == N - 6
    np.testing.assert_array_equal(labelled.pose, expected(dataset))
    again = Teacher()
    np.testing.assert_array_equal(label_pose(dataset, again, **kept).pose, labelled.pose)
    assert not again.shown


def test_an_interruption_while_writing_leaves_the_last_file(dataset, tmp_path, monkeypatch):
    kept = {"cache": tmp_path / "poses.npz", "teacher_name": "mean 1", **SETTINGS}
    label_pose(dataset.select(slice(0, 5)), Teacher(), **kept)
    before = kept["cache"].read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        label_pose(dataset, Teacher(), **kept)
    assert kept["cache"].read_bytes() == before
    assert list(tmp_path.iterdir()) == [kept["cache"]]


def test_the_key_is_the_content(dataset, folder, tmp_path):
    kept = {"cache": tmp_path / "poses.npz", "teacher_name": "mean 1", **SETTINGS}
    label_pose(dataset, Teacher(), **kept)

    # Moved and in another order: nothing is shown again.
    moved = shutil.copytree(folder[0], tmp_path / "moved")
    order = np.arange(N)[::-1]
    teacher = Teacher()
    elsewhere = LandmarkDataset(tuple(str(moved / f"{i}.png") for i in order), dataset.landmarks[order])
    np.testing.assert_array_equal(label_pose(elsewhere, teacher, **kept).pose, expected(dataset)[order])
    assert not teacher.shown

    # Another picture, another square, another margin, another teacher: all is shown again.
    Image.fromarray(np.full((48, 48, 3), 9, np.uint8)).save(moved / "0.png")
    for changes, faces, shown in (
        ({}, elsewhere, 1),
        ({}, dataclasses.replace(dataset, landmarks=dataset.landmarks + 1), N),
        ({"margin": 0.3}, dataset, N),
        ({"fill_mode": "constant"}, dataset, N),
        ({"teacher_name": "mean 2"}, dataset, N),
        ({"margin": 0.3}, dataset, 0),
    ):
        teacher = Teacher()
        label_pose(faces, teacher, **{**kept, **changes})
        assert len(teacher.shown) == shown, changes


def test_overwrite_takes_what_the_cache_knows(dataset, tmp_path):
    kept = {"cache": tmp_path / "poses.npz", "teacher_name": "mean 1", **SETTINGS}
    label_pose(dataset, Teacher(), **kept)
    teacher = Teacher()
    labelled = dataclasses.replace(dataset, pose=np.zeros((N, 3)))
    np.testing.assert_array_equal(
        label_pose(labelled, teacher, overwrite=True, **kept).pose, expected(dataset)
    )
    assert not teacher.shown


def test_progress(dataset, capsys):
    label_pose(dataset, Teacher(), **{**SETTINGS, "verbose": 1})
    assert f"{N}/{N}" in capsys.readouterr().out
    label_pose(dataset, Teacher(), **SETTINGS)
    assert capsys.readouterr().out == ""


def nan_for_the_fifth():
    counter = iter(range(100))
    return lambda images: [[np.nan if next(counter) == 4 else 0.0, 0.0, 0.0] for _ in images]


@pytest.mark.parametrize(
    ("teacher", "settings", "message"),
    [
        (
            lambda images: np.zeros((len(images), 2)),
            {},
            r"shape \(3, 3\).*Received: float64 of shape \(3, 2\)",
        ),
        (lambda images: np.zeros(3), {}, r"Received: float64 of shape \(3,\)"),
        (lambda images: [["a"] * 3] * 3, {}, "must return numbers"),
        (lambda images: {"a": 0}, {}, r"must name one 'pose'. Received: \['a'\]"),
        (nan_for_the_fifth(), {}, "finite angles.*4.png"),
        ("hopenet", {}, "callable. Received: 'hopenet'"),
        (Teacher(), {"inputs": "faces"}, "one of .*Received: 'faces'"),
        (Teacher(), {"batch_size": 0}, "Received: 0"),
        (Teacher(), {"cache": "a.npz"}, "needs teacher_name"),
    ],
)
def test_what_is_refused(dataset, teacher, settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        label_pose(dataset, teacher, **{**SETTINGS, **settings})


def test_a_bad_answer_is_not_cached(dataset, tmp_path):
    kept = {"cache": tmp_path / "poses.npz", "teacher_name": "t", **SETTINGS}
    with pytest.raises(ValueError, match=r"4\.png"):
        label_pose(dataset, nan_for_the_fifth(), **kept)
    assert len(np.load(kept["cache"])["pose"]) == 3


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


NAME = "keras_asm pose labels 1"
KEYS, POSE = np.zeros((2, 32), np.uint8), np.zeros((2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"image,yaw,pitch,roll\n", "cannot be read"),
        (pickle.dumps({"a": 1}), "cannot be read"),
        (npz(format=NAME, keys=KEYS, pose=POSE)[:-60], "cannot be read"),
        (npz(format=NAME, keys=np.array([{}], dtype=object), pose=POSE), "cannot be read"),
        (npz(format=NAME, keys=KEYS), "cannot be read"),
        (npz(keys=KEYS, pose=POSE), "that label_pose wrote"),
        (npz(format="keras_asm pose labels 9", keys=KEYS, pose=POSE), "Received: 'keras_asm pose labels 9'"),
        (npz(format=NAME, keys=KEYS, pose=POSE[:1]), r"expected keys \(n, 32\)"),
        (npz(format=NAME, keys=KEYS, pose=POSE * np.nan), "finite"),
    ],
)
def test_a_cache_that_is_none(dataset, tmp_path, content, message):
    path = tmp_path / "poses.npz"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as error:
        label_pose(dataset, Teacher(), cache=path, teacher_name="t", **SETTINGS)
    assert error.value.path == str(path)
    assert path.read_bytes() == content


def test_bytes_of_the_cache_flipped(dataset, tmp_path, rng):
    """A damaged file is refused or, where nothing that counts was hit, read as it was."""
    path = tmp_path / "poses.npz"
    kept = {"cache": path, "teacher_name": "t", **SETTINGS}
    pose = label_pose(dataset, Teacher(), **kept).pose
    whole = path.read_bytes()
    refused = 0
    for position in rng.integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            again = label_pose(dataset, Teacher(), **kept).pose
        except DatasetError:
            refused += 1
        else:
            np.testing.assert_array_equal(again, pose)
    assert refused > 100


def test_missing_images_are_named(dataset, tmp_path):
    nowhere = dataclasses.replace(dataset, image_paths=[str(tmp_path / "a.png")] * N, names=None)
    for settings in ({}, {"cache": tmp_path / "c.npz", "teacher_name": "t"}):
        with pytest.raises(DatasetError, match=r"a\.png: there is no such image"):
            label_pose(nowhere, Teacher(), **SETTINGS, **settings)


class WithGradient:
    """A tensor of PyTorch's that is part of a graph, as far as other backends see it: NumPy cannot read it as it is."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.values


@pytest.mark.backend
def test_a_teacher_of_pytorch_that_has_gradients():
    faces = synthetic_faces(2, image_size=16)
    labelled = label_pose(faces, lambda images: WithGradient(np.ones((2, 3))), overwrite=True, verbose=0)
    np.testing.assert_array_equal(labelled.pose, np.ones((2, 3)))


def test_landmarks_without_a_position_are_left_out():
    """The geometric teacher is as good as with all of them."""
    from keras_asm.pose import GeometricPoseEstimator

    faces = synthetic_faces(40, seed=0, image_size=16)
    landmarks = np.array(faces.landmarks)
    landmarks[:, 36] = np.nan
    partial = dataclasses.replace(faces, landmarks=landmarks)
    errors = [
        np.abs(label_pose(x, GeometricPoseEstimator(), overwrite=True, verbose=0).pose - faces.pose).mean(0)
        for x in (faces, partial)
    ]
    np.testing.assert_allclose(errors[1], errors[0], atol=0.3)
    assert (errors[1] < [3.2, 3.9, 1.6]).all()
