"""Skin, eyes, eyebrows, lips and beard painted in the painting plane."""

import functools

import numpy as np

from .face_features import (
    EYE_X,
    INNER_MOUTH,
    MOUTH_Q,
    brow_center,
    lid_curves,
    lip_curves,
)
from .head_parameters import MM_PER_JAW_DEGREE, HeadParameters
from .noise import sample_noise
from .numerics import blob, clamp, smoothstep

__all__ = ["paint_face", "paint_skin"]

_SCLERA = np.array([[0.27], [0.25], [0.235]], np.float32)
_TEETH = np.array([[0.56], [0.52], [0.46]], np.float32)
# Tables of the painting plane: cells per mm, size, lowest height.
_MAP_SCALE, _MAP_WIDTH, _MAP_HEIGHT, _MAP_BOTTOM = 2.0, 160, 480, -125.0
_EDGE = 0.7  # mm over which two painted regions blend


def paint_skin(head: HeadParameters, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bare skin, linear RGB `(3, P)`, with mottling."""
    coarse = sample_noise(u * 0.7, v * 0.7, 1.4, head.noise_offset[:2])
    fine = sample_noise(u * 1.7, v * 1.7, 0.4, head.noise_offset[2:4])
    tone = 1.0 + 0.045 * coarse + (0.02 + 0.03 * head.age) * fine
    return head.skin_color[:, None] * tone


def paint_face(
    head: HeadParameters, x: np.ndarray, q: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint the front of the head.

    Returns:
        Linear RGB `(3, P)`, gloss `(P,)` and the share of light that hollows let through `(P,)`.
    """
    color = paint_skin(head, x, q)
    side = np.abs(x)
    place = _place(x, q)
    gloss = head.gloss * _maps()["gloss"].take(place)
    light = np.ones(len(x), dtype=np.float32)

    # Blood shows on cheeks and nose.
    color *= 1.0 - (head.redness * _maps()["blush"].take(place)) * _rgb(0.02, 0.16, 0.14)
    if head.freckles:
        spots = sample_noise(x * 1.3, q * 1.3, 0.3, head.noise_offset[4:6])
        spots = smoothstep(spots, 1.3, 1.9) * blob(side, q, (26, -25), (24, 16)) * head.freckles
        color *= 1.0 - spots * _rgb(0.3, 0.42, 0.5)

    _hollows(head, place, x, q, light)
    _beard(head, x, q, color)
    _brows(head, x, q, color)
    _eyes(head, x, q, color, gloss, light)
    _mouth(head, x, q, color, gloss, light)
    return color, gloss, light


def _rgb(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([[red], [green], [blue]], dtype=np.float32)


def _mix(color: np.ndarray, at: np.ndarray, paint: np.ndarray, cover: np.ndarray) -> None:
    for channel, pigment in zip(color, paint, strict=True):
        below = channel.take(at)
        channel[at] = below + cover * (pigment - below)


@functools.lru_cache(maxsize=1)
def _maps() -> dict[str, np.ndarray]:
    """What every face has at the same place of the painting plane, as flat tables for `_place`."""
    side = np.arange(_MAP_WIDTH, dtype=np.float32)[None] / _MAP_SCALE
    height = np.arange(_MAP_HEIGHT, dtype=np.float32)[:, None] / _MAP_SCALE + _MAP_BOTTOM
    # Creases and nostrils: how much of the light they keep out.
    hollows = 0.22 * blob(side, height, (17, 4), (7, 8))
    hollows += 0.22 * blob(side, height, (32, 10), (14, 3.5))
    hollows += 0.06 * blob(side, height, (31, -9), (12, 3.5))
    hollows += 0.14 * blob(side, height, (33, 1), (17, 6))
    hollows += 0.28 * blob(side, height, (16.8, -41.0), (2.2, 5))
    hollows += 0.18 * blob(side, height, (8, -48.6), (9, 2.6))
    hollows += 0.08 * blob(side, height, (0, -57), (2.4, 3.5))
    hollows -= 0.2 * blob(side, height, (38, -26), (15, 12)) + 0.08 * blob(side, height, (0, -30), (10, 16))
    nostril = ((side - 7.2) / 3.7) ** 2 + ((height + 44.3) / 1.9) ** 2
    hollows += 0.75 * smoothstep(nostril, 1.5, 0.6)
    lines = np.sin(height * 0.62 + 0.3 * np.sin(side * 0.09)) ** 8
    maps = {
        "gloss": 1.0
        + 0.3 * blob(side, height, (0, -20), (8, 22))
        + 0.6 * blob(side, height, (0, 50), (30, 18)),
        "blush": blob(side, height, (42, -32), (15, 13)) + 0.8 * blob(side, height, (0, -38), (11, 9)),
        "hollows": hollows,
        "socket": blob(side, height, (31, 7), (16, 7)),
        "bags": blob(side, height, (31, -9), (12, 3.5)),
        "lines": lines * smoothstep(height, 22.0, 34.0) * smoothstep(side, 60.0, 45.0),
    }
    return {name: np.ascontiguousarray(table, dtype=np.float32).ravel() for name, table in maps.items()}


def _place(x: np.ndarray, q: np.ndarray) -> np.ndarray:
    column = np.minimum(np.abs(x) * _MAP_SCALE + 0.5, _MAP_WIDTH - 1.0).astype(np.intp)
    row = clamp((q - _MAP_BOTTOM) * _MAP_SCALE + 0.5, 0.0, _MAP_HEIGHT - 1.0).astype(np.intp)
    return row * _MAP_WIDTH + column


def _hollows(
    head: HeadParameters, place: np.ndarray, x: np.ndarray, q: np.ndarray, light: np.ndarray
) -> None:
    """Darken what little light reaches: creases, nostrils, the sockets' inner corners."""
    maps = _maps()
    deep = maps["hollows"].take(place) + (0.16 * head.age) * maps["bags"].take(place)
    if head.age > 0.5:
        deep += (0.28 * (head.age - 0.5)) * maps["lines"].take(place)
    deep += head.eye_shade * maps["socket"].take(place)
    aside = float(head.light_direction[0])  # the nose keeps a lamp at the side from the other cheek
    away = -np.sign(aside) * x
    deep += 0.4 * min(abs(aside), 0.8) * blob(away, q, (17, -32), (7, 13))
    light *= np.maximum(1.0 - deep, 0.1)
    at = np.flatnonzero((np.abs(x) < 45) & (q < -36) & (q > -105))
    side, height = np.abs(x.take(at)), q.take(at)
    below_lip = MOUTH_Q - head.lip_gap * 0.85 - head.lower_lip
    deep = 0.14 * blob(side, height, (0, below_lip - 5.0), (15, 3.6))
    # Fold from the nostril's wing to the mouth's corner.
    fold = 18.0 + (head.mouth_width + 6.0 - 18.0) * ((-44.0 - height) / 28.0)
    strength = min(0.03 + 0.2 * head.age + 0.12 * head.smile, 0.45)
    along = smoothstep(height, -38.0, -48.0) * smoothstep(height, -84.0, -66.0)
    deep += strength * along * np.exp(-(((side - fold) / 2.4) ** 2))
    light[at] *= np.maximum(1.0 - deep, 0.2)


def _beard(head: HeadParameters, x: np.ndarray, q: np.ndarray, color: np.ndarray) -> None:
    if head.beard == 0.0 and head.moustache == 0.0:
        return
    at = np.flatnonzero((q < -5) & (q > -150))
    side, height = np.abs(x.take(at)), q.take(at)
    strands = sample_noise(x.take(at) * 1.5, height * 0.6, 0.7, head.noise_offset[6:8])
    edge = -22.0 - 46.0 * smoothstep(side, 66.0, 30.0) - 14.0 * smoothstep(side, 30.0, 10.0)
    cheeks = smoothstep(edge - height + 4.0 * strands, -3.0, 7.0) * smoothstep(height, -150.0, -128.0)
    lip = MOUTH_Q + head.upper_lip + 6.5
    lip_band = smoothstep(side, 33.0, 24.0) * blob(side * 0, height, (0, lip), (1, 4.0)) * (side > 2.0)
    upper = smoothstep(lip_band + 0.08 * strands, 0.25, 0.6)
    lip_height = 0.5 * (head.lower_lip + head.lip_gap + 5.0) + 5.0
    around = (side / (head.mouth_width + 3.0)) ** 2 + ((height - MOUTH_Q + 3.0) / lip_height) ** 2
    near_lips = smoothstep(around + 0.15 * strands, 1.25, 0.85)
    cover = np.maximum(head.beard * cheeks * (1.0 - near_lips), head.moustache * upper)
    dense = clamp(cover * 1.5, 0.0, 0.93) * clamp(0.85 + 0.16 * strands, 0.3, 1.0)
    shade = head.beard_color[:, None] * (1.0 + 0.25 * strands)
    # Short stubble tints the skin, a beard hides it.
    _mix(color, at, shade, np.where(cover < 0.35, dense * 0.55, dense))


def _brows(head: HeadParameters, x: np.ndarray, q: np.ndarray, color: np.ndarray) -> None:
    at = np.flatnonzero((q > 2) & (q < 40) & (np.abs(x) > 2) & (np.abs(x) < 68))
    side, height = np.abs(x.take(at)), q.take(at)
    u = (side - head.brow_span[0]) / (head.brow_span[1] - head.brow_span[0])
    center = brow_center(head, np.sign(x.take(at)), clamp(u, -0.1, 1.1))
    half = (
        head.brow_thickness
        * (0.5 + 0.6 * smoothstep(u, -0.05, 0.2))
        * (1.0 - 0.72 * smoothstep(u, 0.55, 1.05))
    )
    # Hairs stand up inside and lie along the brow outside.
    slant = np.where(u < 0.3, 0.5, 1.3)
    strands = sample_noise(
        side * 1.5 - slant * height, height * 0.5 + 40 * (x.take(at) > 0), 0.5, head.noise_offset[:2]
    )
    # Annotators mark the upper half of a brow, and its outer end above that of the hair
    distance = np.abs(height - center + 0.3 * head.brow_thickness + 1.4 * (u - 0.4) + 0.6 * strands)
    ends = smoothstep(u, -0.04, 0.04) * smoothstep(u, 1.05, 0.95)
    cover = smoothstep(distance, half + 1.0, half - 1.4) * ends * head.brow_strength
    cover *= clamp(0.85 + 0.2 * strands, 0.35, 1.0)
    _mix(color, at, head.brow_color[:, None], cover)


def _eyes(
    head: HeadParameters,
    x: np.ndarray,
    q: np.ndarray,
    color: np.ndarray,
    gloss: np.ndarray,
    light: np.ndarray,
) -> None:
    for side in (-1, 1):
        at = np.flatnonzero((np.abs(side * x - EYE_X) < head.eye_width + 7) & (q > -14) & (q < 16))
        u = (side * x.take(at) - EYE_X) / head.eye_width
        height = q.take(at)
        upper, lower = lid_curves(head, side, clamp(u, -1, 1))
        beyond = np.maximum(np.abs(u) - 1.0, 0.0) * head.eye_width
        over, under = height - upper, lower - height

        # Lid: its fold, make-up, lashes. All fade beyond the corners.
        fade = smoothstep(beyond, 4.0, 0.0)
        if head.eye_shadow[3] > 0:
            lid = smoothstep(over, -0.5, 0.5) * smoothstep(over, 9.0, 3.0) * fade
            _mix(color, at, head.eye_shadow[:3, None], head.eye_shadow[3] * lid)
        fold = np.exp(-(((over - 3.6) / 1.1) ** 2)) * smoothstep(np.abs(u), 1.25, 0.8)
        light[at] *= 1.0 - 0.3 * fold
        bag = np.exp(-(((under - 6.0) / 1.5) ** 2)) * smoothstep(np.abs(u), 1.0, 0.5)
        light[at] *= 1.0 - (0.06 + 0.16 * head.age) * bag

        eye_half = np.minimum(-over, -under)  # depth inside the opening
        inside = smoothstep(eye_half, -0.5 * _EDGE, 0.5 * _EDGE) * (np.abs(u) <= 1.0)
        eye_x = EYE_X * side + head.gaze[0]
        eye_q = 0.5 + head.gaze[1]
        r = np.hypot(x.take(at) - eye_x, height - eye_q)
        iris = smoothstep(r, 6.3, 5.6)
        spokes = 1.0 + 0.25 * np.cos(9.0 * np.arctan2(height - eye_q, x.take(at) - eye_x))
        iris_color = head.iris_color[:, None] * (spokes * (0.6 + 0.06 * r) * smoothstep(r, 6.7, 4.4))
        iris_color = iris_color * (0.1 + 0.9 * smoothstep(r, 1.8, 3.0))
        corner = smoothstep(u, -0.75, -1.0)
        eyeball = (0.6 * _SCLERA + 0.25 * head.skin_color[:, None]) * (1.0 - corner * _rgb(0.25, 0.55, 0.5))
        eyeball = eyeball + iris * (iris_color - eyeball)
        spark = np.hypot(x.take(at) - eye_x - 2.0 * np.sign(head.light_direction[0]), height - eye_q - 2.0)
        eyeball = eyeball + 0.6 * smoothstep(spark, 1.3, 0.5) * iris
        _mix(color, at, eyeball, inside)
        # The upper lid shades the eyeball, the eyeball rounds off toward its corners.
        shade = 1.0 - 0.6 * np.exp(over / 2.6) - 0.35 * u * u
        light[at] *= 1.0 - inside * (1.0 - clamp(shade, 0.25, 1.0))
        gloss[at] *= 1.0 - 0.7 * inside

        thickness = 1.0 + 0.7 * head.eye_liner
        lash = np.exp(-((over / thickness) ** 2)) * fade
        lash_cover = (0.8 + 0.2 * head.eye_liner) * lash
        _mix(color, at, 0.12 * head.brow_color[:, None], lash_cover)
        rim = np.exp(-(((under - 0.2) / 0.6) ** 2)) * smoothstep(np.abs(u), 1.05, 0.9)
        rim_color = head.skin_color[:, None] * _rgb(0.6, 0.42, 0.4)
        _mix(color, at, rim_color * (1.0 - 0.7 * head.eye_liner), 0.6 * rim)


def _mouth(
    head: HeadParameters,
    x: np.ndarray,
    q: np.ndarray,
    color: np.ndarray,
    gloss: np.ndarray,
    light: np.ndarray,
) -> None:
    at = np.flatnonzero((np.abs(x) < head.mouth_width + 4) & (q > -100) & (q < -54))
    t = x.take(at) / head.mouth_width
    height = q.take(at)
    upper_outer, upper_inner, lower_inner, lower_outer = lip_curves(head, clamp(t, -1, 1))
    within = np.minimum(upper_outer - height, height - lower_outer)
    lips = smoothstep(within, -1.4, 1.8) * smoothstep(np.abs(t), 1.02, 0.96)
    grain = sample_noise(x.take(at) * 2.2, height * 0.5, 0.5, head.noise_offset[2:4])
    lip_color = head.lip_color[:, None] * (1.0 + 0.06 * grain)
    _mix(color, at, lip_color, 0.9 * lips)
    gloss[at] += 0.22 * head.lip_gloss * lips * (height < lower_inner)
    light[at] *= 1.0 - 0.16 * lips * (height > upper_inner)

    depth = np.minimum(upper_inner - height, height - lower_inner)
    opening = smoothstep(depth, -0.25, 0.45) * (np.abs(t) < INNER_MOUTH) * min(1.0, head.lip_gap / 0.8)
    gap_mm = head.lip_gap + MM_PER_JAW_DEGREE * head.jaw_open
    share = clamp((upper_inner - height) / np.maximum(upper_inner - lower_inner, 1e-3), 0.0, 1.0)
    below = share * gap_mm
    inner = _rgb(0.14, 0.045, 0.04) * np.ones(len(at), np.float32)
    tongue = smoothstep(below, 0.45 * gap_mm + 2.0, 0.8 * gap_mm) * (gap_mm > 9.0)
    inner += tongue * (_rgb(0.3, 0.09, 0.08) - inner)
    arch = clamp(1.0 - (t / INNER_MOUTH) ** 2, 0.0, 1.0)
    length = min(max(0.85 * gap_mm, 6.0), 9.5) * arch**0.5
    teeth = smoothstep(below, length, length - 1.5) * smoothstep(arch, 0.0, 0.3)
    if head.lower_teeth and gap_mm > 9.0:
        above = gap_mm * (1.0 - share)
        teeth = np.maximum(teeth, 0.8 * smoothstep(above, 5.0 * arch**0.5, 5.0 * arch**0.5 - 1.5))
    gaps = 1.0 - 0.16 * np.exp(-((np.abs((x.take(at) / 7.4) % 1.0 - 0.5) * 7.4 / 0.7) ** 2))
    inner += teeth * gaps * (_TEETH * (0.45 + 0.55 * arch) - inner)
    _mix(color, at, inner, opening)
    light[at] *= 1.0 - opening * 0.4 * np.exp(-below / 1.5)
    # Where the lips meet, and at their corners.
    line = np.minimum(np.abs(height - upper_inner), np.abs(height - lower_inner))
    crease = np.exp(-((line / 0.9) ** 2)) * smoothstep(np.abs(t), 1.03, 0.93)
    light[at] *= 1.0 - 0.5 * crease * (1.0 - 0.6 * opening)
    corner = np.exp(
        -(((np.abs(t) - 1.0) * head.mouth_width / 2.4) ** 2) - ((height - upper_inner) / 2.2) ** 2
    )
    light[at] *= 1.0 - 0.3 * corner
