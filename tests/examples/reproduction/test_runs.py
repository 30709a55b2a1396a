"""The runs of the reproduction: what they are made of, and that nothing is lost when one is cut off."""

import argparse
import json
from dataclasses import replace

import keras
import numpy as np
import pytest

import run as script
from keras_asm import ActiveShapeModel, ShapeDecoder
from keras_asm.datasets import DatasetError, load_wflw, load_youtube_faces
from keras_asm.landmarks import get_scheme
from keras_asm.synthetic import synthetic_faces
from paper import training
from paper.data import _LOADERS, SPARSE_LANDMARKS, Faces, add_data_arguments, load_faces
from paper.records import read_records, write_json
from paper.settings import HEADS, LossSettings, RunSettings, load_experiments


def settings(**values) -> RunSettings:
    run = load_experiments()["paper"].run("ASMNet")
    return replace(run, dataset="synthetic", **values)


@pytest.fixture
def command(monkeypatch, capsys):
    """What `run.py` prints, run in this process."""

    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
        script.main()
        return capsys.readouterr().out

    return command


# --- files


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "run.json"
    record = {"kind": "run", "errors": [[1.0, 2.0], [3.0, 4.0]], "text": "a [b, c] d", "none": None}
    write_json(path, record)
    assert json.loads(path.read_text()) == record
    assert len(path.read_text().splitlines()) < 15
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"kind": "run", "errors": [float("nan")]})
    assert json.loads(path.read_text()) == record
    write_json(tmp_path / "other.json", {"kind": "predictions"})
    assert read_records([tmp_path]) == [record]


# --- runs


pytestmark = pytest.mark.usefixtures("tiny_network")

