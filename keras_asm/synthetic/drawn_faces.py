"""Synthetic faces: a data set that needs no download and whose labels are exact."""

import contextlib
import os
from itertools import pairwise
from numbers import Integral

import numpy as np

from keras_asm.faces.crop_transform import CropTransform
from keras_asm.faces.face_crops import FaceCrops

__all__ = ["synthetic_faces"]

_SMALLEST = 16
_FACES_PER_WORKER = 150  # a process starts in the time in which some 50 faces are drawn


def synthetic_faces(n: int, seed: int = 0, image_size: int = 96, workers: int | None = None) -> FaceCrops:
    """Draw random faces in the 68-point scheme of 300W from a parametric 3-D head.

    A head mesh of some 3800 vertices is deformed by identity and expression, turned by
    `R = Rx(pitch) Ry(yaw) Rz(roll)`, seen in perspective from 0.5 to 2.5 m, lit, painted (skin, eyes, lips,
    brows, hair, beard, glasses, hats), put before a background, sometimes partly covered, blurred and made noisy, and
    cropped as by a face detector: the landmarks' box, enlarged by 1.2 to 1.6 and shifted a little. Some pictures end
    within the crop and repeat their border, as `crop_faces` pads. Two mouths in five are closed, as many smile.

    Landmarks are points of the drawn triangles, projected as they are, so they are exact also where they are
    hidden. Points 17-67 are fixed to the face's features. Points 0-16 follow the annotators of 300W, who mark the
    *visible* outline of the face: on a curve of the head, a point moves from the jaw inwards to where the curve's
    outline is in this pose, if that lies further out ("landmark marching"), and rises by up to 12 mm on the way. On
    the side turned away these points thus lie on the cheek's silhouette. On the side turned near they slide down the
    jaw, by up to 14 mm times the sine of the turn.

    The proportions of the mean head, where its landmarks lie, and how much heads, mouths, eyes and brows differ,
    were set so that drawn shapes resemble those of the training faces of 300W. No shape or picture of them is used.

    The angles are mostly small (standard deviations near 17, 8 and 8 degrees, pitch with a mean of -2) and at most
    60 (yaw) and 25 (pitch, roll). Face `i` depends on `seed` and `i` alone: the first faces of a larger set are
    those of a smaller one, whatever `workers` is. A larger `image_size` draws the same face finer. Bits may differ
    between processors and NumPy versions.

    Args:
        n: Number of faces, at least 1.
        seed: Non-negative integer, default 0.
        image_size: Side of the images in pixels, at least 16, default 96. Time grows with its square.
        workers: Number of processes that draw, this one among them, at least 1; default: one per CPU core, but
            one for every 150 faces. They need no `if __name__ == "__main__"` guard.

    Returns:
        The faces, as `crop_faces` gives real ones: images, normalised landmarks (`source_landmarks` are pixels of
        the images), poses, and `"300w"` as their scheme.

    Raises:
        ValueError: If an argument is no integer or too small.
        RuntimeError: If a process could not draw.

    Examples:
        >>> from keras_asm.synthetic import synthetic_faces
        >>> faces = synthetic_faces(2, seed=7, image_size=64)
        >>> faces.images.shape, faces.landmarks.shape, faces.pose.shape
        ((2, 64, 64, 3), (2, 68, 2), (2, 3))
        >>> bool((faces.landmarks == synthetic_faces(3, seed=7, image_size=64).landmarks[:2]).all())
        True

    See Also:
        - [`FaceCrops`][keras_asm.faces.FaceCrops]: what it returns.
        - [`mean_face_3d`][keras_asm.pose.mean_face_3d]: the average of the heads.
        - [Few annotated faces][few-annotated-faces]: training on drawn faces first.
        - [Synthetic faces][synthetic-faces]: what they look like.

    References:
        - Zhu, Lei, Yan, Yi, Li: High-fidelity pose and expression normalization for face recognition in the wild
          (CVPR 2015), for landmark marching.
        - Sagonas et al.: 300 Faces in-the-wild challenge: database and results (IVC 2016), for the scheme.
    """
    # The renderer's tables take a while to import, which every import of the package would pay for
    from keras_asm.synthetic._renderer.worker import draw_faces, empty_faces, read_faces, start_worker

    n = _integer("n", n, 1)
    seed = _integer("seed", seed, 0)
    image_size = _integer("image_size", image_size, _SMALLEST)
    if workers is None:
        workers = min(_available_cores(), 1 + n // _FACES_PER_WORKER)
    else:
        workers = min(_integer("workers", workers, 1), n)
    faces = empty_faces(n, image_size)
    bounds = np.linspace(0, n, workers + 1).astype(int).tolist()
    own, *others = (slice(start, stop) for start, stop in pairwise(bounds))
    with contextlib.ExitStack() as stack:
        processes = []
        for span in others:
            process = stack.enter_context(start_worker(seed, image_size, span.start, span.stop))
            stack.callback(process.kill)  # where this one fails; nothing happens to one that has ended
            processes.append(process)
        draw_faces(tuple(array[own] for array in faces), seed, 0)
        for span, process in zip(others, processes, strict=True):
            read_faces(tuple(array[span] for array in faces), process)
    images, landmarks, pose = faces
    # Each image is its own source
    transform = CropTransform(np.full((n, 2), (image_size - 1) / 2), np.full(n, image_size), image_size)
    return FaceCrops(images, transform.normalize(landmarks), transform, pose, scheme="300w")


def _available_cores() -> int:
    """Cores this process may use; a container often has fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _integer(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
    return int(value)
