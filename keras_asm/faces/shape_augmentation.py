"""New faces from old ones: shapes drawn near them within a shape model, and images warped to these."""

from typing import Any

import numpy as np

from keras_asm.faces.face_crops import FaceCrops
from keras_asm.landmarks import as_flat
from keras_asm.shape_models import LinearShapeModel

__all__ = ["augment_shapes"]

# The warp is a bilinear field over a grid of this many cells a side, finer than faces bend.
_CELLS = 32
# What a thin plate may give way to be smoother, in units of its kernel r^2 log(r). Lids and lips lie a pixel apart; a
# plate that had to pass through all of them would fold between them.
_STIFFNESS = 5e-4
# No part of an image is stretched or squeezed beyond this factor of area.
_SMALLEST_AREA = 0.2
_HALVINGS = 6


def augment_shapes(
    faces: FaceCrops,
    shape_model: Any,
    strength: float = 0.5,
    *,
    keep_pose: bool = True,
    seed: int = 0,
) -> FaceCrops:
    """Draw a new shape near each face, and warp its image to it.

    With the coefficients `b` of a face in the shape model (Eq. 2) and standard normal `z`,

        b'_k = b_k + strength * sqrt(lambda_k) * z_k,   |b'_k| <= max(limit * sqrt(lambda_k), |b_k|)
        S' = S + (b' - b) V

    so what the model does not span stays as it is, and no coefficient leaves the model's limits (or moves
    further out, where it was beyond them). The image follows by a thin-plate spline that leaves the surroundings
    in place and gives way a little where landmarks are close; the landmarks that are returned are moved by this
    very warp, so they are as exact as those that came in, while they reach `S'` to a fraction of a pixel only.
    Where a warp would fold or squeeze a part of the image to under a fifth of its area, the step to `S'` is
    halved until it does not.

    A change of shape can be a turn of the head: the first modes of faces mostly are. With `keep_pose`, the
    pose of these faces is regressed linearly on `b / sqrt(lambda)`, and `z` is drawn without the three directions
    that change it. The labels are then kept. They are as right as the regression is; the guide to feeding has
    figures. Otherwise all modes vary, and the new faces have no pose.

    Args:
        faces: The crops. Landmarks and images are taken as they lie in them. The warp takes landmarks without a
            position where the shape model expects them; they have none in the new faces either.
        shape_model: A fitted `ActiveShapeModel`, or what `LinearShapeModel.of` takes, of normalised landmarks such
            as `faces` has.
        strength: Standard deviation of the draws, in those of the model, from 0; 0.5 by default.
        keep_pose: `True` (default) keeps the poses, if the faces have any.
        seed: Seed of the draws, which depend on it and on the place of a face. 0 by default.

    Returns:
        As many faces, in memory, with the same transforms and names.

    Raises:
        ValueError: If the landmarks do not fit the shape model, the strength is out of range, or the poses cannot
            be kept because too few faces have one or the model has not over 3 components.

    Examples:
        >>> from keras_asm.faces import augment_shapes
        >>> from keras_asm.synthetic import synthetic_faces
        >>> from keras_asm.shape_models import ActiveShapeModel
        >>> faces = synthetic_faces(40, image_size=32)
        >>> asm = ActiveShapeModel(n_components=8).fit(faces.landmarks)
        >>> augment_shapes(faces, asm, 0.5, keep_pose=False).images.shape
        (40, 32, 32, 3)

    See Also:
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: where the new
          shapes come from.
        - [`LandmarkAugmentation`][keras_asm.layers.LandmarkAugmentation]: turns and shifts, which keep the
          shape.
        - [New shapes][new-shapes]: what it is worth.

    References:
        - Bookstein: Principal warps: thin-plate splines and the decomposition of deformations (PAMI 1989).
    """
    model = LinearShapeModel.of(shape_model)
    if not 0 <= strength < np.inf:
        raise ValueError(f"strength must be a number from 0. Received: {strength!r}")
    if model.n_dims != 2:
        raise ValueError(f"Expected a shape model of landmarks in the plane. Received: n_dims={model.n_dims}")
    old = faces.landmarks.astype(np.float64)
    nowhere = np.isnan(old)
    if nowhere.any():
        old = model.complete(np.where(nowhere, 0.0, old), (~nowhere[..., 0]).astype(np.float64))
    flat = as_flat(old, **model.layout())
    coefficients, similarity = model.encode(flat)
    deviations = np.sqrt(model.explained_variance)
    noise = np.random.default_rng(seed).standard_normal(coefficients.shape)
    if keep_pose and faces.pose is not None:
        noise = noise - _part_that_turns(noise, coefficients / deviations, faces.pose)
    moved = coefficients + strength * deviations * noise
    if model.limit is not None:
        bound = np.maximum(model.limit * deviations, np.abs(coefficients))
        moved = np.clip(moved, -bound, bound)
    steps = (model.decode(moved, similarity) - model.decode(coefficients, similarity)).reshape(old.shape)

    images = np.empty_like(faces.images, subok=False)
    landmarks = np.empty_like(old)
    for i in range(len(faces)):
        field = _field(old[i], steps[i])
        images[i] = _warp(faces.images[i], field)
        landmarks[i] = _follow(old[i], field)
    return FaceCrops(
        images=images,
        landmarks=np.where(nowhere, np.nan, landmarks),
        transform=faces.transform,
        pose=faces.pose if keep_pose else None,
        scheme=faces.scheme,
        names=faces.names,
    )


