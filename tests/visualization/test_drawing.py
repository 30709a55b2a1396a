import builtins
from types import SimpleNamespace

import numpy as np
import pytest

from keras_asm.landmarks import LandmarkScheme, as_flat, get_scheme
from keras_asm.visualization import contact_sheet, draw_faces, draw_landmarks, draw_pose_axes
from keras_asm.visualization.drawing import _AXES, _PREDICTED, _TRUE

PIL = pytest.importorskip("PIL.Image")
GREY = np.full((100, 100, 3), 128, np.uint8)
POINT = LandmarkScheme("point", 1)


def _where(picture, colour):
    """Mean (x, y) of the pixels of a hue, each by how much of it there is, or `None`."""
    chroma, hue = (c - np.mean(c, axis=-1, keepdims=True) for c in (picture.astype(float), np.array(colour)))
    amount = np.linalg.norm(chroma, axis=-1)
    amount[(chroma @ hue < 0.95 * amount * np.linalg.norm(hue)) | (amount < 15)] = 0
    if not amount.any():
        return None
    y, x = np.indices(amount.shape)
    return np.array([(amount * x).sum(), (amount * y).sum()]) / amount.sum()


@pytest.mark.parametrize("width", [100, 400])
@pytest.mark.parametrize("point", [(20.0, 70.0), (50.5, 10.25)])
def test_landmarks_lie_where_they_should(point, width):
    picture = draw_landmarks(GREY, [point], POINT, width=width)
    # A pixel's centre, in the enlarged picture.
    expected = (np.array(point) + 0.5) * width / 100 - 0.5
    np.testing.assert_allclose(_where(picture, _PREDICTED), expected, atol=0.35)
    normalized = (np.array(point) + 0.5) / 100 - 0.5
    np.testing.assert_array_equal(draw_landmarks(GREY, normalized, POINT, None, True, width), picture)


def test_true_and_predicted_have_colours_of_their_own():
    picture = draw_landmarks(GREY, [[20.0, 50.0]], POINT, true_landmarks=[[80.0, 50.0]], width=100)
    np.testing.assert_allclose(_where(picture, _PREDICTED), [20, 50], atol=0.5)
    np.testing.assert_allclose(_where(picture, _TRUE), [80, 50], atol=0.5)


def test_lines_are_those_of_the_scheme(rng):
    scheme = LandmarkScheme("bar", 2, lines=(((0, 1), False),))
    ends = [[10.0, 50.0], [90.0, 50.0]]
    assert _where(draw_landmarks(GREY, ends, scheme)[:, 200:280], _PREDICTED) is not None
    assert _where(draw_landmarks(GREY, ends)[:, 200:280], _PREDICTED) is None
    face = rng.uniform(10, 90, (68, 2))
    np.testing.assert_array_equal(draw_landmarks(GREY, face), draw_landmarks(GREY, as_flat(face), "300w"))


def test_landmarks_without_a_position_are_left_out(rng):
    """As if the line had ended there: the others and the lines between them stay."""
    line = LandmarkScheme("line", 5, lines=(((0, 1, 2, 3, 4), False),))
    short = LandmarkScheme("short", 4, lines=(((0, 1), False), ((2, 3), False)))
    points = np.array([[10.0, 20], [30, 70], [50, 50], [70, 20], [90, 80]])
    gap = points.copy()
    gap[2] = np.nan
    np.testing.assert_array_equal(
        draw_landmarks(GREY, gap, line), draw_landmarks(GREY, points[[0, 1, 3, 4]], short)
    )
    nothing = np.full((5, 2), np.nan)
    assert (draw_landmarks(GREY, nothing, line) == 128).all()
    faces = rng.uniform(10, 90, (2, 68, 2))
    faces[0, 27:36], faces[1] = np.nan, np.nan
    contact_sheet([GREY, GREY], faces, true_landmarks=faces, poses=np.zeros((2, 3)))
    found = [SimpleNamespace(landmarks=f, box=None, pose=[0, 0, 0], confidence=0.4) for f in faces]
    assert (draw_faces(GREY, found[:1]) != draw_faces(GREY, [])).any()
    np.testing.assert_array_equal(draw_faces(GREY, found[1:]), draw_faces(GREY, []))


