"""Hairlines, the volume of hair on the head, long hair, and the colour of strands."""

from dataclasses import dataclass

import numpy as np

from .head_parameters import HEADWEAR, HeadParameters
from .mesh import HeadMesh, grid_triangles
from .noise import sample_noise
from .numerics import clamp, smoothstep

__all__ = [
    "CURTAIN_COLUMNS",
    "above_hairline",
    "covers_ears",
    "curtain",
    "hair_cover",
    "hair_thickness",
    "strand_color",
]

CURTAIN_COLUMNS = 40


@dataclass(frozen=True)
class _Style:
    """A hairline, as section heights over azimuths in degrees, and thicknesses in mm."""

    azimuth: tuple[float, ...]
    height: tuple[float, ...]
    top: float
    side: float
    roughness: float = 0.0  # bumps of the surface, share of the thickness
    raggedness: float = 1.6  # mm by which strands overstep the hairline
    length: float = 0.0  # where long hair ends (height), 0: none


_MALE = (
    (0, 26, 40, 52, 62, 70, 77, 83, 88, 100, 110, 130, 180),
    (66, 67, 61, 50, 38, 14, -10, -14, 16, 18, -38, -66, -70),
)
_OPEN = ((0, 10, 24, 36, 46, 54, 62, 70, 90, 180), (72, 70, 62, 50, 32, 4, -40, -86, -110, -120))
_TIED = ((0, 26, 42, 54, 64, 74, 82, 88, 100, 112, 180), (67, 66, 58, 46, 34, 20, 8, 16, 16, -34, -70))
_FRINGE = (
    (0, 20, 36, 48, 56, 62, 70, 78, 84, 90, 100, 110, 180),
    (36, 36, 35, 32, 28, 12, -6, -16, -16, 10, 12, -44, -72),
)
_STYLES = {
    "bald": _Style((0, 60, 80, 96, 110, 180), (130, 130, 40, 24, 10, -60), 0.0, 0.5, raggedness=4.0),
    "buzz": _Style(*_MALE, 1.5, 1.0, raggedness=1.5),
    "short": _Style(*_MALE, 11.0, 4.0, 0.12),
    "side": _Style(*_MALE, 15.0, 5.0, 0.15),
    "fringe": _Style(*_FRINGE, 12.0, 8.0, 0.12, raggedness=2.5),
    "curly": _Style(*_TIED, 24.0, 20.0, 0.22, raggedness=2.5),
    "bun": _Style(*_TIED, 5.0, 4.0, 0.05, raggedness=1.5),
    "long": _Style(*_OPEN, 10.0, 9.0, 0.1, length=-240.0),
    "bob": _Style(*_OPEN, 12.0, 13.0, 0.1, length=-118.0),
    "scarf": _Style(
        (0, 30, 50, 60, 68, 76, 90, 180), (58, 55, 38, 6, -46, -90, -125, -130), 7.0, 8.0, 0.06, 0.0, -185.0
    ),
    "cap": _Style((0, 60, 90, 180), (46, 42, 26, -24), 7.0, 6.0, 0.0, raggedness=0.0),
    "hat": _Style((0, 60, 90, 180), (48, 44, 30, -14), 12.0, 6.0, 0.0, raggedness=0.0),
    "beanie": _Style((0, 60, 90, 180), (44, 40, 24, -30), 7.0, 7.0, 0.02, raggedness=0.0),
}


def _hairline(head: HeadParameters, azimuth: np.ndarray) -> np.ndarray:
    style = _STYLES[head.hair]
    side = np.abs(azimuth)
    if style.length:
        side = side + np.deg2rad(head.hair_closed) * smoothstep(side, 0.3, 0.8)
    line = np.interp(side, np.deg2rad(style.azimuth), style.height).astype(np.float32)
    line += head.hair_height * smoothstep(np.abs(azimuth), 1.1, 0.8)
    if head.hair in ("side", "long", "bob", "fringe", "short"):
        # A parting: hair comes down further on one side of the forehead.
        sweep = {"side": 15.0, "short": 5.0, "fringe": 6.0}.get(head.hair, 12.0)
        line -= (
            head.hair_part
            * sweep
            * np.sin(clamp(azimuth * 1.8, -np.pi / 2, np.pi / 2))
            * (np.abs(azimuth) < 1.0)
        )
    return line


def above_hairline(head: HeadParameters, mesh: HeadMesh) -> np.ndarray:
    """Distance of the head's vertices from the hairline, positive under hair, `(R, C)` in mm."""
    line = _hairline(head, mesh.columns)
    slope = np.gradient(line, 75.0 * mesh.columns)
    return ((mesh.rows[:, None] - line) / np.sqrt(1.0 + slope * slope)).astype(np.float32)


