"""Sweeps of tiny networks on drawn faces, on every tuner of KerasTuner."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_asm import ActiveShapeModel, ASMAssistedLoss, LandmarkAugmentation
from keras_asm.losses import LandmarkLoss, WingLoss
from keras_asm.synthetic import synthetic_faces

keras_tuner = pytest.importorskip("keras_tuner", reason="KerasTuner is not installed: the tuner extra")

from keras_asm.tuning import Backbone, LandmarkHyperModel  # noqa: E402
from keras_asm.tuning.hypermodel import AUGMENTATIONS  # noqa: E402


def tiny(input_shape, width_multiplier):
    x = images = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 255)(x)
    for name in ("first", "second"):
        x = keras.layers.Conv2D(int(8 * width_multiplier), 3, strides=4, activation="relu", name=name)(x)
    return keras.Model(images, x)


BACKBONES = {"tiny": Backbone(tiny, {"both": ["first", "second"], "last": None})}


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(24, image_size=32), synthetic_faces(8, seed=1, image_size=32)


def hypermodel(faces, **settings):
    defaults = {"epochs": 2, "backbone": "tiny", "backbones": BACKBONES, "augmentation": "none"}
    return LandmarkHyperModel(*faces, **{**defaults, **settings})


def search(kind, hypermodel, folder, **arguments):
    limits = {"max_epochs": 4, "factor": 4} if kind == "Hyperband" else {"max_trials": 2}
    tuner = getattr(keras_tuner, kind)(
        hypermodel,
        objective=hypermodel.objective,
        directory=folder,
        project_name=kind,
        **limits,
        **({} if kind == "GridSearch" else {"seed": 3}),
    )
    tuner.search(verbose=0, **arguments)
    return tuner


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["RandomSearch", "BayesianOptimization", "GridSearch"])
def test_the_best_trial_trains_again_to_the_same_number(faces, tmp_path, kind):
    space = hypermodel(faces, assisted=[True, False], schedule=["step", "cosine"], learning_rate=(1e-3, 1e-2))
    tuner = search(kind, space, tmp_path)
    assert len(tuner.oracle.trials) == 2
    (best,) = tuner.oracle.get_best_trials(1)
    settings = json.loads(json.dumps(space.settings(best.hyperparameters)))
    assert isinstance(settings["assisted"], bool)
    _, history = space.train(settings, verbose=0)
    np.testing.assert_allclose(min(history.history["val_nme"]), best.score, rtol=1e-5)
    assert best.score == min(trial.score for trial in tuner.oracle.trials.values())


@pytest.mark.backend
def test_hyperband_goes_on_where_a_whole_run_would_be(faces, tmp_path):
    space = hypermodel(faces, epochs=4, schedule="linear", learning_rate=(0.001, 0.02))
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.first_rate = float(self.model.optimizer.learning_rate)

        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["alpha"], logs["learning_rate"] / self.first_rate))

    tuner = search("Hyperband", space, tmp_path, callbacks=[Watch()])
    assert any("tuner/trial_id" in trial.hyperparameters.values for trial in tuner.oracle.trials.values())
    assert {epoch for epoch, _, _ in seen} == {0, 1, 2, 3}
    for epoch, alpha, rate in seen:
        np.testing.assert_allclose(alpha, 2 * (1 - epoch / 3), atol=1e-6)
        np.testing.assert_allclose(rate, (1 + np.cos(np.pi * epoch / 4)) / 2, rtol=1e-5)
    assert not any("/" in name for name in space.settings(tuner.get_best_hyperparameters()[0]))


def test_the_shape_model_is_that_of_the_training_faces_alone(faces):
    train, validation = faces
    strange = dataclasses.replace(validation, landmarks=np.full_like(validation.landmarks, 0.3))
    for other in (validation, strange):
        model = hypermodel((train, other)).build(keras_tuner.HyperParameters())
        expected = ActiveShapeModel(0.90).fit(train.landmarks).linear_model()
        found = model.loss["landmarks"].shape_model
        np.testing.assert_array_equal(found.mean_shape, expected.mean_shape)
        np.testing.assert_array_equal(found.components, expected.components)
        mean = model.get_layer("landmarks").mean_shape
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(mean), train.landmarks.mean(0).ravel(), atol=1e-6
        )


def test_augmented_shapes_are_modelled(faces):
    space = hypermodel(faces, augmentation="geometric")
    found = space.build(keras_tuner.HyperParameters()).loss["landmarks"].shape_model
    augmentation = LandmarkAugmentation("300w", **AUGMENTATIONS["geometric"])
    expected = ActiveShapeModel(0.90).fit(augmentation.augment_landmarks(faces[0].landmarks))
    np.testing.assert_array_equal(found.mean_shape, expected.mean_shape_)
    assert not np.allclose(expected.mean_shape_, faces[0].landmarks.mean(0).ravel())


def test_shape_models_are_fitted_once_for_the_same_contents(faces, monkeypatch):
    fitted = []
    fit = ActiveShapeModel.fit
    monkeypatch.setattr(
        ActiveShapeModel, "fit", lambda self, X: fitted.append(self.n_components) or fit(self, X)
    )
    space = hypermodel(faces, accuracy=[0.8, 0.9])
    for accuracy in (0.8, 0.9, 0.8, 0.9):
        hp = keras_tuner.HyperParameters()
        hp.values = {"accuracy": accuracy}
        space.build(hp)
    assert fitted == [0.8, 0.9]
    for i in range(40):
        space.shape_model(faces[0].landmarks + i, 0.8, True)
    assert len(space._shape_models) == 32


@pytest.mark.backend
@pytest.mark.parametrize(
    "settings",
    [
        {"head": "plain", "base": "wing", "aligned": True},
        {"head": "coordinates", "base": "mean_absolute_error", "assisted": False},
        {"head": "components", "augmentation": "geometric"},
    ],
)
def test_faces_that_lack_landmarks(faces, tmp_path, settings):
    partial = []
    for crops, rng in zip(faces, np.random.default_rng(0).spawn(2), strict=True):
        missing = rng.random(crops.landmarks.shape[:2]) < 0.3
        missing[:, [36, 45]] = False  # the outer eye corners, without which a face has no error
        landmarks = np.where(missing[..., None], np.float32(np.nan), crops.landmarks)
        partial.append(dataclasses.replace(crops, landmarks=landmarks))
    space = hypermodel(partial, epochs=4, learning_rate=(1e-3, 1e-2), **settings)
    tuner = search("RandomSearch", space, tmp_path)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["COMPLETED"] * 2
    (best,) = tuner.oracle.get_best_trials(1)
    model, history = space.train(space.settings(best.hyperparameters), verbose=0)
    np.testing.assert_allclose(min(history.history["val_nme"]), best.score, rtol=1e-5)
    assert history.history["loss"][-1] < history.history["loss"][0]

    true = partial[1].landmarks
    found = keras.ops.convert_to_numpy(model(partial[1].images.astype("float32"))["landmarks"])
    errors = np.nanmean(np.linalg.norm(found.reshape(true.shape) - true, axis=-1), axis=1)
    eyes = np.linalg.norm(true[:, 36] - true[:, 45], axis=-1)
    np.testing.assert_allclose(history.history["val_nme"][-1], np.mean(errors / eyes), rtol=1e-4)


@pytest.mark.parametrize("head", ["plain", "coordinates", "components"])
def test_heads(faces, head):
    model = hypermodel(faces, head=head, head_accuracy=0.8).build(keras_tuner.HyperParameters())
    names = [layer.name for layer in model.layers]
    assert ("landmark_coefficients" in names) == (head != "plain")
    if head == "components":
        n = ActiveShapeModel(0.8).fit(faces[0].landmarks).n_components_
        assert model.get_layer("landmark_coefficients").units == n


def test_settings_reach_the_model(faces):
    larger = tuple(synthetic_faces(n, image_size=48) for n in (8, 4))
    sizes = [{32: small, 48: large} for small, large in zip(faces, larger, strict=True)]
    space = hypermodel(
        sizes,
        base=["mean_absolute_error", "wing"],
        assisted=[True, False],
        taps=["both", "last"],
        width_multiplier=[0.5, 1.0],
        aligned=[True, False],
        schedule=["constant", "step"],
        alpha=(0.5, 4.0),
        head=["plain", "components"],
    )
    hp = keras_tuner.HyperParameters()
    model = space.build(hp)
    assert hp.values["image_size"] == 32
    assert isinstance(model.loss["landmarks"], ASMAssistedLoss)
    assert model.loss["landmarks"].shape_model.reference_shape is not None
    assert model.loss["landmarks"].alpha == 0.5
    assert model.get_layer("first").filters == 4
    assert "head_accuracy" not in space.settings(hp)
    hp = keras_tuner.HyperParameters()
    hp.values = {"image_size": 48, "base": "wing", "assisted": False, "tiny_taps": "last"}
    model = space.build(hp)
    assert model.input_shape == (None, 48, 48, 3)
    assert isinstance(model.loss["landmarks"], LandmarkLoss)
    assert isinstance(model.loss["landmarks"].base, WingLoss)
    assert not {"alpha", "schedule", "accuracy", "aligned"} & space.settings(hp).keys()
    assert "first_global_pool" not in [layer.name for layer in model.layers]


def test_a_constant_alpha(faces):
    _, history = hypermodel(faces, schedule="constant", alpha=0.3).train({}, verbose=0)
    assert "alpha" not in history.history


def test_refusals(faces):
    with pytest.raises(ValueError, match=r"head must be among .* Received: \['none'\]"):
        hypermodel(faces, head=["plain", "none"])
    with pytest.raises(ValueError, match="taps must name a set of taps of tiny"):
        hypermodel(faces, taps="asmnet")
    with pytest.raises(ValueError, match=r"Received: \[32\] and \[48\]"):
        hypermodel((faces[0], synthetic_faces(4, image_size=48)))
    with pytest.raises(ValueError, match=r"Received: \{64: 32\}"):
        hypermodel(({64: faces[0]}, {64: faces[1]}))
    with pytest.raises(ValueError, match="Received: epochs=0"):
        hypermodel(faces, epochs=0)
    with pytest.raises(ValueError, match=r"Received: \['colour'\]"):
        hypermodel(faces).train({"colour": "red"})


def test_without_keras_tuner():
    script = "import sys; sys.modules['keras_tuner'] = None; from keras_asm.tuning import LandmarkHyperModel"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 1
    assert 'ImportError: keras_asm.tuning needs KerasTuner: pip install "keras-asm[tuner]"' in run.stderr
