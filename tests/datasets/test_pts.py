import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_asm.datasets import DatasetError, read_pts, write_pts

GOOD = "version: 1\nn_points:  3\n{\n1.0 1.0\n2.5 -3.25\n1e2 .5\n}\n"
VALUES = [[0.0, 0.0], [1.5, -4.25], [99.0, -0.5]]


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "face.pts"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "  \n\n \t\n"),
        GOOD.replace(" ", "\t  "),
        GOOD.rstrip("\n"),
        GOOD.replace("n_points:  3", "n_points : 3"),
    ],
    ids=["plain", "windows", "old mac", "bom", "blanks", "tabs", "no last line end", "space before colon"],
)
def test_reads(write, content):
    points = read_pts(write(content), n_landmarks=3)
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, VALUES)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "empty file"),
        (b"\xff\xfe\x00\x81", 1, "not UTF-8"),
        (b"\x00" * 30, 1, "expected 'version"),
        (GOOD.replace("version", "vision"), 1, "expected 'version"),
        (GOOD.replace(": 1", ": 2"), 1, "expected version 1"),
        ("version: 1\n", 1, "cut off"),
        ("version: 1\nn_points: 3\n", 2, "cut off"),
        (GOOD.replace("n_points:  3", "n_points"), 2, "expected 'n_points"),
        (GOOD.replace(": 1\n", ": 1\n\n").replace("  3", "  -3"), 3, "above 0"),
        (GOOD.replace("  3", "  0"), 2, "above 0"),
        (GOOD.replace("  3", "  3.0"), 2, "whole number"),
        (GOOD.replace("  3", "  99999999999"), 2, "whole number"),
        (GOOD.replace("{", ""), 4, "expected '{'"),
        (GOOD.replace("  3", "  4"), 7, "n_points says 4, and the braces hold 3"),
        (GOOD.replace("  3", "  2"), 6, "after 2 landmarks"),
        (GOOD.replace("}\n", ""), 6, "cut off"),
        (GOOD[:-12], 5, "cut off"),
        (GOOD + "1 2\n", 8, "nothing after"),
        (GOOD.replace("2.5 -3.25", "2.5"), 5, "two numbers"),
        (GOOD.replace("2.5 -3.25", "2.5 -3.25 1"), 5, "two numbers"),
        (GOOD.replace("2.5", "nan"), 5, "two numbers"),
        (GOOD.replace("2.5", "-inf"), 5, "two numbers"),
        (GOOD.replace("2.5", "1_0"), 5, "two numbers"),
        (GOOD.replace("2.5", "2,5"), 5, "two numbers"),
        (GOOD.replace("2.5", "٣"), 5, "two numbers"),
        (GOOD.replace("2.5", "1e999"), 5, "within 1e"),
        (GOOD.replace("2.5", "-2000000"), 5, "within 1e"),
        (GOOD.replace("2.5", "x" * 1000), 5, r"xxx\.\.\."),
    ],
)
def test_names_file_line_and_reason(write, content, line, reason):
    path = write(content)
    with pytest.raises(DatasetError, match=reason) as caught:
        read_pts(path)
    assert caught.value.path == str(path)
    assert caught.value.line == line
    assert str(caught.value).startswith(str(path) + (f", line {line}: " if line else ": "))


def test_wrong_count_and_missing_file(write, tmp_path):
    with pytest.raises(DatasetError, match=r"face\.pts, line 2: expected 68 landmarks. Received: n_points 3"):
        read_pts(write(GOOD), n_landmarks=68)
    with pytest.raises(DatasetError, match=r"absent\.pts: there is no such file"):
        read_pts(tmp_path / "absent.pts")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_pts(tmp_path)


@given(
    points=hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 70), st.just(2)),
        elements=st.floats(-9e5, 9e5, allow_nan=False),
    )
)
def test_write_then_read(tmp_path_factory, points):
    path = tmp_path_factory.mktemp("pts") / "face.pts"
    write_pts(path, points)
    np.testing.assert_allclose(read_pts(path), points, atol=6e-7, rtol=0)


@given(
    cut=st.integers(0, 900), flips=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4)
)
def test_damage_ends_in_a_read_or_a_named_error(tmp_path_factory, cut, flips):
    path = tmp_path_factory.mktemp("pts") / "face.pts"
    write_pts(path, np.random.default_rng(0).uniform(0, 300, (68, 2)))
    content = bytearray(path.read_bytes())
    for position, value in flips:
        content[position % len(content)] = value
    path.write_bytes(bytes(content[: len(content) - cut]))
    path_named = None
    try:
        points = read_pts(path, n_landmarks=68)
    except DatasetError as error:
        path_named = error.path
    else:
        assert points.shape == (68, 2)
        assert np.isfinite(points).all()
    assert path_named in (None, str(path))


def test_landmarks_without_a_position(tmp_path):
    points = np.array([[1.0, 2], [np.nan, np.nan], [3, 4]])
    write_pts(tmp_path / "face.pts", points)
    assert "\nnan nan\n" in (tmp_path / "face.pts").read_text()
    np.testing.assert_array_equal(read_pts(tmp_path / "face.pts"), points)


@pytest.mark.parametrize(
    "points", [np.zeros((1, 2, 2)), [[np.nan, 0.0]], [[np.inf, 0.0]], [[1e7, 0.0]], [1.0]]
)
def test_write_refuses(tmp_path, points):
    with pytest.raises(ValueError, match="Received"):
        write_pts(tmp_path / "face.pts", points)
    assert not (tmp_path / "face.pts").exists()


@pytest.mark.real_data
def test_hand_read_values(data_root):
    """Numbers read by eye in two files."""
    points = read_pts(data_root / "300w/lfpw/testset/image_0224.pts")
    assert points.shape == (68, 2)
    np.testing.assert_allclose(points[0], [41.510, 109.267], atol=1e-9)
    np.testing.assert_allclose(points[36], [61.669, 105.587], atol=1e-9)
    np.testing.assert_allclose(points[67], [114.525, 183.048], atol=1e-9)
    points = read_pts(data_root / "300w/afw/1051618982_1.pts", n_landmarks=68)
    np.testing.assert_allclose(points[[0, 67]], [[79.710, 110.860], [155.478, 190.934]], atol=1e-9)
