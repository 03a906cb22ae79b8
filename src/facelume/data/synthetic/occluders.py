"""What covers a face in photos: hair, glasses, hands. All of it is left out of the parsing mask.

``light`` is the irradiance / pi that it receives, linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from facelume.data.distributions import draw_count
from facelume.data.synthetic.cover_config import ClothesConfig, GlassesConfig, HandConfig, StrandsConfig
from facelume.geometry.face_mesh import (
    CHIN,
    FACE_SIDES,
    FOREHEAD_TOP,
    LEFT_EYE_CORNERS,
    NOSE_BRIDGE,
    RIGHT_EYE_CORNERS,
)

Matter = Literal["own", "hair", "skin"]

_OVERSAMPLING = 2
# Distance from the face, metres: what casts shadows on it.
_STRANDS_OFF_M, _GLASSES_OFF_M, _HAND_OFF_M = 0.008, 0.012, 0.03
# Linear value of a lens without tint.
_LENS_VALUE = 0.03
# How far shoulders reach to either side, and how far down, lengths of the face: beyond the crop.
_SHOULDER_REACH, _BODY_REACH, _FOLD_GRAIN_PX = 2.0, 3.0, 6.0
_LARGEST_REFLECTANCE = 0.9


@dataclass(frozen=True)
class Layer:
    """Something in front of the face.

    Attributes:
        colour_linear: Its linear colour, already shaded; of hair and of skin the light alone, which waits for
            the person's colour.
        alpha: Coverage in [0, 1].
        excluded: Coverage of what the parsing mask leaves out (the lenses of glasses count too), [0, 1].
        matter: What gives it its colour: its own, the person's hair or skin.
        shade: How much of the light behind it it takes away, [0, 1].
        distance_m: How far it stands off the face; 0 casts no shadow.
    """

    colour_linear: Float[np.ndarray, "H W 3"]
    alpha: Float[np.ndarray, "H W"]
    excluded: Float[np.ndarray, "H W"]
    matter: Matter
    shade: Float[np.ndarray, "H W"]
    distance_m: float = 0.0


def _pixels(image: Image.Image) -> Float[np.ndarray, "H W"]:
    size = (image.width // _OVERSAMPLING, image.height // _OVERSAMPLING)
    return np.asarray(image.resize(size, Image.Resampling.BOX), dtype=np.float32) / 255.0


def _sheet(size: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (size * _OVERSAMPLING, size * _OVERSAMPLING), 0)
    return image, ImageDraw.Draw(image)


def _scaled(points: Float[np.ndarray, "n 2"]) -> list[tuple[float, float]]:
    return [(float(x) * _OVERSAMPLING, float(y) * _OVERSAMPLING) for x, y in points]


def hair_strands(
    landmarks_px: Float[np.ndarray, "478 2"],
    size: int,
    light: Float[np.ndarray, " 3"],
    config: StrandsConfig,
    rng: np.random.Generator,
) -> Layer:
    """Curved strands that fall from the forehead over the face, and sometimes a curtain along the cheeks."""
    image, draw = _sheet(size)
    top, chin = landmarks_px[FOREHEAD_TOP], landmarks_px[CHIN]
    down = chin - top
    length = float(np.linalg.norm(down)) + 1e-6
    across = np.array([-down[1], down[0]])
    steps = np.linspace(0, 1, 12)[:, None]
    for _ in range(draw_count(config.num_locks_range, rng)):
        root = top - 0.1 * down + across * rng.uniform(*config.root_range)
        reach = rng.uniform(*config.reach_range)
        drift = rng.normal(0, config.drift_sigma)
        for _ in range(draw_count(config.num_strands_range, rng)):
            start = root + rng.normal(0, config.root_sigma, size=2) * length
            bend = across * (drift + rng.normal(0, config.bend_sigma))
            curve = start + down * steps * (reach + rng.normal(0, config.reach_sigma)) + bend * steps**2
            draw.line(_scaled(curve), fill=255, width=draw_count(config.width_range_px, rng), joint="curve")
    if rng.random() < config.curtain_fraction:
        _draw_curtain(draw, landmarks_px, config, rng)
    alpha = _pixels(image)
    noise = gaussian_filter(rng.normal(size=(size, size)), (6.0, 0.6)) * 3.0
    shine = np.clip(0.6 + 0.5 * noise, 0.1, 2.0)[..., None] * light
    return Layer(shine.astype(np.float32), alpha, alpha, "hair", alpha, _STRANDS_OFF_M)


def _draw_curtain(
    draw: ImageDraw.ImageDraw,
    landmarks_px: Float[np.ndarray, "478 2"],
    config: StrandsConfig,
    rng: np.random.Generator,
) -> None:
    """Hair along one or both cheeks."""
    for side, other in (FACE_SIDES, FACE_SIDES[::-1]):
        if rng.random() < config.bare_side_fraction:
            continue
        inward = landmarks_px[other] - landmarks_px[side]
        down = landmarks_px[CHIN] - landmarks_px[FOREHEAD_TOP]
        edge = rng.uniform(*config.curtain_range)
        inner = [
            landmarks_px[side] + inward * (edge + rng.normal(0, 0.02)) + down * height
            for height in np.linspace(-0.8, 1.2, 9)
        ]
        outer = [point - inward * 0.5 for point in reversed(inner)]
        draw.polygon(_scaled(np.array(inner + outer)), fill=255)


def glasses(
    landmarks_px: Float[np.ndarray, "478 2"],
    size: int,
    light: Float[np.ndarray, " 3"],
    config: GlassesConfig,
    rng: np.random.Generator,
) -> Layer:
    """Rims, bridge and temples, with clear, tinted or reflecting lenses."""
    rims, rim_draw = _sheet(size)
    lenses, lens_draw = _sheet(size)
    eyes = [landmarks_px[list(corners)] for corners in (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)]
    centres = [eye.mean(axis=0) for eye in eyes]
    between = centres[1] - centres[0]
    distance = float(np.linalg.norm(between)) + 1e-6
    angle = np.arctan2(between[1], between[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    power = rng.choice(config.squareness_choices)
    half_width = distance * rng.uniform(*config.half_width_range)
    half_height = distance * rng.uniform(*config.half_height_range)
    around = np.linspace(0, 2 * np.pi, 40)
    unit = np.stack([np.cos(around), np.sin(around)], -1)
    unit = np.sign(unit) * np.abs(unit) ** (2 / power)
    width = draw_count(config.rim_range_px, rng)
    for centre, eye, side in zip(centres, eyes, FACE_SIDES, strict=True):
        # A rim turned away from the camera is as narrow as its eye.
        narrow = min(1.0, float(np.linalg.norm(eye[1] - eye[0])) / (0.42 * distance))
        outline = centre + (unit * np.array([half_width * narrow, half_height])) @ turn.T
        lens_draw.polygon(_scaled(outline), fill=255)
        rim_draw.line(_scaled(np.concatenate([outline, outline[:1]])), fill=255, width=width)
        outward = landmarks_px[side] - centre
        start = centre + outward * 0.5 * half_width * narrow / (0.5 * float(np.linalg.norm(outward)) + 1e-6)
        rim_draw.line(_scaled(np.array([start, landmarks_px[side]])), fill=255, width=width)
    bridge = landmarks_px[NOSE_BRIDGE]
    rim_draw.line(
        _scaled(np.array([bridge - between * 0.14, bridge + between * 0.14])), fill=255, width=width
    )
    rim, lens = _pixels(rims), _pixels(lenses)
    tint = rng.choice(config.tints, p=config.tint_weights)
    reflection = np.clip(gaussian_filter(rng.normal(size=(size, size)), 12) * 20 - 0.5, 0, 1)
    glare = reflection * rng.uniform(*config.glare_range)
    lens_alpha = lens * np.clip(tint + (1 - tint) * glare, 0, 1)
    frame = np.exp(rng.uniform(*config.frame_log_range))
    frame = frame * np.exp(rng.normal(0, config.frame_sigma, size=3))
    alpha = np.maximum(rim, lens_alpha)
    share = (rim / np.maximum(alpha, 1e-4)).clip(0, 1)[..., None]
    lens_colour = np.array(_LENS_VALUE + glare[..., None]) * light
    colour = share * frame * light * 2 + (1 - share) * lens_colour
    shade = np.maximum(rim, lens * tint)
    excluded = np.maximum(rim, lens)
    return Layer(colour.astype(np.float32), alpha.astype(np.float32), excluded, "own", shade, _GLASSES_OFF_M)


def hand(
    landmarks_px: Float[np.ndarray, "478 2"],
    size: int,
    light: Float[np.ndarray, " 3"],
    config: HandConfig,
    rng: np.random.Generator,
) -> Layer:
    """A skin-coloured palm with fingers, or any blob, that reaches in from below or from a side."""
    image, draw = _sheet(size)
    chin = landmarks_px[CHIN]
    scale = float(np.linalg.norm(landmarks_px[FOREHEAD_TOP] - chin)) + 1e-6
    palm = chin + rng.normal(0, config.place_sigma, size=2) * scale * np.array([1.0, 0.5])
    towards = np.arctan2(*(landmarks_px[NOSE_BRIDGE] - palm)[::-1]) + rng.normal(0, config.turn_sigma_rad)
    radius = scale * rng.uniform(*config.radius_range)
    box = [*(palm - radius), *(palm + radius)]
    draw.ellipse([value * _OVERSAMPLING for value in box], fill=255)
    for finger in range(draw_count(config.num_fingers_range, rng)):
        angle = towards + (finger - 1.5) * 0.25
        tip = palm + np.array([np.cos(angle), np.sin(angle)]) * radius * rng.uniform(*config.finger_range)
        width = max(2, int(radius * 0.38 * _OVERSAMPLING))
        draw.line(_scaled(np.array([palm, tip])), fill=255, width=width)
        x, y = _scaled(tip[None])[0]
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    alpha = _pixels(image)
    relief = gaussian_filter(alpha, 5) + gaussian_filter(rng.normal(size=(size, size)), 8) * 1.5
    lit = np.clip(0.3 + 0.9 * relief, 0.1, 1.6)[..., None] * light
    matter: Matter = "skin" if rng.random() < config.skin_fraction else "own"
    if matter == "own":
        lit = lit * rng.uniform(*config.other_colour_range, size=3)
    return Layer(lit.astype(np.float32), alpha, alpha, matter, alpha, _HAND_OFF_M)


def clothes(
    landmarks_px: Float[np.ndarray, "478 2"],
    size: int,
    light: Float[np.ndarray, " 3"],
    config: ClothesConfig,
    rng: np.random.Generator,
) -> Layer:
    """Shoulders in cloth, upright in the picture however the head is held."""
    chin, top = landmarks_px[CHIN], landmarks_px[FOREHEAD_TOP]
    length = float(np.linalg.norm(chin - top)) + 1e-6
    middle = landmarks_px[list(FACE_SIDES)].mean(axis=0)
    collar_y = float(chin[1]) + length * rng.uniform(*config.drop_range)
    collar_x = float(0.5 * (chin[0] + middle[0]))
    half, fall = length * rng.uniform(*config.collar_range), length * rng.uniform(*config.slope_range)
    reach, bottom = length * _SHOULDER_REACH, collar_y + length * _BODY_REACH
    outline = [
        (collar_x - half, collar_y),
        (collar_x - 0.5 * half, collar_y + 0.25 * half),
        (collar_x + 0.5 * half, collar_y + 0.25 * half),
        (collar_x + half, collar_y),
        (collar_x + reach, collar_y + fall),
        (collar_x + reach, bottom),
        (collar_x - reach, bottom),
        (collar_x - reach, collar_y + fall),
    ]
    image, draw = _sheet(size)
    draw.polygon(_scaled(np.array(outline)), fill=255)
    alpha = _pixels(image)
    folds = gaussian_filter(rng.normal(size=(size, size)), (2 * _FOLD_GRAIN_PX, _FOLD_GRAIN_PX))
    folds = 1.0 + rng.uniform(*config.fold_range) * folds / folds.std()
    cloth = np.exp(rng.uniform(*config.reflectance_log_range) + rng.normal(0, config.colour_sigma, size=3))
    colour = np.minimum(cloth, _LARGEST_REFLECTANCE) * light * folds.clip(0.2, 2.0)[..., None]
    return Layer(colour.astype(np.float32), alpha, alpha, "own", alpha)
