import numpy as np
import pytest
from scipy.io import loadmat, savemat

from keras_asm.datasets import DatasetError
from keras_asm.datasets._mat import read_mat

DTYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


@pytest.mark.parametrize("compress", [False, True])
def test_agrees_with_scipy(tmp_path, rng, compress):
    values = {f"a_{dtype}": rng.uniform(0, 100, (3, 5)).astype(dtype) for dtype in DTYPES}
    values |= {
        "x": np.zeros((1, 1)),
        "y": np.int8([[1, 2]]),
        "empty": np.zeros((0, 3)),
        "cube": np.ones((2, 3, 4)),
    }
    others = {
        "text": "abc",
        "cell": np.array([1, "b"], dtype=object),
        "struct": {"a": 1},
        "z": np.array([[1j]]),
    }
    savemat(tmp_path / "a.mat", {**others, **values}, do_compression=compress)
    read = read_mat(tmp_path / "a.mat", [*values, *others, "absent"])
    assert set(read) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(read[name], value)
        assert read[name].dtype.kind == value.dtype.kind
    assert list(read_mat(tmp_path / "a.mat", ["x"])) == ["x"]


def test_big_endian(tmp_path):
    header = b"MATLAB 5.0".ljust(124) + b"\1\0MI"
    name, flags = b"\0\1\0\1x\0\0\0", b"\0\0\0\6\0\0\0\10\0\0\0\6\0\0\0\0"
    axes, content = b"\0\0\0\5\0\0\0\10\0\0\0\1\0\0\0\2", b"\0\4\0\3\0\1\0\2"
    body = flags + axes + name + content
    (tmp_path / "a.mat").write_bytes(header + b"\0\0\0\16" + len(body).to_bytes(4, "big") + body)
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", ["x"])["x"], [[1, 2]])


def test_cut_off_anywhere(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, {"x": np.arange(4.0), "y": np.int8([[1, 2]])})
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            assert set(read_mat(path, ["x", "y"])) <= {"x"}
        except DatasetError as error:
            assert error.path == str(path)  # noqa: PT017  # after a whole variable, it is a file of one


@pytest.mark.real_data
def test_real_files(data_root):
    names = ("Pose_Para", "pt3d_68", "pt2d", "roi", "Exp_Para")
    for path in sorted((data_root / "AFLW2000").glob("*.mat"))[::100]:
        expected = loadmat(path)
        read = read_mat(path, names)
        assert set(read) == set(names)
        for name in names:
            np.testing.assert_array_equal(read[name], expected[name])
