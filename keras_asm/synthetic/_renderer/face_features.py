"""Eyelids, eyebrows, lips and nose as curves in the painting plane, and the 68 points on them.

The plane is that of `HeadMesh.front`: x in mm and the section height q in mm. What is painted and where the
landmarks lie come from the same curves, so the landmarks are exact. `side` is -1 for the image's left.
"""

import numpy as np

from .head_parameters import HeadParameters
from .mesh import HeadMesh, MeshPoints
from .numerics import clamp

__all__ = ["brow_center", "eye_corners", "face_points", "lid_curves", "lip_curves"]

EYE_X, EYE_Q = 32.0, -0.9
MOUTH_Q = -68.8
INNER_MOUTH = 0.86  # the mouth's opening ends inside the lips' corners

# 27-35: bridge from the root to the tip, then the nostrils' lower edge.
_NOSE = np.array(
    [
        (0, 2.6),
        (0, -9.3),
        (0, -21.2),
        (0, -33.4),
        (-14.4, -44.2),
        (-7.5, -46.1),
        (0, -48.0),
        (7.5, -46.1),
        (14.4, -44.2),
    ]
)
_LID_POINTS = 0.37  # half-width fraction at which 37, 38, 40, 41 (and 43, 44, 46, 47) lie


def eye_corners(head: HeadParameters) -> tuple[float, float]:
    """Heights of the inner and the outer corner."""
    return EYE_Q - 0.9 - 0.4 * head.eye_tilt, EYE_Q + 0.6 + head.eye_tilt


def lid_curves(head: HeadParameters, side: int, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the upper and lower lid's edge at `u`, -1 at the inner and 1 at the outer corner."""
    inner, outer = eye_corners(head)
    base = 0.5 * (inner + outer) + 0.5 * (outer - inner) * u
    arch = clamp(1.0 - u * u, 0.0, 1.0)
    opening = float(head.eye_open[(side + 1) // 2])
    lower = base - 3.1 * head.eye_height * arch**0.75 * (1.0 + 0.1 * u)
    above = 6.3 * head.eye_height * min(opening, 1.0) + 2.2 * max(opening - 1.0, 0.0)
    # A closing upper lid comes down onto the lower one.
    closing = 2.5 * head.eye_height * max(1.0 - opening, 0.0)
    upper = base + (above - closing) * arch**0.65 * (1.0 - 0.05 * u)
    return np.maximum(upper, lower), lower


def brow_center(head: HeadParameters, side: int | np.ndarray, u: np.ndarray) -> np.ndarray:
    """Height of an eyebrow's middle line at `u`, 0 at its inner and 1 at its outer end."""
    line = 16.6 + u * (15.6 + u * (8.0 - 27.8 * u))
    arch = 4.0 * u * (1.0 - u)
    return (
        line
        + head.brow_height
        + side * head.brow_uneven
        + head.brow_arch * (arch - 0.5)
        + head.brow_tilt * (u - 0.5)
    )


def lip_curves(head: HeadParameters, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Heights of the lips' edges from above at `t`, -1 and 1 at the corners: outer, inner, inner, outer."""
    round_ = clamp(1.0 - t * t, 0.0, 1.0)
    line = MOUTH_Q + 0.6 + (head.corner_lift - 3.2) * t * t
    inside = clamp(1.0 - (t / INNER_MOUTH) ** 2, 0.0, 1.0) ** 0.55
    upper_inner = line + 0.15 * head.lip_gap * inside
    lower_inner = line - 0.85 * head.lip_gap * inside
    bow = 1.0 - 0.26 * np.exp(-((t / 0.13) ** 2))
    upper_outer = line + 0.15 * head.lip_gap * round_ + head.upper_lip * 1.26 * bow * round_**0.8
    lower_outer = line - (0.85 * head.lip_gap + head.lower_lip) * round_**0.62
    return upper_outer, upper_inner, lower_inner, lower_outer


def face_points(head: HeadParameters, mesh: HeadMesh) -> MeshPoints:
    """Points 17-67 of the 300W scheme on the mesh (51 points)."""
    u = np.array([0.01, 0.26, 0.54, 0.81, 1.0])
    brow_x = head.brow_span[0] + (head.brow_span[1] - head.brow_span[0]) * u
    left_brow = np.stack([-brow_x, brow_center(head, -1, u)], axis=1)[::-1]
    right_brow = np.stack([brow_x, brow_center(head, 1, u)], axis=1)

    eyes = []
    for side in (-1, 1):
        # From the image's left to its right along the upper lid, and back along the lower one.
        u = side * np.array([-1.0, -_LID_POINTS, _LID_POINTS, 1.0])
        upper, lower = lid_curves(head, side, u)
        x = side * (EYE_X + u * head.eye_width)
        eyes.append(np.stack([np.append(x, x[2:0:-1]), np.append(upper, lower[2:0:-1])], axis=1))

    outer = np.array([-1.0, -0.62, -0.26, 0.0, 0.26, 0.62, 1.0])
    inner = np.array([-INNER_MOUTH, -0.26, 0.0, 0.26, INNER_MOUTH])
    below = np.array([0.66, 0.285, 0.0, -0.285, -0.66])
    outer_q, inner_q = lip_curves(head, outer), lip_curves(head, inner)
    mouth_x = np.concatenate([outer, below, inner, inner[3:0:-1]]) * head.mouth_width
    mouth_q = np.concatenate([outer_q[0], lip_curves(head, below)[3], inner_q[1], inner_q[2][3:0:-1]])
    mouth = np.stack([mouth_x, mouth_q], axis=1)

    points = np.concatenate([left_brow, right_brow, _NOSE, *eyes, mouth])
    return mesh.locate(points[:, 0], points[:, 1])
