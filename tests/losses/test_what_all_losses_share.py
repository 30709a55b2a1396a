"""What every loss passes on to Keras, and what its configuration brings back."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_asm import ASMAssistedLoss, HeadPoseLoss, LinearShapeModel, WingLoss
from keras_asm.losses import LandmarkLikelihoodLoss, LandmarkLoss, ScheduledValue

pytestmark = pytest.mark.backend

SHAPE_MODEL = LinearShapeModel(np.zeros(4), np.eye(4), np.ones(4), np.full(4, 0.25), limit=None)
# Each with a prediction for the truth of zeros, and the loss of it for a face, by hand
MADE = {
    ASMAssistedLoss: (lambda **kw: ASMAssistedLoss(SHAPE_MODEL, 2.0, **kw), np.full(4, 0.5), 3 * 0.25),
    HeadPoseLoss: (HeadPoseLoss, np.full(3, 45.0), 0.25),
    LandmarkLoss: (LandmarkLoss, np.full(4, 0.5), 0.25),
    LandmarkLikelihoodLoss: (LandmarkLikelihoodLoss, np.r_[np.full(4, 0.5), 0, 0], 0.5 + np.log(2)),
    WingLoss: (
        lambda **kw: WingLoss(0.25, 0.125, **kw),
        np.full(4, 0.5),
        0.5 - (0.25 - 0.25 * np.log(3)),
    ),
}
NAMES = {
    ASMAssistedLoss: "asm_assisted_loss",
    HeadPoseLoss: "head_pose_loss",
    LandmarkLoss: "landmark_loss",
    LandmarkLikelihoodLoss: "landmark_likelihood_loss",
    WingLoss: "wing_loss",
}


@pytest.mark.parametrize("loss", MADE)
def test_reduction_name_and_type(loss):
    make, prediction, expected = MADE[loss]
    y_pred = np.stack([prediction] * 3)
    y_true = np.zeros((3, 3 if loss is HeadPoseLoss else 4))
    mean = make()
    assert mean.reduction == "sum_over_batch_size"
    assert mean.dtype == "float32"
    assert mean.name == NAMES[loss]
    np.testing.assert_allclose(ops.convert_to_numpy(mean(y_true, y_pred)), expected, rtol=1e-6)
    total = make(reduction="sum", name="mine", dtype="float16")
    again = keras.losses.deserialize(keras.losses.serialize(total))
    for one in (total, again):
        assert (one.reduction, one.name, one.dtype) == ("sum", "mine", "float16")
        found = one(y_true, y_pred)
        assert keras.backend.standardize_dtype(found.dtype) == "float16"
        np.testing.assert_allclose(ops.convert_to_numpy(found), 3 * expected, rtol=5e-3)


def test_a_scheduled_value_is_one_number_for_all_replicas():
    """Keras's default aggregation would add up what each replica holds."""
    alpha = ScheduledValue(0.75, name="alpha")
    assert {variable.aggregation for variable in alpha.variables} == {"only_first_replica"}
    assert {variable.name for variable in alpha.variables} == {"value", "target_size"}
    assert float(ops.convert_to_numpy(alpha.target_size)) == 0.0
