import numpy as np
import pytest

from keras_asm.synthetic._renderer.rasterizer import rasterize

SIZE = 40


def _inside(points: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The textbook test: a point is on the same side of all three edges."""
    signs = []
    for k in range(3):
        (ax, ay), (bx, by) = points[k], points[(k + 1) % 3]
        signs.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    return np.all(np.array(signs) <= 0, axis=0)


@pytest.mark.parametrize("seed", range(20))
def test_covers_the_pixels_inside_one_triangle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-10, SIZE + 10, (3, 2))
    (ax, ay), (bx, by), (cx, cy) = points
    if (bx - ax) * (cy - ay) - (cx - ax) * (by - ay) > 0:
        points = points[::-1].copy()
    pixel, triangle, weights = rasterize(points, np.arange(3.0), np.array([[0, 1, 2]]), SIZE)
    y, x = np.mgrid[:SIZE, :SIZE]
    expected = _inside(points, x, y)
    found = np.zeros(SIZE * SIZE, bool)
    found[pixel] = True
    assert (found.reshape(SIZE, SIZE) != expected).sum() <= 1  # a pixel centre within 1e-4 of an edge
    assert (triangle == 0).all()
    # Weights bring back the pixel's own position.
    position = weights.T @ points
    np.testing.assert_allclose(position, np.stack([pixel % SIZE, pixel // SIZE], axis=1), atol=2e-3)


def test_leaves_out_back_faces_and_what_is_outside() -> None:
    points = np.array([[5, 5], [5, 20], [20, 5], [-9, -9], [-9, -5], [-5, -9]], float)
    front, _, _ = rasterize(points, np.zeros(6), np.array([[0, 1, 2]]), SIZE)
    back, _, _ = rasterize(points, np.zeros(6), np.array([[0, 2, 1], [3, 4, 5]]), SIZE)
    assert len(front) == 16 * 17 // 2
    assert len(back) == 0


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_triangle_wins_pixel_by_pixel(order: tuple[int, int]) -> None:
    # Two triangles over the same square half cross each other: nearness rises with x in one, falls in the other.
    points = np.array([[0, 0], [0, 30], [30, 0]] * 2, float)
    nearness = np.array([0.0, 0.0, 30.0, 20.0, 20.0, -10.0])
    triangles = np.array([[0, 1, 2], [3, 4, 5]])[list(order)]
    pixel, triangle, _ = rasterize(points, nearness, triangles, SIZE)
    rising = np.array(order)[triangle] == 0
    x = pixel % SIZE
    assert rising[x > 10.5].all()
    assert not rising[x < 9.5].any()


def test_a_mesh_has_no_holes() -> None:
    # A jittered grid covers its hull: every pixel well inside is drawn.
    rng = np.random.default_rng(1)
    y, x = np.mgrid[2:38:13j, 2:38:13j]
    points = np.stack([x, y], axis=-1)
    points[1:-1, 1:-1] += rng.uniform(-0.9, 0.9, (11, 11, 2))
    corner = (np.arange(12)[:, None] * 13 + np.arange(12)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 13, corner + 1], 1), np.stack([corner + 14, corner + 1, corner + 13], 1)]
    )
    pixel, _, _ = rasterize(points.reshape(-1, 2), rng.normal(size=169), triangles, SIZE)
    drawn = np.zeros((SIZE, SIZE), bool)
    drawn.ravel()[pixel] = True
    assert drawn[2:39, 2:39].all()
    assert drawn.sum() == 37 * 37