TINY = {"network": "tiny", "image_size": 32, "epochs": 3, "batch_size": 20, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def faces() -> Faces:
    test = synthetic_faces(12, seed=1, image_size=32)
    return Faces(synthetic_faces(40, image_size=32), test, {"all": np.arange(12), "some": np.arange(4)})


@pytest.mark.backend
def test_a_run_that_is_cut_off_ends_with_the_same_numbers(faces, tmp_path, monkeypatch):
    run = settings(**TINY, recipe="strong", augmentation="cropped", schedule="cosine", average=0.9)
    model, whole = training.train(run, faces, None, tmp_path / "whole.npz", verbose=0)
    results, predictions = training.test(model, faces)
    assert {name: len(errors["nme"]) for name, errors in results.items()} == {"all": 12, "some": 4}
    assert np.shape(results["some"]["pose_error"]) == (4, 3)
    assert results["all"]["nme"][:4] == results["some"]["nme"]
    assert np.shape(predictions["landmarks"]) == (12, 136)

    save = training._Checkpoint.on_epoch_end

    def cut_off(self, epoch, logs=None):
        save(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Checkpoint, "on_epoch_end", cut_off)
        with pytest.raises(KeyboardInterrupt):
            training.train(run, faces, None, tmp_path / "cut.npz", verbose=0)
    model, resumed = training.train(run, faces, None, tmp_path / "cut.npz", verbose=0)

    assert resumed["history"]["alpha"] == whole["history"]["alpha"] == [2.0, 1.0, 0.5]
    # Not to the last bit: threads add in any order
    for key in ("loss", "landmarks_nme", "pose_loss"):
        np.testing.assert_allclose(resumed["history"][key], whole["history"][key], rtol=1e-3)
    np.testing.assert_allclose(training.test(model, faces)[0]["all"]["nme"], results["all"]["nme"], rtol=2e-3)
    assert [key for key in whole if resumed[key] != whole[key]] in (
        ["seconds", "history"],
        ["history"],
    )
    # Finished: nothing is trained any more
    model, again = training.train(run, faces, None, tmp_path / "cut.npz", verbose=0)
    assert again == resumed
    np.testing.assert_allclose(training.test(model, faces)[0]["all"]["nme"], results["all"]["nme"], rtol=2e-3)

    with pytest.raises(ValueError, match="a run with other settings"):
        training.train(replace(run, seed=1), faces, None, tmp_path / "cut.npz", verbose=0)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_with_drawn_shapes_and_recomputed_statistics(head, faces, tmp_path):
    run = settings(**{**TINY, "epochs": 2}, head=head, augment_shapes=0.3, recompute=1, seed=3)
    model, record = training.train(run, faces, None, tmp_path / "run.npz", verbose=0)
    assert RunSettings.read(record["settings"]) == run
    assert isinstance(model.get_layer("landmarks"), keras.layers.Dense if head == "dense" else ShapeDecoder)
    expected = model.predict(faces.test.images, verbose=0)["landmarks"]
    model.save_weights(tmp_path / "run.weights.h5")
    if record["model"]["parameters"] == training.model_cost(training.build_network(run, 68, True)).parameters:
        again = training.build_network(run, 68, with_pose=True)  # a decoder of nothing in particular
        again.load_weights(tmp_path / "run.weights.h5")
        np.testing.assert_array_equal(again.predict(faces.test.images, verbose=0)["landmarks"], expected)
    else:  # the number of components depends on the faces, which here are too few for all of them
        assert head in ("components", "components-99", "similarity")
    plain = training.train(replace(run, recompute=0), faces, None, tmp_path / "plain.npz", verbose=0)[0]
    assert np.abs(plain.predict(faces.test.images, verbose=0)["landmarks"] - expected).max() > 1e-4


def test_no_epoch_tests_the_first_weights(faces, tmp_path):
    run = settings(**{**TINY, "epochs": 0})
    _, record = training.train(run, faces, None, tmp_path / "run.npz", verbose=0)
    assert record["history"] == {}


class Sure:
    """Answers every batch with these outputs."""

    def __init__(self, **outputs):
        self.outputs = outputs

    def predict(self, images, **_):
        return self.outputs


def test_head_pose_where_it_is_known(faces):
    known = faces.test
    first = replace(
        faces, pose_test=known, pose_subsets={"within_99": np.arange(12), "few": np.array([0, 2])}
    )
    off = known.pose + np.array([1.0, -2.0, 363.0])  # errors are wrapped at 360 degrees
    tested = training.test_pose(Sure(landmarks=known.landmarks.reshape(12, -1), pose=off), first)
    assert {name: errors["faces"] for name, errors in tested.items()} == {"within_99": 12, "few": 2}
    for errors in tested.values():
        np.testing.assert_allclose(errors["network"], [1, 2, 3], atol=1e-3)
        assert (
            errors["landmarks"] == errors["annotated"]
        )  # the landmarks that it found are the annotated ones
    assert 0.1 < np.mean(tested["within_99"]["annotated"]) < 4  # as the geometric teacher's own tests have it

    without_head = training.test_pose(Sure(landmarks=np.roll(known.landmarks, 1, axis=0)), first)
    assert "network" not in without_head["few"]
    assert np.mean(without_head["within_99"]["landmarks"]) > np.mean(without_head["within_99"]["annotated"])
    assert training.test_pose(Sure(), faces) is None


def test_a_loss_that_is_no_number_ends_the_run(faces, tmp_path):
    run = settings(**{**TINY, "learning_rate": 1e30}, loss=LossSettings())
    with pytest.raises(RuntimeError, match="no number any more"):
        training.train(run, faces, None, tmp_path / "diverged.npz", verbose=0)


def test_averaged_weights_are_those_of_the_last_steps(faces, tmp_path):
    """w_avg <- m w_avg + (1 - m) w after each step, begun at the first weights seen; here by hand from every step."""
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append([keras.ops.convert_to_numpy(v) for v in self.model.trainable_variables])

    run = settings(**TINY, average=0.5, loss=LossSettings())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LossSettings, "schedules", lambda self, epochs: [Watch()])
        model, _ = training.train(run, faces, None, tmp_path / "averaged.npz", verbose=0)
    expected = seen[0]
    for weights in seen[1:]:
        expected = [0.5 * a + 0.5 * w for a, w in zip(expected, weights, strict=True)]
    for a, v in zip(expected, model.trainable_variables, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(v), a, atol=1e-5)


