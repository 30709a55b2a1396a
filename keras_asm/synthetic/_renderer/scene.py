"""Head, ears, neck, hair and glasses of one face as one set of triangles."""

import functools
from dataclasses import dataclass

import numpy as np

from .face_features import INNER_MOUTH, MOUTH_Q, face_points, lip_curves
from .hair import (
    CURTAIN_COLUMNS,
    above_hairline,
    covers_ears,
    curtain,
    hair_thickness,
)
from .head_parameters import HeadParameters
from .mesh import HeadMesh, grid_normals, grid_triangles, head_mesh
from .numerics import clamp, smoothstep

__all__ = ["Scene", "build_scene", "rotation_matrix"]

# Numbers of the materials; the renderer has one painter for each, in this order.
HEAD, EAR, BODY, CURTAIN, GLASSES, LENS = range(6)

# height, depth, half width, half depth of the neck's and shoulders' rings; share of the body's motion
_BODY_RINGS = np.array(
    [
        (-56, -12, 40, 40, 0.0),
        (-84, -18, 45, 45, 0.1),
        (-104, -22, 47, 47, 0.3),
        (-122, -26, 48, 49, 0.6),
        (-138, -30, 51, 52, 0.85),
        (-152, -34, 60, 55, 1.0),
        (-166, -37, 84, 60, 1.0),
        (-180, -39, 124, 66, 1.0),
        (-196, -41, 158, 72, 1.0),
        (-222, -42, 182, 80, 1.0),
        (-300, -44, 196, 90, 1.0),
        (-420, -44, 196, 90, 1.0),
    ],
    dtype=np.float32,
)
_JAW_HINGE = (-15.0, 5.0)  # y and z
_NECK_PIVOT = np.array([0.0, -95.0, -20.0], dtype=np.float32)


@dataclass(frozen=True)
class Scene:
    """Vertices in the camera's axes (x right, y up, z near; mm from the head's centre) and what is on them."""

    positions: np.ndarray  # (V, 3)
    normals: np.ndarray  # (V, 3)
    paint: np.ndarray  # (V, 4): painting plane and what else a part's painter needs
    triangles: np.ndarray  # (T, 3)
    materials: np.ndarray  # (T,) uint8
    landmarks: np.ndarray  # (68, 3)


def rotation_matrix(pose: np.ndarray) -> np.ndarray:
    """`Rx(pitch) Ry(yaw) Rz(roll)` of the pose contract, from degrees, y up and z toward the camera.

    `keras_asm.pose.rotation_from_pose` again, which a worker that loads these modules alone cannot import.
    """
    yaw, pitch, roll = np.deg2rad(np.asarray(pose, dtype=np.float64))
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def build_scene(head: HeadParameters) -> Scene:
    """Deform, dress, turn and join the parts."""
    mesh = head_mesh()
    shape = mesh.vertices.shape
    # Not `@`: BLAS would start threads, which cost more than the product where cores are busy.
    face = mesh.vertices + np.einsum("k,kv->v", head.modes, mesh.modes).reshape(shape)
    _raise_lips(face, head, mesh)
    if head.jaw_open > 0:
        _open_jaw(face, head, mesh)
    turn = rotation_matrix(head.pose).astype(np.float32)
    landmarks = _landmarks(face.reshape(-1, 3) @ turn.T, turn, head, mesh)

    above = above_hairline(head, mesh)
    grid = face + hair_thickness(head, mesh, above)[..., None] * mesh.normals
    paint = np.concatenate([_head_paint(), above.reshape(-1, 1)], axis=1)
    parts = [_Part(grid.reshape(-1, 3), grid_normals(grid).reshape(-1, 3), paint, mesh.triangles, HEAD)]
    if not covers_ears(head):
        parts += [_ear(side, face, mesh) for side in (-1, 1)]
    if head.hair in ("cap", "hat"):
        parts.append(_brim(head))
    if head.glasses != "none":
        parts += _glasses(head, face, mesh)
    for part in parts:
        part.positions = part.positions @ turn.T
        part.normals = part.normals @ turn.T
    body_turn = rotation_matrix(head.body_pose).astype(np.float32)
    parts.append(
        _body(turn, body_turn, float(head.modes[mesh.mode_names.index("head_width")]), head.neck_width)
    )
    hair = curtain(head)
    if hair is not None:
        positions, paint, triangles, loose = hair
        moved = _with_body(positions, loose[:, None], turn, body_turn)
        normals = grid_normals(moved.reshape(-1, CURTAIN_COLUMNS, 3), closed=False).reshape(-1, 3)
        parts.append(_Part(moved, normals, paint, triangles, CURTAIN))

    first = np.cumsum([0] + [len(part.positions) for part in parts])
    return Scene(
        positions=np.concatenate([part.positions for part in parts]),
        normals=np.concatenate([part.normals for part in parts]),
        paint=_stacked_paint(parts),
        triangles=np.concatenate([part.triangles + start for part, start in zip(parts, first, strict=False)]),
        materials=np.concatenate([np.full(len(part.triangles), part.material, np.uint8) for part in parts]),
        landmarks=landmarks,
    )


