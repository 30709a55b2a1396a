"""The streaming metrics against the NumPy functions, which have their own tests."""

import json
from contextlib import nullcontext

import keras
import numpy as np
import pytest

from keras_asm.landmarks import LandmarkScheme, as_flat
from keras_asm.metrics import (
    AreaUnderCED,
    FailureRate,
    HeadPoseError,
    NormalizedMeanError,
    area_under_ced,
    failure_rate,
    head_pose_error,
    normalized_mean_error,
)

pytestmark = pytest.mark.backend

CUSTOM = LandmarkScheme(
    "five", 5, eye_corners=(0, 1), pupils=((0,), (1,)), flip_pairs=((0, 1), (3, 4)), groups={"nose": (2,)}
)
NORMALIZERS = ("inter_ocular", "inter_pupil", "box", 0.25)
RTOL = 2e-6  # float32
METRICS = [
    NormalizedMeanError("300w"),
    NormalizedMeanError(CUSTOM, normalizer="inter_pupil", name="mine"),
    NormalizedMeanError(normalizer=0.5),
    FailureRate(0.08, "wflw", normalizer="box"),
    AreaUnderCED(0.2, CUSTOM),
    HeadPoseError(),
    HeadPoseError("roll"),
]


@pytest.fixture
def faces(rng):
    """Eleven faces whose errors lie on both sides of 0.1."""
    true = rng.uniform(-0.5, 0.5, size=(11, 68, 2))
    true[:, 36], true[:, 45] = (-0.2, -0.1), (0.2, -0.1)
    noise = np.linspace(0.005, 0.06, 11)[:, None, None] * rng.normal(size=true.shape)
    return true.astype("float32"), (true + noise).astype("float32")


@pytest.fixture
def poses(rng):
    return tuple(rng.uniform(-170, 170, size=(11, 3)).astype("float32") for _ in range(2))


def _stream(metric, true, predicted, weight=None, batch=4):
    for i in range(0, len(true), batch):
        w = None if weight is None else weight[i : i + batch]
        metric.update_state(true[i : i + batch], predicted[i : i + batch], w)
    return float(metric.result())


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("layout", ["flat", "paired", "mixed"])
def test_streamed_batches_equal_numpy(faces, normalizer, layout):
    errors = normalized_mean_error(*faces, "300w", normalizer)
    assert 0 < failure_rate(errors) < 1 or normalizer != "inter_ocular"
    true = faces[0] if layout == "paired" else as_flat(faces[0])
    predicted = as_flat(faces[1]) if layout == "flat" else faces[1]
    for metric, expected in [
        (NormalizedMeanError("300w", normalizer), errors.mean()),
        (NormalizedMeanError(normalizer=normalizer), errors.mean()),
        (FailureRate(0.1, "300w", normalizer), failure_rate(errors)),
        (AreaUnderCED(0.1, "300w", normalizer), area_under_ced(errors)),
    ]:
        # 4 + 4 + 3: the mean of batch means would differ.
        assert _stream(metric, true, predicted) == pytest.approx(expected, rel=RTOL)
        metric.reset_state()
        assert _stream(metric, true[:2], predicted[:2]) != pytest.approx(expected, rel=1e-3) or expected == 0


@pytest.mark.parametrize("normalizer", ["inter_ocular", "inter_pupil"])
def test_a_scheme_of_ones_own(rng, normalizer):
    """Its corners and pupils, not those of a known scheme of as many landmarks."""
    own = LandmarkScheme(
        "own", 68, eye_corners=(3, 8), pupils=((5, 6), (9, 11)), flip_pairs=((3, 8), (5, 9), (6, 11))
    )
    true = rng.normal(size=(6, 68, 2)).astype("float32")
    predicted = (true + 0.1 * rng.normal(size=true.shape)).astype("float32")
    ends = {
        "inter_ocular": true[:, 3] - true[:, 8],
        "inter_pupil": true[:, [5, 6]].mean(axis=1) - true[:, [9, 11]].mean(axis=1),
    }[normalizer]
    by_hand = np.linalg.norm(predicted - true, axis=-1).mean(axis=1) / np.hypot(*ends.T)
    assert _stream(NormalizedMeanError(own, normalizer), true, predicted) == pytest.approx(
        by_hand.mean(), rel=RTOL
    )
    np.testing.assert_allclose(normalized_mean_error(true, predicted, own, normalizer), by_hand, rtol=1e-6)