def test_faces_that_are_held_out(faces):
    held_out = faces.held_out(0.25)
    assert (len(held_out.train), len(held_out.test)) == (30, 10)
    assert {name: len(indices) for name, indices in held_out.subsets.items()} == {"held_out": 10}
    shapes = [face.tobytes() for part in (held_out.train, held_out.test) for face in part.landmarks]
    assert sorted(shapes) == sorted(face.tobytes() for face in faces.train.landmarks)
    np.testing.assert_array_equal(held_out.test.landmarks, faces.held_out(0.25).test.landmarks)
    assert faces.held_out(None) is faces


def test_fewer_training_faces_are_the_same_ones_every_time(faces):
    few = faces.limited(10)
    assert (len(few.train), len(few.test)) == (10, 12)
    np.testing.assert_array_equal(few.train.landmarks, faces.limited(10).train.landmarks)
    assert faces.limited(None) is faces
    assert faces.limited(1000) is faces


def test_faces_of_another_data_set_are_all_trained_on(faces):
    """The last 15 of 40; those to hold out and to leave out are drawn from the first 25."""
    mixed = replace(faces, n_extra=15)
    extra = faces.train.landmarks[25:]
    for part, n_own in (
        (mixed.held_out(0.2), 20),
        (mixed.limited(10), 10),
        (mixed.held_out(0.2).limited(7), 7),
    ):
        assert len(part.train) == n_own + 15
        np.testing.assert_array_equal(part.train.landmarks[n_own:], extra)
        assert part.summary()["extra"] == 15
        again = part.repeated(3).train.landmarks
        np.testing.assert_array_equal(again[: 3 * n_own], np.tile(part.train.landmarks[:n_own], (3, 1, 1)))
        np.testing.assert_array_equal(again[3 * n_own :], extra)
    assert "extra" not in faces.summary()
    own = replace(faces, train=faces.train.select(slice(25)))
    np.testing.assert_array_equal(mixed.held_out(0.2).test.landmarks, own.held_out(0.2).test.landmarks)


def test_noise_on_the_training_landmarks(faces):
    noisy = faces.with_label_noise(0.05)
    true = faces.train.landmarks
    eyes = np.linalg.norm(true[:, 36] - true[:, 45], axis=-1)
    noise = (noisy.train.landmarks - true) / eyes[:, None, None]
    assert np.std(noise) == pytest.approx(0.05, rel=0.05)  # of 5440 draws: 5 standard errors
    assert abs(np.mean(noise)) < 0.004
    np.testing.assert_array_equal(faces.with_label_noise(0.05).train.landmarks, noisy.train.landmarks)
    np.testing.assert_array_equal(noisy.train.images, faces.train.images)
    assert noisy.test is faces.test
    assert faces.with_label_noise(None) is faces


def test_noisy_landmarks_are_cleaned_by_drawn_shapes(faces):
    """Other drawn faces than the shape model's: little of the noise is left, and none is taken for truth."""
    noisy = faces.with_label_noise(0.15)
    cleaned = noisy.cleaned("drawn", 0.15)
    left, noise = (np.std(x.train.landmarks - faces.train.landmarks) for x in (cleaned, noisy))
    assert left < 0.4 * noise
    assert cleaned.test is faces.test
    assert noisy.cleaned(None, 0.15) is noisy


def test_landmarks_that_every_training_face_lacks(faces):
    partial = faces.with_missing(0.3, None)
    missing = np.isnan(partial.train.landmarks)
    assert (missing.sum(axis=(1, 2)) == 2 * round(0.3 * 68)).all()
    assert (missing[..., 0] == missing[..., 1]).all()
    assert missing[..., 0].any(axis=0).all()  # each landmark is missing somewhere
    np.testing.assert_array_equal(partial.train.landmarks[~missing], faces.train.landmarks[~missing])
    np.testing.assert_array_equal(
        faces.with_missing(0.3, None).train.landmarks, partial.train.landmarks
    )  # with NaN in the same places
    assert partial.test is faces.test
    assert faces.with_missing(None, None) is faces
    assert partial.completed(None) is partial
    completed = partial.completed("shape_model").train.landmarks
    np.testing.assert_allclose(completed[~missing], faces.train.landmarks[~missing], atol=1e-6)
    # Far nearer than the mean of those who have it
    mean = np.broadcast_to(np.nanmean(partial.train.landmarks, axis=0), missing.shape)
    error, of_mean = (np.abs(x - faces.train.landmarks)[missing].mean() for x in (completed, mean))
    assert error < 0.5 * of_mean


