"""Everything that makes one drawn face differ from the next, and how it is drawn at random."""

from dataclasses import dataclass

import numpy as np

from .mesh import head_mesh

__all__ = ["HEADWEAR", "MM_PER_JAW_DEGREE", "HeadParameters", "sample_head_parameters"]

HEADWEAR = ("beanie", "cap", "hat", "scarf")  # styles of hair that are cloth
MM_PER_JAW_DEGREE = 1.57  # the lips are some 90 mm before the hinge

# sRGB, light to dark; hair from black over brown and blond to red and grey.
_SKIN_TONES = np.array(
    [
        (247, 217, 200),
        (238, 199, 174),
        (224, 178, 148),
        (206, 155, 122),
        (176, 124, 92),
        (141, 94, 67),
        (106, 68, 48),
        (74, 46, 33),
    ]
)
_HAIR_TONES = np.array(
    [
        (20, 17, 16),
        (38, 27, 21),
        (62, 41, 28),
        (92, 62, 40),
        (128, 92, 58),
        (176, 138, 88),
        (214, 182, 130),
        (130, 60, 30),
        (150, 148, 146),
        (205, 203, 200),
    ]
)
_HAIR_WEIGHTS = np.array([0.22, 0.2, 0.16, 0.12, 0.08, 0.06, 0.03, 0.05, 0.05, 0.03])
_MALE_HAIR = {
    "bald": 0.08,
    "buzz": 0.16,
    "short": 0.32,
    "side": 0.22,
    "curly": 0.08,
    "fringe": 0.06,
    "long": 0.05,
    "beanie": 0.04,
    "cap": 0.07,
    "hat": 0.04,
}
_FEMALE_HAIR = {
    "short": 0.06,
    "side": 0.07,
    "long": 0.32,
    "bob": 0.16,
    "curly": 0.1,
    "fringe": 0.1,
    "bun": 0.14,
    "beanie": 0.03,
    "cap": 0.03,
    "hat": 0.05,
    "scarf": 0.05,
}
_IRIS_TONES = np.array(
    [(60, 36, 20), (84, 54, 28), (110, 84, 44), (84, 110, 70), (88, 124, 150), (120, 150, 176)]
)
_IRIS_WEIGHTS = np.array([0.36, 0.24, 0.12, 0.08, 0.12, 0.08])