def _part_that_turns(noise: np.ndarray, standardized: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The part of coefficient changes that changes the pose, by linear regression."""
    known = np.isfinite(pose).all(axis=1)
    n_components = standardized.shape[1]
    if n_components <= 3 or known.sum() < 4 * (n_components + 1):
        raise ValueError(
            "To keep poses, the shape model needs over 3 components, and 4 times as many faces with a pose; "
            "keep_pose=False varies all of them and drops the poses. "
            f"Received: {n_components} components and {int(known.sum())} faces with a pose"
        )
    design = np.concatenate([standardized[known], np.ones((int(known.sum()), 1))], axis=1)
    slopes = np.linalg.lstsq(design, pose[known], rcond=None)[0][:-1]
    turning, _ = np.linalg.qr(slopes)
    return noise @ turning @ turning.T


def _field(old: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Where each knot of a grid over the crop comes from, relative to itself, normalised `(cells + 1, ., 2)`."""
    from scipy.interpolate import RBFInterpolator  # takes longer to import than the package

    grid = np.linspace(-0.5, 0.5, _CELLS + 1)
    x, y = np.meshgrid(grid, grid)
    knots = np.stack([x.ravel(), y.ravel()], axis=1)
    # A frame around the crop and the face stays in place.
    half = max(0.6, 1.2 * float(np.abs(old).max()))
    side = np.linspace(-half, half, 6)[:-1]
    edge = np.full(5, half)
    frame = np.concatenate(
        [np.stack(pair, axis=1) for pair in ((side, -edge), (edge, side), (-side, edge), (-edge, -side))]
    )
    for _ in range(_HALVINGS):
        centers = np.concatenate([old + step, frame])
        values = np.concatenate([-step, np.zeros_like(frame)])
        spline = RBFInterpolator(centers, values, kernel="thin_plate_spline", smoothing=_STIFFNESS)
        field = spline(knots).reshape(_CELLS + 1, _CELLS + 1, 2)
        if _areas(field).min() >= _SMALLEST_AREA:
            return field
        step = step / 2
    return np.zeros((_CELLS + 1, _CELLS + 1, 2))


def _areas(field: np.ndarray) -> np.ndarray:
    """Signed areas of the cells' halves in the source, relative to those of the cells: below 0 where it folds."""
    right = np.diff(field, axis=1) * _CELLS + [1.0, 0.0]
    down = np.diff(field, axis=0) * _CELLS + [0.0, 1.0]

    def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

    # A bilinear cell folds nowhere if it does at none of its corners.
    return np.stack(
        [
            cross(right[:-1], down[:, :-1]),
            cross(right[:-1], down[:, 1:]),
            cross(right[1:], down[:, :-1]),
            cross(right[1:], down[:, 1:]),
        ]
    )


def _at(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The field at points; beyond its border, as at the border."""
    place = np.clip((points + 0.5) * _CELLS, 0, _CELLS)
    cell = np.minimum(place.astype(int), _CELLS - 1)
    fx, fy = np.moveaxis(place - cell, -1, 0)[..., None]
    column, row = cell[..., 0], cell[..., 1]
    upper = field[row, column] * (1 - fx) + field[row, column + 1] * fx
    lower = field[row + 1, column] * (1 - fx) + field[row + 1, column + 1] * fx
    return upper * (1 - fy) + lower * fy


def _follow(points: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Where points of the source come to lie: `q` with `q + field(q) = p`, by Newton's method."""
    moved = points - _at(field, points)
    right, down = 1e-6 * np.eye(2)
    for _ in range(20):
        miss = moved + _at(field, moved) - points
        if np.abs(miss).max() < 1e-7:
            break
        slopes = [_at(field, moved + d) - _at(field, moved - d) for d in (right, down)]
        jacobian = np.eye(2) + np.stack(slopes, axis=-1) / 2e-6
        moved = moved - np.linalg.solve(jacobian, miss[..., None])[..., 0]
    return moved


def _warp(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    size = len(image)
    if not field.any():
        return image
    centers = (np.arange(size) + 0.5) / size
    # The field at the pixels: bilinear, as in `_at`, along rows and then along columns.
    place = centers * _CELLS
    cell = np.minimum(place.astype(int), _CELLS - 1)
    part = (place - cell)[:, None]
    rows = field[cell] * (1 - part[..., None]) + field[cell + 1] * part[..., None]
    dense = rows[:, cell] * (1 - part) + rows[:, cell + 1] * part
    pixels = np.arange(size)
    x = np.clip(dense[..., 0] * size + pixels, 0, size - 1).astype(np.float32)
    y = np.clip(dense[..., 1] * size + pixels[:, None], 0, size - 1).astype(np.float32)
    left = np.minimum(x.astype(np.int32), max(size - 2, 0))
    top = np.minimum(y.astype(np.int32), max(size - 2, 0))
    dx, dy = (x - left)[..., None], (y - top)[..., None]
    flat = image.reshape(-1, 3)
    first = top * size + left
    right, below = (1, size) if size > 1 else (0, 0)
    upper = flat[first] * (1 - dx) + flat[first + right] * dx
    lower = flat[first + below] * (1 - dx) + flat[first + below + right] * dx
    return np.rint(upper * (1 - dy) + lower * dy).astype(np.uint8)
