import json

import numpy as np
import pytest

from keras_asm.evaluation import EvaluationReport, compare_reports, evaluate_landmarks
from keras_asm.landmarks import as_flat
from keras_asm.metrics import area_under_ced, failure_rate


@pytest.fixture
def faces(rng):
    true = rng.normal(size=(6, 68, 2))
    true[:, 36], true[:, 45] = (-1.0, 0.0), (1.0, 0.0)
    # Image i is off by exactly 0.04 * (i + 1) of the eye distance.
    return true, true + np.array([0.08, 0.0]) * np.arange(1, 7)[:, None, None]


@pytest.fixture
def poses(rng):
    true = rng.uniform(-60, 60, size=(6, 3))
    return true, true + np.array([1.0, -2.0, 359.0])


def test_scores_by_hand(faces, poses):
    mask = np.array([True, True, False, False, False, False])
    report = evaluate_landmarks(
        *faces,
        "300w",
        pose_true=poses[0],
        pose_pred=poses[1],
        subsets={"easy": mask, "hard": [2, 3, 4, 5], "last": range(5, 6)},
    )
    np.testing.assert_allclose(report.errors, 0.04 * np.arange(1, 7))
    expected = {
        "all": {"n_images": 6, "nme": 0.14, "failure_rate": 4 / 6, "area_under_ced": (0.6 + 0.2) / 6},
        "easy": {"n_images": 2, "nme": 0.06, "failure_rate": 0.0, "area_under_ced": 0.4},
        "hard": {"n_images": 4, "nme": 0.18, "failure_rate": 1.0, "area_under_ced": 0.0},
        "last": {"n_images": 1, "nme": 0.24, "failure_rate": 1.0, "area_under_ced": 0.0},
    }
    pose = {"yaw_error": 1.0, "pitch_error": 2.0, "roll_error": 1.0, "pose_error": 4 / 3}
    assert set(report.scores) == set(expected)
    for name, scores in expected.items():
        assert report.scores[name] == pytest.approx(scores | pose)
    assert str(report).splitlines() == [
        "landmark scheme 300w, normalized by inter_ocular, threshold 10 %",
        "subset  images  NME %   FR %    AUC  yaw deg  pitch deg  roll deg",
        "all          6  14.00   66.7  0.133     1.00       2.00      1.00",
        "easy         2   6.00    0.0  0.400     1.00       2.00      1.00",
        "hard         4  18.00  100.0  0.000     1.00       2.00      1.00",
        "last         1  24.00  100.0  0.000     1.00       2.00      1.00",
    ]


def test_layouts_and_normalisers_agree(faces):
    paired = evaluate_landmarks(*faces)
    flat = evaluate_landmarks(as_flat(faces[0]), as_flat(faces[1]), threshold=0.2)
    given = evaluate_landmarks(*faces, normalizer=np.full(6, 2.0))
    for other in (flat, given):
        np.testing.assert_allclose(other.errors, paired.errors)
    assert (paired.scheme, flat.scheme, given.scheme) == ("300w", "300w", None)
    assert given.normalizer == "given"
    assert flat.scores["all"]["failure_rate"] == failure_rate(paired.errors, 0.2)
    assert flat.scores["all"]["area_under_ced"] == area_under_ced(flat.errors, 0.2)


def test_to_dict_survives_json(faces, poses):
    report = evaluate_landmarks(*faces, pose_true=poses[0], pose_pred=poses[1], subsets={"few": [0, 3]})
    stored = json.loads(json.dumps(report.to_dict()))
    assert stored == report.to_dict()
    again = EvaluationReport(
        np.array(stored["errors"]),
        np.array(stored["pose_errors"]),
        {name: np.array(i) for name, i in stored["subsets"].items()},
        stored["scheme"],
        stored["normalizer"],
        stored["threshold"],
    )
    assert again.scores == report.scores


