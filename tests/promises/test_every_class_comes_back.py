"""Every public class: what it holds survives the ways in which it is kept (JSON, files, copies, other processes)."""

import copy
import dataclasses
import importlib
import inspect
import json
import pickle
import pkgutil

import keras
import numpy as np
import pytest
from sklearn.base import clone

import keras_asm
from keras_asm import callbacks, datasets, evaluation, faces, inference, layers, losses, metrics
from keras_asm.landmarks import LandmarkScheme
from keras_asm.model_tools import ModelCost
from keras_asm.pose import GeometricPoseEstimator
from keras_asm.shape_models import ActiveShapeModel, LinearShapeModel, ProcrustesSums

RNG = np.random.default_rng(0)
SHAPES = RNG.normal(size=(40, 68, 2)).astype("float32") / 10
ASM = ActiveShapeModel(5, align="procrustes", limit=2.0).fit(SHAPES)
TRIANGLE = LandmarkScheme("triangle", 3, flip_pairs=((0, 1),), groups={"base": (0, 1)})
POSES = 20 * RNG.normal(size=(40, 3)).astype("float32")
UNCERTAIN = np.concatenate([SHAPES.reshape(40, 136), RNG.normal(size=(40, 68))], axis=1).astype("float32")
FLAT = SHAPES.reshape(40, 136)

# An object, and what it is called with
KERAS = {
    "ASMAssistedLoss": (lambda: losses.ASMAssistedLoss(ASM, 0.7, "huber", True), (FLAT, FLAT[::-1])),
    "HeadPoseLoss": (
        lambda: losses.HeadPoseLoss(scale=45.0, base="mean_absolute_error"),
        (POSES, POSES[::-1]),
    ),
    "LandmarkLikelihoodLoss": (lambda: losses.LandmarkLikelihoodLoss("laplace"), (FLAT, UNCERTAIN[::-1])),
    "LandmarkLoss": (lambda: losses.LandmarkLoss(losses.WingLoss(0.1)), (FLAT, FLAT[::-1])),
    "WingLoss": (lambda: losses.WingLoss(0.07, 0.01), (FLAT, FLAT[::-1])),
    "ScheduledValue": (lambda: losses.ScheduledValue(0.25, "alpha"), ()),
    "NormalizedMeanError": (lambda: metrics.NormalizedMeanError("300w", "box"), (FLAT, FLAT[::-1])),
    "FailureRate": (lambda: metrics.FailureRate(0.9, "300w"), (FLAT, FLAT[::-1])),
    "AreaUnderCED": (lambda: metrics.AreaUnderCED(2.0, "300w"), (FLAT, FLAT[::-1])),
    "HeadPoseError": (lambda: metrics.HeadPoseError("yaw"), (POSES, POSES[::-1])),
    "ASMProjection": (lambda: layers.ASMProjection(ASM), (FLAT,)),
    "ShapeDecoder": (
        lambda: layers.ShapeDecoder.from_shape_model(ActiveShapeModel(5).fit(SHAPES)),
        (RNG.normal(size=(4, 5)).astype("float32"),),
    ),
    "LandmarkAugmentation": (
        lambda: layers.LandmarkAugmentation("300w", rotation=(5.0, 9.0), blur=1.0, seed=3),
        None,
    ),
}
SCHEDULES = {
    "AccuracyStepSchedule": lambda: callbacks.AccuracyStepSchedule(),
    "AlphaCosineSchedule": lambda: callbacks.AlphaCosineSchedule(1.0, 0.25, epochs=4),
    "AlphaLinearSchedule": lambda: callbacks.AlphaLinearSchedule(1.0, 0.25, epochs=4),
    "AlphaSchedule": lambda: callbacks.AlphaSchedule(max, epochs=4),
    "AlphaStepSchedule": lambda: callbacks.AlphaStepSchedule(epochs=9),
}
FACE = inference.Face(SHAPES[0].astype(float), np.array([0.0, 0, 9, 9]), np.zeros(3), 0.5)
CALIBRATION = inference.ConfidenceCalibration(2.0, -30.0, 0.1)
CROP = faces.CropTransform(np.zeros((2, 2)), np.array([4.0, 5.0]), 8)
# Plain data: pickled, as for another process, and copied
DATA = {
    "LinearShapeModel": lambda: ASM.linear_model(),
    "ActiveShapeModel": lambda: ASM,
    "ProcrustesSums": lambda: ProcrustesSums.of(SHAPES),
    "LandmarkScheme": lambda: TRIANGLE,
    "LandmarkDataset": lambda: datasets.LandmarkDataset(("a.png",), np.ones((1, 3, 2)), scheme=TRIANGLE),
    "DatasetError": lambda: datasets.DatasetError("expected a number. Received: x", "a.csv", 3),
    "CropTransform": lambda: CROP,
    "FaceCrops": lambda: faces.FaceCrops(np.zeros((2, 8, 8, 3), np.uint8), SHAPES[:2], CROP),
    "LandmarkBatches": lambda: faces.LandmarkBatches(
        np.zeros((4, 8, 8, 3), np.uint8), SHAPES[:4], augmentation=layers.LandmarkAugmentation(seed=1)
    ),
    "EvaluationReport": lambda: evaluation.EvaluationReport(np.array([0.1, 0.2])),
    "PairedComparison": lambda: evaluation.compare_paired(
        np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.1, 0.5])
    ),
    "BoxCorrection": lambda: inference.BoxCorrection(0.1, 0.2, 1.1),
    "CorrectionReport": lambda: inference.CorrectionReport(
        inference.BoxCorrection(), inference.BoxCorrection(), 0.9, 7
    ),
    "ConfidenceCalibration": lambda: CALIBRATION,
    "ConfidenceReport": lambda: inference.ConfidenceReport(CALIBRATION, {"a": 0.5}, np.ones((10, 3)), 5, 2),
    "Face": lambda: FACE,
    "TrackedFace": lambda: inference.TrackedFace(FACE.landmarks, FACE.box, identity=4),
    "Predictions": lambda: inference.Predictions(("a.png",), ([FACE],), TRIANGLE),
    "LandmarkModelInfo": lambda: inference.LandmarkModelInfo(
        "300w", 8, shape_model=ASM, calibration=CALIBRATION
    ),
    "OneEuroFilter": lambda: inference.OneEuroFilter(25.0, 2.0),
    "ModelCost": lambda: ModelCost(1, 2, 3),
    "GeometricPoseEstimator": lambda: GeometricPoseEstimator("300w"),
}
CONFIGURED = {name: DATA[name] for name in ("LinearShapeModel", "LandmarkScheme", "LandmarkModelInfo")}
# What cannot come back, and why
NOT_KEPT = {
    "AtomicBackupAndRestore": "is what keeps others: tests/callbacks/test_atomic_backup.py",
    "DlibDetector": "holds a program's state; made anew from its arguments",
    "MTCNNDetector": "as DlibDetector",
    "YuNetDetector": "as DlibDetector",
    "ExportedModel": "an open runtime; its file is what is kept",
    "LandmarkPredictor": "`save` writes the model and its description: tests/inference/test_predictor.py",
    "LandmarkTracker": "holds a predictor",
    "VideoFrames": "an open file",
    "ExportError": "an error with a message alone",
    "ExportReport": "of a file that has just been written",
    "Backbone": "holds a user's function",
    "LandmarkHyperModel": "holds the data: tests/tuning/test_hypermodel.py",
}


