import numpy as np
import pytest

from keras_asm.landmarks import LandmarkScheme, as_flat, get_scheme, normalizing_distance


@pytest.fixture
def face(rng):
    return rng.normal(size=(4, 68, 2))


def test_by_hand(face):
    ocular = np.hypot(*(face[:, 45] - face[:, 36]).T)
    np.testing.assert_allclose(normalizing_distance(face), ocular)
    np.testing.assert_allclose(normalizing_distance(as_flat(face), "300w"), ocular)
    pupil = np.hypot(*(face[:, 42:48].mean(1) - face[:, 36:42].mean(1)).T)
    np.testing.assert_allclose(normalizing_distance(face, 68, "inter_pupil"), pupil)
    box = [np.sqrt((f[:, 0].max() - f[:, 0].min()) * (f[:, 1].max() - f[:, 1].min())) for f in face]
    np.testing.assert_allclose(normalizing_distance(face, normalizer="box"), box)
    assert normalizing_distance(face[0]).shape == ()
    assert normalizing_distance(face.reshape(2, 2, 68, 2)).shape == (2, 2)


@pytest.mark.real_data
def test_real_faces_are_wider_between_corners_than_between_pupils(data_root):
    with np.load(data_root / "shapes" / "300w_68.npz") as shapes:
        faces = shapes["common"]
    ratio = normalizing_distance(faces, "300w") / normalizing_distance(faces, "300w", "inter_pupil")
    # The literature's conversion between the two normalisers on 300W is about 1.39.
    assert 1.35 < ratio.mean() < 1.45


def test_refuses_what_cannot_normalise(face):
    with pytest.raises(ValueError, match=r"inter_ocular, inter_pupil, box. Received: 'eyes'"):
        normalizing_distance(face, normalizer="eyes")
    with pytest.raises(ValueError, match=r"has 98 landmarks. Received: 68"):
        normalizing_distance(face, "wflw")
    with pytest.raises(ValueError, match="names none"):
        normalizing_distance(face, LandmarkScheme("hand", 68))
    with pytest.raises(ValueError, match="Received: 67"):
        normalizing_distance(face[:, :67])
    face[2, 45] = face[2, 36]
    with pytest.raises(ValueError, match=r"1 of 4 are not. Received: 0.0 for shape 2"):
        normalizing_distance(face, get_scheme(68))
    face[1] = np.nan  # no landmark of it has a position
    with pytest.raises(ValueError, match="Received: 0.0 for shape 1"):
        normalizing_distance(face, normalizer="box")