def test_training_faces_of_29_landmarks(faces):
    assert len(set(SPARSE_LANDMARKS)) == 29
    assert {36, 45} < set(SPARSE_LANDMARKS)  # the inter-ocular distance
    partial = replace(faces, n_extra=15).with_missing(None, 0.5)
    there = ~np.isnan(partial.train.landmarks[..., 0])
    counts = there.sum(axis=1)
    assert sorted(counts) == [29] * 20 + [68] * 20
    assert (there[counts == 29].sum(axis=0)[list(SPARSE_LANDMARKS)] == 20).all()
    dropped = partial.completed("drop")
    np.testing.assert_array_equal(dropped.train.landmarks, faces.train.landmarks[counts == 68])
    assert dropped.n_extra == (counts == 68)[25:].sum()
    assert not np.isnan(partial.completed("shape_model").train.landmarks).any()


@pytest.mark.parametrize("base", ["mse", "wing"])
def test_a_training_on_partly_annotated_faces(faces, base, tmp_path):
    values = {**TINY, "loss": LossSettings(base=base), "head": "coordinates", "epochs": 1, "pose_weight": 0.0}
    run = settings(**values, missing=0.3)
    partial = faces.with_missing(run.missing, run.sparse)
    model, record = training.train(run, partial, None, tmp_path / "checkpoint.npz", verbose=0)
    assert np.isfinite(record["history"]["loss"]).all()
    assert np.isfinite(training.test(model, partial)[0]["all"]["nme"]).all()


def test_what_a_teacher_says_is_averaged_with_the_annotations(faces, tmp_path):
    """The teacher takes images of another size than the run."""
    run = settings(network="tiny", image_size=64)
    keras.utils.set_random_seed(1)
    teacher = training.build_network(replace(run, image_size=32), 68, with_pose=True)
    teacher.save_weights(tmp_path / "teacher.weights.h5")
    said = training.predict_as_teacher(run, faces.train, tmp_path / "teacher.weights.h5")
    upright, mirrored = (
        teacher.predict(np.ascontiguousarray(images), verbose=0)["landmarks"].reshape(-1, 68, 2)
        for images in (faces.train.images, faces.train.images[:, :, ::-1])
    )
    back = mirrored[:, get_scheme("300w").flip_permutation] * (-1, 1)
    np.testing.assert_allclose(said.reshape(-1, 68, 2), (upright + back) / 2, atol=1e-5)
    taught = faces.with_teacher(said)
    np.testing.assert_allclose(
        2 * taught.train.landmarks - faces.train.landmarks, (upright + back) / 2, atol=1e-5
    )
    assert taught.test is faces.test


def test_the_detail_that_predictions_have(rng):
    """Smoothing is linear where no coefficient is clipped, so that a mixture has its share of the detail."""
    shapes = rng.normal(size=(60, 10)) @ rng.normal(size=(10, 136)) * 0.02
    shape_model = ActiveShapeModel(0.8, limit=None).fit(shapes)
    smooth = shape_model.project(shapes)
    for share in (0.0, 0.3, 1.0):
        mixture = share * shapes + (1 - share) * smooth
        found = training.predicted_detail(shapes.reshape(60, 68, 2), mixture, shape_model)
        assert found == pytest.approx(share, abs=1e-4)


