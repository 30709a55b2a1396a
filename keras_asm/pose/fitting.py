"""Head pose from landmarks and a 3-D face: a scaled-orthographic fit."""

from typing import Any

import numpy as np

from keras_asm.landmarks import as_points
from keras_asm.pose.rotations import pose_from_rotation

__all__ = ["fit_pose"]

_STEPS = 10  # from the closed form, two are enough for real faces; the others cost little
# Smallest against largest eigenvalue of the landmarks' 3-D covariance, below which they lie in one plane
_FLAT = 1e-5
# Rotations about x, y, z: their derivatives at the identity
_GENERATORS = np.array(
    [
        [[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.0]],
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    ]
)


def fit_pose(landmarks: Any, mean_shape_3d: Any, weights: Any = None) -> np.ndarray:
    r"""Head pose that best projects a 3-D shape onto landmarks.

    Minimises over rotation, scale and shift, for all faces at once,

        sum_i w_i || y_i - (s P R x_i + t) ||^2

    where `P` drops z, y points up. The shift follows from the weighted means. What is left depends on the landmarks
    through the 2 x 3 matrix `A` of the best affine projection alone: with `L L^T` the weighted covariance of `x`,
    the error is a constant plus `|| (A - s P R) L ||^2`, six residuals however many landmarks there are. `A`'s
    nearest scaled rotation, by singular values, and its mirror in depth (a shallow face turned the other way) start
    Gauss-Newton steps; the better end is the answer.

    The camera is orthographic up to scale: a perspective one does not make real faces' errors smaller.

    Args:
        landmarks: `(..., n_landmarks, 2)` or `(..., 2 * n_landmarks)`, x right, y down, in any unit. A landmark
            that is NaN is left out.
        mean_shape_3d: The shape, `(n_landmarks, 3)`, y up, z toward the camera, frontal, in any unit.
        weights: Weights of the landmarks, at least 0, `(n_landmarks,)` or `(..., n_landmarks)`; all 1 by default.

    Returns:
        `(yaw, pitch, roll)` in degrees, float64 `(..., 3)`.

    Raises:
        ValueError: If the shapes disagree, a landmark is infinite or half NaN, a weight is negative, or the landmarks
            that count for a face all coincide or belong to one plane of the 3-D shape.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.pose import fit_pose, mean_face_3d, rotation_from_pose
        >>> face = mean_face_3d("300w")
        >>> turned = face @ rotation_from_pose([30.0, -10.0, 5.0]).T
        >>> picture = 0.8 * turned[:, :2] * [1, -1] + [120.0, 90.0]
        >>> fit_pose(picture, face).round(6)
        array([ 30., -10.,   5.])

    See Also:
        - [`GeometricPoseEstimator`][keras_asm.pose.GeometricPoseEstimator]: does it for faces.
        - [`mean_face_3d`][keras_asm.pose.mean_face_3d]: a shape to fit.
        - [The geometric teacher][the-geometric-teacher]: how far to trust it.

    References:
        - DeMenthon, Davis: Model-based object pose in 25 lines of code (IJCV 1995), for the affine start.
        - Oberkampf, DeMenthon, Davis: Iterative pose estimation using coplanar feature points (CVIU 1996), for the
          second start.
    """
    shape = np.asarray(mean_shape_3d, dtype=np.float64)
    if shape.ndim != 2 or shape.shape[1] != 3 or not np.isfinite(shape).all():
        raise ValueError(
            f"mean_shape_3d must be finite, of shape (n_landmarks, 3). Received: shape {shape.shape}"
        )
    points = as_points(landmarks).astype(np.float64)
    if points.shape[-2] != len(shape):
        raise ValueError(
            f"landmarks must have the shape (..., {len(shape)}, 2), as the 3-D shape has {len(shape)} landmarks. "
            f"Received: shape {points.shape}"
        )
    leading = points.shape[:-2]
    points = points.reshape(-1, *points.shape[-2:])
    missing = np.isnan(points)
    if np.isinf(points).any() or (missing.any(axis=-1) != missing.all(axis=-1)).any():
        raise ValueError(
            "A landmark must be two finite numbers, or two NaN if missing. Received: another one"
        )
    weight = _weights(weights, leading, len(shape)) * ~missing[..., 0]

    observed = np.where(missing, 0.0, points) * (1.0, -1.0)  # y up
    total = weight.sum(axis=1)
    safe = np.maximum(total, 1e-300)[:, None]
    x = shape - (weight @ shape / safe)[:, None]
    y = observed - (np.einsum("nl,nlk->nk", weight, observed) / safe)[:, None]
    gram = np.einsum("nl,nlj,nlk->njk", weight, x, x)
    cross = np.einsum("nl,nlj,nlk->njk", weight, y, x)
    eigenvalues = np.linalg.eigvalsh(gram)
    spread = np.einsum("nl,nlk->n", weight, y**2)
    scale = np.einsum("nl,nlk->n", weight, observed**2)
    bad = (eigenvalues[:, 0] <= _FLAT * eigenvalues[:, 2]) | (spread <= 1e-20 * scale) | (total == 0)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            "A pose needs landmarks that differ, and at least four that do not lie in one plane of the 3-D shape. "
            f"Received: {int((weight[i] > 0).sum())} landmarks that count, spread over {np.sqrt(spread[i]):g}, for "
            f"face {i} of {len(points)}"
        )
    return pose_from_rotation(_rotations(gram, cross)).reshape(*leading, 3)


