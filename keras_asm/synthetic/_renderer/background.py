"""Backgrounds: gradients, blurred blobs, stripes, clutter and noise."""

import math

import numpy as np

from .noise import sample_noise
from .numerics import clamp, smoothstep

__all__ = ["draw_background"]


def _color(rng: np.random.Generator) -> np.ndarray:
    """A colour that is grey more often than vivid, linear RGB."""
    grey = rng.uniform(0.05, 0.85) ** 2.2
    tint = rng.normal(0.0, rng.choice((0.04, 0.15, 0.4)), 3)
    return clamp(grey * np.exp(tint), 0.0, 1.0).astype(np.float32)[:, None, None]


def draw_background(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random background, linear RGB `(3, size, size)`; shapes do not depend on `size`."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = axis[None, :], axis[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    slope = smoothstep(
        x * math.cos(angle) + y * math.sin(angle), rng.uniform(-0.8, 0.0), rng.uniform(0.4, 1.6)
    )
    first, second = _color(rng), _color(rng)
    plain = rng.random()
    if plain < 0.3:  # a studio's, black or white
        second = first = (
            first * np.float32(0.06) if plain < 0.18 else np.float32(0.9) + first * np.float32(0.1)
        )
    picture = first + slope * (second - first)

    offset = rng.integers(0, 256, 2)
    scale = rng.uniform(60, 200)
    mottle = sample_noise(scale * x + 0 * y, scale * y + 0 * x, float(rng.choice((1.0, 1.4, 1.8))), offset)
    picture *= np.exp(np.float32(rng.choice((0.0, 0.04, 0.12, 0.35))) * mottle)

    for _ in range(rng.integers(0, 3) if plain < 0.3 else rng.integers(1, 11)):
        _draw_thing(rng, picture, x, y)
    if rng.random() < 0.18:
        angle, period, sharp = rng.uniform(0, np.pi), rng.uniform(0.04, 0.3), rng.uniform(1, 8)
        wave = np.sin((x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / period))
        stripes = 0.5 + 0.5 * clamp(wave * sharp, -1, 1)
        picture += rng.uniform(0.2, 0.8) * stripes * (_color(rng) - picture)
    return clamp(picture, 0.0, 1.2)


def _draw_thing(rng: np.random.Generator, picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Blend in one object: an ellipse, a board, or a face-sized, skin-coloured blob to mislead."""
    cx, cy = rng.uniform(-0.1, 1.1), rng.uniform(-0.1, 1.1)
    half_width, half_height = rng.uniform(0.03, 0.4), rng.uniform(0.03, 0.4)
    angle = rng.uniform(0, np.pi)
    softness = float(rng.choice((0.02, 0.1, 0.5)))
    color = _color(rng)
    if rng.random() < 0.2:
        color = color[0] * np.array([1.0, 0.62, 0.45], np.float32)[:, None, None]
    cosine, sine = math.cos(angle), math.sin(angle)
    u = ((x - cx) * cosine + (y - cy) * sine) / half_width
    v = ((y - cy) * cosine - (x - cx) * sine) / half_height
    distance = np.sqrt(u * u + v * v) if rng.random() < 0.6 else np.maximum(np.abs(u), np.abs(v))
    cover = smoothstep(distance, 1.0 + softness, 1.0 - softness) * rng.uniform(0.4, 1.0)
    shade = color * (0.75 + 0.25 * clamp(-v, -1, 1))
    picture += cover * (shade - picture)