@pytest.mark.parametrize("shape", [(60, 90), (60, 90, 1), (60, 90, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_images_of_any_kind(shape, dtype):
    picture = draw_landmarks(np.full(shape, 200, dtype), [[5.0, 5.0]], POINT, width=180)
    assert (picture.shape, picture.dtype) == ((120, 180, 3), np.uint8)
    assert picture[100, 150].tolist() == [200, 200, 200]


def test_the_image_itself_is_not_changed():
    image = GREY.copy()
    draw_landmarks(image, [[5.0, 5.0]], POINT, width=100)
    np.testing.assert_array_equal(image, GREY)


@pytest.mark.parametrize(
    ("pose", "direction"),
    [
        ((40, 0, 0), (-1, 0)),  # yaw > 0: to the image's left
        ((0, 40, 0), (0, -1)),  # pitch > 0: up
        ((-40, -40, 0), (1, 1)),
    ],
)
def test_the_nose_points_as_the_pose_says(pose, direction):
    middle, nose = np.array([119.5, 119.5]), _where(draw_pose_axes(GREY, pose, width=240), _AXES[2])
    assert np.sign(np.round((nose - middle) / 10)).tolist() == list(direction)


def test_roll_turns_clockwise():
    picture = draw_pose_axes(GREY, (0, 0, 30), width=240)
    up, left = _where(picture, _AXES[1]) - 119.5, _where(picture, _AXES[0]) - 119.5
    assert up[0] > 5 > -5 > up[1]
    assert left[0] > 5
    assert left[1] > 5


def test_sheet_with_everything(rng, tmp_path):
    images = [rng.integers(0, 255, (h, 40, 3), dtype=np.uint8) for h in (40, 50, 30, 40, 40)]
    faces = rng.uniform(-0.4, 0.4, (5, 68, 2))
    sheet = contact_sheet(
        images, faces, as_flat(faces), rng.uniform(-50, 50, (5, 3)), scheme="300w", normalized=True,
        columns=3, cell_width=80, path=tmp_path / "sheet.png",
    )  # fmt: skip
    with PIL.open(tmp_path / "sheet.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), sheet)
    assert sheet.shape[1] == 3 * 84 + 4
    captioned = contact_sheet(images, captions=["a very long caption that does not fit"] * 5, cell_width=80)
    assert captioned.shape[0] > contact_sheet(images, cell_width=80).shape[0]
    for name in ("one.jpg", "two.png"):
        draw_landmarks(images[0], faces[0], normalized=True, path=tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


def test_a_sheet_of_faces_of_which_some_have_no_pose():
    images = np.full((2, 40, 40, 3), 60, np.uint8)
    poses = np.array([[20.0, 0.0, 0.0], [np.nan] * 3])
    sheet = contact_sheet(images, poses=poses, columns=2, cell_width=80)
    plain = contact_sheet(images, captions=["", ""], columns=2, cell_width=80)
    first, second = (slice(4, 84), slice(88, 168))
    assert (sheet[: len(plain) - 4, second] == plain[: len(plain) - 4, second]).all()
    assert (sheet[4:84, first] != plain[4:84, first]).any()


class TestBadInput:
    @pytest.mark.parametrize("image", [np.zeros((4, 4, 4)), np.zeros((2, 4, 4, 3)), np.zeros((0, 4, 3))])
    def test_image_shapes(self, image):
        with pytest.raises(ValueError, match=r"An image must have the shape.*Received: shape \("):
            draw_landmarks(image, [[0.0, 0.0]])

    def test_images_that_are_not_finite(self):
        with pytest.raises(ValueError, match="must be finite"):
            draw_pose_axes(np.full((4, 4, 3), np.nan), (0, 0, 0))

    def test_landmarks(self):
        with pytest.raises(ValueError, match="1 not finite"):
            draw_landmarks(GREY, [[0.0, np.inf]], POINT)
        with pytest.raises(ValueError, match=r"shape \(2, 68, 2\)"):
            draw_landmarks(GREY, np.zeros((2, 68, 2)))
        with pytest.raises(ValueError, match="has 68 landmarks"):
            draw_landmarks(GREY, np.zeros((5, 2)), get_scheme("300w"))

    @pytest.mark.parametrize("pose", [(1.0, 2.0), [[0.0, 0.0, 0.0]], (0.0, np.inf, 0.0)])
    def test_poses(self, pose):
        with pytest.raises(ValueError, match=r"yaw, pitch and roll. Received"):
            draw_pose_axes(GREY, pose)

    def test_sheets(self):
        with pytest.raises(ValueError, match="at least one image"):
            contact_sheet([])
        with pytest.raises(ValueError, match=r"2 poses, one per image. Received: 3"):
            contact_sheet([GREY, GREY], poses=np.zeros((3, 3)))

    def test_without_pillow(self, monkeypatch):
        real = builtins.__import__

        def no_pillow(name, *args, **kwargs):
            if name.startswith("PIL"):
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", no_pillow)
        with pytest.raises(ImportError, match=r"pip install \"keras-asm\[plot\]\""):
            draw_landmarks(GREY, [[0.0, 0.0]])
