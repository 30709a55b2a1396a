"""The pose loss, by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import HeadPoseLoss

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


def test_config():
    loss = keras.losses.deserialize(
        keras.losses.serialize(HeadPoseLoss(scale=45.0, reduction="sum", dtype="float64"))
    )
    assert isinstance(loss, HeadPoseLoss)
    assert (loss.scale, loss.reduction, loss.dtype) == (45.0, "sum", "float64")


def test_bad_input():
    with pytest.raises(ValueError, match="scale must be a positive number of degrees. Received: scale=0"):
        HeadPoseLoss(scale=0)
    with pytest.raises(ValueError, match=r"three angles .* Received: y_pred of shape \(1, 2\)"):
        HeadPoseLoss()([[0.0, 0, 0]], [[0.0, 0]])
