"""Light on skin, hair and cloth."""

import numpy as np

from .head_parameters import HeadParameters

__all__ = ["shade"]


def _dot(direction: np.ndarray, normals: np.ndarray) -> np.ndarray:
    # Not `@`: BLAS would start threads, which cost more than the product where cores are busy.
    return direction[0] * normals[0] + direction[1] * normals[1] + direction[2] * normals[2]


def shade(
    head: HeadParameters,
    color: np.ndarray,
    normals: np.ndarray,
    gloss: np.ndarray,
    light: np.ndarray,
    skin: bool,
) -> np.ndarray:
    """Lambert with a soft terminator, a second dim light, ambient light from above, and a highlight.

    Args:
        head: Whose lights are used.
        color: Linear RGB, `(3, P)`.
        normals: Unit vectors in the camera's axes, `(3, P)`.
        gloss: Strength of the highlight, `(P,)`.
        light: Share of ambient light that reaches a point, `(P,)`.
        skin: Light that scatters under the skin wraps around the terminator, and is red.
    """
    wrap = 0.45 if skin else 0.1
    toward = _dot(head.light_direction, normals)
    main = np.maximum((toward + wrap) / (1.0 + wrap), 0.0)
    fill = np.maximum(_dot(head.fill_direction, normals), 0.0)
    above = 0.75 + 0.25 * normals[1]
    # Hollows hide the sky more than they hide a lamp.
    total = head.ambient_color[:, None] * (above * light)
    total += head.fill_color[:, None] * (fill * light)
    total += head.light_color[:, None] * (main * (0.4 + 0.6 * light))
    if skin:
        scattered = np.maximum(0.09 - np.abs(toward + 0.02), 0.0)
        total[0] += scattered * head.light_color[0]
    half = head.light_direction + np.array([0.0, 0.0, 1.0], np.float32)
    half = half / np.linalg.norm(half)
    highlight = np.maximum(_dot(half, normals), 0.0)
    highlight *= highlight
    highlight *= highlight
    highlight *= highlight
    broad = highlight * highlight  # power 16
    sharp = broad * broad  # power 32
    spot = gloss * light * (0.4 * broad + 0.9 * sharp)
    return color * total + head.light_color[:, None] * spot
