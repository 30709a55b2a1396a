"""What lies between the scene and the stored picture: occluders, blur, exposure, noise."""

import numpy as np

from .noise import sample_noise
from .numerics import clamp, smoothstep

__all__ = ["develop", "draw_occluder", "pad_edges"]


def draw_occluder(rng: np.random.Generator, picture: np.ndarray, box: np.ndarray, skin: np.ndarray) -> None:
    """Sometimes cover a part of the face with a board, a ball or a hand; `box` is x0, y0, x1, y1 in pixels."""
    kind = rng.choice(("none", "board", "ball", "hand"), p=(0.86, 0.05, 0.03, 0.06))
    if kind == "none":
        return
    size = picture.shape[1]
    axis = np.arange(size, dtype=np.float32)
    x, y = axis[None, :], axis[:, None]
    width, height = box[2] - box[0], box[3] - box[1]
    # Things come from the edges of the face, not from its middle.
    angle = rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.42, 0.62)
    cx = 0.5 * (box[0] + box[2]) + reach * width * np.cos(angle)
    cy = 0.5 * (box[1] + box[3]) + reach * height * np.sin(angle)
    scale = rng.uniform(0.14, 0.3) * width
    if kind == "hand":
        _draw_hand(rng, picture, x, y, (cx, cy), scale, skin)
        return
    color = rng.uniform(0.0, 0.8, 3).astype(np.float32) ** 2
    turn = rng.uniform(0, np.pi)
    u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / scale
    v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / (scale * rng.uniform(0.4, 1.6))
    edge = 1.0 / scale
    if kind == "ball":
        distance = np.sqrt(u * u + v * v)
        shade = 0.35 + 0.65 * np.sqrt(clamp(1.0 - distance**2, 0.0, 1.0))
    else:
        distance = np.maximum(np.abs(u), np.abs(v))
        grain = sample_noise(u * 9 + 0 * v, v * 9 + 0 * u, 1.0, rng.integers(0, 256, 2))
        shade = 0.9 + 0.12 * grain + 0.1 * v
    cover = smoothstep(distance, 1.0 + edge, 1.0 - edge)
    picture += cover * (color[:, None, None] * shade - picture)


def _draw_hand(
    rng: np.random.Generator,
    picture: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    center: tuple[float, float],
    scale: float,
    skin: np.ndarray,
) -> None:
    """Four fingers and a palm as rounded bars, lit from the picture's top left."""
    turn = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    across = np.array([-along[1], along[0]])
    radius = 0.24 * scale
    bars = [(-0.7 * along * scale, 0.1 * along * scale, 0.62 * scale)]
    for k, length in enumerate(rng.uniform(0.9, 1.25) * np.array([0.85, 1.0, 0.95, 0.75])):
        root = across * (k - 1.5) * 2.05 * radius
        bars.append((root, root + along * length * scale * 1.3, radius))
    nearest = np.full(picture.shape[1:], np.inf, dtype=np.float32)
    shade = np.zeros(picture.shape[1:], dtype=np.float32)
    for start, stop, thickness in bars:
        px, py = x - center[0] - start[0], y - center[1] - start[1]
        dx, dy = stop - start
        t = clamp((px * dx + py * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        rx, ry = (px - t * dx) / thickness, (py - t * dy) / thickness
        distance = np.sqrt(rx * rx + ry * ry)
        closer = distance * thickness - thickness < nearest
        nearest = np.where(closer, distance * thickness - thickness, nearest)
        bulge = np.sqrt(clamp(1.0 - distance**2, 0.0, 1.0))
        shade = np.where(closer, 0.3 + 0.5 * bulge - 0.15 * (rx + ry), shade)
    cover = smoothstep(nearest, 0.6, -0.6)
    picture += cover * (0.95 * skin[:, None, None] * shade - picture)


def develop(rng: np.random.Generator, picture: np.ndarray, scale: float) -> np.ndarray:
    """Linear RGB to uint8: blur, white balance, exposure, tone curve, noise. `scale` is pixels per 96."""
    blur = rng.exponential(0.24) * scale
    if rng.random() < 0.04:
        blur += rng.uniform(0.5, 1.2) * scale
    if blur > 0.25:
        picture = _blur(picture, blur)
    balance = np.exp(
        rng.normal(0.0, rng.choice((0.05, 0.2), p=(0.75, 0.25))) * np.array([1.0, 0.0, -1.0])
        + rng.normal(0.0, 0.012, 3)
    )
    exposure = np.exp(rng.normal(0.1, 0.28))
    picture = np.clip(picture * (balance * exposure).astype(np.float32)[:, None, None], 0.0, None)
    # A film-like shoulder keeps highlights from clipping flat.
    picture = picture * (1.0 + 0.25 * picture) / (1.0 + 0.62 * picture)
    picture = clamp(picture, 0.0, 1.0) ** np.float32(1.0 / 2.2)
    picture = picture ** np.float32(np.exp(rng.normal(0.05, 0.16)))
    contrast, pivot = rng.normal(1.12, 0.15), 0.45
    picture = pivot + (picture - pivot) * np.float32(contrast) + np.float32(rng.normal(0.0, 0.03))
    if rng.random() < 0.12:
        grey = 0.3 * picture[0] + 0.59 * picture[1] + 0.11 * picture[2]
        picture = np.stack([grey, grey, grey])
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    picture = picture + np.float32(np.clip(rng.exponential(0.007), 0.002, 0.04)) * noise
    return (clamp(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def pad_edges(rng: np.random.Generator, image: np.ndarray, box: np.ndarray) -> None:
    """Sometimes repeat a row or column outwards, as a crop does that reaches beyond its photograph."""
    share = rng.uniform(0.0, 0.95, 4)
    padded = rng.random(4) < (0.07, 0.04, 0.07, 0.12)
    size = len(image)
    left, top, right, bottom = (
        int(part * max(room, 0.0))
        for part, room in zip(share, (box[0], box[1], size - 1 - box[2], size - 1 - box[3]), strict=True)
    )
    if padded[0]:
        image[:, :left] = image[:, left, None]
    if padded[1]:
        image[:top] = image[top]
    if padded[2]:
        image[:, size - right :] = image[:, size - 1 - right, None]
    if padded[3]:
        image[size - bottom :] = image[size - 1 - bottom]


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    reach = max(1, int(np.ceil(2.5 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    n = picture.shape[1]
    for axis in (1, 2):
        padded = np.pad(picture, [(reach, reach) if k == axis else (0, 0) for k in range(3)], mode="edge")
        picture = sum(
            weight * (padded[:, k : k + n] if axis == 1 else padded[:, :, k : k + n])
            for k, weight in enumerate(kernel)
        )
    return picture