def test_poses_equal_numpy(poses):
    errors = head_pose_error(*poses)
    assert _stream(HeadPoseError(), *poses) == pytest.approx(errors.mean(), rel=RTOL)
    for i, angle in enumerate(("yaw", "pitch", "roll")):
        metric = HeadPoseError(angle)
        assert metric.name == f"{angle}_error"
        assert _stream(metric, *poses) == pytest.approx(errors[:, i].mean(), rel=RTOL)


@pytest.mark.parametrize("extra_axis", [False, True])
def test_weights_are_of_images(faces, poses, rng, extra_axis):
    weight = rng.uniform(0, 2, size=11).astype("float32")
    given = weight[:, None] if extra_axis else weight
    errors = normalized_mean_error(*faces)
    assert _stream(NormalizedMeanError(68), *faces, given) == pytest.approx(
        np.average(errors, weights=weight), rel=RTOL
    )
    assert _stream(FailureRate(scheme=68), *faces, given) == pytest.approx(
        np.average(errors > 0.1, weights=weight), rel=RTOL
    )
    assert _stream(HeadPoseError("pitch"), *poses, given) == pytest.approx(
        np.average(head_pose_error(*poses)[:, 1], weights=weight), rel=RTOL
    )


def test_videos_have_one_more_axis(faces):
    true, predicted = (f[:10].reshape(5, 2, 68, 2) for f in faces)
    expected = normalized_mean_error(true, predicted).mean()
    assert _stream(NormalizedMeanError("300w"), true, predicted) == pytest.approx(expected, rel=RTOL)
    flat = as_flat(true), as_flat(predicted)
    assert _stream(NormalizedMeanError("300w"), *flat) == pytest.approx(expected, rel=RTOL)
    weight = np.linspace(0.5, 2, 5).astype("float32")  # of the videos
    by_video = normalized_mean_error(true, predicted).mean(axis=1)
    assert _stream(NormalizedMeanError("300w"), true, predicted, weight) == pytest.approx(
        np.average(by_video, weights=weight), rel=RTOL
    )
    weights = np.linspace(0.5, 2, 10).reshape(5, 2, 1).astype("float32")  # of the frames
    by_frame = normalized_mean_error(true, predicted)
    assert _stream(NormalizedMeanError("300w"), true, predicted, weights) == pytest.approx(
        np.average(by_frame, weights=weights[..., 0]), rel=RTOL
    )


def test_half_precision_predictions_are_compared_in_float32(faces):
    true, predicted = faces
    half = predicted.astype("float16")
    expected = normalized_mean_error(true, half.astype("float32")).mean()
    assert _stream(NormalizedMeanError("300w"), true, half) == pytest.approx(expected, rel=RTOL)


def test_what_is_no_number_is_a_failure(faces):
    true, predicted = faces[0][:2], faces[0][:2].copy()
    predicted[1, 3, 0] = np.nan
    assert _stream(FailureRate(), true, predicted) == 0.5
    assert _stream(AreaUnderCED(), true, predicted) == pytest.approx(0.5)
    assert np.isnan(_stream(NormalizedMeanError(), true, predicted))


def _model():
    """Gives its inputs back, through weights that are the identity."""
    inputs, outputs = {}, {}
    for name, n in (("landmarks", 136), ("pose", 3)):
        inputs[f"{name}_in"] = keras.Input((n,), name=f"{name}_in")
        layer = keras.layers.Dense(n, use_bias=False, kernel_initializer="identity", name=name)
        outputs[name] = layer(inputs[f"{name}_in"])
    return keras.Model(inputs, outputs)


def _compile(model, **kwargs):
    metrics = {
        "landmarks": [NormalizedMeanError("300w"), FailureRate(scheme=68), AreaUnderCED()],
        "pose": [HeadPoseError(), HeadPoseError("yaw")],
    }
    model.compile(keras.optimizers.SGD(0.0), loss="mse", metrics=metrics, **kwargs)
    return model


def _batch(faces, poses):
    x = {"landmarks_in": as_flat(faces[1]), "pose_in": poses[1]}
    return x, {"landmarks": as_flat(faces[0]), "pose": poses[0]}


def _expected(faces, poses):
    errors, angles = normalized_mean_error(*faces), head_pose_error(*poses)
    return {
        "landmarks_normalized_mean_error": errors.mean(),
        "landmarks_failure_rate": failure_rate(errors),
        "landmarks_area_under_ced": area_under_ced(errors),
        "pose_head_pose_error": angles.mean(),
        "pose_yaw_error": angles[:, 0].mean(),
    }


