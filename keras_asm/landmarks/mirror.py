"""What a horizontal flip does to landmarks; `keras_asm.pose.mirror_pose` is its like for head pose."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["mirror_landmarks"]


def mirror_landmarks(points: Any, flip_permutation: Any, xp: Any = np) -> Any:
    """Landmarks of the mirrored face: `x` changes its sign, and left and right change places.

        u'_i = (-x_p(i), y_p(i))

    Args:
        points: Normalised to the image, with 0 in its middle, `(..., n_landmarks, 2)`.
        flip_permutation: The `p` of `LandmarkScheme.flip_permutation`, int `(n_landmarks,)`.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        Mirrored landmarks, of the same shape.

    Examples:
        >>> from keras_asm.landmarks import mirror_landmarks
        >>> mirror_landmarks(np.array([[0.25, 0.0], [-0.5, 0.125]]), [1, 0])
        array([[ 0.5  ,  0.125],
               [-0.25 ,  0.   ]])

    See Also:
        - [`mirror_pose`][keras_asm.pose.mirror_pose]: the same for head poses.
        - [`predict_with_flip`][keras_asm.model_tools.predict_with_flip]: averages over the mirror image.
        - [`LandmarkScheme`][keras_asm.landmarks.LandmarkScheme]: where the pairs come from.
    """
    taken = xp.take(points, np.asarray(flip_permutation, dtype="int32"), axis=-2)
    return xp.stack([-taken[..., 0], taken[..., 1]], axis=-1)