def _weights(weights: Any, leading: tuple[int, ...], n_landmarks: int) -> np.ndarray:
    values = np.ones(n_landmarks) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape not in ((n_landmarks,), (*leading, n_landmarks)):
        raise ValueError(
            f"weights must have the shape ({n_landmarks},) or {(*leading, n_landmarks)}. "
            f"Received: shape {values.shape}"
        )
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(f"weights must be finite and at least 0. Received: {values.min()} as the smallest")
    return np.broadcast_to(values, (*leading, n_landmarks)).reshape(-1, n_landmarks)


def _rotations(gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Best rotations `(n, 3, 3)` for the covariance of the shape `(n, 3, 3)`, and with the landmarks `(n, 2, 3)`."""
    affine = cross @ np.linalg.inv(gram)
    root = np.linalg.cholesky(gram)
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    first = left @ right
    start = np.concatenate([first, np.cross(first[:, 0], first[:, 1])[:, None]], axis=1)
    # Turned by the same angle the other way: what an affine picture of a flat object cannot tell apart
    mirror = start * np.array([[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    rotations, errors = zip(*(_descend(r, affine, gram, cross, root) for r in (start, mirror)), strict=True)
    return np.where((errors[1] < errors[0])[:, None, None], rotations[1], rotations[0])


def _descend(
    rotation: np.ndarray, affine: np.ndarray, gram: np.ndarray, cross: np.ndarray, root: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton over rotation and scale; the best rotation on the way and its error."""
    n = len(rotation)
    best, least = rotation, np.full(n, np.inf)
    for step in range(_STEPS + 1):
        rows = rotation[:, :2]
        scale = np.einsum("njk,njk->n", cross, rows) / np.einsum("njk,njk->n", rows @ gram, rows)
        residual = ((affine - scale[:, None, None] * rows) @ root).reshape(n, 6, 1)
        # A rotation that only fits a picture turned inside out is none.
        error = np.where(scale > 0, np.einsum("nij->n", residual**2), np.inf)
        better = error < least
        best = np.where(better[:, None, None], rotation, best)
        least = np.where(better, error, least)
        if step == _STEPS:
            break
        turned = np.einsum("kab,nbc->nkac", _GENERATORS[:, :2], rotation) * scale[:, None, None, None]
        change = np.concatenate([rows[:, None], turned], axis=1) @ root[:, None]
        jacobian = change.reshape(n, 4, 6).transpose(0, 2, 1)
        normal = jacobian.transpose(0, 2, 1) @ jacobian
        # Far below any curvature of the error: it only keeps the matrix invertible.
        diagonal = np.einsum("nii->ni", normal)
        normal = normal + (1e-10 * diagonal + 1e-300)[:, :, None] * np.eye(4)
        move = np.linalg.solve(normal, jacobian.transpose(0, 2, 1) @ residual)[:, 1:, 0]
        rotation = _turn(move) @ rotation
    return best, least


def _turn(vector: np.ndarray) -> np.ndarray:
    """Rotations about the vectors `(n, 3)` by their lengths (Rodrigues)."""
    angle = np.maximum(np.linalg.norm(vector, axis=1), 1e-12)[:, None, None]
    cross = np.einsum("nk,kab->nab", vector, _GENERATORS)
    return np.eye(3) + np.sin(angle) / angle * cross + (1.0 - np.cos(angle)) / angle**2 * (cross @ cross)
