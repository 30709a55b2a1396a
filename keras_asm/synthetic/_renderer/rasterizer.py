"""Triangles to pixels, all at once."""

import numpy as np

__all__ = ["rasterize"]

_TOLERANCE = 1e-4  # pixels on a shared edge belong to both triangles: no holes


def rasterize(
    points: np.ndarray, nearness: np.ndarray, triangles: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the front-most triangle of every pixel of a square picture.

    Triangles are counter-clockwise with y up, seen from the camera; others show their back and are left out.
    Each triangle is cut into the spans of its picture rows, all spans are laid out in one array of candidate
    pixels, and these are written far to near, so that the nearest stays.

    Args:
        points: `(V, 2)` pixel coordinates (x right, y down, pixel centres at whole numbers).
        nearness: `(V,)`, larger is nearer to the camera.
        triangles: `(T, 3)` vertex indices.
        size: Side of the picture.

    Returns:
        Flat indices of the covered pixels `(P,)`, their triangles `(P,)` and barycentric weights `(3, P)`.
    """
    points = np.ascontiguousarray(points.T, dtype=np.float32)
    corners = np.ascontiguousarray(triangles.T)
    (ax, bx, cx), (ay, by, cy) = points[0].take(corners), points[1].take(corners)
    top = np.ceil(np.minimum(np.minimum(ay, by), cy))
    bottom = np.floor(np.maximum(np.maximum(ay, by), cy))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    kept = np.flatnonzero((area < -1e-5) & (bottom >= top) & (bottom >= 0) & (top < size))
    ax, bx, cx, ay, by, cy, area = (value.take(kept) for value in (ax, bx, cx, ay, by, cy, area))
    top = np.maximum(top.take(kept), 0.0)
    n_rows = (np.minimum(bottom.take(kept), size - 1) - top).astype(np.intp) + 1

    # The weight of a corner is linear in the picture: offset + x slope_x + y slope_y.
    scale = 1.0 / area
    slope_x = np.stack([(by - cy) * scale, (cy - ay) * scale, (ay - by) * scale])
    slope_y = np.stack([(cx - bx) * scale, (ax - cx) * scale, (bx - ax) * scale])
    # Weights are taken from the top row's left end, near the triangle: float32 would lose digits far away.
    offset = np.stack([np.ones_like(ax), np.zeros_like(ax), np.zeros_like(ax)])
    offset += (top - ay) * slope_y
    slope_x[slope_x == 0.0] = 1e-12

    owner = np.repeat(np.arange(len(kept), dtype=np.intp), n_rows)
    first_row = np.cumsum(n_rows, dtype=np.intp) - n_rows
    down = np.arange(len(owner), dtype=np.intp) - first_row.take(owner)
    y = top.take(owner).astype(np.intp) + down
    reach = offset + np.float32(1e-5)  # else rounding drops the pixels on a level edge
    left = np.full(len(owner), -np.inf, dtype=np.float32)
    right = np.full(len(owner), np.inf, dtype=np.float32)
    for k in range(3):
        slope = slope_x[k].take(owner)
        # x - ax where the corner's weight is 0
        crossing = (reach[k].take(owner) + down * slope_y[k].take(owner)) / -slope
        rising = slope > 0
        left = np.where(rising, np.maximum(left, crossing), left)
        right = np.where(rising, right, np.minimum(right, crossing))
    anchor = ax.take(owner)
    left = np.maximum(np.ceil(left + anchor - _TOLERANCE), 0.0).astype(np.intp)
    right = np.minimum(np.floor(right + anchor + _TOLERANCE), size - 1.0).astype(np.intp)
    count = np.maximum(right - left + 1, 0)

    span = np.repeat(np.arange(len(owner), dtype=np.intp), count)
    first_pixel = np.cumsum(count, dtype=np.intp) - count
    x = np.arange(len(span), dtype=np.intp) + (left - first_pixel).take(span)
    pixel = x + (y * size).take(span)
    depth_of = nearness.astype(np.float32).take(corners.take(kept, axis=1))
    depth_slope, depth_down, depth_top = (
        plane[0] * depth_of[0] + plane[1] * depth_of[1] + plane[2] * depth_of[2]
        for plane in (slope_x, slope_y, offset)
    )
    slope = depth_slope.take(owner)
    depth = (depth_top.take(owner) + down * depth_down.take(owner) - anchor * slope).take(span)
    depth += x * slope.take(span)
    # 16 bits are sorted by radix, several times faster than floats, and resolve 0.02 mm.
    low, high = float(nearness.min()), float(nearness.max())
    depth = np.clip((depth - low) * (65535.0 / max(high - low, 1e-6)), 0.0, 65535.0)
    order = np.argsort(depth.astype(np.uint16), kind="stable")
    front = np.full(size * size, -1, dtype=np.intp)
    front[pixel.take(order)] = order

    covered = np.flatnonzero(front >= 0)
    entry = front.take(covered)
    row = span.take(entry)
    triangle = owner.take(row)
    right_of = x.take(entry) - anchor.take(row)
    down_of = down.take(row)
    weights = np.empty((3, len(entry)), dtype=np.float32)
    for k in range(2):
        weights[k] = (
            offset[k].take(triangle)
            + right_of * slope_x[k].take(triangle)
            + down_of * slope_y[k].take(triangle)
        )
    weights[2] = 1.0 - weights[0] - weights[1]
    return covered, kept.take(triangle), weights