TINY_FILE = """
[experiments.tiny]
recipe = "paper"
dataset = "synthetic"
image_size = 32
epochs = 2
batch_size = 20
pose_weight = 0
models = ["own"]

[experiments.taught]
recipe = "paper"
dataset = "synthetic"
image_size = 32
epochs = 2
batch_size = 20
pose_weight = 0
teacher = "own-0.weights.h5"
teacher_size = 32
models = ["own"]

[experiments.after]
recipe = "paper"
dataset = "synthetic"
image_size = 32
epochs = 0
pose_weight = 0
weights = "own-{seed}.weights.h5"
models = ["own"]

[models.own]
network = "tiny"
loss = { assisted = true, alpha = [1, 0] }
"""


@pytest.mark.backend
def test_the_command(command, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY_FILE)
    weights = tmp_path / "out" / "checkpoints" / "tiny" / "own-0.weights.h5"
    options = ("--file", tmp_path / "tiny.toml", "--n-synthetic", 40, "--output", tmp_path / "out")
    options += ("--verbose", 0)
    printed = command("tiny", *options)
    (record,) = read_records([tmp_path / "out"])
    assert (record["experiment"], record["model_name"]) == ("tiny", "own")
    assert record["settings"]["loss"]["alpha"] == [1.0, 0.0]
    assert record["settings"] == RunSettings.read(record["settings"]).to_dict()
    assert record["history"]["alpha"] == [1.0, 0.0]
    assert record["versions"]["backend"] == keras.backend.backend()
    assert (record["data"]["train"], record["data"]["test"]) == (40, 10)
    assert set(record["results"]) == {"test"}
    assert len(record["results"]["test"]["nme"]) == 10
    assert f"NME: test {100 * np.mean(record['results']['test']['nme']):.2f} %" in printed

    # In one call: a run that is finished, and one that learns from it
    assert "is finished already" in command("tiny", "taught", *options, "--teacher", weights)
    (student,) = (r for r in read_records([tmp_path / "out"]) if r["experiment"] == "taught")
    assert student["settings"]["teacher"] == weights.name
    assert student["history"]["loss"] != record["history"]["loss"]

    # Each seed begins where the same seed of another experiment ended
    begun = weights.with_name("own-{seed}.weights.h5")
    command("tiny", *options, "--seeds", 0, 1)
    command("after", *options, "--seeds", 0, 1, "--weights", begun)
    found = {(r["experiment"], r["settings"]["seed"]): r for r in read_records([tmp_path / "out"])}
    errors = {key: r["results"]["test"]["nme"] for key, r in found.items()}
    assert errors["after", 0] == errors["tiny", 0] != errors["tiny", 1] == errors["after", 1]
    assert found["after", 1]["settings"]["weights"] == "own-1.weights.h5"


def test_what_is_asked_for_wrongly(command, capsys, tmp_path):
    def refused(*arguments):
        with pytest.raises(SystemExit) as error:
            command(*arguments)
        return capsys.readouterr().err or str(error.value)

    (tmp_path / "tiny.toml").write_text(TINY_FILE)
    (tmp_path / "typo.toml").write_text(TINY_FILE.replace("epochs", "epoch"))
    own = ("--file", tmp_path / "tiny.toml", "--output", tmp_path)
    assert "Expected experiments of" in refused()
    assert "Received: ['papr']" in refused("papr")
    assert "300W needs --root" in refused("paper")
    assert "Received: 'ASMNt'" in refused("paper", "--models", "ASMNt")
    assert "[experiments.tiny]: expected a known name, perhaps 'epochs'" in refused(
        "x", "--file", tmp_path / "typo.toml"
    )
    assert "nothing.toml" in refused("tiny", "--file", tmp_path / "nothing.toml")
    assert "Expected --weights, a file with the name" in refused("strong-64px")
    assert "Received: other.h5" in refused("strong-64px", "--weights", "other.h5")
    assert "Expected --teacher, a file with the name 'own-0.weights.h5'" in refused("taught", *own)
    given = ("--teacher", tmp_path / "own-0.weights.h5")
    assert "own-0.weights.h5, which is not there" in refused("taught", *own, *given)
    write_json(tmp_path / "tiny" / "own-0.json", {"kind": "run", "settings": {"epochs": 3}})
    assert "of other ones" in refused("tiny", *own)