def public_classes():
    found = set()
    for module in pkgutil.iter_modules(keras_asm.__path__, "keras_asm."):
        if not module.name.split(".")[-1].startswith("_"):
            package = (
                pytest.importorskip(module.name)
                if "tuning" in module.name
                else importlib.import_module(module.name)
            )
            found |= {n for n in getattr(package, "__all__", []) if inspect.isclass(getattr(package, n))}
    return found


def test_every_class_is_here():
    assert public_classes() == set(KERAS) | set(SCHEDULES) | set(DATA) | set(NOT_KEPT)


def result(thing, arguments):
    if arguments is None:
        return None
    value = thing(*arguments) if arguments else thing.result()
    return keras.tree.map_structure(keras.ops.convert_to_numpy, value)


@pytest.mark.backend
@pytest.mark.parametrize("name", KERAS)
def test_keras_objects(name):
    make, arguments = KERAS[name]
    original = make()
    expected = result(original, arguments)
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(original), allow_nan=False))
    assert serialized["registered_name"] == f"keras_asm>{name}"
    for again in (
        keras.saving.deserialize_keras_object(serialized),
        type(original).from_config(original.get_config()),
    ):
        assert type(again) is type(original)
        assert again.get_config() == original.get_config()
        np.testing.assert_array_equal(result(again, arguments), expected)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_copied_and_pickled(name):
    """As KerasTuner copies callbacks for each trial."""
    original = SCHEDULES[name]()
    loss = losses.ASMAssistedLoss(ActiveShapeModel(0.99).fit(SHAPES))
    expected = [original.value_at(epoch, 9, loss) for epoch in range(9)]
    for again in (copy.deepcopy(original), pickle.loads(pickle.dumps(original))):
        assert [again.value_at(epoch, 9, loss) for epoch in range(9)] == expected


def state(thing):
    """What an object holds, as something that pytest compares deeply."""
    if isinstance(thing, np.ndarray):
        return thing.dtype, thing.tolist()
    if isinstance(thing, BaseException):
        return type(thing), str(thing), state(vars(thing))
    if isinstance(thing, dict):
        return {key: state(value) for key, value in sorted(thing.items(), key=str)}
    if isinstance(thing, tuple | list):
        return [state(value) for value in thing]
    if isinstance(thing, keras.layers.Layer):
        return thing.get_config()
    if dataclasses.is_dataclass(thing):
        return type(thing), {f.name: state(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
    if hasattr(thing, "__dict__"):
        return type(thing), state({k: v for k, v in vars(thing).items() if "lock" not in k})
    return thing


@pytest.mark.parametrize("name", DATA)
def test_data(name):
    original = DATA[name]()
    for again in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
        assert type(again) is type(original)
        assert repr(state(again)) == repr(state(original))  # by their text, in which NaN is NaN


@pytest.mark.parametrize("name", CONFIGURED)
def test_configurations(name):
    original = CONFIGURED[name]()
    again = type(original).from_config(json.loads(json.dumps(original.get_config(), allow_nan=False)))
    assert again.get_config() == original.get_config()
    assert repr(state(again)) == repr(state(original))


@pytest.mark.parametrize("parameters", [{}, {"align": "procrustes", "limit": None}, {"n_components": 3}])
def test_shape_model(tmp_path, parameters):
    asm = ActiveShapeModel(**parameters).fit(SHAPES)
    asm.save(tmp_path / "a.npz")
    again = ActiveShapeModel.load(tmp_path / "a.npz")
    assert repr(state(again)) == repr(state(asm))
    np.testing.assert_array_equal(again.project(SHAPES), asm.project(SHAPES))
    assert clone(again).get_params() == clone(asm).get_params() == asm.get_params()


def test_a_shape_model_from_its_parts():
    """`LinearShapeModel` is all that a projection needs."""
    again = LinearShapeModel.from_config(json.loads(json.dumps(ASM.linear_model().get_config())))
    np.testing.assert_array_equal(again.project(SHAPES.astype(float)), ASM.project(SHAPES.astype(float)))