def test_side_by_side(faces, poses):
    one = evaluate_landmarks(*faces, subsets={"few": [0, 1]})
    two = evaluate_landmarks(
        faces[0], faces[0], pose_true=poses[0], pose_pred=poses[0], subsets={"few": [0, 1]}
    )
    assert compare_reports({"MSE": one, "perfect": two}).splitlines()[1:] == [
        "subset  model    images  NME %  FR %    AUC  yaw deg  pitch deg  roll deg",
        "all     MSE           6  14.00  66.7  0.133        -          -         -",
        "        perfect       6   0.00   0.0  1.000     0.00       0.00      0.00",
        "few     MSE           2   6.00   0.0  0.400        -          -         -",
        "        perfect       2   0.00   0.0  1.000     0.00       0.00      0.00",
    ]


class TestBadInput:
    @pytest.mark.parametrize(
        "members", [[], [6], [-1], [0.5], np.zeros(6, bool), np.ones(5, bool), [[0, 1]], "common"]
    )
    def test_subsets(self, faces, members):
        with pytest.raises(ValueError, match=r"Subset 'odd' must be.*Received"):
            evaluate_landmarks(*faces, subsets={"odd": members})

    def test_reserved_name(self, faces):
        with pytest.raises(ValueError, match="another name"):
            evaluate_landmarks(*faces, subsets={"all": [0]})

    def test_poses(self, faces, poses):
        with pytest.raises(ValueError, match="Received: no pose_pred"):
            evaluate_landmarks(*faces, pose_true=poses[0])
        with pytest.raises(ValueError, match=r"shape \(6, 3\).*Received: shape \(5, 3\)"):
            evaluate_landmarks(*faces, pose_true=poses[0][:5], pose_pred=poses[0][:5])

    def test_landmarks(self, faces):
        with pytest.raises(ValueError, match=r"Received: shape \(68, 2\)"):
            evaluate_landmarks(faces[0][0], faces[1][0])
        with pytest.raises(ValueError, match="has 98 landmarks"):
            evaluate_landmarks(*faces, "wflw")
        with pytest.raises(ValueError, match="threshold"):
            evaluate_landmarks(*faces, threshold=0)

    def test_comparing_what_differs(self, faces):
        one = evaluate_landmarks(*faces)
        with pytest.raises(ValueError, match="At least one"):
            compare_reports({})
        with pytest.raises(ValueError, match=r"protocol.*threshold 10 %.*threshold 8 %"):
            compare_reports({"a": one, "b": evaluate_landmarks(*faces, threshold=0.08)})
        with pytest.raises(ValueError, match="differ in their subsets"):
            compare_reports({"a": one, "b": evaluate_landmarks(*(f[:5] for f in faces))})


def test_a_face_without_a_size_is_left_out():
    true = np.array([[[0.0, 0.0], [10.0, 10.0]], [[5.0, 5.0], [5.0, 5.0]]])
    with pytest.warns(UserWarning, match="1 of 2 faces have no box distance"):
        report = evaluate_landmarks(true, true + np.array([3.0, 4.0]), normalizer="box")
    assert report.scores["all"]["n_images"] == 1
    assert report.scores["all"]["nme"] == 0.5
    assert np.isnan(report.errors[1])
    with (
        pytest.warns(UserWarning, match="have no box distance"),
        pytest.raises(ValueError, match="At least one face of each subset needs a size"),
    ):
        evaluate_landmarks(true, true, normalizer="box", subsets={"points": [1]})


def test_landmarks_without_a_position_or_weight_do_not_count():
    true = np.array([[[0.0, 0.0], [10.0, 10.0], [5.0, 5.0]]] * 2)
    predicted = true + np.array([3.0, 4.0])
    predicted[:, 2] += 100
    weights = np.array([[1.0, 1, 0], [1, 1, 1]])
    true[1, 2] = np.nan
    report = evaluate_landmarks(true, predicted, normalizer="box", weights=weights)
    np.testing.assert_allclose(report.errors, [0.5, 0.5])
    with pytest.raises(ValueError, match="weights must be finite numbers from 0"):
        evaluate_landmarks(true, predicted, normalizer="box", weights=-weights)
