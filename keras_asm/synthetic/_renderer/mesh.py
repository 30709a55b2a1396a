"""The head as one grid of vertices, in millimetres, with its shape modes.

Origin between the ear canals at the height of the eyes' outer corners; x to the image's right, y up,
z toward the camera. Rows of the grid are sections of the head, from the crown down along the front profile
to the throat; a section is not level: from the nose down it rises toward the ear, as the jaw does. Columns
are azimuths, 0 in front. Sizes are round anthropometric averages of adults (head 150 wide, 195 long).
"""

import functools
from dataclasses import dataclass

import numpy as np

from .numerics import blob, monotone_cubic, smoothstep

__all__ = ["HeadMesh", "MeshPoints", "grid_normals", "grid_triangles", "head_mesh"]

# One section per line: height q by which it is called, where it crosses the front profile (y, z), the side
# (x, y, z) and the back (y, z), and the exponents (a, b) of its front half, z ~ (1 - |x|^a)^b.
_SECTIONS = np.array(
    [
        (120, 118, -6, 0.5, 118, -8, 118, -10, 2.0, 0.5),
        (112, 113, 24, 29, 114, -8, 112, -40, 2.0, 0.5),
        (102, 103, 49, 47, 104, -8, 100, -63, 2.0, 0.5),
        (86, 87, 71, 61, 90, -8, 84, -82, 2.1, 0.48),
        (66, 66, 86, 71, 70, -7, 62, -94, 2.2, 0.47),
        (46, 46, 92, 75, 50, -6, 38, -99, 2.4, 0.44),
        (28, 28, 93, 76, 32, 0, 14, -98, 2.4, 0.46),
        (12, 12, 90, 76, 14, 3, -8, -93, 2.3, 0.48),
        (0, 0, 87, 76.5, 0, 5, -24, -86, 2.2, 0.50),
        (-15, -15, 86, 76, -13, 7, -40, -78, 2.2, 0.52),
        (-30, -30, 88, 75.5, -25, 9, -54, -70, 2.2, 0.55),
        (-45, -45, 90, 74.5, -37, 12, -66, -64, 2.2, 0.60),
        (-58, -58, 92, 73.5, -46, 14, -76, -60, 2.1, 0.65),
        (-70, -70, 92, 72, -54, 16, -84, -58, 2.1, 0.72),
        (-84, -84, 90, 70, -61, 19, -92, -57, 2.1, 0.80),
        (-98, -98, 90, 67.5, -67, 21, -100, -56, 2.0, 0.90),
        (-110, -110, 88, 65, -71, 23, -106, -56, 2.0, 0.98),
        (-117, -116.5, 81, 62.5, -74, 24, -110, -56, 2.0, 1.0),
        (-124, -118, 70, 59, -80, 20, -114, -56, 2.0, 1.0),
        (-138, -114, 50, 54, -92, 8, -122, -56, 2.0, 0.9),
        (-156, -112, 32, 48, -104, -4, -130, -56, 2.0, 0.7),
    ]
)[::-1]

_ROWS = np.concatenate(
    [
        np.linspace(120, 50, 9),
        np.linspace(44, 30, 4),
        np.linspace(26, -57, 24),
        np.linspace(-60, -76.5, 12),  # dense where the lips part
        np.linspace(-79.5, -117, 11),
        [-120.0, -124.0, -131.0, -140.0, -156.0],
    ]
)
_FRONT = np.deg2rad(np.concatenate([np.linspace(0, 48, 16), np.linspace(53, 90, 8)]))
_BACK = np.deg2rad(np.linspace(105, 180, 6))
_HALF = np.concatenate([_FRONT, _BACK])
_COLUMNS = np.concatenate([-_HALF[:0:-1], _HALF])

# Jaw points 0-8 (the image's left half), as (canonical height, azimuth of the anatomical point).
_JAW = ((-3.5, 88.0), (-23.5, 88.0), (-43.0, 88.0), (-62.5, 86.0), (-80.5, 74.0))
_JAW_EDGE = (52.5, 34.0, 16.8, 0.0)  # points 5-8 lie on the section of the jaw's lower edge
_JAW_EDGE_ROW = -117.0
_LOWER_FACE = 0.955  # heights below the eyes, against those in the table
_ARC_STEPS = 24
# As a face turns, annotators space the points of its far outline more evenly, so that they lie higher than the jaw's
# level, and those of the near side lower, where the jaw stands out from the neck. Shares of points 0-8; mm per arc.
_FAR_RISE = (-0.25, 0.15, 0.5, 0.85, 1.0, 0.95, 0.6, 0.1, 0.0)
_NEAR_FALL = (-0.4, 0.0, 0.65, 0.9, 1.1, 0.8, 0.45, 0.3, 0.0)
_RISE_PER_ARC, _HIGHEST_RISE, _FALL_AT_90 = 45.0, 12.0, 13.0
_ARC_INNER_X = 24.0  # an arc stops beside the nose: the nose is not a contour of the face