@pytest.mark.parametrize("jit", [False, True])
def test_inside_fit_and_evaluate(faces, poses, jit):
    if jit and keras.backend.backend() == "torch":
        pytest.skip("torch.compile needs a C++ compiler")
    x, y = _batch(faces, poses)
    model = _compile(_model(), jit_compile=jit)
    history = model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0).history
    result = model.evaluate(x, y, batch_size=4, return_dict=True, verbose=0)
    for name, expected in _expected(faces, poses).items():
        assert result[name] == pytest.approx(expected, rel=1e-5)
        assert history[name] == pytest.approx([expected] * 2, rel=1e-5)
        assert history[f"val_{name}"] == pytest.approx([expected] * 2, rel=1e-5)


def test_inside_a_saved_model(faces, poses, tmp_path):
    x, y = _batch(faces, poses)
    model = _compile(_model())
    before = model.evaluate(x, y, batch_size=4, return_dict=True, verbose=0)
    model.save(tmp_path / "model.keras")
    after = keras.models.load_model(tmp_path / "model.keras").evaluate(
        x, y, batch_size=4, return_dict=True, verbose=0
    )
    assert before == pytest.approx(after, rel=1e-6)
    assert set(_expected(faces, poses)) <= set(after)


def test_under_mixed_precision(faces, poses):
    x, y = _batch(faces, poses)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = _compile(_model())
        assert str(model.outputs[0].dtype) == "float16"
        result = model.evaluate(x, y, batch_size=4, return_dict=True, verbose=0)
    finally:
        keras.config.set_dtype_policy("float32")
    half = model.predict(x, verbose=0)
    landmarks = np.asarray(half["landmarks"], "float32").reshape(11, 68, 2)
    expected = _expected((faces[0], landmarks), (poses[0], np.asarray(half["pose"], "float32")))
    for name, value in expected.items():
        # The model itself rounds to 2^-11; what the metric makes of it is exact to float32.
        assert result[name] == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: f"{type(m).__name__}-{m.name}")
