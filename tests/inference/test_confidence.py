import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from keras_asm.inference import ConfidenceCalibration, fit_confidence, mahalanobis_distance, shape_distance
from keras_asm.metrics import normalized_mean_error
from keras_asm.shape_models import ActiveShapeModel
from keras_asm.synthetic import synthetic_faces


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(400, image_size=16).landmarks.astype(np.float64)


@pytest.fixture(scope="module")
def asm(faces):
    return ActiveShapeModel(n_components=20, align="procrustes").fit(faces)


@pytest.fixture(scope="module")
def predicted(faces):
    """Some predictions are a little off, some far."""
    rng = np.random.default_rng(1)
    scale = np.exp(rng.normal(-4.2, 1.0, (len(faces), 1, 1)))
    return faces + scale * rng.normal(size=faces.shape)


class TestDistances:
    def test_by_hand(self):
        """On a model without components only the mean is plausible."""
        square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]])
        rng = np.random.default_rng(0)
        asm = ActiveShapeModel(n_components=1, limit=1e-9).fit(square + 1e-9 * rng.normal(size=(50, 4, 2)))
        moved = square - np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
        # One of four landmarks is 1 off; from the centroid (1, 0.75) their squared distances are 25, 25, 41 and 17
        # sixteenths.
        assert shape_distance([moved], asm) == pytest.approx([0.25 / np.sqrt(108 / 16 / 4)], rel=1e-6)

    def test_do_not_depend_on_place_size_or_roll(self, predicted, asm):
        c, s = 3 * np.cos(0.4), 3 * np.sin(0.4)
        moved = predicted[:20] @ np.array([[c, s], [-s, c]]) + 7.0
        for function in (shape_distance, mahalanobis_distance):
            np.testing.assert_allclose(function(moved, asm), function(predicted[:20], asm), rtol=1e-6)
            flat = predicted[:20].reshape(20, -1)
            np.testing.assert_array_equal(function(flat, asm), function(predicted[:20], asm))

    def test_mahalanobis_is_that_of_the_estimator(self, predicted, asm):
        coefficients = asm.transform(predicted)
        expected = np.sqrt((coefficients**2 / asm.explained_variance_).sum(axis=1))
        np.testing.assert_allclose(mahalanobis_distance(predicted, asm), expected)

    def test_plausible_shapes_are_at_zero(self, faces):
        asm = ActiveShapeModel(n_components=20).fit(faces)
        np.testing.assert_allclose(shape_distance(asm.sample(50, random_state=0), asm), 0, atol=1e-12)

    def test_a_shape_without_extent(self, asm):
        assert shape_distance(np.ones((1, 68, 2)), asm) == np.inf

    def test_other_landmarks(self, asm):
        with pytest.raises(ValueError, match=r"68 landmarks.*\(3, 5, 2\)"):
            shape_distance(np.zeros((3, 5, 2)), asm)


class TestCalibration:
    def test_is_the_logistic_function(self):
        calibration = ConfidenceCalibration(1.5, -20.0)
        d = np.array([0.0, 0.1, 0.3])
        np.testing.assert_allclose(calibration.probability(d), 1 / (1 + np.exp(-(1.5 - 20 * d))))
        np.testing.assert_array_equal(calibration.probability([1e9, np.inf]), [0, 0])

    @pytest.mark.parametrize("values", [(0.0, 1.0, 0.1), (np.nan, -1.0, 0.1), (0.0, -1.0, 0.0)])
    def test_bad_values(self, values):
        with pytest.raises(ValueError, match="Received: intercept="):
            ConfidenceCalibration(*values)


