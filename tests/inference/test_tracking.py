"""Tracking, on squares whose place in each frame is known.

A face is a grey square with a level of its own on black. The network finds the corners of the square in the middle of
the crop, and the detector the squares in the picture, so that what is tested is the following.
"""

import numpy as np
import pytest
from scipy import ndimage

from keras_asm.inference import ConfidenceCalibration, LandmarkModelInfo, LandmarkPredictor, LandmarkTracker
from keras_asm.landmarks import LandmarkScheme
from keras_asm.shape_models import ActiveShapeModel

SCHEME = LandmarkScheme("corners", 4)
SIZE = 64
SIDE = 30


def frame(*corners, height=120, width=200):
    """Squares of `SIDE` pixels, whose upper left corners are `(x, y)`."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    for i, (x, y) in enumerate(corners):
        image[max(y, 0) : max(y + SIDE, 0), max(x, 0) : max(x + SIDE, 0)] = 255 - 20 * i
    return image


def corners_of(mask):
    """Left, top, right and bottom of each object, at pixel centres."""
    found = ndimage.find_objects(ndimage.label(mask)[0])
    return [[x.start, y.start, x.stop - 1, y.stop - 1] for y, x in found]


def network(images):
    """Corners of the object nearest to the middle of each crop, or of a small one if there is none."""
    out = []
    for image in np.asarray(images):
        boxes = np.array(corners_of(image[..., 0] > image.max() / 2 + 1e-6)).reshape(-1, 4)
        if not len(boxes):
            out.append(np.array([[0, 0], [0.001, 0], [0.001, 0.001], [0, 0.001]]))
            continue
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - (SIZE - 1) / 2
        x0, y0, x1, y1 = boxes[np.linalg.norm(middle, axis=1).argmin()]
        out.append((np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) + 0.5) / SIZE - 0.5)
    return np.stack(out)


class Detector:
    def __init__(self):
        self.n_calls = 0

    def __call__(self, image):
        self.n_calls += 1
        return np.array(corners_of(image[..., 0] > 0), dtype=float).reshape(-1, 4)


def tracker(detector=None, info=None, **settings):
    info = LandmarkModelInfo(SCHEME, SIZE, pose_output=None, fill_mode="constant", **(info or {}))
    predictor = LandmarkPredictor(network, detector or Detector(), info=info)
    return LandmarkTracker(predictor, **{"smoothing": None, **settings})


def truth(x, y):
    return np.array([[x, y], [x + SIDE - 1, y], [x + SIDE - 1, y + SIDE - 1], [x, y + SIDE - 1]])


def place(face):
    return face.landmarks.mean(axis=0)


def test_landmarks_are_pixels_of_the_frame_and_the_detector_runs_once():
    detector = Detector()
    path = [(20 + 4 * i, 30 + 2 * i) for i in range(25)]
    found = list(tracker(detector)(frame(corner) for corner in path))
    for (face,), corner in zip(found, path, strict=True):
        assert face.identity == 0
        np.testing.assert_allclose(face.landmarks, truth(*corner), atol=1.0)  # one pixel of the crop is 0.7
        np.testing.assert_array_equal(face.box, [*face.landmarks.min(axis=0), *face.landmarks.max(axis=0)])
    assert detector.n_calls == 1


def test_detects_every_n_frames_and_new_faces_begin_identities():
    detector = Detector()
    frames = [frame((20, 40))] * 4 + [frame((20, 40), (120, 40))] * 6
    found = list(tracker(detector, detect_every=5)(frames))
    assert [[face.identity for face in faces] for faces in found] == [[0]] * 5 + [[0, 1]] * 5
    assert detector.n_calls == 2


def test_identities_stay_when_faces_cross():
    # One goes right above, the other left below: they pass each other without overlap.
    paths = [[(20 + 5 * i, 10), (160 - 5 * i, 70)] for i in range(28)]
    for (first, second), corners in zip(
        tracker(detect_every=1)(frame(*c) for c in paths), paths, strict=True
    ):
        assert (first.identity, second.identity) == (0, 1)
        for face, corner in zip((first, second), corners, strict=True):
            np.testing.assert_allclose(face.landmarks, truth(*corner), atol=1.0)


def test_loss_and_return_where_it_was():
    frames = [frame((60, 40))] * 3 + [frame()] * 4 + [frame((64, 40))] * 2
    found = list(tracker()(frames))
    assert [[f.identity for f in faces] for faces in found] == [[0]] * 3 + [[]] * 4 + [[0]] * 2


def test_who_returns_too_late_or_elsewhere_is_new():
    gone = [frame()] * 4
    frames = [frame((60, 40))] * 3 + gone + [frame((60, 40))]
    assert [f.identity for f in list(tracker(remember=3)(frames))[-1]] == [1]
    frames = [frame((20, 40))] * 3 + gone + [frame((130, 60))]
    assert [f.identity for f in list(tracker()(frames))[-1]] == [1]


def test_a_face_that_leaves_the_picture_is_lost():
    frames = [frame((40 - 6 * i, 40)) for i in range(13)]
    found = list(tracker()(frames))
    assert len(found[0]) == 1
    assert found[-1] == []


def test_a_jump_is_found_again_in_the_same_frame():
    detector = Detector()
    found = list(tracker(detector)([frame((20, 20)), frame((140, 70)), frame((140, 70))]))
    assert [[f.identity for f in faces] for faces in found] == [[0], [1], [1]]
    np.testing.assert_allclose(found[1][0].landmarks, truth(140, 70), atol=1.0)


def test_two_followed_faces_that_become_one():
    frames = [frame((20, 40), (100, 40))] * 2 + [frame((60 - 4 * i, 40)) for i in range(2)]
    assert all(len(faces) <= 1 for faces in list(tracker()(frames))[2:])


def test_without_a_shape_model_the_detector_ends_a_ghost():
    calls = []

    def once(image):
        calls.append(len(calls))
        return [[60, 40, 89, 69]] if len(calls) == 1 else []

    found = list(tracker(once, detect_every=2)([frame((60, 40))] * 8))
    # Detections of frames 2, 3 and 4 do not find it, though the network does.
    assert [len(faces) for faces in found[:5]] == [1, 1, 1, 1, 0]


def shapes():
    rng = np.random.default_rng(0)
    return truth(0, 0)[None] / SIDE + 0.01 * rng.normal(size=(60, 4, 2))


def test_an_implausible_shape_is_lost():
    model = ActiveShapeModel(n_components=2, align="procrustes").fit(shapes())
    frames = [frame((60, 40)) for _ in range(4)]
    frames[2][40:60, 60:90] = 0  # what is left is three times as wide as high
    found = list(tracker(info={"shape_model": model}, max_shape_distance=0.1)(frames))
    assert [len(faces) for faces in found] == [1, 1, 0, 1]
    calibration = ConfidenceCalibration(intercept=5.0, slope=-50.0)
    found = list(tracker(info={"shape_model": model, "calibration": calibration}, min_confidence=0.5)(frames))
    assert [len(faces) for faces in found] == [1, 1, 0, 1]
    assert found[3][0].identity == 0
    assert found[0][0].confidence > 0.9


def test_no_frames_and_frames_without_faces():
    assert list(tracker()([])) == []
    assert list(tracker()([frame()] * 2)) == [[], []]


def noisy(level, still=True):
    rng = np.random.default_rng(1)

    def model(images):
        shape = truth(0, 0)[None] / SIDE / 1.5 - 1 / 3
        return shape + level / 45 * rng.normal(size=(len(images), 4, 2))

    info = LandmarkModelInfo(SCHEME, SIZE, pose_output=None)
    return LandmarkPredictor(model, lambda image: [[60, 40, 90, 70]], info=info)


def test_smoothing_lowers_jitter_and_begins_anew_after_a_loss():
    def jitter(smoothing):
        found = list(LandmarkTracker(noisy(0.5), smoothing=smoothing)([frame()] * 60))
        points = np.array([faces[0].landmarks - faces[0].landmarks.mean(axis=0) for faces in found])
        return np.abs(np.diff(points[10:], axis=0)).mean()

    levels = [jitter(smoothing) for smoothing in (None, "light", "medium", "strong")]
    assert levels == sorted(levels, reverse=True)
    assert levels[2] < 0.75 * levels[0]

    frames = [frame((60, 40))] * 8 + [frame()] * 2 + [frame((70, 40))]
    face = list(tracker(smoothing="strong")(frames))[-1][0]
    assert face.identity == 0
    np.testing.assert_allclose(face.landmarks, truth(70, 40), atol=1.0)


def test_poses_are_smoothed_the_short_way_round():
    turns = iter([179.0, -179.0] * 10)

    def model(images):
        shape = np.repeat(truth(0, 0)[None] / SIDE / 1.5 - 1 / 3, len(images), axis=0)
        return {"landmarks": shape, "pose": np.array([[0.0, 0.0, next(turns)]] * len(images))}

    predictor = LandmarkPredictor(
        model, lambda image: [[60, 40, 90, 70]], info=LandmarkModelInfo(SCHEME, SIZE), batch_size=1
    )
    rolls = [faces[0].pose[2] for faces in LandmarkTracker(predictor)([frame()] * 12)]
    assert np.abs(rolls).min() > 178.9
    assert np.abs(rolls).max() <= 180


def test_a_video_file(tmp_path):
    pytest.importorskip("av")
    from keras_asm.inference import write_video

    path = tmp_path / "a.mp4"
    corners = [(40 + 4 * i, 40) for i in range(6)]
    write_video(path, [frame(c) for c in corners], rate=10)
    detector = Detector()
    found = list(tracker(lambda image: detector(np.where(image > 100, image, 0)))(path))
    for (face,), corner in zip(found, corners, strict=True):
        np.testing.assert_allclose(face.landmarks, truth(*corner), atol=1.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"detect_every": 0},
        {"smoothing": "much"},
        {"smoothing": (0.0, 1.0)},
        {"remember": -1},
        {"min_confidence": 2},
        {"rate": 0},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="Received"):
        tracker(**settings)


def test_a_tracker_needs_a_predictor():
    with pytest.raises(ValueError, match="LandmarkPredictor"):
        LandmarkTracker("net.keras")


def test_frames_are_pictures_of_any_kind(tmp_path):
    """A path and a grey picture are read as the predictor reads them."""
    image = pytest.importorskip("PIL.Image").fromarray(np.full((80, 80), 99, np.uint8))
    image.save(tmp_path / "grey.png")
    seen = []
    info = LandmarkModelInfo("300w", image_size=32, pose_output=None)

    def network(crops):
        return np.tile(np.random.default_rng(0).uniform(-0.3, 0.3, (68, 2)), (len(crops), 1, 1))

    def detector(picture):
        seen.append(picture.shape)
        return [[20, 20, 60, 60]]

    for frame in (tmp_path / "grey.png", image, np.asarray(image)):
        (face,) = LandmarkTracker(LandmarkPredictor(network, detector, info=info)).update(frame)
        assert face.identity == 0
    assert seen == [(80, 80, 3)] * 3
