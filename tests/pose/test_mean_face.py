"""The table of the mean face, against its mirror image and annotated shapes."""

import numpy as np
import pytest

from keras_asm.landmarks import get_scheme
from keras_asm.pose import mean_face_3d


@pytest.mark.parametrize("scheme", ["300w", "wflw"])
def test_symmetric(scheme):
    face = mean_face_3d(scheme)
    np.testing.assert_allclose(face[get_scheme(scheme).flip_permutation] * [-1, 1, 1], face, atol=1e-9)


def test_a_copy(rng):
    mean_face_3d()[0] = 1e9
    assert mean_face_3d()[0, 0] < 0


def test_other_schemes():
    with pytest.raises(ValueError, match="'cofw'"):
        mean_face_3d("cofw")


@pytest.mark.real_data
def test_98_landmarks_lie_as_annotators_put_them(data_root):
    """The mean of WFLW's shapes, which no part of the table has seen, under the best affine map."""
    with np.load(data_root / "shapes" / "wflw_98_test_subsets.npz") as file:
        shapes = file["landmarks"]
    inner = shapes[:, 33:]
    inner = inner - inner.mean(axis=1, keepdims=True)
    mean = (inner / np.linalg.norm(inner, axis=(1, 2), keepdims=True)).mean(axis=0)
    face = mean_face_3d("wflw")[33:]
    design = np.column_stack([face, np.ones(len(face))])
    rest = mean - design @ np.linalg.lstsq(design, mean, rcond=None)[0]
    interocular = np.linalg.norm(mean[60 - 33] - mean[72 - 33])
    assert np.linalg.norm(rest, axis=1).max() < 0.12 * interocular
    assert np.linalg.norm(rest, axis=1).mean() < 0.04 * interocular