@dataclass(frozen=True)
class HeadParameters:
    """One face: shape, expression, pose, surface and things worn. Lengths in mm, angles in degrees."""

    modes: np.ndarray  # coefficients of `HeadMesh.modes`
    pose: np.ndarray  # yaw, pitch, roll
    body_pose: np.ndarray
    smile: float  # coefficient of the mode, from 0
    # eyes
    eye_open: np.ndarray  # (2,) image left and right, 0 closed, 1 relaxed
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_shade: float  # light that the brow keeps from the socket
    gaze: tuple[float, float]  # iris offset, x and q
    iris_color: np.ndarray
    eye_liner: float
    eye_shadow: np.ndarray  # (4,) linear RGB and strength
    # brows
    brow_span: tuple[float, float]  # x of the inner and outer end
    brow_height: float
    brow_uneven: float  # by which the brow on the image's right is higher, the other lower
    brow_arch: float
    brow_tilt: float
    brow_thickness: float
    brow_strength: float
    brow_color: np.ndarray
    # mouth
    mouth_width: float
    upper_lip: float
    lower_lip: float
    corner_lift: float
    lip_gap: float  # opening in the painting plane, 0 to 4
    jaw_open: float  # degrees
    lower_teeth: bool  # shown by a wide open mouth
    lip_color: np.ndarray
    lip_gloss: float
    # skin
    skin_color: np.ndarray  # linear RGB
    redness: float
    gloss: float
    age: float
    freckles: float
    beard: float  # 0 none, to 1 dense
    beard_length: float
    moustache: float
    beard_color: np.ndarray
    # hair
    hair: str  # a name in hair.py's table of styles
    hair_color: np.ndarray
    hair_height: float  # shift of the hairline
    hair_volume: float
    hair_part: float
    hair_wisps: float  # mm by which single locks hang below the hairline
    hair_closed: float  # degrees by which open hair comes further in front of the face
    noise_offset: np.ndarray  # (8,) offsets into the noise tile
    # worn
    glasses: str  # none, frame, rimless, dark
    glasses_color: np.ndarray
    glasses_shape: np.ndarray  # (4,) half width, half height, squareness, width of the rim
    cloth_color: np.ndarray  # (2, 3)
    collar: tuple[float, float]  # height and depth of the neckline
    neck_width: float  # against the average
    neck_shadow: float  # share of light that the head keeps from the neck
    # light
    light_direction: np.ndarray
    light_color: np.ndarray
    fill_direction: np.ndarray
    fill_color: np.ndarray
    ambient_color: np.ndarray


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Turn 0-255 sRGB (power 2.2) into linear light."""
    return (np.asarray(srgb, dtype=np.float32) / 255.0) ** 2.2


def _sample_pose(rng: np.random.Generator) -> np.ndarray:
    narrow = rng.normal((0.0, -2.0, 0.0), (14.0, 7.5, 7.0))
    wide = rng.uniform((-60.0, -25.0, -25.0), (60.0, 25.0, 25.0))
    pose = np.where(rng.random(3) < (0.09, 0.08, 0.08), wide, narrow)
    return np.clip(pose, (-60.0, -25.0, -25.0), (60.0, 25.0, 25.0))


def _cloth_colors(rng: np.random.Generator) -> np.ndarray:
    """Two colours, linear RGB: more often black, white or grey than vivid."""
    grey = rng.choice(
        (rng.uniform(8, 50), rng.uniform(50, 200), rng.uniform(200, 245)), 2, p=(0.45, 0.35, 0.2)
    )
    vivid = rng.uniform(10, 235, (2, 3))
    return _linear(
        grey[:, None] + (rng.random((2, 1)) < 0.4) * rng.uniform(0.3, 0.9) * (vivid - grey[:, None])
    )


def _bounded(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _bounded_normal(rng: np.random.Generator, limit: float = 2.2) -> float:
    return _bounded(rng.normal(), -limit, limit)


def sample_head_parameters(rng: np.random.Generator) -> HeadParameters:
    """Draw one face."""
    names = head_mesh().mode_names
    modes = np.clip(rng.normal(size=len(names)), -2.2, 2.2).astype(np.float32)
    weight = dict(zip(names, range(len(names)), strict=True))
    pose = _sample_pose(rng)
    body_pose = pose * (0.35, 0.15, 0.15) + rng.normal(0.0, (10.0, 3.0, 3.0))

    masculine = _bounded(rng.normal(np.sign(rng.random() - 0.5) * 0.7, 0.4), -1.5, 1.5)
    age = float(rng.beta(1.6, 2.6))
    for name, pull in (
        ("jaw_width", 0.5),
        ("brow_ridge", 0.7),
        ("chin_width", 0.6),
        ("nose_length", 0.4),
        ("cheek_full", -0.3),
        ("forehead_slope", 0.4),
    ):
        modes[weight[name]] += pull * masculine

    # expression: two mouths in five are closed, as many smile with their teeth, some speak or are wide open
    kind = rng.random()
    if kind < 0.42:
        happy, gap = max(0.0, rng.normal(0.15, 0.4)), 0.0
    elif kind < 0.82:
        happy = _bounded(rng.normal(1.05, 0.4), 0.2, 1.9)
        gap = _bounded(rng.normal(9.0, 3.0) * (0.55 + 0.45 * happy), 1.5, 17.0)
    elif kind < 0.94:
        happy, gap = max(0.0, rng.normal(0.0, 0.5)), 1.0 + min(rng.exponential(4.5), 16.0)
    else:
        happy, gap = max(0.0, rng.normal(0.4, 0.7)), float(rng.uniform(10.0, 42.0))
    happy = min(happy, 1.9)
    lip_gap = min(0.7 * gap, 4.0)
    jaw_open = (gap - lip_gap) / MM_PER_JAW_DEGREE
    raise_brow = _bounded(rng.normal(0.0, 0.8) + 0.05 * jaw_open, -0.8, 2.2)
    frown = max(0.0, rng.normal(-0.6, 0.8)) * (happy < 0.3)
    modes[weight["smile"]] = happy
    modes[weight["brow_raise"]] = raise_brow
    modes[weight["frown"]] = frown
    blink = rng.random()
    if blink < 0.05:
        eye_open = np.zeros(2) + rng.uniform(0.0, 0.08)
    elif blink < 0.08:
        eye_open = np.where(np.arange(2) == rng.integers(2), 0.04, 0.95)
    else:
        eye_open = np.full(2, np.clip(rng.normal(1.15, 0.17) - 0.14 * happy + 0.08 * raise_brow, 0.35, 1.35))

    # surface
    tone = rng.beta(1.1, 1.9) * (len(_SKIN_TONES) - 1)
    low = min(int(tone), len(_SKIN_TONES) - 2)
    srgb = _SKIN_TONES[low] + (tone - low) * (_SKIN_TONES[low + 1] - _SKIN_TONES[low])
    skin = _linear(
        np.clip(
            srgb * (1.0, 0.93, 0.92) * rng.normal(1.0, 0.03) * rng.normal(1.0, (0.01, 0.012, 0.025)), 8, 252
        )
    )
    hair_index = rng.choice(len(_HAIR_TONES), p=_HAIR_WEIGHTS)
    if tone > 3.6 and hair_index not in (8, 9):
        hair_index = min(hair_index, 2)
    if age > 0.65 and rng.random() < 0.5:
        hair_index = 8 + int(rng.random() < 0.4)
    hair_color = _linear(
        np.clip(_HAIR_TONES[hair_index] * rng.normal(1.0, 0.12) * rng.normal(1.0, 0.03, 3), 8, 245)
    )
    brow_color = hair_color * (0.75 if hair_index < 5 else 0.55)
    styles = _MALE_HAIR if masculine > 0 else _FEMALE_HAIR
    odds = np.array(list(styles.values()))
    hair = str(rng.choice(list(styles), p=odds / odds.sum()))
    if masculine > 0 and rng.random() < 0.2 * age:
        hair = "bald"
    bearded = masculine > 0.1 and rng.random() < 0.45
    beard = float(rng.beta(1.2, 1.2)) if bearded else (0.12 if masculine > 0.6 else 0.0)
    moustache = _bounded(beard + rng.normal(0, 0.25), 0, 1) if bearded else 0.5 * beard
    beard_length = float(rng.uniform(0, 9)) if beard > 0.55 else 0.0
    make_up = masculine < -0.2 and rng.random() < 0.5
    natural_lip = skin * np.array([0.86, 0.64, 0.62], np.float32)
    lipstick = _linear(np.array([rng.uniform(120, 215), rng.uniform(20, 90), rng.uniform(40, 110)]))
    lip_color = natural_lip + (rng.uniform(0.3, 0.9) * (lipstick - natural_lip) if make_up else 0.0)
    shadow_color = _linear(rng.uniform(30, 150, 3))
    glasses = str(rng.choice(("none", "frame", "rimless", "dark"), p=(0.79, 0.1, 0.05, 0.06)))

    # light: mostly from above and from the camera's side
    kind = rng.random()
    hard, flat = kind < 0.25, kind > 0.8
    azimuth = np.deg2rad(np.clip(rng.normal(0, 65 if hard else 40), -100, 100))
    elevation = np.deg2rad(np.clip(rng.normal(28, 20), -25, 75))
    light = np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )
    fill_azimuth = np.deg2rad(rng.uniform(-100, 100))
    fill = np.array([np.sin(fill_azimuth), 0.2, np.cos(fill_azimuth)])
    strength = rng.uniform(0.9, 1.6) if hard else rng.uniform(0.25, 0.6) if flat else rng.uniform(0.6, 1.2)
    ambient = rng.uniform(0.03, 0.14) if hard else rng.uniform(0.35, 0.65) if flat else rng.uniform(0.14, 0.4)
    warmth = rng.normal(0.02, 0.09)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])

    return HeadParameters(
        modes=modes,
        pose=pose,
        smile=happy,
        body_pose=body_pose,
        eye_open=eye_open,
        eye_width=12.9 + 1.0 * _bounded_normal(rng),
        eye_height=1.0 + 0.15 * _bounded_normal(rng),
        eye_tilt=1.3 * _bounded_normal(rng),
        eye_shade=float(rng.uniform(0.0, 0.4)),
        gaze=(2.2 * _bounded_normal(rng), _bounded_normal(rng)),
        iris_color=_linear(
            _IRIS_TONES[0 if tone > 4.5 else rng.choice(len(_IRIS_TONES), p=_IRIS_WEIGHTS)]
            * rng.normal(1.0, 0.08, 3)
        ),
        eye_liner=float(rng.uniform(0.3, 1.0)) if make_up else 0.0,
        eye_shadow=np.append(shadow_color, rng.uniform(0, 0.5) if make_up else 0.0),
        brow_span=(11.7 + 3.1 * _bounded_normal(rng), 60.5 + 2.6 * _bounded_normal(rng)),
        brow_height=2.0 * _bounded_normal(rng) - 0.6 * masculine,
        brow_uneven=1.1 * _bounded_normal(rng),
        brow_arch=1.5 * _bounded_normal(rng) - 0.7 * masculine,
        brow_tilt=3.0 * _bounded_normal(rng),
        brow_thickness=_bounded(3.3 + 0.9 * rng.normal() + 0.7 * masculine, 1.4, 6.0),
        brow_strength=_bounded(0.76 + 0.17 * rng.normal() + 0.1 * masculine, 0.2, 1.0),
        brow_color=brow_color,
        mouth_width=25.9 + 2.7 * _bounded_normal(rng) + 3.0 * happy - 0.16 * jaw_open,
        upper_lip=max(2.2, 6.4 + 1.4 * _bounded_normal(rng) - 0.7 * happy - 1.0 * age),
        lower_lip=max(4.0, 9.8 + 1.6 * _bounded_normal(rng) - 0.5 * happy - 1.0 * age),
        corner_lift=2.6 * happy + 1.5 * _bounded_normal(rng),
        lip_gap=lip_gap,
        jaw_open=jaw_open,
        lower_teeth=bool(rng.random() < 0.5),
        lip_color=lip_color.astype(np.float32),
        lip_gloss=float(rng.uniform(0.1, 0.6)),
        skin_color=skin,
        redness=float(rng.uniform(0.1, 1.0)),
        gloss=float(rng.uniform(0.01, 0.18)),
        age=age,
        freckles=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.12 and tone < 3 else 0.0,
        beard=beard,
        beard_length=beard_length,
        moustache=moustache,
        beard_color=hair_color * 0.8,
        hair=hair,
        hair_color=hair_color if hair not in HEADWEAR else _linear(rng.uniform(15, 210, 3)),
        hair_height=4.0 * _bounded_normal(rng) + (8.0 * age if masculine > 0 else 0.0),
        hair_volume=float(rng.uniform(0.6, 1.4)),
        hair_part=float(rng.uniform(-1, 1)),
        hair_wisps=float(rng.uniform(10, 60)) if rng.random() < 0.3 else 0.0,
        hair_closed=float(rng.uniform(-4, 14)),
        noise_offset=rng.integers(0, 256, 8),
        glasses=glasses,
        glasses_color=_linear(rng.uniform(10, 90, 3) if rng.random() < 0.8 else rng.uniform(60, 200, 3)),
        glasses_shape=np.array(
            [rng.uniform(22, 27), rng.uniform(12, 21), rng.uniform(2.0, 4.5), rng.uniform(1.5, 4.5)]
        ),
        cloth_color=_cloth_colors(rng),
        collar=(rng.uniform(-165, -138), rng.uniform(0, 60)),
        neck_width=_bounded(rng.normal(1.04 + 0.06 * masculine, 0.08), 0.85, 1.3),
        neck_shadow=float(rng.uniform(0.2, 0.75)),
        light_direction=light.astype(np.float32),
        light_color=(strength * tint).astype(np.float32),
        fill_direction=(fill / np.linalg.norm(fill)).astype(np.float32),
        fill_color=(rng.uniform(0.0, 0.35) * tint[::-1]).astype(np.float32),
        ambient_color=(ambient * rng.normal(1.0, 0.04, 3)).astype(np.float32),
    )
