"""Drawing a range of faces, here or in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from .renderer import render_face

__all__ = ["draw_faces", "empty_faces", "read_faces", "start_worker", "write_faces"]

Faces = tuple[np.ndarray, ...]  # images, landmarks, poses

# The worker sees the modules that this process sees, and `_renderer` by itself, last so as to hide nothing.
_PROGRAM = """
import sys
path, *numbers = sys.argv[1:]
sys.path[:] = path.split("\\n")
from _renderer.worker import write_faces
write_faces(*map(int, numbers))
"""


def empty_faces(n: int, size: int) -> Faces:
    """Arrays for `n` faces."""
    return (
        np.empty((n, size, size, 3), dtype=np.uint8),
        np.empty((n, 68, 2), dtype=np.float32),
        np.empty((n, 3), dtype=np.float32),
    )


def draw_faces(faces: Faces, seed: int, start: int) -> None:
    """Fill arrays with the faces `start`, `start + 1`, ... of a seed."""
    images, landmarks, pose = faces
    for k in range(len(images)):
        rng = np.random.default_rng((seed, start + k))
        images[k], landmarks[k], pose[k] = render_face(rng, images.shape[1])


def start_worker(seed: int, size: int, start: int, stop: int) -> subprocess.Popen:
    """Start a process that draws the range; `read_faces` collects it.

    Not `multiprocessing`: its processes import the user's script again, which therefore would need a guard, and
    with it Keras and a backend. Nor threads: most of the time goes into short array operations, between which
    they would wait for each other.
    """
    path = [entry or "." for entry in sys.path] + [str(Path(__file__).parents[1])]
    numbers = [str(number) for number in (seed, size, start, stop)]
    command = [sys.executable, "-c", _PROGRAM, "\n".join(path), *numbers]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def write_faces(seed: int, size: int, start: int, stop: int) -> None:
    """Draw the range and write its arrays to the standard output; runs in the worker."""
    faces = empty_faces(stop - start, size)
    draw_faces(faces, seed, start)
    for array in faces:
        sys.stdout.buffer.write(array.data)


def read_faces(faces: Faces, process: subprocess.Popen) -> None:
    """Wait for a worker and fill arrays with its faces."""
    data, errors = process.communicate()
    expected = sum(array.nbytes for array in faces)
    if process.returncode or len(data) != expected:
        raise RuntimeError(
            f"a process that draws synthetic faces must write {expected} bytes; workers=1 draws without it. "
            f"Received: {len(data)} bytes, exit status {process.returncode}, "
            f"{errors.decode(errors='replace')!r}"
        )
    first = 0
    for array in faces:
        array[:] = np.frombuffer(data, array.dtype, array.size, first).reshape(array.shape)
        first += array.nbytes
