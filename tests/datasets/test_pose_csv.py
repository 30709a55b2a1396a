import os

import numpy as np
import pytest

from keras_asm.datasets import DatasetError, read_pose_csv

GOOD = "image,yaw,pitch,roll\na/1.jpg,1.5,-2,3\na/2.jpg,-1e1,0,359.5\n"


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "pose.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\n\n").replace(",", " , "),
        GOOD.replace("a/1", '"a/1').replace(".jpg,1.5", '.jpg",1.5'),
        GOOD.replace("a/", "a\\"),
        GOOD.replace("a/", "./b/../a/"),
    ],
    ids=["plain", "windows", "bom", "blanks", "quotes", "backslashes", "dots"],
)
def test_reads(write, content):
    path = write(content)
    labels = read_pose_csv(path)
    assert list(labels) == [os.path.join(path.parent, "a", name) for name in ("1.jpg", "2.jpg")]
    np.testing.assert_array_equal(list(labels.values()), [[1.5, -2, 3], [-10, 0, 359.5]])


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "at least one label"),
        ("image,yaw,pitch,roll\n", None, "at least one label"),
        ("image,pitch,yaw,roll\na.jpg,1,2,3\n", 1, "expected the header"),
        ("a.jpg,1,2,3\n", 1, "expected the header"),
        (GOOD.replace("-2", "nan"), 2, "within"),
        (GOOD.replace("-2", "inf"), 2, "within"),
        (GOOD.replace("-2", "1e9"), 2, "within"),
        (GOOD.replace("-2", "two"), 2, "three angles"),
        (GOOD.replace("359.5", ""), 3, "three angles"),
        (GOOD.replace(",359.5", ""), 3, "expected image,yaw"),
        (GOOD.replace("359.5", "1,2"), 3, "expected image,yaw"),
        (GOOD.replace("a/2.jpg", ""), 3, "expected image,yaw"),
        (GOOD.replace("a/2", "a/./1"), 3, "listed twice"),
        (GOOD + '"open', 4, "malformed"),
        (b"\xff\xfeabc", 1, "not UTF-8"),
    ],
)
def test_names_file_line_and_reason(write, content, line, reason):
    path = write(content)
    with pytest.raises(DatasetError, match=reason) as caught:
        read_pose_csv(path)
    assert (caught.value.path, caught.value.line) == (str(path), line)


def test_missing_file(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_pose_csv(tmp_path / "pose.csv")