@dataclass(frozen=True)
class MeshPoints:
    """Points on a mesh's triangles: three vertices and their weights for each."""

    vertices: np.ndarray
    weights: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values `(V, k)` at the vertices, interpolated at the points: `(..., k)`."""
        corners = values.take(self.vertices, axis=0)
        w = self.weights[..., None]
        return (
            corners[..., 0, :] * w[..., 0, :]
            + corners[..., 1, :] * w[..., 1, :]
            + corners[..., 2, :] * w[..., 2, :]
        )


@dataclass(frozen=True)
class HeadMesh:
    """The average head and the directions in which heads differ."""

    rows: np.ndarray  # (R,) section heights, falling
    columns: np.ndarray  # (C,) azimuths, rising, radians
    vertices: np.ndarray  # (R, C, 3)
    normals: np.ndarray  # (R, C, 3)
    front: np.ndarray  # (R, C, 2): x and section height, the plane in which a face is painted
    half_width: np.ndarray  # (R,)
    triangles: np.ndarray  # (T, 3), counter-clockwise seen from outside
    mode_names: tuple[str, ...]
    modes: np.ndarray  # (K, R * C * 3) displacement in mm for a coefficient of 1
    jaw_arcs: MeshPoints  # (17, steps): from the anatomical jaw point inwards
    jaw_slides: MeshPoints  # (17, steps): where the jaw point lies on the near side, by the sine of the turn

    def locate(self, x: np.ndarray, q: np.ndarray) -> MeshPoints:
        """Find points of the painting plane (front half) on the mesh."""
        row = np.interp(-q, -self.rows, np.arange(len(self.rows)))
        half_width = np.interp(row, np.arange(len(self.rows)), self.half_width)
        azimuth = np.arcsin(np.clip(x / half_width, -1.0, 1.0))
        return self.at(row, azimuth)

    def at(self, row: np.ndarray, azimuth: np.ndarray) -> MeshPoints:
        """Find fractional rows and azimuths on the mesh."""
        n_rows, n_columns = self.vertices.shape[:2]
        # Linear in sin(azimuth), as x is along the edge between two columns.
        return _mesh_points(row, _fractional_column(azimuth, self.columns), n_rows, n_columns)


def _fractional_column(azimuth: np.ndarray, columns: np.ndarray) -> np.ndarray:
    left = np.clip(np.searchsorted(columns, azimuth, side="right") - 1, 0, len(columns) - 2)
    start, stop = np.sin(columns[left]), np.sin(columns[left + 1])
    return left + np.clip((np.sin(azimuth) - start) / (stop - start), 0.0, 1.0)


def _mesh_points(row: np.ndarray, column: np.ndarray, n_rows: int, n_columns: int) -> MeshPoints:
    i = np.clip(row.astype(int), 0, n_rows - 2)
    j = np.clip(column.astype(int), 0, n_columns - 2)
    v, u = row - i, column - j
    # Cells right of the middle are mirrored, as in `grid_triangles`.
    mirrored = j >= (n_columns - 1) // 2
    u = np.where(mirrored, 1.0 - u, u)
    outer = i * n_columns + j + mirrored
    inner = i * n_columns + j + ~mirrored
    # A cell is cut from its lower outer to its upper inner corner.
    upper = u + v <= 1.0
    vertices = np.stack([np.where(upper, outer, inner + n_columns), inner, outer + n_columns], axis=-1)
    to_inner = np.where(upper, u, 1.0 - v)
    to_below = np.where(upper, v, 1.0 - u)
    weights = np.stack([1.0 - to_inner - to_below, to_inner, to_below], axis=-1)
    return MeshPoints(vertices, weights.astype(np.float32))


@functools.cache
def grid_triangles(n_rows: int, n_columns: int) -> np.ndarray:
    """Two triangles per cell of a grid whose rows go down and whose columns go right, seen from outside.

    The right half mirrors the left half, so that a symmetric grid stays symmetric between its vertices.
    """
    column = np.arange(n_columns - 1)
    corner = np.arange(n_rows - 1)[:, None] * n_columns + column
    left, right = (
        corner[:, column < (n_columns - 1) // 2].ravel(),
        corner[:, column >= (n_columns - 1) // 2].ravel(),
    )
    return np.concatenate(
        [
            np.stack([left, left + n_columns, left + 1], axis=1),
            np.stack([left + n_columns + 1, left + 1, left + n_columns], axis=1),
            np.stack([right + 1, right, right + n_columns + 1], axis=1),
            np.stack([right + n_columns, right + n_columns + 1, right], axis=1),
        ]
    )


def grid_normals(grid: np.ndarray, closed: bool = True) -> np.ndarray:
    """Unit vertex normals of a grid `(R, C, 3)`; if closed, its first and last column coincide."""
    across = np.empty_like(grid)
    across[:, 1:-1] = grid[:, 2:] - grid[:, :-2]
    if closed:
        across[:, 0] = across[:, -1] = grid[:, 1] - grid[:, -2]
    else:
        across[:, 0], across[:, -1] = grid[:, 1] - grid[:, 0], grid[:, -1] - grid[:, -2]
    down = np.empty_like(grid)
    down[1:-1] = grid[2:] - grid[:-2]
    down[0], down[-1] = grid[1] - grid[0], grid[-1] - grid[-2]
    normal = np.empty_like(grid)
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        normal[..., k] = down[..., i] * across[..., j] - down[..., j] * across[..., i]
    length = np.sqrt(np.einsum("...k,...k->...", normal, normal))
    return normal / np.maximum(length, 1e-6)[..., None]


def _ellipsoid_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The head without a face: `(R, C, 3)`, painting plane `(R, C, 2)`, half widths `(R,)`."""
    table = monotone_cubic(_ROWS, _SECTIONS[:, 0], _SECTIONS[:, 1:])
    front_y, front_z, side_x, side_y, side_z, back_y, back_z, a, b = (c[:, None] for c in table.T)
    x = np.sin(_COLUMNS)[None]
    in_front = np.abs(_COLUMNS)[None] <= np.pi / 2 + 1e-9
    inside = np.clip(1.0 - np.abs(x) ** np.where(in_front, a, 2.2), 0.0, 1.0)
    bulge = inside ** np.where(in_front, b, 0.46)
    lift = np.clip(1.0 - x * x, 0.0, 1.0) ** np.where(in_front, 0.6, 1.0)
    grid = np.empty((len(_ROWS), len(_COLUMNS), 3))
    grid[..., 0] = side_x * x
    grid[..., 1] = side_y + (np.where(in_front, front_y, back_y) - side_y) * lift
    grid[..., 1] *= np.where(grid[..., 1] < 0, _LOWER_FACE, 1.0)
    grid[..., 2] = side_z + (np.where(in_front, front_z, back_z) - side_z) * bulge
    # Behind the ears the painting plane goes on outward, so that no point behind is painted as one in front.
    behind = np.clip(np.abs(_COLUMNS) - np.pi / 2, 0.0, None) * np.sign(_COLUMNS) * 70.0
    front = np.empty((*grid.shape[:2], 2))
    front[..., 0] = np.where(in_front, grid[..., 0], side_x * np.sign(x) + behind)
    front[..., 1] = _ROWS[:, None]
    return grid, front, table[:, 2]