def hair_thickness(head: HeadParameters, mesh: HeadMesh, above: np.ndarray) -> np.ndarray:
    """How far the head's surface stands out under its hair or beard, `(R, C)` in mm."""
    style = _STYLES[head.hair]
    q = mesh.rows[:, None].astype(np.float32)
    full = style.side + (style.top - style.side) * smoothstep(q, 20.0, 90.0)
    thickness = head.hair_volume * full * smoothstep(above, -2.0, 3.0 + 0.7 * full)
    if style.roughness:
        scale = 9.0 if head.hair == "curly" else 5.0
        bumps = sample_noise(mesh.columns[None] * 4.0 * scale, q * 0.09 * scale, 1.4, head.noise_offset[:2])
        thickness = thickness * (1.0 + style.roughness * bumps)
    if head.beard_length:
        x = mesh.front[..., 0]
        thickness = thickness + head.beard_length * smoothstep(q, -84.0, -110.0) * smoothstep(
            np.abs(x), 60.0, 40.0
        ) * (q > -135.0)
    return thickness.astype(np.float32)


def hair_cover(head: HeadParameters, azimuth: np.ndarray, q: np.ndarray, above: np.ndarray) -> np.ndarray:
    """How much of the skin hair hides, 0 to 1, at points of the head."""
    style = _STYLES[head.hair]
    if head.hair in HEADWEAR:
        return smoothstep(above, -0.6, 0.6)
    strands = sample_noise(azimuth * 90.0, q * 0.3, 0.6, head.noise_offset[2:4])
    cover = smoothstep(above + style.raggedness * strands, -2.0, 5.0)
    if head.hair in ("bald", "buzz"):
        return cover * 0.75
    if head.hair_wisps:
        locks = sample_noise(azimuth * 45.0 + 0.12 * q, q * 0.04, 1.0, head.noise_offset[:2])
        reach = smoothstep(above, -head.hair_wisps, -0.4 * head.hair_wisps) * (above < 0.0)
        cover = np.maximum(cover, 0.9 * smoothstep(locks, 0.7, 1.2) * reach)
    return cover


def covers_ears(head: HeadParameters) -> bool:
    """Whether the style hides the ears."""
    return head.hair in ("long", "bob", "curly", "scarf")


def curtain(head: HeadParameters) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Hair that falls behind and beside the face: positions, paint, triangles, share of the body's motion."""
    length = _STYLES[head.hair].length
    if not length:
        return None
    first = 60.0 - head.hair_closed
    azimuth = np.linspace(np.deg2rad(first), np.deg2rad(360.0 - first), CURTAIN_COLUMNS)[None]
    v = np.linspace(0.0, 1.0, 12)[:, None]
    bulge = np.sin(np.pi * clamp(v * 1.1, 0, 1))
    waves = sample_noise(azimuth * 14.0, v * 30.0 + 0 * azimuth, 1.0, head.noise_offset[4:6])
    end = length + 25.0 * (head.hair_part - 1.0) * (length < -200) + 6.0 * waves
    y = 56.0 + (end - 56.0) * v
    spread = head.hair_volume * (6.0 + 9.0 * bulge + 2.5 * waves * v)
    taper = 1.0 - 0.12 * smoothstep(v, 0.75, 1.0) * (length > -150)
    x = (76.0 + spread) * np.sin(azimuth) * taper
    z = -14.0 + (92.0 + spread) * np.cos(azimuth) * taper
    # Hair near the face hangs in front of the shoulders: less deep, a little forward.
    positions = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    paint = np.stack([azimuth * 80.0 + 0 * y, y, v + 0 * azimuth], axis=-1).reshape(-1, 3).astype(np.float32)
    triangles = grid_triangles(*x.shape)
    share = 0.85 * smoothstep(y, -70.0, -170.0).ravel().astype(np.float32)
    return positions, paint, np.concatenate([triangles, triangles[:, ::-1]]), share


def strand_color(head: HeadParameters, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Linear RGB `(3, P)` of hair at strand coordinates in mm: `u` across the strands, `v` along them."""
    if head.hair in ("scarf", "cap", "hat"):
        folds = sample_noise(u * 0.35, v * 0.1, 1.4, head.noise_offset[4:6])
        return head.hair_color[:, None] * (1.0 + 0.15 * folds)
    if head.hair == "beanie":
        ribs = 0.85 + 0.15 * np.sin(u * 1.1)
        return head.hair_color[:, None] * ribs
    curly = head.hair == "curly"
    fine = sample_noise(u * 1.6, v * (1.2 if curly else 0.22), 0.5, head.noise_offset[4:6])
    coarse = sample_noise(u * 0.5, v * (0.5 if curly else 0.08), 1.0, head.noise_offset[6:8])
    brightness = clamp(1.0 + 0.2 * fine + 0.22 * coarse, 0.25, 1.9)
    return head.hair_color[:, None] * brightness
