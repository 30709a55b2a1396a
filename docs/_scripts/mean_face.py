"""Print the table of `keras_asm/pose/mean_face.py`: the mean 3-D face of the project's own head model.

    python docs/_scripts/mean_face.py

4000 heads of `synthetic_faces`, identity and expression at random, not turned: the mean of their 68 landmarks, made
symmetric. Points 0-16 are those of the jaw itself, not of the outline that is visible in some pose. No annotation,
photograph or scan went into it.
"""

import numpy as np

from keras_asm.landmarks import get_scheme
from keras_asm.synthetic._renderer import scene
from keras_asm.synthetic._renderer.face_features import face_points
from keras_asm.synthetic._renderer.head_parameters import sample_head_parameters
from keras_asm.synthetic._renderer.mesh import head_mesh


def mean_landmarks(n_heads: int = 4000, seed: int = 0) -> np.ndarray:
    """Mean landmarks `(68, 3)` in millimetres, y up, z toward the camera."""
    mesh = head_mesh()
    rng = np.random.default_rng(seed)
    total = np.zeros((68, 3))
    for _ in range(n_heads):
        head = sample_head_parameters(rng)
        face = mesh.vertices + np.einsum("k,kv->v", head.modes, mesh.modes).reshape(mesh.vertices.shape)
        scene._raise_lips(face, head, mesh)
        vertices = face.reshape(-1, 3)
        # An arc begins at the jaw and goes inwards
        total += np.concatenate([mesh.jaw_arcs.of(vertices)[:, 0], face_points(head, mesh).of(vertices)])
    mean = total / n_heads
    return (mean + mean[get_scheme("300w").flip_permutation] * (-1, 1, 1)) / 2


if __name__ == "__main__":
    for x, y, z in np.round(mean_landmarks(), 1) + 0.0:
        print(f"        ({x:.1f}, {y:.1f}, {z:.1f}),")