@dataclass
class _Part:
    positions: np.ndarray
    normals: np.ndarray
    paint: np.ndarray  # (V, up to 4)
    triangles: np.ndarray
    material: int


def _stacked_paint(parts: list[_Part]) -> np.ndarray:
    """Fill up with zeros to four columns."""
    paint = np.zeros((sum(len(part.paint) for part in parts), 4), dtype=np.float32)
    first = 0
    for part in parts:
        paint[first : first + len(part.paint), : part.paint.shape[1]] = part.paint
        first += len(part.paint)
    return paint


@functools.lru_cache(maxsize=1)
def _head_paint() -> np.ndarray:
    mesh = head_mesh()
    azimuth = np.broadcast_to(mesh.columns[None], mesh.front.shape[:2])
    return np.concatenate([mesh.front, azimuth[..., None]], axis=-1).reshape(-1, 3).astype(np.float32)


def _raise_lips(face: np.ndarray, head: HeadParameters, mesh: HeadMesh) -> None:
    """Give the lips their relief where this face's lips are, and hollow an open mouth."""
    near = np.flatnonzero((mesh.rows < -54) & (mesh.rows > -96))
    rows = slice(near[0], near[-1] + 1)
    x, q = mesh.front[rows, :, 0], mesh.front[rows, :, 1]
    t = x / head.mouth_width
    upper_outer, upper_inner, lower_inner, lower_outer = lip_curves(head, clamp(t, -1, 1))
    inside = clamp(1.0 - t * t, 0.0, 1.0)
    front = np.cos(mesh.columns)[None] > 0.2

    def ridge(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        center, half = 0.5 * (low + high), 0.5 * (high - low) + 1.3
        return np.exp(-(((q - center) / half) ** 2))

    relief = 4.0 * ridge(upper_inner, upper_outer) + 4.6 * ridge(lower_outer, lower_inner)
    relief *= inside**0.8
    hollow = np.exp(-(((q - 0.5 * (upper_inner + lower_inner)) / (0.5 * head.lip_gap + 1.6)) ** 2))
    relief -= hollow * (2.2 + 1.2 * head.lip_gap) * clamp(1.0 - (t / INNER_MOUTH) ** 2, 0.0, 1.0) ** 0.5
    corner = np.exp(-(((np.abs(t) - 1.0) / 0.2) ** 2) - ((q - MOUTH_Q - head.corner_lift) / 4.0) ** 2)
    face[rows, :, 2] += front * (relief - 2.6 * corner)


def _open_jaw(face: np.ndarray, head: HeadParameters, mesh: HeadMesh) -> None:
    """Turn the jaw about its hinge: the lips part where they meet, the corners and cheeks go half the way."""
    rows = slice(int(np.argmax(mesh.rows < -44)), None)
    x, q = mesh.front[rows, :, 0], mesh.front[rows, :, 1]
    t = clamp(x / head.mouth_width, -1.0, 1.0)
    _, upper_inner, lower_inner, _ = lip_curves(head, t)
    middle = 0.5 * (upper_inner + lower_inner)
    half = np.maximum(0.5 * (upper_inner - lower_inner), 0.3)
    parted = clamp(1.0 - (t / INNER_MOUTH) ** 2, 0.0, 1.0) ** 0.4
    share = smoothstep(q, middle + 17.0, middle - 21.0)
    share += parted * (smoothstep(q, middle + half, middle - half) - share)
    y, z = face[rows, :, 1].copy(), face[rows, :, 2].copy()
    share *= np.deg2rad(head.jaw_open) * smoothstep(z, -2.0, 14.0)
    face[rows, :, 1] -= share * (z - _JAW_HINGE[1])
    face[rows, :, 2] += share * (y - _JAW_HINGE[0])


def _landmarks(turned: np.ndarray, turn: np.ndarray, head: HeadParameters, mesh: HeadMesh) -> np.ndarray:
    """Interpolate the 68 points; those of the jaw move along their level curves to the visible contour."""
    arcs = mesh.jaw_arcs.of(turned)  # (17, steps, 3)
    across = turn[:2, 0] / np.hypot(*turn[:2, 0])  # the head's x axis in the picture
    outward = (arcs[..., :2] @ across) * np.where(np.arange(17) < 8, -1.0, 1.0)[:, None]
    outward[8] = 0.0
    jaw = arcs[np.arange(17), outward.argmax(axis=1)]
    slides = mesh.jaw_slides.of(turned)
    aside = float(turn[2, 0])  # sine of the angle by which the image's right side comes nearer
    near = np.arange(9, 17) if aside > 0 else np.arange(8)
    jaw[near] = slides[near, round(abs(aside) * (slides.shape[1] - 1))]
    return np.concatenate([jaw, face_points(head, mesh).of(turned)])


def _with_body(points: np.ndarray, share: np.ndarray, turn: np.ndarray, body_turn: np.ndarray) -> np.ndarray:
    """Turn points with the head (share 0), with the body (share 1), or between."""
    with_body = (points - _NECK_PIVOT) @ body_turn.T + turn @ _NECK_PIVOT
    return (1.0 - share) * (points @ turn.T) + share * with_body


def _body(turn: np.ndarray, body_turn: np.ndarray, width: float, neck: float) -> _Part:
    azimuth = np.linspace(-np.pi, np.pi, 41, dtype=np.float32)
    y, z, half_width, half_depth, share = (_BODY_RINGS[:, k, None] for k in range(5))
    half_width = half_width * np.where(y > -145, neck * (1.0 + 0.05 * width), 1.0)
    ring = np.empty((len(_BODY_RINGS), len(azimuth), 3), dtype=np.float32)
    ring[..., 0] = half_width * np.sin(azimuth)
    # The neckline is lower in front, the slope of the trapezius higher behind.
    slope = clamp((-y - 128.0) / 40.0, 0.0, 1.0)
    ring[..., 1] = y - slope * 14.0 * np.cos(azimuth) * np.exp(-((ring[..., 0] / 90.0) ** 2))
    ring[..., 2] = z + half_depth * np.cos(azimuth)
    flat = ring.reshape(-1, 3)
    paint = np.stack([flat[:, 0], flat[:, 1], np.broadcast_to(azimuth, ring.shape[:2]).ravel()], axis=1)
    moved = _with_body(flat, np.broadcast_to(share, ring.shape[:2]).reshape(-1, 1), turn, body_turn)
    normals = grid_normals(moved.reshape(ring.shape)).reshape(-1, 3)
    return _Part(moved, normals, paint, grid_triangles(*ring.shape[:2]), BODY)


@functools.lru_cache(maxsize=1)
def _ear_template() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An auricle as a disc of rings: `(along, up, out)` in mm, shade, triangles; the head's side is at out = 0."""
    radius = np.array([0.0, 0.25, 0.45, 0.62, 0.78, 0.9, 1.0, 1.03])[::-1]
    out = np.array([3.0, 3.5, 5.0, 8.0, 8.5, 12.0, 9.0, -4.0])[::-1]
    shade = np.array([0.35, 0.45, 0.62, 0.85, 0.72, 1.0, 0.95, 0.7])[::-1]
    angle = np.linspace(0, 2 * np.pi, 25)
    # Wide above, narrow at the lobe, leaning back.
    along = np.sin(angle) * (15.0 + 3.5 * np.cos(angle))
    up = np.cos(angle) * 30.0
    points = np.empty((len(radius), len(angle), 3))
    points[..., 0] = radius[:, None] * along - 0.18 * radius[:, None] * up
    points[..., 1] = radius[:, None] * up
    # Stands off behind, lies on the head in front.
    points[..., 2] = out[:, None] + 9.0 * radius[:, None] * clamp(-np.sin(angle), -0.9, 1.0)
    shades = np.broadcast_to(shade[:, None], points.shape[:2])
    return points.astype(np.float32), shades.astype(np.float32), grid_triangles(*points.shape[:2])


def _ear(side: int, face: np.ndarray, mesh: HeadMesh) -> _Part:
    template, shade, triangles = _ear_template()
    row = int(np.argmin(np.abs(mesh.rows + 10.0)))
    column = int(np.argmin(np.abs(mesh.columns - side * np.deg2rad(95.0))))
    root = face[row, column]
    grid = np.empty_like(template)
    grid[..., 0] = root[0] + side * (template[..., 2] - 5.0)
    grid[..., 1] = root[1] - 3.0 + template[..., 1]
    grid[..., 2] = root[2] - 6.0 + template[..., 0]
    if side > 0:
        triangles = triangles[:, ::-1]
    normals = grid_normals(grid).reshape(-1, 3) * -side
    paint = np.zeros((grid.shape[0] * grid.shape[1], 3), dtype=np.float32)
    paint[:, 2] = shade.ravel()
    return _Part(grid.reshape(-1, 3), normals, paint, triangles, EAR)


def _glasses(head: HeadParameters, face: np.ndarray, mesh: HeadMesh) -> list[_Part]:
    """Rims (and opaque lenses) before the eyes, a bridge and temples to the ears."""
    half_width, half_height, square, thick = head.glasses_shape
    bridge = mesh.locate(np.array([0.0]), np.array([-2.0])).of(face.reshape(-1, 3))[0]
    ear = np.abs(face[..., 0]).max() + 1.0
    angle = np.linspace(0, 2 * np.pi, 29)
    cosine, sine = np.cos(angle), np.sin(angle)
    radius = (np.abs(cosine) ** square + np.abs(sine) ** square) ** (-1.0 / square)
    rim = 1.1 if head.glasses == "rimless" else thick
    strips = []
    lenses = []
    for side in (-1, 1):
        center = np.array([side * (half_width + 9.0), bridge[1] - 1.0, bridge[2] - 1.0])
        outer = np.stack([radius * cosine * half_width, radius * sine * half_height, 0 * angle], axis=1)
        inner = outer * (1.0 - np.array([rim / half_width, rim / half_height, 0]))
        for ring in (outer, inner):
            ring[:, 2] = -0.004 * (ring[:, 0] + side * (half_width + 9.0)) ** 2  # wrapped around the face
        strips.append((center + outer, center + inner))
        if head.glasses == "dark":
            lenses.append((center + inner, np.broadcast_to(center - np.array([0.0, 0.0, 2.0]), inner.shape)))
        hinge = center + np.array([side * half_width, 0.35 * half_height, outer[0, 2]])
        end = np.array([side * ear, hinge[1] + 1.0, 5.0])
        lift = np.array([0.0, rim * 0.8, 0.0])
        temple = np.stack([hinge, 0.5 * (hinge + end) + (side * 2.0, 0, 0), end])
        strips.append((temple + lift, temple - lift))
    span = np.linspace(-9.5, 9.5, 7)
    arch = np.stack([span, bridge[1] + 3.0 - 0.02 * span**2, bridge[2] + 1.5 - 0.02 * span**2], axis=1)
    half_bar = np.array([0.0, rim * 0.6, 0.0])
    strips.append((arch + half_bar, arch - half_bar))
    parts = [_strip(upper, lower, GLASSES) for upper, lower in strips]
    return parts + [_strip(upper, lower, LENS) for upper, lower in lenses]


def _brim(head: HeadParameters) -> _Part:
    """The visor of a cap, or a hat's brim all around."""
    if head.hair == "cap":
        azimuth = np.linspace(-1.15, 1.15, 25)
        reach = (42.0 + 14.0 * head.hair_volume) * np.sqrt(clamp(np.cos(azimuth * 1.36), 0.0, 1.0))
    else:
        azimuth = np.linspace(-np.pi, np.pi, 49)
        reach = np.full(49, 22.0 + 28.0 * head.hair_volume)
    sine, cosine = np.sin(azimuth), np.cos(azimuth)
    droop = 9.0 * head.hair_part + (0.2 if head.hair == "cap" else 0.05) * reach
    height = 44.0 - 22.0 * (1.0 - cosine)
    inner = np.stack([82.0 * sine, height, 98.0 * cosine - 4.0 * (1.0 - cosine)], axis=1)
    outer = inner + np.stack([0.8 * reach * sine, -droop + 9.0 * sine**2, reach * cosine], axis=1)
    part = _strip(outer, inner, CURTAIN)
    part.normals[:] = np.array([0.0, 0.5, 0.87], np.float32)
    return part


def _strip(first: np.ndarray, second: np.ndarray, material: int) -> _Part:
    """A ribbon between two lines, visible from both sides."""
    grid = np.stack([first, second]).astype(np.float32)
    triangles = grid_triangles(2, len(first))
    normals = np.zeros((2 * len(first), 3), dtype=np.float32)
    normals[:, 2] = 1.0
    paint = np.zeros((2 * len(first), 3), dtype=np.float32)
    paint[:, 0] = np.repeat((0.0, 1.0), len(first))
    paint[:, 1] = grid[..., 1].ravel()
    return _Part(
        grid.reshape(-1, 3), normals, paint, np.concatenate([triangles, triangles[:, ::-1]]), material
    )
