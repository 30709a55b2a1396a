"""Shapes that several modules test with."""

import numpy as np
import pytest

from keras_asm import ActiveShapeModel
from keras_asm.synthetic import synthetic_faces


@pytest.fixture(scope="session")
def drawn_shape_model() -> ActiveShapeModel:
    """Of drawn faces: 99 % of how they vary, aligned."""
    drawn = synthetic_faces(1000, seed=0, image_size=32).landmarks
    return ActiveShapeModel(n_components=0.99, align="procrustes").fit(drawn)


@pytest.fixture
def faces_300w(data_root) -> np.ndarray:
    """Landmarks of 300W's 3148 training faces, in pixels."""
    return np.load(data_root / "shapes" / "300w_68.npz", allow_pickle=False)["train"].astype(np.float64)