class TestFit:
    def test_finds_the_curve_that_made_the_labels(self, faces, asm):
        """Where goodness is drawn from a logistic curve of the distance, that curve comes back."""
        rng = np.random.default_rng(2)
        steps = np.linspace(0, 0.08, 4000)
        shapes = faces[rng.integers(0, 400, 4000)] + steps[:, None, None] * rng.normal(size=(4000, 68, 2)) / 2
        d = shape_distance(shapes, asm)
        true = ConfidenceCalibration(4.0, -4.0 / np.median(d))
        good = rng.random(4000) < true.probability(d)
        # True landmarks that make it so: those predicted, or moved by 20 % of the distance between the eyes
        eyes = np.linalg.norm(shapes[:, 36] - shapes[:, 45], axis=1)
        truth = shapes + np.where(good, 0.0, 0.2 * eyes)[:, None, None] * [1.0, 0.0]
        report = fit_confidence(shapes, truth, asm, "300w")
        assert report.n_good == good.sum()
        assert report.calibration.intercept == pytest.approx(true.intercept, rel=0.1)
        assert report.calibration.slope == pytest.approx(true.slope, rel=0.1)
        # Three standard deviations of a mean of 400 labels
        assert np.abs(np.diff(report.reliability, axis=1)).max() < 3 * 0.5 / np.sqrt(400)

    def test_faces_of_unknown_error_are_left_out(self, faces, predicted, asm):
        """Without an eye corner, or any landmark; not counted as bad."""
        true = faces.copy()
        true[:60:2, 36], true[1:60:2] = np.nan, np.nan
        true[60:120, 5] = np.nan  # which their error does not need
        disagreement = np.random.default_rng(0).random(len(faces))
        with pytest.warns(UserWarning, match="60 of 400 faces have no inter_ocular distance"):
            found = fit_confidence(predicted, true, asm, "300w", disagreement=disagreement)
        rest = fit_confidence(predicted[60:], true[60:], asm, "300w", disagreement=disagreement[60:])
        assert found.calibration == rest.calibration
        assert found.auroc == rest.auroc
        assert (found.n_good, found.n_bad, found.n_left_out) == (rest.n_good, rest.n_bad, 60)
        assert "bad predictions (NME up to 8 %), 60 of unknown error left out" in str(found)
        assert "left out" not in str(rest)

    def test_auroc(self, faces, predicted, asm):
        bad = normalized_mean_error(faces, predicted, "300w") > 0.08
        disagreement = np.random.default_rng(0).random(len(faces))
        report = fit_confidence(predicted, faces, asm, disagreement=disagreement)
        assert (report.n_good, report.n_bad) == ((~bad).sum(), bad.sum())
        assert report.auroc["shape_distance"] == pytest.approx(
            roc_auc_score(bad, shape_distance(predicted, asm))
        )
        assert report.auroc["mahalanobis"] == pytest.approx(
            roc_auc_score(bad, mahalanobis_distance(predicted, asm))
        )
        assert report.auroc["flip"] == pytest.approx(roc_auc_score(bad, disagreement))
        assert report.auroc["combination"] > 0.9
        assert "AUROC: shape_distance" in str(report)

    def test_patches_without_a_face_are_bad(self, faces, predicted, asm):
        plain = fit_confidence(predicted, faces, asm)
        junk = np.random.default_rng(3).normal(size=(50, 68, 2))
        report = fit_confidence(
            predicted, faces, asm, without_face=np.append(junk, np.ones((1, 68, 2)), axis=0)
        )
        assert report.n_bad == plain.n_bad + 51
        assert report.calibration.probability(shape_distance(junk, asm)).max() < 0.01

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"nme_threshold": 10.0}, "Received: 400 good and 0 bad"),
            ({"disagreement": np.zeros(3)}, r"\(400,\). Received: shape \(3,\)"),
        ],
    )
    def test_bad_input(self, faces, predicted, asm, kwargs, match):
        with pytest.raises(ValueError, match=match):
            fit_confidence(predicted, faces, asm, "300w", **kwargs)

    def test_a_distance_that_tells_nothing(self, faces, asm):
        """Implausible predictions that are right, and plausible ones that are wrong."""
        rng = np.random.default_rng(0)
        shapes = faces.copy()
        shapes[:200] += 0.03 * rng.normal(size=(200, 68, 2))
        truth = shapes.copy()
        truth[200:] += 0.2
        with pytest.raises(ValueError, match="Bad predictions must be farther"):
            fit_confidence(shapes, truth, asm)
