"""Faces without a known pose, NaN, in one batch with others: from the loss to the report."""

import keras
import numpy as np
import pytest

from keras_asm import HeadPoseLoss, LandmarkAugmentation, LandmarkBatches, WingLoss, evaluate_landmarks
from keras_asm.metrics import HeadPoseError
from keras_asm.synthetic import synthetic_faces

TRUE = np.array([[10.0, -20, 5], [np.nan] * 3, [179, 0, 0], [0, np.nan, 0]], "float32")
PREDICTED = np.array([[12.0, -10, 5], [50, 50, 50], [-179, 3, -6], [90, 90, 90]], "float32")
KNOWN = [0, 2]


@pytest.mark.backend
@pytest.mark.parametrize("base", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_costs_nothing_and_has_no_gradient(base):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, use_bias=False)])
    loss = HeadPoseLoss(base=base)
    whole = keras.ops.convert_to_numpy(HeadPoseLoss(base=base, reduction=None)(TRUE, PREDICTED))
    known = keras.ops.convert_to_numpy(HeadPoseLoss(base=base, reduction=None)(TRUE[KNOWN], PREDICTED[KNOWN]))
    np.testing.assert_allclose(whole, [known[0], 0, known[1], 0], rtol=1e-6)

    # A step on the whole batch is half a step, as Keras divides by all faces, on those that are known
    def stepped(true, predicted, rate):
        model.layers[0].set_weights([np.eye(3, dtype="float32")])
        model.compile(keras.optimizers.SGD(rate), loss=loss)
        model.fit(predicted, true, batch_size=len(true), epochs=1, verbose=0)
        return model.layers[0].get_weights()[0]

    np.testing.assert_allclose(
        stepped(TRUE, PREDICTED, 2e-3), stepped(TRUE[KNOWN], PREDICTED[KNOWN], 1e-3), atol=1e-6
    )


@pytest.mark.backend
def test_metric():
    for angle in (None, "yaw"):
        metric = HeadPoseError(angle)
        metric.update_state(TRUE, PREDICTED)
        alone = HeadPoseError(angle)
        alone.update_state(TRUE[KNOWN], PREDICTED[KNOWN])
        assert float(metric.result()) == pytest.approx(float(alone.result()))


def test_report():
    landmarks = synthetic_faces(4, image_size=16).landmarks
    subsets = {"known": KNOWN, "unknown": [1, 3]}
    report = evaluate_landmarks(landmarks, landmarks, pose_true=TRUE, pose_pred=PREDICTED, subsets=subsets)
    assert report.scores["all"]["yaw_error"] == pytest.approx(2)
    assert report.scores["known"]["pitch_error"] == pytest.approx(6.5)
    assert np.isnan(report.scores["unknown"]["pose_error"])
    assert report.scores["unknown"]["n_images"] == 2


@pytest.mark.backend
def test_a_training_on_faces_with_and_without():
    faces = synthetic_faces(12, image_size=32)
    pose = faces.pose.copy()
    pose[::2] = np.nan
    batches = LandmarkBatches(
        faces.images, faces.landmarks, pose, batch_size=4, augmentation=LandmarkAugmentation("300w")
    )
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(
        inputs,
        {
            "landmarks": keras.layers.Dense(136, name="landmarks")(x),
            "pose": keras.layers.Dense(3, name="pose")(x),
        },
    )
    model.compile(
        "sgd", loss={"landmarks": WingLoss(), "pose": HeadPoseLoss()}, metrics={"pose": [HeadPoseError()]}
    )
    history = model.fit(batches, epochs=1, verbose=0).history
    assert np.isfinite([history["loss"][0], history["pose_head_pose_error"][0]]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
