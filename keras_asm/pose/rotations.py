"""Head pose and rotation matrices."""

from typing import Any

import numpy as np


def rotation_from_pose(pose: Any) -> np.ndarray:
    """Rotation matrices of head poses.

        R = Rx(pitch) Ry(yaw) Rz(roll)

        Rx = [1 0 0; 0 c s; 0 -s c],  Ry = [c 0 -s; 0 1 0; s 0 c],  Rz = [c s 0; -s c 0; 0 0 1]

    with x to the image's right, y up and z toward the camera, the convention of 300W-LP and AFLW2000-3D.

    Args:
        pose: `(yaw, pitch, roll)` in degrees, `(..., 3)`.

    Returns:
        Float64 `(..., 3, 3)`; `R @ x` turns a point of the upright frontal face.

    Raises:
        ValueError: If the last axis is not 3.

    Examples:
        >>> from keras_asm.pose import rotation_from_pose
        >>> rotation_from_pose([90.0, 0.0, 0.0]).round(6) @ [0.0, 0.0, 1.0]  # the nose points to the image's left
        array([-1.,  0.,  0.])
    """
    angles = np.asarray(pose, dtype=np.float64)
    if angles.ndim == 0 or angles.shape[-1] != 3:
        raise ValueError(
            f"pose must have the shape (..., 3): yaw, pitch, roll. Received: shape {angles.shape}"
        )
    cosine, sine = np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))
    cy, cp, cr = np.moveaxis(cosine, -1, 0)
    sy, sp, sr = np.moveaxis(sine, -1, 0)
    # The product of the three, written out
    rows = (
        (cy * cr, cy * sr, -sy),
        (sp * sy * cr - cp * sr, sp * sy * sr + cp * cr, sp * cy),
        (cp * sy * cr + sp * sr, cp * sy * sr - sp * cr, cp * cy),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def pose_from_rotation(rotation: Any) -> np.ndarray:
    """Head poses of rotation matrices: the inverse of `rotation_from_pose`.

    Two triples of angles give the same rotation; the one with |pitch| <= 90 is returned, since a head is seen from
    behind before it is seen upside down: a profile turned beyond 90 degrees keeps its small pitch and roll.

    Args:
        rotation: Rotation matrices `(..., 3, 3)`.

    Returns:
        `(yaw, pitch, roll)` in degrees, float64 `(..., 3)`; yaw and roll in [-180, 180], pitch in [-90, 90]. Where
        yaw is 90 or -90 exactly, pitch and roll turn about the same axis, and any pair of that sum is an answer.

    Raises:
        ValueError: If the last two axes are not 3 and 3.

    Examples:
        >>> from keras_asm.pose import pose_from_rotation, rotation_from_pose
        >>> pose_from_rotation(rotation_from_pose([95.0, -10.0, 20.0])).round(6)
        array([ 95., -10.,  20.])
    """
    r = np.asarray(rotation, dtype=np.float64)
    if r.ndim < 2 or r.shape[-2:] != (3, 3):
        raise ValueError(f"rotation must have the shape (..., 3, 3). Received: shape {r.shape}")
    # The sign of cos(yaw) for which pitch = atan2(sin cos(yaw), cos cos(yaw)) is at most 90 degrees
    sign = np.where(r[..., 2, 2] < 0, -1.0, 1.0)
    yaw = np.arctan2(-r[..., 0, 2], sign * np.hypot(r[..., 0, 0], r[..., 0, 1]))
    pitch = np.arctan2(sign * r[..., 1, 2], sign * r[..., 2, 2])
    roll = np.arctan2(sign * r[..., 0, 1], sign * r[..., 0, 0])
    return np.rad2deg(np.stack([yaw, pitch, roll], axis=-1))
