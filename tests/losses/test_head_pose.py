"""The pose loss, by hand, and over other base losses."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import HeadPoseLoss, WingLoss

pytestmark = pytest.mark.backend


def test_worked_by_hand():
    G, P = [[10.0, 0, 0], [0, 0, 0]], [[55.0, 90, 0], [0, 0, -180]]
    # (0.5^2 + 1) / 3 and 2^2 / 3
    np.testing.assert_allclose(
        ops.convert_to_numpy(HeadPoseLoss(reduction=None)(G, P)), [1.25 / 3, 4 / 3], rtol=1e-6
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(HeadPoseLoss(scale=1.0)(G, P)), 8100 * 5.25 / 6, rtol=1e-6
    )


def test_default_is_the_squared_error_to_the_bit(rng):
    G, P = rng.uniform(-90, 90, size=(2, 50, 3)).astype("float32")
    expected = ops.mean(ops.square((ops.convert_to_tensor(P) - ops.convert_to_tensor(G)) / 90.0), axis=-1)
    result = HeadPoseLoss(reduction=None)(G, P)
    np.testing.assert_array_equal(ops.convert_to_numpy(result), ops.convert_to_numpy(expected))


@keras.saving.register_keras_serializable(package="tests")
def ignores_roll(y_true, y_pred):
    return ops.mean(ops.abs(y_true - y_pred)[..., :2], axis=-1)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        # Errors of 0.5 and 1 in the first sample, of 2 in the second
        ("mean_absolute_error", [1.5 / 3, 2 / 3]),
        ("mean_squared_error", [1.25 / 3, 4 / 3]),
        (keras.losses.MeanSquaredError(reduction="sum"), [1.25 / 3, 4 / 3]),
        (keras.losses.Huber(delta=0.75, reduction=None), [(0.125 + 0.46875) / 3, 1.21875 / 3]),
        (WingLoss(1.0, 0.5), [(np.log(2) + np.log(3)) / 3, (1 + np.log(3)) / 3]),
        (keras.losses.log_cosh, [(np.log(np.cosh(0.5)) + np.log(np.cosh(1))) / 3, np.log(np.cosh(2)) / 3]),
        (keras.losses.serialize(keras.losses.MeanAbsoluteError()), [1.5 / 3, 2 / 3]),
    ],
)
def test_any_base(base, expected):
    G, P = [[10.0, 0, 0], [0, 0, 0]], [[55.0, 90, 0], [0, 0, -180]]
    loss = HeadPoseLoss(base=base, reduction=None)
    np.testing.assert_allclose(ops.convert_to_numpy(loss(G, P)), expected, rtol=1e-5)
    again = HeadPoseLoss.from_config(json.loads(json.dumps(loss.get_config())))
    np.testing.assert_array_equal(ops.convert_to_numpy(again(G, P)), ops.convert_to_numpy(loss(G, P)))


@keras.saving.register_keras_serializable(package="tests")
def mixes_angles(y_true, y_pred):
    return y_true[..., 0] + 100 * y_pred[..., 1]


@pytest.mark.parametrize(
    ("base", "expected"), [("mean_squared_error", 4 / 3 / 8100), ("mean_absolute_error", 2 / 270)]
)
def test_the_seam_at_180_degrees(base, expected):
    """179 and -179 are as far apart as 1 and -1, and pull the same way."""
    loss = HeadPoseLoss(base=base)
    for G, P in ((179.0, -179.0), (-179.0, 179.0), (1.0, -1.0), (10.0, 372.0)):
        result = loss([[G, 0, 0]], [[P, 0, 0]])
        np.testing.assert_allclose(ops.convert_to_numpy(result), expected, rtol=1e-4)


def test_a_function_that_could_not_be_loaded_is_refused():
    def forgotten(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=-1)

    for base in (forgotten, lambda y_true, y_pred: y_pred):
        with pytest.raises(
            ValueError, match=r"must be registered.*register_keras_serializable.*Received: base="
        ):
            HeadPoseLoss(base=base)


def test_base_may_be_any_function_and_sees_both_angles():
    G, P = [[10.0, 0, 0], [0, 0, 0]], [[55.0, 90, 0], [0, 0, -180]]
    result = HeadPoseLoss(base=ignores_roll, reduction=None)(G, P)
    np.testing.assert_allclose(ops.convert_to_numpy(result), [0.75, 0], rtol=1e-6)
    seen = HeadPoseLoss(scale=10.0, base=mixes_angles)([[10.0, 0, 0]], [[55.0, 90, 0]])
    np.testing.assert_allclose(ops.convert_to_numpy(seen), 1 + 900, rtol=1e-6)


def test_config():
    loss = keras.losses.deserialize(
        keras.losses.serialize(HeadPoseLoss(scale=45.0, reduction="sum", dtype="float64"))
    )
    assert isinstance(loss, HeadPoseLoss)
    assert (loss.scale, loss.reduction, loss.dtype) == (45.0, "sum", "float64")
    assert loss.base is keras.losses.mean_squared_error
    wing = keras.losses.deserialize(keras.losses.serialize(HeadPoseLoss(base=WingLoss(0.2, 0.1)))).base
    assert isinstance(wing, WingLoss)
    assert (wing.width, wing.curvature) == (0.2, 0.1)


def test_bad_input():
    with pytest.raises(ValueError, match="scale must be a positive number of degrees. Received: scale=0"):
        HeadPoseLoss(scale=0)
    with pytest.raises(ValueError, match=r"three angles .* Received: y_pred of shape \(1, 2\)"):
        HeadPoseLoss()([[0.0, 0, 0]], [[0.0, 0]])
    for base in (None, "nonsense", 3):
        with pytest.raises(ValueError, match=f"base must be a Keras loss, .* Received: base={base!r}"):
            HeadPoseLoss(base=base)
