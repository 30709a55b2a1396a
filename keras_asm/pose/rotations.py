"""Head pose and rotation matrices, and what turning or mirroring an image does to a head pose.

Each function takes the namespace that computes, `numpy` (float64) or `keras.ops` (the type that comes in).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["mirror_pose", "pose_from_rotation", "rotate_pose", "rotation_from_pose"]


def rotation_from_pose(pose: Any, xp: Any = np) -> Any:
    """Rotation matrices of head poses.

        R = Rx(pitch) Ry(yaw) Rz(roll)

        Rx = [1 0 0; 0 c s; 0 -s c],  Ry = [c 0 -s; 0 1 0; s 0 c],  Rz = [c s 0; -s c 0; 0 0 1]

    with x to the image's right, y up and z toward the camera, the convention of 300W-LP and AFLW2000-3D.

    Args:
        pose: `(yaw, pitch, roll)` in degrees, `(..., 3)`.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        `(..., 3, 3)`; `R @ x` turns a point of the upright frontal face.

    Raises:
        ValueError: If the last axis is not 3.

    Examples:
        >>> from keras_asm.pose import rotation_from_pose
        >>> rotation_from_pose([90.0, 0.0, 0.0]).round(6) @ [0.0, 0.0, 1.0]  # the nose points to the image's left
        array([-1.,  0.,  0.])

    See Also:
        - [`pose_from_rotation`][keras_asm.pose.pose_from_rotation]: the inverse.
        - [`draw_pose_axes`][keras_asm.visualization.draw_pose_axes]: draws the columns of the matrix.
        - [Head pose][head-pose]: signs and order of the angles.
    """
    rows = _entries(_angles_last(pose, xp), xp)
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def pose_from_rotation(rotation: Any, xp: Any = np) -> Any:
    """Head poses of rotation matrices: the inverse of `rotation_from_pose`.

    Two triples of angles give the same rotation; the one with |pitch| <= 90 is returned, since a head is seen from
    behind before it is seen upside down: a profile turned beyond 90 degrees keeps its small pitch and roll.

    Args:
        rotation: Rotation matrices `(..., 3, 3)`.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        `(yaw, pitch, roll)` in degrees, `(..., 3)`; yaw and roll in [-180, 180], pitch in [-90, 90]. Where
        yaw is 90 or -90 exactly, pitch and roll turn about the same axis, and any pair of that sum is an answer.

    Raises:
        ValueError: If the last two axes are not 3 and 3.

    Examples:
        >>> from keras_asm.pose import pose_from_rotation, rotation_from_pose
        >>> pose_from_rotation(rotation_from_pose([95.0, -10.0, 20.0])).round(6)
        array([ 95., -10.,  20.])

    See Also:
        - [`rotation_from_pose`][keras_asm.pose.rotation_from_pose]: the inverse.
        - [`head_pose_error`][keras_asm.metrics.head_pose_error]: compares two poses.
    """
    r = np.asarray(rotation, dtype=np.float64) if xp is np else xp.convert_to_tensor(rotation)
    if len(r.shape) < 2 or tuple(r.shape[-2:]) != (3, 3):
        raise ValueError(f"rotation must have the shape (..., 3, 3). Received: shape {tuple(r.shape)}")
    # The sign of cos(yaw) for which pitch = atan2(sin cos(yaw), cos cos(yaw)) is at most 90 degrees
    return _pose(r[..., 0, 0], r[..., 0, 1], r[..., 0, 2], r[..., 1, 2], r[..., 2, 2], r[..., 2, 2] < 0, xp)


def rotate_pose(pose: Any, degrees: Any, xp: Any = np) -> Any:
    """The pose of a head whose image is turned clockwise.

    Turning the image is a rotation of the camera about its axis, `R' = Rz(degrees) R(pose)` with
    `R = Rx(pitch) Ry(yaw) Rz(roll)`. For a face that looks straight ahead it adds the angle to the roll.
    For any other it also turns the direction in which the face looks: a face turned by 15 degrees to the
    left looks 7.5 degrees up when its image is turned clockwise by 30.

    Args:
        pose: `(yaw, pitch, roll)` in degrees, `(..., 3)`. Rows of NaN stay NaN.
        degrees: Clockwise angles, `(...,)`.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        `(..., 3)`. Pitch and roll are within +-180; yaw stays on its side of +-90.

    Raises:
        ValueError: If the last axis of `pose` is not 3.

    Examples:
        >>> from keras_asm.pose import rotate_pose
        >>> rotate_pose([[0.0, 0.0, 5.0], [15.0, 0.0, 0.0]], [30.0, 30.0]).round().astype(int)
        array([[ 0,  0, 35],
               [13,  8, 31]])

    See Also:
        - [`mirror_pose`][keras_asm.pose.mirror_pose]: the pose in a mirrored image.
        - [`augment`][keras_asm.layers.augment]: turns images, landmarks and poses together.
    """
    pose = _angles_last(pose, xp)
    degrees = np.asarray(degrees, dtype=np.float64) if xp is np else xp.convert_to_tensor(degrees)
    first, second, third = _entries(pose, xp)
    turn = degrees * _RADIANS
    s, c = xp.sin(turn), xp.cos(turn)
    # Rows of Rz(turn) R; the third row stays. Data sets go beyond 90 degrees of yaw: of the two triples of angles
    # that give a rotation, the one whose cos(yaw) has the sign of the pose that was given.
    r00, r01, r02 = (c * a + s * b for a, b in zip(first, second, strict=True))
    r12 = c * second[2] - s * first[2]
    turned = _pose(r00, r01, r02, r12, third[2], xp.cos(pose[..., 0] * _RADIANS) < 0, xp)
    # An image that is not turned keeps its labels to the last bit.
    return xp.where(degrees[..., None] == 0, pose, turned)


def mirror_pose(pose: Any, xp: Any = np) -> Any:
    """The pose of a head whose image is mirrored: yaw and roll change their signs.

    Args:
        pose: `(yaw, pitch, roll)` in degrees, `(..., 3)`.
        xp: The namespace that computes, `numpy` (default) or `keras.ops`.

    Returns:
        `(..., 3)`.

    Examples:
        >>> from keras_asm.pose import mirror_pose
        >>> mirror_pose(np.array([20.0, 5.0, -3.0]))
        array([-20.,   5.,   3.])

    See Also:
        - [`mirror_landmarks`][keras_asm.landmarks.mirror_landmarks]: the same for landmarks.
        - [`rotate_pose`][keras_asm.pose.rotate_pose]: the pose in a turned image.
        - [`predict_with_flip`][keras_asm.model_tools.predict_with_flip]: averages over the mirror image.
    """
    return xp.stack([-pose[..., 0], pose[..., 1], -pose[..., 2]], axis=-1)


_RADIANS = math.pi / 180


def _angles_last(pose: Any, xp: Any) -> Any:
    angles = np.asarray(pose, dtype=np.float64) if xp is np else xp.convert_to_tensor(pose)
    if len(angles.shape) == 0 or angles.shape[-1] != 3:
        raise ValueError(
            f"pose must have the shape (..., 3): yaw, pitch, roll. Received: shape {tuple(angles.shape)}"
        )
    return angles


def _entries(pose: Any, xp: Any) -> tuple[tuple[Any, Any, Any], ...]:
    """The rows of `R = Rx(pitch) Ry(yaw) Rz(roll)`, the product written out."""
    radians = pose * _RADIANS
    sine, cosine = xp.sin(radians), xp.cos(radians)
    sy, sp, sr = sine[..., 0], sine[..., 1], sine[..., 2]
    cy, cp, cr = cosine[..., 0], cosine[..., 1], cosine[..., 2]
    return (
        (cy * cr, cy * sr, -sy),
        (sp * sy * cr - cp * sr, sp * sy * sr + cp * cr, sp * cy),
        (cp * sy * cr + sp * sr, cp * sy * sr - sp * cr, cp * cy),
    )


def _pose(r00: Any, r01: Any, r02: Any, r12: Any, r22: Any, behind: Any, xp: Any) -> Any:
    """Angles of a rotation in degrees, from five of its entries; `behind`: cos(yaw) is negative."""
    side = xp.where(behind, -1.0, 1.0)
    yaw = xp.arctan2(-r02, side * xp.sqrt(r00 * r00 + r01 * r01))
    pitch = xp.arctan2(side * r12, side * r22)
    roll = xp.arctan2(side * r01, side * r00)
    return xp.stack([yaw, pitch, roll], axis=-1) * (180 / math.pi)