def _add_face(grid: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Raise nose, brow ridge, cheekbones and chin and sink the eye sockets."""
    x, q = front[..., 0], front[..., 1]
    side = np.abs(x)
    grid = grid.copy()
    z = grid[..., 2]
    z -= 9.0 * blob(side, q, (30, 2), (13, 9))
    z += 4.6 * blob(side, q, (32, 0.5), (9.5, 7))  # the eyeball under its lids
    z += 0.6 * blob(side, q, (30, 20), (19, 6)) + 2.0 * blob(side, q, (0, 20), (12, 9))
    z += 8.0 * blob(side, q, (62, 12), (8, 10))
    z -= 7.0 * blob(side, q, (15, 0), (11, 10))
    z += 3.5 * blob(side, q, (47, -22), (15, 12)) + 2.5 * blob(side, q, (32, -34), (13, 11))
    z -= 2.5 * blob(side, q, (34, -52), (10, 14))
    z -= 2.5 * blob(side, q, (0, -91), (20, 5)) - 4.0 * blob(side, q, (0, -105), (15, 8))
    z -= 6.5 * blob(side, q, (12, -46), (7, 7)) + 6.0 * blob(side, q, (27, -67), (9, 10))
    z += 1.8 * blob(side, q, (0, -74), (15, 11))
    z += _nose_relief(x, q)
    return grid


def _nose_relief(x: np.ndarray, q: np.ndarray) -> np.ndarray:
    heights = np.array([14.0, 2, -11, -22, -30, -35, -39, -43, -47, -53])[::-1]
    ridge = np.array([0.0, 8, 15.5, 20.5, 23.5, 24.5, 22.5, 15, 7, 0])[::-1]
    widths = np.array([9.0, 7, 8, 9, 10.5, 11.5, 12, 11, 9, 8])[::-1]
    height = monotone_cubic(np.clip(q, -53, 14), heights, ridge)
    width = monotone_cubic(np.clip(q, -53, 14), heights, widths)
    relief = height * np.exp(-((np.abs(x) / width) ** 2.1))
    wings = 8.5 * blob(np.abs(x), q, (12.3, -40.2), (3.9, 5.0))
    return relief + wings


def _modes(grid: np.ndarray, front: np.ndarray) -> dict[str, np.ndarray]:
    """Displacement fields in mm; a coefficient of 1 is about one standard deviation among adults."""
    x, y, z = (grid[..., k] for k in range(3))
    p, q = front[..., 0], front[..., 1]
    side, sign = np.abs(p), np.sign(p)
    zero = np.zeros_like(x)
    face = smoothstep(z, -10.0, 30.0)

    def field(dx: np.ndarray = zero, dy: np.ndarray = zero, dz: np.ndarray = zero) -> np.ndarray:
        return np.stack([dx, dy, dz], axis=-1)

    low = smoothstep(q, 0.0, -105.0)
    nose = np.exp(-((side / 19.0) ** 4)) * smoothstep(q, 12.0, 0.0)
    tip = blob(side, q, (0, -40), (13, 12))
    wing = blob(side, q, (13, -44), (7, 7))
    eye = smoothstep(side, 4.0, 24.0) * smoothstep(side, 72.0, 50.0) * blob(side, q, (32, 4), (60, 14))
    mouth = blob(side, q, (0, -71), (34, 13)) * face
    away = field(dx=sign * 0.75 + 0 * x, dz=0.66 + 0 * x)  # outward on the cheeks
    return {
        "head_width": field(dx=0.045 * x),
        "head_depth": field(dz=0.05 * z),
        "face_length": field(dy=np.where(y < 0, 0.052, 0.02) * y),
        "jaw_width": field(dx=0.062 * x * low),
        "chin_width": field(dx=0.16 * x * blob(side, q, (22, -112), (20, 14))),
        "chin_length": field(dy=-4.6 * smoothstep(q, -84.0, -112.0) * smoothstep(z, 20.0, 60.0)),
        "chin_forward": field(dz=3.5 * smoothstep(q, -78.0, -108.0) * smoothstep(z, 20.0, 70.0)),
        "cheek_full": 3.6 * blob(side, q, (47, -58), (17, 24))[..., None] * away * face[..., None],
        "cheekbone": 3.0 * blob(side, q, (50, -20), (16, 12))[..., None] * away * face[..., None],
        "forehead_height": field(dy=6.0 * smoothstep(q, 24.0, 118.0)),
        "forehead_slope": field(dz=-5.0 * smoothstep(q, 28.0, 100.0) * face),
        "brow_ridge": field(dz=2.2 * (blob(side, q, (28, 18), (18, 6)) + blob(side, q, (0, 19), (13, 8)))),
        "nose_length": field(dy=-2.7 * nose * smoothstep(q, 8.0, -38.0) * smoothstep(q, -66.0, -50.0)),
        "nose_width": field(dx=0.11 * x * (wing + 0.6 * tip)),
        "nose_height": field(dz=0.16 * _nose_relief(p, q)),
        "nose_hump": field(dz=2.2 * blob(side, q, (0, -12), (8, 8))),
        "nose_tip_up": field(dy=2.0 * tip),
        "lower_face_skew": field(dx=2.0 * low),
        "chin_skew": field(dx=2.4 * blob(zero, q, (0, -112), (1, 16)) * face),
        "mouth_skew": field(dy=0.075 * p * mouth),
        "nose_bend": field(dx=1.3 * tip + 1.2 * mouth),
        "eye_spacing": field(dx=2.0 * sign * eye),
        "eye_height": field(dy=1.8 * eye),
        "eye_depth": field(dz=-2.0 * blob(side, q, (31, 2), (15, 9))),
        "mouth_height": field(dy=2.7 * mouth),
        "mouth_forward": field(dz=2.6 * mouth),
        "smile": field(
            dx=sign * 1.5 * blob(side, q, (34, -60), (12, 14)),
            dy=3.6 * blob(side, q, (38, -42), (15, 13)),
            dz=3.4 * blob(side, q, (38, -40), (13, 12)) - 2.0 * blob(side, q, (32, -66), (8, 10)),
        ),
        "brow_raise": field(dy=3.0 * blob(side, q, (32, 22), (34, 13)) * face),
        "frown": field(
            dx=-sign * 1.6 * blob(side, q, (12, 18), (10, 7)), dy=-2.2 * blob(side, q, (12, 18), (12, 7))
        ),
        **_waves(p, q, face),
    }


def _waves(p: np.ndarray, q: np.ndarray, face: np.ndarray) -> dict[str, np.ndarray]:
    """Smooth displacements in every direction, for what the named modes leave out, unevenness among it."""
    across, along = p * (np.pi / 75.0), (q + 45.0) * (np.pi / 75.0)
    patterns = (
        np.cos(along),
        np.sin(along),
        np.sin(2.0 * along),
        np.sin(across),
        np.sin(across) * np.cos(along),
        np.sin(across) * np.sin(along),
        np.cos(across) * np.cos(2.0 * along),
    )
    return {
        f"wave_{axis}{k}": np.stack([size * pattern * face * (i == j) for j in range(3)], axis=-1)
        for i, (axis, size) in enumerate((("x", 0.7), ("y", 0.8), ("z", 0.7)))
        for k, pattern in enumerate(patterns)
    }


def _jaw_arcs(grid: np.ndarray) -> tuple[MeshPoints, MeshPoints]:
    """Curves on the bare head from each jaw point inward, the slices of landmark marching, and down."""
    n_rows, n_columns = grid.shape[:2]
    steps = np.linspace(0.0, 1.0, _ARC_STEPS)
    rows, columns = np.empty((2, 17, _ARC_STEPS)), np.empty((2, 17, _ARC_STEPS))
    anchors = [(height, np.deg2rad(azimuth)) for height, azimuth in _JAW]
    edge_row = np.interp(-_JAW_EDGE_ROW, -_ROWS, np.arange(n_rows))
    for degrees in _JAW_EDGE:
        azimuth = np.deg2rad(degrees)
        column = np.interp(azimuth, _COLUMNS, np.arange(n_columns))
        heights = _column(grid[..., 1], column)
        anchors.append((float(np.interp(edge_row, np.arange(n_rows), heights)), azimuth))
    for k, (height, azimuth) in enumerate(anchors):
        # Between the anchor and the line beside the nose; near the chin the arc shrinks to the anchor.
        inner = min(float(np.sin(azimuth)), _ARC_INNER_X / 70.0)
        for s, t in enumerate(steps):
            angle = np.arcsin((1.0 - t) * np.sin(azimuth) + t * inner)
            rise = _FAR_RISE[k] * min(_RISE_PER_ARC * t, _HIGHEST_RISE)
            for curve, (along, lift) in enumerate(
                ((angle, rise), (azimuth, -_NEAR_FALL[k] * _FALL_AT_90 * t))
            ):
                here = float(_fractional_column(np.array(along), _COLUMNS))
                falling = _column(grid[..., 1], here)[: int(edge_row) + 2]
                row = np.interp(-height - lift, -falling, np.arange(len(falling)))
                for point, sign in ((k, -1.0), (16 - k, 1.0)):
                    rows[curve, point, s] = row
                    columns[curve, point, s] = _fractional_column(np.array(sign * along), _COLUMNS)
    arcs, slides = (_mesh_points(rows[k], columns[k], n_rows, n_columns) for k in range(2))
    return arcs, slides


def _column(values: np.ndarray, column: float) -> np.ndarray:
    left = min(int(column), values.shape[1] - 2)
    return values[:, left] + (column - left) * (values[:, left + 1] - values[:, left])


@functools.lru_cache(maxsize=1)
def head_mesh() -> HeadMesh:
    """Build the average head once."""
    bare, front, half_width = _ellipsoid_grid()
    grid = _add_face(bare, front)
    modes = _modes(grid, front)
    arcs, slides = _jaw_arcs(bare)
    return HeadMesh(
        rows=_ROWS,
        columns=_COLUMNS,
        vertices=grid.astype(np.float32),
        normals=grid_normals(bare).astype(np.float32),
        front=front.astype(np.float32),
        half_width=half_width,
        triangles=grid_triangles(*grid.shape[:2]),
        mode_names=tuple(modes),
        modes=np.stack([field.ravel() for field in modes.values()]).astype(np.float32),
        jaw_arcs=arcs,
        jaw_slides=slides,
    )
