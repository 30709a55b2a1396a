import numpy as np
import pytest

from keras_asm.datasets import DatasetError, load_table

ROWS = "a.png,1,2.5,-3,4\nsub/b c.png, 5 ,6,7,8e1\n"


@pytest.fixture
def write(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b c.png", "comma,d.png"):
        (tmp_path / name).touch()

    def write(content: str | bytes):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        ROWS.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + ROWS.encode(),
        "image,x1,y1,x2,y2\n" + ROWS,
        ",0,1,2,3\n" + ROWS,
        "image,0,1,2,3\n" + ROWS,
        '"image","x1","y1","x2","y2"\r\n\r\n' + ROWS.replace("a.png", '"a.png"'),
        ROWS.replace("sub/", "sub\\"),
        ROWS.rstrip("\n"),
    ],
    ids=[
        "plain",
        "windows",
        "bom",
        "header",
        "pandas",
        "numbered",
        "quoted",
        "backslash",
        "no last line end",
    ],
)
def test_reads(write, tmp_path, content):
    things = load_table(write(content))
    assert things.names == ("a.png", "sub/b c.png")
    assert things.image_paths[1] == str(tmp_path / "sub/b c.png")
    np.testing.assert_array_equal(things.landmarks, [[[1, 2.5], [-3, 4]], [[5, 6], [7, 80]]])
    assert str(things) == "table.csv: 2 faces, 2 landmarks (no scheme), no pose"


def test_quoted_comma_image_folder_and_scheme(write, tmp_path):
    path = write('"comma,d.png"' + ",1" * 136)
    assert load_table(path).names == ("comma,d.png",)
    faces = load_table(path, "300w", image_folder=tmp_path)
    assert (faces.scheme, faces.n_landmarks) == ("300w", 68)
    with pytest.raises(
        DatasetError, match="line 1: expected 196 coordinates, of 98 landmarks. Received: 136"
    ):
        load_table(path, "wflw")
    with pytest.raises(DatasetError, match="which is not there"):
        load_table(path, image_folder=tmp_path / "sub")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("", None, "at least one line"),
        ("image,x1,y1\n", None, "at least one line"),
        (ROWS.replace("a.png,1", "a.png,"), 1, "expected a number as coordinate 1. Received: ''"),
        (ROWS.replace("a.png,1", "a.png,one"), 1, "Received: 'one'"),
        (ROWS.replace("a.png,1", "a.png"), 1, "Received: 3 coordinates"),
        (ROWS.replace("7,", ""), 2, "expected 4 coordinates, of 2 landmarks. Received: 3"),
        ("\n\n" + ROWS.replace("8e1", "nan"), 4, "Received: 'nan'"),
        (ROWS.replace("8e1", "8e9"), 2, "within"),
        (ROWS.replace("sub/b c", "none"), 2, r"none\.png', which is not there"),
        (ROWS.replace("sub/b c", "a\0"), 2, "which is not there|malformed CSV"),
        (ROWS.replace("sub/b c", "a" * 9000), 2, "which is not there"),
        (ROWS.replace("sub/b c.png", ""), 2, "Received: ''"),
        (ROWS.replace("sub/b c.png", '"sub'), 2, "malformed CSV"),
        (ROWS.encode("utf-16"), 1, "not UTF-8"),
        (ROWS.replace("b c", "b ç").encode("latin-1"), 2, "not UTF-8"),
    ],
)
def test_names_file_line_and_reason(write, content, line, reason):
    path = write(content)
    with pytest.raises(DatasetError, match=reason) as caught:
        load_table(path)
    assert caught.value.path == str(path)
    assert caught.value.line == line


def test_absent(tmp_path):
    with pytest.raises(DatasetError, match="there is no such file"):
        load_table(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_table(tmp_path)
