from types import SimpleNamespace

import numpy as np
import pytest

from keras_asm.landmarks import LandmarkScheme, get_scheme
from keras_asm.visualization import draw_faces
from keras_asm.visualization.drawing import _AXES, _DOUBTFUL, _PART_NAMES, _PARTS, _part_colours

PIL = pytest.importorskip("PIL.Image")
POINT = LandmarkScheme("point", 1)


def face(points, box=None, pose=None, confidence=None):
    return SimpleNamespace(landmarks=np.asarray(points), box=box, pose=pose, confidence=confidence)


def near(picture, colour, tolerance=40):
    """Where a colour is, Boolean `(height, width)`."""
    return (np.abs(picture.astype(int) - colour) < tolerance).all(axis=-1)


def dots(center, n=68, radius=60.0):
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.asarray(center) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((50, 100), (320, 640)),
        ((640, 480), (640, 480)),
        ((900, 1200), (900, 1200)),
        ((3000, 1500), (1600, 800)),
    ],
)
def test_sizes(size, drawn):
    image = np.full((*size, 3), 90, np.uint8)
    assert draw_faces(image, []).shape == (*drawn, 3)
    assert draw_faces(image, [], width=200).shape == (round(200 * size[0] / size[1]), 200, 3)
    assert (draw_faces(image, []) == 90).all()


def test_circles_have_the_scales_as_radii():
    image = np.full((640, 640, 3), 60, np.uint8)
    points = np.array([[200.0, 300.0], [440.0, 300.0], [320.0, 500.0]])
    one = face(points)
    one.landmark_scales = np.array([30.0, 60.0, 0.0])
    assert (draw_faces(image, [one]) == draw_faces(image, [face(points)])).all()
    picture = draw_faces(image, [one], scales=True)
    new = (picture != draw_faces(image, [face(points)])).any(axis=-1)
    for (x, y), radius in zip(points.astype(int)[:2], (30, 60), strict=True):
        columns = np.flatnonzero(new[y])
        around = columns[np.abs(columns - x) < 100]
        assert np.abs(around - x).mean() == pytest.approx(radius, abs=1)
        assert np.ptp(np.abs(around - x)) < 10
        ring = picture[y, x + radius - 4 : x + radius + 4]
        assert ring.max() > 150 > 60 > ring.min() + 10  # light, with a dark rim
    one.landmarks = np.array([[200.0, 300.0], [np.nan, np.nan], [320.0, 500.0]])
    assert not (draw_faces(image, [one], scales=True)[300, 480:] != 60).any()
    one.landmark_scales = np.ones(2)
    with pytest.raises(ValueError, match=r"3 landmark_scales.*Received: shape \(2,\)"):
        draw_faces(image, [one], scales=True)


@pytest.mark.parametrize("scale", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("ground", [0, 128, 255])
def test_readable_on_any_ground_at_any_size(scale, ground):
    """A contour has both a colour and a dark rim, so that one of them stands out."""
    image = np.full((round(700 * scale), round(800 * scale), 3), ground, np.uint8)
    picture = draw_faces(image, [face(dots((400 * scale, 350 * scale), radius=200 * scale))])
    for colour in (*_PARTS[1:], (20, 20, 20)):
        assert near(picture, colour).sum() > 100, colour


def test_parts_have_their_colours_where_they_are():
    scheme = get_scheme("300w")
    colours = _part_colours(68, None)
    assert colours == _part_colours(68, scheme)
    for name, indices in scheme.groups.items():
        part = name.removeprefix("left_").removeprefix("right_")
        assert {colours[i] for i in indices} == {_PARTS[_PART_NAMES.index(part)]}
    assert _part_colours(3, LandmarkScheme("any", 3)) == [_PARTS[0]] * 3
    points = np.full((68, 2), 400.0)
    points[list(scheme.groups["mouth"])] = dots((150, 150), 20, 40)
    y, x = np.nonzero(
        near(draw_faces(np.full((700, 700, 3), 128), [face(points)]), _PARTS[_PART_NAMES.index("mouth")])
    )
    np.testing.assert_allclose([x.mean(), y.mean()], [150, 150], atol=3)


def test_a_box_of_a_doubtful_face_is_orange():
    image = np.full((700, 700, 3), 128)
    for confidence, doubtful in ((0.4, True), (0.6, False), (None, False)):
        drawn = face([[350.0, 350.0]], [200, 200, 500, 500], None, confidence)
        picture = draw_faces(image, [drawn], POINT)
        assert near(picture[195:206, 195:206], _DOUBTFUL).any() == doubtful
        assert near(picture[195:206, 195:206], (235, 235, 235)).any() != doubtful


def test_axes_and_text_where_there_is_room():
    image = np.full((700, 700, 3), 128)
    large = draw_faces(image, [face([[350.0, 350.0]], [200, 200, 500, 500], [40, 0, 0], 0.9)], POINT)
    y, x = np.nonzero(near(large, _AXES[2]))
    assert x.mean() < 340  # yaw > 0: the nose points to the image's left
    np.testing.assert_allclose(y.mean(), 350, atol=3)
    below = draw_faces(image, [face([[350.0, 350.0]], [200, 200, 500, 500], None, 0.9)], POINT)[505:560]
    assert near(below, (20, 20, 20)).sum() > 500
    small = draw_faces(image, [face([[350.0, 350.0]], [330, 330, 370, 370], [40, 0, 0], 0.9)], POINT)
    assert not near(small, _AXES[2]).any()


def test_text_stays_in_the_picture():
    image = np.full((640, 640, 3), 128)
    picture = draw_faces(image, [face([[350.0, 600.0]], [300, 480, 420, 638], [1, 2, 3], 0.5)], POINT)
    assert near(picture[400:480], (20, 20, 20)).sum() > 500  # above the box


def test_predictions_can_be_drawn(tmp_path):
    from keras_asm.inference import Face

    picture = draw_faces(
        np.zeros((100, 100)),
        [Face(dots((50, 50), radius=20), np.array([20.0, 20, 80, 80]))],
        path=tmp_path / "a.png",
    )
    with PIL.open(tmp_path / "a.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), picture)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"landmarks": np.full((68, 2), np.inf)}, "not finite"),
        ({"landmarks": np.zeros((2, 68, 2))}, "shape"),
        ({"pose": [1.0, 2.0], "box": [0, 0, 90, 90]}, "yaw, pitch and roll"),
    ],
)
def test_bad_input(change, match):
    values = {"landmarks": np.zeros((68, 2)), "box": None, "pose": None, "confidence": None}
    with pytest.raises(ValueError, match=match):
        draw_faces(np.zeros((100, 100)), [SimpleNamespace(**values | change)])


def test_the_number_of_a_followed_face_is_written():
    image = np.full((700, 700, 3), 128)
    plain = face([[350.0, 350.0]], [200, 200, 500, 500])
    numbered = SimpleNamespace(**vars(plain), identity=12)
    lost = SimpleNamespace(**vars(plain), identity=-1)
    assert near(draw_faces(image, [numbered], POINT)[505:560], (20, 20, 20)).sum() > 100
    np.testing.assert_array_equal(draw_faces(image, [lost], POINT), draw_faces(image, [plain], POINT))
