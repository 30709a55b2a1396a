"""Named experiments: what they say, and that a mistake in their file is named."""

import keras
import numpy as np
import pytest

from keras_asm import LandmarkAugmentation
from paper.settings import (
    AUGMENTATIONS,
    EXPERIMENTS,
    PAPER_MODELS,
    LossSettings,
    RunSettings,
    build_learning_rate,
    load_experiments,
)

KNOWN = load_experiments()


@pytest.fixture
def load(tmp_path):
    """Experiments of the file that comes with the project, and of a text."""

    def load(text):
        (tmp_path / "mine.toml").write_text(text)
        return load_experiments([EXPERIMENTS, tmp_path / "mine.toml"])

    return load


def test_the_paper_s_recipe_is_the_paper_s():
    """Section 4.1: 224 px, Adam 1e-2 with a decay of 1e-5, batches of 50, 150 epochs; Eq. 12: 0.5 for the pose."""
    assert tuple(KNOWN["paper"].models) == PAPER_MODELS
    run = KNOWN["paper"].run("ASMNet")
    assert (run.image_size, run.epochs, run.batch_size, run.pose_weight) == (224, 150, 50, 0.5)
    learning_rate = build_learning_rate(run, steps=100)
    for step in (0, 5_000, 10_000):
        assert float(learning_rate(step)) == pytest.approx(1e-2 / (1 + 1e-5 * step), rel=1e-6)
    augmentation = LandmarkAugmentation("300w", **AUGMENTATIONS[run.augmentation])
    assert augmentation.flip == 0
    used = {name for name, limits in augmentation.ranges.items() if limits is not None}
    assert used == {"contrast", "brightness", "saturation", "color"}
    losses = {model: str(KNOWN["paper"].run(model).loss) for model in PAPER_MODELS}
    assert losses == {"mnv2": "plain", "mnv2_r": "assisted", "ASMNet_nr": "plain", "ASMNet": "assisted"}


def test_the_strong_recipe_ends_at_a_learning_rate_of_zero():
    run = KNOWN["strong-64px"].run("wing")
    learning_rate = build_learning_rate(run, steps=100)
    assert float(learning_rate(0)) == pytest.approx(run.learning_rate)
    assert float(learning_rate(100)) == pytest.approx(0, abs=1e-9)


