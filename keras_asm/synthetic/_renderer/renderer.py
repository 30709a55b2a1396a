"""One face from a random generator to pixels."""

from collections.abc import Callable

import numpy as np

from .background import draw_background
from .hair import hair_cover, strand_color
from .head_parameters import HEADWEAR, HeadParameters, sample_head_parameters
from .lighting import shade
from .noise import sample_noise
from .numerics import clamp, smoothstep
from .photograph import develop, draw_occluder, pad_edges
from .rasterizer import rasterize
from .scene import Scene, build_scene
from .skin import paint_face, paint_skin

__all__ = ["render_face"]

_Painter = Callable[[HeadParameters, np.ndarray, np.ndarray], np.ndarray]

_SUPERSAMPLING = 1.5  # against the stairs of outlines; `_shrink` is written for it


def render_face(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one face.

    Returns:
        Image uint8 `(size, size, 3)`, landmarks float32 `(68, 2)` in pixels, pose float32 `(3,)` in degrees.
    """
    head = sample_head_parameters(rng)
    scene = build_scene(head)
    # Perspective: the picture is taken from 0.5 to 2.5 m, on the axis through the head's centre.
    distance = 500.0 + 2000.0 * rng.random() ** 2
    projected, landmarks = _project(scene.positions, distance), _project(scene.landmarks, distance)
    origin, scale = _crop(rng, landmarks)
    landmarks = ((landmarks - origin) * (scale * size) - 0.5).astype(np.float32)

    fine = (size + size % 2) * 3 // 2  # an odd picture is drawn with one row and column more
    points = (projected - origin) * np.float32(scale * size * _SUPERSAMPLING) - np.float32(0.5)
    pixel, triangle, weights = rasterize(points, scene.positions[:, 2], scene.triangles, fine)
    by_material = np.argsort(scene.materials.take(triangle), kind="stable")
    pixel, triangle, weights = (
        pixel.take(by_material),
        triangle.take(by_material),
        weights.take(by_material, axis=1),
    )
    painted = _paint(head, scene, triangle, weights)
    cover, front = np.zeros((fine, fine), np.float32), np.zeros((3, fine, fine), np.float32)
    cover.ravel()[pixel] = 1.0
    for channel, values in zip(front.reshape(3, -1), painted, strict=True):
        channel[pixel] = values
    picture = draw_background(rng, size)
    picture *= 1.0 - _shrink(cover)[:size, :size]
    picture += _shrink(front)[:, :size, :size]

    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    draw_occluder(rng, picture, box, head.skin_color)
    image = develop(rng, picture, size / 96.0)
    # Numbers of its own: how many the noise took depends on the size, and the borders must not
    pad_edges(rng.spawn(1)[0], image, box)
    return image, landmarks, head.pose.astype(np.float32)


def _shrink(fine: np.ndarray) -> np.ndarray:
    """Mean over squares of 1.5 by 1.5 pixels: three fine rows (columns) become two."""
    rows = np.empty((*fine.shape[:-2], fine.shape[-2] * 2 // 3, fine.shape[-1]), dtype=np.float32)
    half = 0.5 * fine[..., 1::3, :]
    rows[..., 0::2, :] = fine[..., 0::3, :] + half
    rows[..., 1::2, :] = fine[..., 2::3, :] + half
    result = np.empty((*rows.shape[:-1], fine.shape[-1] * 2 // 3), dtype=np.float32)
    half = 0.5 * rows[..., 1::3]
    result[..., 0::2] = rows[..., 0::3] + half
    result[..., 1::2] = rows[..., 2::3] + half
    return result * np.float32(1.0 / 2.25)


def _project(points: np.ndarray, distance: float) -> np.ndarray:
    """Millimetres in the plane through the head's centre, x right, y down."""
    nearer = np.float32(distance) / (np.float32(distance) - points[:, 2:3])
    return points[:, :2] * nearer * np.array([1.0, -1.0], np.float32)


def _crop(rng: np.random.Generator, landmarks: np.ndarray) -> tuple[np.ndarray, float]:
    """A detector-like square around the landmarks: its corner in mm and its scale in crops per mm."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = float((high - low).max()) * rng.uniform(1.2, 1.6)
    center = 0.5 * (low + high) + side * clamp(rng.normal(0.0, 0.025, 2), -0.06, 0.06)
    return (center - 0.5 * side).astype(np.float32), 1.0 / side


def _paint(head: HeadParameters, scene: Scene, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Colour of each covered pixel, linear RGB `(3, P)`; pixels of one material follow each other."""
    first, second, third = np.ascontiguousarray(scene.triangles.take(triangle, axis=0).T)
    surface = np.ascontiguousarray(np.concatenate([scene.normals, scene.paint], axis=1).T, dtype=np.float32)
    values = np.empty((len(surface), len(triangle)), dtype=np.float32)
    for value, at_vertex in zip(values, surface, strict=True):
        value[:] = at_vertex.take(first) * weights[0]
        value += at_vertex.take(second) * weights[1]
        value += at_vertex.take(third) * weights[2]
    normals, paint = values[:3], values[3:]
    normals /= np.sqrt(normals[0] ** 2 + normals[1] ** 2 + normals[2] ** 2 + 1e-6)
    result = np.empty((3, len(triangle)), dtype=np.float32)
    bounds = np.searchsorted(scene.materials.take(triangle), np.arange(len(_PAINTERS) + 1))
    for painter, start, stop in zip(_PAINTERS, bounds[:-1], bounds[1:], strict=True):
        if stop > start:
            result[:, start:stop] = painter(head, normals[:, start:stop], paint[:, start:stop])
    return result


def _paint_head(head: HeadParameters, normals: np.ndarray, paint: np.ndarray) -> np.ndarray:
    x, q, azimuth, above = paint
    color, gloss, light = paint_face(head, x, q)
    light *= 1.0 - 0.5 * smoothstep(q, -116.0, -130.0)  # under the chin
    if head.hair in ("cap", "hat"):
        light *= 1.0 - head.eye_shade * smoothstep(q, 2.0, 34.0)
    cover = hair_cover(head, azimuth, q, above)
    result = shade(head, color, normals, gloss, light * (1.0 - 0.25 * cover), skin=True)
    hairy = np.flatnonzero(cover > 0.02)
    if len(hairy):
        cover = cover.take(hairy)
        strands = strand_color(head, azimuth.take(hairy) * 75.0, q.take(hairy))
        shine = np.full(
            len(hairy), 0.0 if head.hair == "curly" or head.hair in HEADWEAR else 0.05, np.float32
        )
        roots = 0.7 + 0.3 * smoothstep(cover, 0.4, 1.0)
        hair = shade(head, strands, normals.take(hairy, axis=1), shine, roots, skin=False)
        for channel, colored in zip(result, hair, strict=True):
            below = channel.take(hairy)
            channel[hairy] = below + cover * (colored - below)
    return result


def _paint_ear(head: HeadParameters, normals: np.ndarray, paint: np.ndarray) -> np.ndarray:
    _, _, open_, _ = paint
    color = (head.skin_color * np.array([1.0, 0.9, 0.88], np.float32))[:, None]
    return shade(head, color, normals, np.full(len(open_), 0.5 * head.gloss, np.float32), open_, skin=True)


def _paint_body(head: HeadParameters, normals: np.ndarray, paint: np.ndarray) -> np.ndarray:
    x, y, azimuth, _ = paint
    color = paint_skin(head, x, y)
    # The head keeps light from the neck.
    shadow = head.neck_shadow
    light = 1.0 - (0.15 + shadow) * smoothstep(y, -160.0, -88.0)
    color *= 1.0 - shadow * smoothstep(y, -140.0, -95.0)
    neckline = head.collar[0] - head.collar[1] * clamp(1.0 - np.abs(azimuth) * 1.1, 0.0, 1.0)
    cloth = smoothstep(y, neckline + 1.0, neckline - 1.0)
    weave = sample_noise(x * 0.8, y * 0.8, 1.0, head.noise_offset[4:6])
    cloth_color = head.cloth_color[0][:, None] * (1.0 + 0.12 * weave)
    trim = smoothstep(y, neckline - 9.0, neckline - 7.0)
    cloth_color = cloth_color + trim * (head.cloth_color[1][:, None] - cloth_color)
    color = color + cloth * (cloth_color - color)
    return shade(head, color, normals, np.zeros(len(x), np.float32), light, skin=True)


def _paint_curtain(head: HeadParameters, normals: np.ndarray, paint: np.ndarray) -> np.ndarray:
    x, y, _, _ = paint
    strands = strand_color(head, x, y)
    light = 0.75 * np.ones(len(x), np.float32)
    return shade(
        head,
        strands,
        normals,
        np.full(len(x), 0.0 if head.hair in HEADWEAR else 0.04, np.float32),
        light,
        skin=False,
    )


def _paint_glasses(head: HeadParameters, normals: np.ndarray, paint: np.ndarray) -> np.ndarray:
    ones = np.ones(normals.shape[1], np.float32)
    return shade(head, head.glasses_color[:, None], normals, 0.1 * ones, ones, skin=False)


def _paint_lens(head: HeadParameters, normals: np.ndarray, paint: np.ndarray) -> np.ndarray:
    _, y, _, _ = paint
    sky = smoothstep(y, y.min(), y.max() + 5.0)
    return 0.012 + 0.1 * sky * head.ambient_color[:, None] + 0.05 * head.glasses_color[:, None]


# In the order of the materials' numbers.
_PAINTERS: tuple[_Painter, ...] = (
    _paint_head,
    _paint_ear,
    _paint_body,
    _paint_curtain,
    _paint_glasses,
    _paint_lens,
)
