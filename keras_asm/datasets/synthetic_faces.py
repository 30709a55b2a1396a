"""Synthetic faces: a data set that needs no download and whose labels are exact."""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from keras_asm.datasets._head_model.head_mesh import head_mesh
from keras_asm.datasets._head_model.renderer import render_face

__all__ = ["SyntheticFaces", "synthetic_faces"]

_SMALLEST = 16
_MOST_THREADS = 4  # beyond these, threads wait for each other's Python code


@dataclass(frozen=True)
class SyntheticFaces:
    """Drawn faces with their landmarks and poses.

    Attributes:
        images: uint8 `(n, S, S, 3)`, RGB.
        landmarks: float32 `(n, 68, 2)`, pixels (x right, y down, 0-based pixel centres).
        pose: float32 `(n, 3)`, degrees: yaw (> 0: the nose points to the image's left), pitch (> 0: looks up),
            roll (> 0: clockwise in the image).
        scheme: name of the landmark scheme, `"300w"`.
    """

    images: np.ndarray
    landmarks: np.ndarray
    pose: np.ndarray
    scheme: str = "300w"

    def __len__(self) -> int:
        return len(self.images)


def synthetic_faces(
    n: int, seed: int = 0, image_size: int = 96, workers: int | None = None
) -> SyntheticFaces:
    """Draw random faces in the 68-point scheme of 300W from a parametric 3-D head.

    A head mesh of some 3500 vertices is deformed by identity and expression, turned by
    `R = Rx(pitch) Ry(yaw) Rz(roll)`, seen in perspective from 0.5 to 2.5 m, lit, painted (skin, eyes, lips,
    brows, hair, beard, glasses), put before a background, sometimes partly covered, blurred and made noisy, and
    cropped as by a face detector: the landmarks' box, enlarged by 1.2 to 1.6 and shifted a little.

    Landmarks are points of the drawn triangles, projected as they are, so they are exact also where they are
    hidden. Points 17-67 are fixed to the face's features. Points 0-16 follow the annotators of 300W, who mark the
    *visible* outline of the face: on a level curve of the head, a point moves from the jaw inwards to
    where the curve's outline is in this pose, if that lies further out ("landmark marching"). On the side
    turned away these points thus lie on the cheek's silhouette, on the other side they stay at the jaw.

    The angles are mostly small (standard deviations near 17, 8 and 8 degrees) and at most 60 (yaw) and 25
    (pitch, roll). Face `i` depends on `seed` and `i` alone: the first faces of a larger set are those of a
    smaller one, whatever `workers` is. A larger `image_size` draws the same face finer. Bits may differ
    between processors and NumPy versions.

    Args:
        n: number of faces, at least 1.
        seed: non-negative integer, default 0.
        image_size: side of the images in pixels, at least 16, default 96. Time grows with its square: some 7 ms
            of one CPU core per face at 96.
        workers: number of threads, at least 1; default: one per CPU core, at most 4.

    Returns:
        The images, landmarks and poses.

    Raises:
        ValueError: an argument is no integer or too small.

    Example:
        >>> from keras_asm.datasets.synthetic_faces import synthetic_faces
        >>> faces = synthetic_faces(2, seed=7, image_size=64)
        >>> faces.images.shape, faces.landmarks.shape, faces.pose.shape
        ((2, 64, 64, 3), (2, 68, 2), (2, 3))
        >>> bool((faces.landmarks == synthetic_faces(3, seed=7, image_size=64).landmarks[:2]).all())
        True

    References:
        - Zhu, Lei, Yan, Yi, Li: High-fidelity pose and expression normalization for face recognition in the wild
          (CVPR 2015), for landmark marching.
        - Sagonas et al.: 300 Faces in-the-wild challenge: database and results (IVC 2016), for the scheme.
    """
    n = _integer("n", n, 1)
    seed = _integer("seed", seed, 0)
    image_size = _integer("image_size", image_size, _SMALLEST)
    available = min(os.cpu_count() or 1, _MOST_THREADS)
    workers = available if workers is None else _integer("workers", workers, 1)

    images = np.empty((n, image_size, image_size, 3), dtype=np.uint8)
    landmarks = np.empty((n, 68, 2), dtype=np.float32)
    pose = np.empty((n, 3), dtype=np.float32)
    draw = functools.partial(_draw, images, landmarks, pose, seed)
    head_mesh()  # built before there are threads, which would build it several times
    if min(workers, n) == 1:
        for i in range(n):
            draw(i)
    else:
        _in_threads(draw, n, workers)
    return SyntheticFaces(images, landmarks, pose)


def _draw(images: np.ndarray, landmarks: np.ndarray, pose: np.ndarray, seed: int, i: int) -> None:
    images[i], landmarks[i], pose[i] = render_face(np.random.default_rng((seed, i)), images.shape[1])


def _in_threads(draw: Callable[[int], None], n: int, workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(draw, range(n)):  # reading the results raises what a thread raised
            pass


def _integer(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
    return int(value)