def test_configuration_survives_json(metric):
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(metric)))
    assert serialized["registered_name"] == f"keras_asm>{type(metric).__name__}"
    other = keras.saving.deserialize_keras_object(serialized)
    assert other.get_config() == metric.get_config()
    assert type(other) is type(metric)
    for name in ("scheme", "normalizer", "threshold", "angle"):
        assert getattr(other, name, None) == getattr(metric, name, None)


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (NormalizedMeanError, "normalized_mean_error"),
        (FailureRate, "failure_rate"),
        (AreaUnderCED, "area_under_ced"),
        (HeadPoseError, "head_pose_error"),
    ],
)
def test_name_and_type(metric, name):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert (metric().name, metric().dtype) == (name, "float32")
    finally:
        keras.config.set_dtype_policy("float32")
    mine = metric(name="mine", dtype="float16")
    assert (mine.name, mine.dtype) == ("mine", "float16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(mine))
    assert (again.name, again.dtype) == ("mine", "float16")


class TestBadInput:
    def test_landmark_count_at_trace_time(self):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(134)])
        model.compile("sgd", loss="mse", metrics=[NormalizedMeanError("300w")])
        with pytest.raises(ValueError, match=r"'300w' has 68.*\(batch, 68, 2\) or \(batch, 136\)"):
            model.evaluate(np.zeros((4, 8)), np.zeros((4, 134)), verbose=0)

    @pytest.mark.parametrize("shape", [(4, 135), (4, 67, 2), (136,), (4, 0), (4, 68, 3)])
    def test_shapes(self, shape):
        with pytest.raises(ValueError, match=r"y_pred must have the shape.*Received: shape \("):
            NormalizedMeanError("300w").update_state(np.zeros((4, 68, 2)), np.zeros(shape))

    def test_odd_count_without_a_scheme(self):
        with pytest.raises(ValueError, match=r"2 \* n_landmarks.*Received: shape \(4, 135\)"):
            NormalizedMeanError(normalizer="box").update_state(np.zeros((4, 135)), np.zeros((4, 135)))
        with pytest.raises(ValueError, match="y_true 68, y_pred 67"):
            NormalizedMeanError(normalizer="box").update_state(np.zeros((4, 136)), np.zeros((4, 67, 2)))
        with pytest.raises(ValueError, match=r"Known: '300w' .*Received: 67"):
            NormalizedMeanError().update_state(np.zeros((4, 67, 2)), np.zeros((4, 67, 2)))

    @pytest.mark.parametrize("normalizer", ["face", 0, -1.0, float("inf"), None])
    def test_normalizer(self, normalizer):
        with pytest.raises(
            ValueError, match=r"inter_ocular, inter_pupil, box or a positive number. Received"
        ):
            FailureRate(normalizer=normalizer)

    def test_scheme(self):
        with pytest.raises(ValueError, match="Received: 'ibug'"):
            AreaUnderCED(scheme="ibug")
        with pytest.raises(ValueError, match="'hand', which names none"):
            NormalizedMeanError(LandmarkScheme("hand", 21))

    @pytest.mark.parametrize("metric", [FailureRate, AreaUnderCED])
    def test_threshold(self, metric):
        with pytest.raises(ValueError, match=r"threshold must be a positive number. Received: -1"):
            metric(-1)

    def test_pose(self):
        with pytest.raises(ValueError, match=r"yaw, pitch, roll or None. Received: 'nod'"):
            HeadPoseError("nod")
        with pytest.raises(ValueError, match=r"y_pred must hold.*Received: shape \(4, 2\)"):
            HeadPoseError().update_state(np.zeros((4, 3)), np.zeros((4, 2)))
        with pytest.raises(ValueError, match=r"^y_true must hold.*Received: shape \(3,\)"):
            HeadPoseError().update_state(np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("normalizer", ["inter_ocular", "box"])
def test_a_face_without_a_size_does_not_count(faces, normalizer):
    """The same rule as in the NumPy functions and the reports."""
    true, predicted = (part.copy() for part in faces)
    true[3, 36] = true[3, 45]
    if normalizer == "box":
        true[3, :, 0] = 0.1
    others = np.delete(np.arange(len(true)), 3)
    expected = normalized_mean_error(true[others], predicted[others], "300w", normalizer)
    for metric, value in (
        (NormalizedMeanError("300w", normalizer), expected.mean()),
        (FailureRate(0.1, "300w", normalizer), failure_rate(expected, 0.1)),
        (AreaUnderCED(0.1, "300w", normalizer), area_under_ced(expected, 0.1)),
    ):
        metric.update_state(true, predicted)
        np.testing.assert_allclose(float(metric.result()), value, rtol=RTOL)
    weighted = NormalizedMeanError("300w", normalizer)
    weighted.update_state(true, predicted, sample_weight=np.ones((len(true), 1)))
    np.testing.assert_allclose(float(weighted.result()), expected.mean(), rtol=RTOL)
    with pytest.warns(UserWarning, match="1 of 11 faces have no"):
        errors = normalized_mean_error(true, predicted, "300w", normalizer)
    assert np.isnan(errors[3])
    np.testing.assert_allclose(errors[others], expected)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_landmarks_that_do_not_count(faces, normalizer, flat):
    """Neither those without a position nor those of weight 0; and not at all a face of which none counts."""
    true, predicted = (np.array(f, dtype=np.float64) for f in faces)
    true[2, :9], true[3], weights = np.nan, np.nan, np.ones((11, 68))
    weights[4, 50:], weights[5] = 0.0, 0.0
    known = [i for i in range(11) if i not in (3, 5)]
    by_hand = []
    for i in known:
        there = ~np.isnan(true[i, :, 0]) & (weights[i] > 0)
        box = np.sqrt(np.prod(np.nanmax(true[i], axis=0) - np.nanmin(true[i], axis=0)))
        size = {
            "box": box,
            "inter_ocular": np.linalg.norm(true[i, 36] - true[i, 45]),
            "inter_pupil": np.linalg.norm(true[i, 36:42].mean(0) - true[i, 42:48].mean(0)),
        }.get(normalizer, normalizer)
        by_hand.append(np.linalg.norm(true[i] - predicted[i], axis=-1)[there].mean() / size)
    with pytest.warns(UserWarning, match="2 of 11 faces") if isinstance(normalizer, str) else nullcontext():
        errors = normalized_mean_error(true, predicted, "300w", normalizer, weights)
    np.testing.assert_allclose(errors[known], by_hand)
    metric = NormalizedMeanError("300w", normalizer)
    metric.update_state(*((as_flat(f) if flat else f) for f in (true, predicted)), sample_weight=weights)
    np.testing.assert_allclose(float(metric.result()), np.mean(by_hand), rtol=1e-5)
    with pytest.raises(ValueError, match=r"or for each of its landmarks. Received: shape \(11, 67\)"):
        metric.update_state(true, predicted, sample_weight=np.ones((11, 67)))


def test_no_scheme_of_that_number():
    with pytest.raises(ValueError, match="normalizer='box', which needs none.*Received: 10 landmarks"):
        NormalizedMeanError().update_state(np.zeros((2, 10, 2)), np.zeros((2, 10, 2)))
