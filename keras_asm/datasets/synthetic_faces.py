"""Synthetic faces with exact landmarks and pose."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from keras_asm.datasets._head_model.renderer import render_face

__all__ = ["SyntheticFaces", "synthetic_faces"]


@dataclass(frozen=True)
class SyntheticFaces:
    images: np.ndarray
    landmarks: np.ndarray
    pose: np.ndarray
    scheme: str = "300w"

    def __len__(self) -> int:
        return len(self.images)


def synthetic_faces(n: int, seed: int = 0, image_size: int = 96) -> SyntheticFaces:
    images = np.empty((n, image_size, image_size, 3), np.uint8)
    landmarks = np.empty((n, 68, 2), np.float32)
    pose = np.empty((n, 3), np.float32)
    for i in range(n):
        images[i], landmarks[i], pose[i] = render_face(np.random.default_rng((seed, i)), image_size)
    return SyntheticFaces(images, landmarks, pose)
