import pickle

from keras_asm.datasets import DatasetError


def test_names_file_and_line():
    error = DatasetError("bad", "a/b.pts", 3)
    assert isinstance(error, ValueError)
    assert (str(error), error.path, error.line) == ("a/b.pts, line 3: bad", "a/b.pts", 3)
    assert str(DatasetError("bad", "a")) == "a: bad"
    assert str(DatasetError("bad")) == "bad"


def test_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(DatasetError("bad", "a/b.pts", 3)))
    assert (str(error), error.path, error.line) == ("a/b.pts, line 3: bad", "a/b.pts", 3)