def test_experiments_are_listed(command):
    assert "paper-64px: The paper's four models at 64 pixels" in command("--list")


# --- data on disk


@pytest.mark.real_data
def test_the_subsets_that_are_there(data_root, monkeypatch, tmp_path):
    def read(dataset, folder, *more, extra=None, pose=True):
        parser = argparse.ArgumentParser()
        add_data_arguments(parser)
        given = ["--root", str(data_root / folder), "--allow-partial", "--cache", str(tmp_path), *more]
        return load_faces(parser.parse_args(given), dataset, 32, extra_dataset=extra, pose=pose)

    faces = read("300w", "300w", "--pose-root", str(data_root / "AFLW2000"))
    assert (len(faces.train), len(faces.test)) == (2012, 689)
    counts = {name: len(indices) for name, indices in faces.subsets.items()}
    assert counts == {"common": 554, "challenging": 135, "full": 689}
    assert any("2012 of 3148" in note for note in faces.notes)

    assert len(faces.pose_test) == 1378
    assert {name: len(indices) for name, indices in faces.pose_subsets.items()} == {
        "within_99": 1378,
        "yaw_0_30": 918,
        "yaw_30_60": 266,
        "yaw_60_90": 194,
        "within_30": 840,
    }

    faces = read("youtube_faces", "youtube_faces_68")
    people = [
        {name.split("/")[-1].rsplit("_", 1)[0] for name in part.names} for part in (faces.train, faces.test)
    ]
    assert not people[0] & people[1]

    folder = ("--extra-root", str(data_root / "youtube_faces_68"))
    mixed = read("300w", "300w", *folder, extra="youtube_faces")
    assert (len(mixed.train), mixed.n_extra) == (2012 + len(faces.train), len(faces.train))
    np.testing.assert_array_equal(mixed.train.landmarks[2012:], faces.train.landmarks)
    assert np.isfinite(mixed.train.pose).all()
    assert len(mixed.test) == 689
    assert any(note.startswith("YouTube Faces") for note in mixed.notes)
    with pytest.raises(SystemExit, match="YouTube Faces needs --extra-root"):
        read("300w", "300w", extra="youtube_faces")
    aflw2000 = str(data_root / "AFLW2000")
    with pytest.raises(SystemExit, match="Received: extra_dataset aflw2000"):
        read("300w", "300w", "--pose-root", aflw2000, "--extra-root", aflw2000, extra="aflw2000")
    with pytest.raises(SystemExit, match="goes with a data set on disk"):
        read("synthetic", "300w", extra="youtube_faces")
    with pytest.raises(SystemExit, match="Received: 'celeba'"):
        read("celeba", "300w")

    frames = load_youtube_faces(data_root / "youtube_faces_68", "test", allow_partial=True)
    for unfit, message in (
        (frames, "has head poses, which a run trains on, and YouTube Faces key points .* has none"),
        (load_wflw(data_root / "wflw_sample", "test", allow_partial=True), "300w. Received: wflw"),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(_LOADERS, "youtube_faces", lambda *_, unfit=unfit: (unfit, unfit, ()))
            with pytest.raises(SystemExit, match=message):
                read("300w", "300w", *folder, extra="youtube_faces")
    with monkeypatch.context() as patch:
        patch.setitem(_LOADERS, "youtube_faces", lambda *_: (frames, frames, ()))
        mixed = read("300w", "300w", *folder, extra="youtube_faces", pose=False)
    assert (len(mixed.train), mixed.n_extra) == (2012 + len(frames), len(frames))

    with pytest.raises(DatasetError, match=r"list_98pt_rect_attr_train\.txt"):
        read("wflw", "wflw_sample")

    faces = read("aflw2000", "AFLW2000")
    assert abs(len(faces.test) / (len(faces.train) + len(faces.test)) - 0.2) < 0.01
    assert np.abs(faces.test.pose).max() <= 99
    assert faces.pose_test is None
