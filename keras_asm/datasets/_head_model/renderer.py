"""One face from a random generator to pixels."""

import numpy as np

from keras_asm.datasets._head_model.background import draw_background
from keras_asm.datasets._head_model.hair import hair_cover, strand_color
from keras_asm.datasets._head_model.head_parameters import HeadParameters, sample_head_parameters
from keras_asm.datasets._head_model.lighting import shade
from keras_asm.datasets._head_model.noise import sample_noise
from keras_asm.datasets._head_model.numerics import smoothstep
from keras_asm.datasets._head_model.photograph import develop, draw_occluder
from keras_asm.datasets._head_model.rasterizer import rasterize
from keras_asm.datasets._head_model.scene import (
    BODY,
    CURTAIN,
    EAR,
    GLASSES,
    HEAD,
    LENS,
    Scene,
    build_scene,
)
from keras_asm.datasets._head_model.skin import paint_face, paint_skin

__all__ = ["render_face"]

_SUPERSAMPLING = 2


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

    fine = size * _SUPERSAMPLING
    points = (projected - origin) * np.float32(scale * fine) - np.float32(0.5)
    pixel, triangle, weights = rasterize(points, scene.positions[:, 2], scene.triangles, fine)
    picture = draw_background(rng, size)
    picture = np.repeat(np.repeat(picture, _SUPERSAMPLING, axis=0), _SUPERSAMPLING, axis=1)
    picture.reshape(-1, 3)[pixel] = _paint(head, scene, triangle, weights)
    picture = picture.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, 3).mean(axis=(1, 3))

    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    draw_occluder(rng, picture, box, head.skin_color)
    return develop(rng, picture, size / 96.0), landmarks, head.pose.astype(np.float32)


def _project(points: np.ndarray, distance: float) -> np.ndarray:
    """Millimetres in the plane through the head's centre, x right, y down."""
    nearer = np.float32(distance) / (np.float32(distance) - points[:, 2:3])
    return points[:, :2] * nearer * np.array([1.0, -1.0], np.float32)


def _crop(rng: np.random.Generator, landmarks: np.ndarray) -> tuple[np.ndarray, float]:
    """A detector-like square around the landmarks: its corner in mm and its scale in crops per mm."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = float((high - low).max()) * rng.uniform(1.2, 1.6)
    center = 0.5 * (low + high) + side * np.clip(rng.normal(0.0, 0.025, 2), -0.06, 0.06)
    return (center - 0.5 * side).astype(np.float32), 1.0 / side


def _paint(head: HeadParameters, scene: Scene, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Colour of each covered pixel, linear RGB."""
    corners = scene.triangles[triangle]
    surface = np.concatenate([scene.normals, scene.paint], axis=1)
    values = surface[corners[:, 0]] * weights[:, :1]
    values += surface[corners[:, 1]] * weights[:, 1:2]
    values += surface[corners[:, 2]] * weights[:, 2:]
    normals = values[:, :3] / np.sqrt(np.einsum("pk,pk->p", values[:, :3], values[:, :3]) + 1e-6)[:, None]
    material = scene.materials[triangle]
    result = np.empty((len(triangle), 3), dtype=np.float32)
    for kind, paint in (
        (HEAD, _paint_head),
        (EAR, _paint_ear),
        (BODY, _paint_body),
        (CURTAIN, _paint_curtain),
        (GLASSES, _paint_glasses),
        (LENS, _paint_lens),
    ):
        at = np.flatnonzero(material == kind)
        if len(at):
            result[at] = paint(head, normals[at], *values[at, 3:].T)
    return result


def _paint_head(head: HeadParameters, normals: np.ndarray, x: np.ndarray, q: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    color, gloss, light = paint_face(head, x, q)
    light *= 1.0 - 0.5 * smoothstep(q, -116.0, -130.0)  # under the chin
    cover = hair_cover(head, azimuth, q)
    hairy = np.flatnonzero(cover > 0.02)
    result = shade(head, color, normals, gloss, light * (1.0 - 0.25 * cover), skin=True)
    if len(hairy):
        strands = strand_color(head, azimuth[hairy] * 75.0, q[hairy])
        shine = np.full(len(hairy), 0.0 if head.hair in ("beanie", "curly") else 0.05, np.float32)
        roots = 0.7 + 0.3 * smoothstep(cover[hairy], 0.4, 1.0)
        hair = shade(head, strands, normals[hairy], shine, roots, skin=False)
        result[hairy] += cover[hairy, None] * (hair - result[hairy])
    return result


def _paint_ear(head: HeadParameters, normals: np.ndarray, x: np.ndarray, q: np.ndarray, open_: np.ndarray) -> np.ndarray:
    color = np.broadcast_to(head.skin_color, normals.shape) * np.array([1.0, 0.9, 0.88], np.float32)
    return shade(head, color, normals, np.full(len(x), 0.5 * head.gloss, np.float32), open_, skin=True)


def _paint_body(head: HeadParameters, normals: np.ndarray, x: np.ndarray, y: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    color = paint_skin(head, x, y)
    # The head keeps light from the neck.
    light = 0.45 + 0.55 * smoothstep(y, -95.0, -175.0)
    neckline = head.collar[0] - head.collar[1] * np.clip(1.0 - np.abs(azimuth) * 1.1, 0.0, 1.0)
    cloth = smoothstep(y, neckline + 1.0, neckline - 1.0)
    weave = sample_noise(x * 0.8, y * 0.8, 1.0, head.noise_offset[4:6])
    cloth_color = head.cloth_color[0] * (1.0 + 0.12 * weave[:, None])
    trim = smoothstep(y, neckline - 9.0, neckline - 7.0)[:, None]
    cloth_color = head.cloth_color[1] + trim * (cloth_color - head.cloth_color[1])
    color = color + cloth[:, None] * (cloth_color.astype(np.float32) - color)
    return shade(head, color, normals, np.zeros(len(x), np.float32), light, skin=True)


def _paint_curtain(head: HeadParameters, normals: np.ndarray, x: np.ndarray, y: np.ndarray, down: np.ndarray) -> np.ndarray:
    strands = strand_color(head, x, y)
    light = 0.75 * np.ones(len(x), np.float32)
    return shade(head, strands, normals, np.full(len(x), 0.04, np.float32), light, skin=False)


def _paint_glasses(head: HeadParameters, normals: np.ndarray, x: np.ndarray, y: np.ndarray, _: np.ndarray) -> np.ndarray:
    color = np.broadcast_to(head.glasses_color, normals.shape).astype(np.float32)
    return shade(head, color, normals, np.full(len(x), 0.1, np.float32), np.ones(len(x), np.float32), skin=False)


def _paint_lens(head: HeadParameters, normals: np.ndarray, x: np.ndarray, y: np.ndarray, _: np.ndarray) -> np.ndarray:
    sky = smoothstep(y, y.min(), y.max() + 5.0)[:, None]
    return (0.012 + 0.1 * sky * head.ambient_color + 0.05 * head.glasses_color).astype(np.float32)