def test_an_experiment_of_one_s_own(load):
    """A later file may use recipes and models of an earlier one."""
    mine = load(
        '[experiments.mine]\nrecipe = "strong"\nepochs = 3\nlabel_noise = 0.1\nmodels = ["ASMNet_nr", "own"]\n'
        '[models.own]\nnetwork = "mnv2"\nloss = { assisted = true, accuracy = 0.97, align = "procrustes",'
        ' alpha = [2, 1, 0], base = "wing", normalize = true, limit = "none", fit = "upright" }\n'
    )["mine"]
    run = mine.run("own", seed=4)
    assert (run.recipe, run.dataset, run.network, run.seed) == ("strong", "300w", "mnv2", 4)
    assert (run.epochs, run.batch_size, run.label_noise) == (3, 32, 0.1)
    assert run.loss == LossSettings(
        True, (0.97,), "procrustes", (2.0, 1.0, 0.0), None, "wing", normalize=True, fit="upright"
    )
    assert str(run.loss) == (
        "assisted, accuracy 97 %, aligned, alpha 2, 1, 0, no limit, wing, normalized, fitted upright"
    )
    assert mine.changes == {"epochs": 3, "label_noise": 0.1}
    assert RunSettings.read(run.to_dict()) == run  # as JSON has it
    with pytest.raises(ValueError, match=r"models are \['ASMNet_nr', 'own'\]. Received: 'ASMNet'"):
        mine.run("ASMNet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[experiments.x", r"Expected TOML"),
        (
            "[experiment.x]",
            r"mine.toml: expected a known name, perhaps 'experiments'. Received: 'experiment'",
        ),
        (
            'recipe = "papr"',
            r"\[experiments.x\]: recipe: expected a known name, perhaps 'paper'. Received: 'papr'",
        ),
        ('models = ["ASMNt"]', r"models: expected a known name, perhaps 'ASMNet'.*Received: 'ASMNt'"),
        (
            "image_sise = 64",
            r"\[experiments.x\]: expected a known name, perhaps 'image_size'. Received: 'image_sise'",
        ),
        ('image_size = "64"', r"image_size: expected int. Received: '64'"),
        ("epochs = true", r"epochs: expected int. Received: True"),
        ('augmentation = "geometrical"', r"perhaps 'geometric' or .*Received: 'geometrical'"),
        ("label_noise = 0", r"label_noise must be positive. Received: 0"),
        ("repeat_own = 0", r"repeat_own must be at least 1. Received: 0"),
        ("missing = 0.0", r"missing is a fraction between 0 and 1. Received: 0.0"),
        ("sparse = 1.0", r"sparse is a fraction between 0 and 1. Received: 1.0"),
        ('complete = "shape_model"', "goes with missing or sparse. Received: shape_model alone"),
        ('missing = 0.3\ncomplete = "drop"', "no whole face to keep. Received: complete drop"),
        ('clean = "drawn"', "clean goes with label_noise. Received: clean drawn alone"),
        ('missing = 0.3\ncomplete = "guess"', "complete: expected one of .*Received: 'guess'"),
        ("hold_out = 1.5", r"between 0 and 1. Received: 1.5"),
        ('dataset = "youtube_faces"\nhold_out = 0.2', "one person on both sides. Received: youtube_faces"),
        ('extra_dataset = "300w"', "Received: 300w twice"),
        ('teacher = "a.weights.h5"', "go together. Received"),
    ],
)
def test_what_cannot_be_read(load, text, message):
    if not text.startswith("["):
        given = dict(line.split(" = ", 1) for line in text.splitlines())
        values = {"recipe": '"paper"', "models": '["ASMNet"]', **given}
        text = "[experiments.x]\n" + "\n".join(f"{key} = {value}" for key, value in values.items())
    with pytest.raises(ValueError, match=message) as error:
        load(text)
    assert "mine.toml" in str(error.value)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("mse", "expected 'plain', 'asm' or a table. Received: 'mse'"),
        ({"assisted": True, "acuracy": 0.9}, r"perhaps 'accuracy'. Received: 'acuracy'"),
        ({"assisted": True, "alpha": "two"}, "alpha: expected numbers.* Received: 'two'"),
        ({"assisted": True, "alpha": []}, r"alpha: expected numbers.* Received: \[\]"),
        ({"assisted": True, "alpha": "none"}, "alpha: expected numbers.* Received: 'none'"),
        ({"base": "l7"}, "base: expected one of .* Received: 'l7'"),
        ({"assisted": True, "fit": "well"}, "fit: expected one of .* Received: 'well'"),
        ({"alpha": 2}, "Only 'base' can be set where 'assisted' is not true"),
    ],
)
def test_a_loss_that_cannot_be_read(loss, message):
    with pytest.raises(ValueError, match=message):
        LossSettings.read(loss)


def test_what_the_losses_train_with(rng):
    shapes, turned = rng.normal(size=(2, 40, 68, 2)).astype("float32")
    asm = LossSettings.read({"assisted": True, "accuracy": [0.5, 0.9]})
    shape_model = asm.shape_model(shapes, turned)
    np.testing.assert_allclose(shape_model.mean_shape_, turned.mean(axis=0).ravel(), atol=1e-6)
    upright = LossSettings.read({"assisted": True, "fit": "upright"}).shape_model(shapes, turned)
    np.testing.assert_allclose(upright.mean_shape_, shapes.mean(axis=0).ravel(), atol=1e-6)
    assert np.cumsum(shape_model.explained_variance_ratio_)[-2:].searchsorted(0.9) == 1
    assert asm.build(shape_model).alpha == 1  # a schedule's from the first step on
    assert not asm.build(shape_model).normalize
    assert LossSettings(assisted=True, normalize=True).build(shape_model).normalize
    schedules = [type(schedule).__name__ for schedule in asm.schedules(9)]
    assert schedules == ["AlphaStepSchedule", "AccuracyStepSchedule"]
    plain = LossSettings.read("plain")
    assert (plain.shape_model(shapes, turned), plain.schedules(9)) == (None, [])
    assert isinstance(plain.build(None), keras.losses.MeanSquaredError)


def test_the_control_smooths_nothing(rng):
    shapes = rng.normal(size=(200, 5, 2)).astype("float32")
    shape_model = KNOWN["geometric-64px"].run("control").loss.shape_model(shapes, shapes)
    np.testing.assert_allclose(shape_model.project(shapes), shapes, atol=1e-5)
