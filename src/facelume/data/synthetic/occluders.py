"""What covers a face in photos: hair, glasses, hands. All of it is left out of the parsing mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from facelume.geometry.face_mesh import (
    CHIN,
    FACE_SIDES,
    FOREHEAD_TOP,
    LEFT_EYE_CORNERS,
    NOSE_BRIDGE,
    RIGHT_EYE_CORNERS,
)

_OVERSAMPLING = 2


@dataclass(frozen=True)
class Layer:
    """Something in front of the face.

    Attributes:
        colour_linear: Linear colour, already shaded.
        alpha: Coverage in [0, 1].
        excluded: Coverage of what the parsing mask leaves out (the lenses of glasses count too), [0, 1].
    """

    colour_linear: Float[np.ndarray, "H W 3"]
    alpha: Float[np.ndarray, "H W"]
    excluded: Float[np.ndarray, "H W"]


def hair_colour(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    """Linear colour from black through brown and red to blond, grey at times."""
    if rng.random() < 0.12:
        return np.full(3, rng.uniform(0.15, 0.5)) * np.array([1.0, 0.98, 0.95])
    melanin = rng.beta(2.0, 1.2)
    blond, black = np.array([0.45, 0.27, 0.10]), np.array([0.012, 0.009, 0.008])
    colour = np.exp(melanin * np.log(black) + (1 - melanin) * np.log(blond))
    return colour * np.exp(rng.normal(0, 0.1, size=3))


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
    colour: Float[np.ndarray, " 3"],
    brightness: float,
    rng: np.random.Generator,
) -> Layer:
    """Curved strands that fall from the forehead over the face, and sometimes a curtain along the cheeks."""
    image, draw = _sheet(size)
    top, chin = landmarks_px[FOREHEAD_TOP], landmarks_px[CHIN]
    down = chin - top
    length = float(np.linalg.norm(down)) + 1e-6
    across = np.array([-down[1], down[0]])
    steps = np.linspace(0, 1, 12)[:, None]
    for _ in range(int(rng.integers(1, 6))):
        root = top - 0.1 * down + across * rng.uniform(-0.5, 0.5)
        reach = rng.uniform(0.15, 0.75)
        drift = rng.normal(0, 0.12)
        for _ in range(int(rng.integers(3, 30))):
            start = root + rng.normal(0, 0.03, size=2) * length
            bend = across * (drift + rng.normal(0, 0.03))
            curve = start + down * steps * (reach + rng.normal(0, 0.05)) + bend * steps**2
            draw.line(_scaled(curve), fill=255, width=int(rng.integers(1, 3)), joint="curve")
    if rng.random() < 0.4:
        _draw_curtain(draw, landmarks_px, rng)
    alpha = _pixels(image)
    noise = gaussian_filter(rng.normal(size=(size, size)), (6.0, 0.6)) * 3.0
    shade = np.clip(0.6 + 0.5 * noise, 0.1, 2.0)[..., None] * brightness
    return Layer((colour * shade).astype(np.float32), alpha, alpha)


def _draw_curtain(
    draw: ImageDraw.ImageDraw, landmarks_px: Float[np.ndarray, "478 2"], rng: np.random.Generator
) -> None:
    """Hair along one or both cheeks."""
    for side, other in (FACE_SIDES, FACE_SIDES[::-1]):
        if rng.random() < 0.4:
            continue
        inward = landmarks_px[other] - landmarks_px[side]
        down = landmarks_px[CHIN] - landmarks_px[FOREHEAD_TOP]
        edge = rng.uniform(-0.05, 0.18)
        inner = [
            landmarks_px[side] + inward * (edge + rng.normal(0, 0.02)) + down * height
            for height in np.linspace(-0.8, 1.2, 9)
        ]
        outer = [point - inward * 0.5 for point in reversed(inner)]
        draw.polygon(_scaled(np.array(inner + outer)), fill=255)


def glasses(
    landmarks_px: Float[np.ndarray, "478 2"], size: int, brightness: float, rng: np.random.Generator
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
    power = rng.choice([2.0, 2.8, 5.0])
    half_width, half_height = distance * rng.uniform(0.36, 0.46), distance * rng.uniform(0.22, 0.36)
    around = np.linspace(0, 2 * np.pi, 40)
    unit = np.stack([np.cos(around), np.sin(around)], -1)
    unit = np.sign(unit) * np.abs(unit) ** (2 / power)
    width = int(rng.integers(2, 7))
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
    tint = rng.choice([0.0, 0.05, 0.6, 0.9], p=[0.4, 0.3, 0.15, 0.15])
    glare = np.clip(gaussian_filter(rng.normal(size=(size, size)), 12) * 20 - 0.5, 0, 1) * rng.uniform(0, 0.8)
    lens_alpha = lens * np.clip(tint + (1 - tint) * glare, 0, 1)
    frame = np.exp(rng.uniform(-4.5, -0.7)) * np.exp(rng.normal(0, 0.3, size=3))
    alpha = np.maximum(rim, lens_alpha)
    share = (rim / np.maximum(alpha, 1e-4)).clip(0, 1)[..., None]
    lens_colour = np.array(0.03 + glare[..., None]) * brightness
    colour = share * frame * brightness * 2 + (1 - share) * lens_colour
    return Layer(colour.astype(np.float32), alpha.astype(np.float32), np.maximum(rim, lens))


def hand(
    landmarks_px: Float[np.ndarray, "478 2"],
    size: int,
    skin_linear: Float[np.ndarray, " 3"],
    brightness: float,
    rng: np.random.Generator,
) -> Layer:
    """A skin-coloured palm with fingers, or any blob, that reaches in from below or from a side."""
    image, draw = _sheet(size)
    chin = landmarks_px[CHIN]
    scale = float(np.linalg.norm(landmarks_px[FOREHEAD_TOP] - chin)) + 1e-6
    palm = chin + rng.normal(0, 0.45, size=2) * scale * np.array([1.0, 0.5])
    towards = np.arctan2(*(landmarks_px[NOSE_BRIDGE] - palm)[::-1]) + rng.normal(0, 0.4)
    radius = scale * rng.uniform(0.1, 0.25)
    box = [*(palm - radius), *(palm + radius)]
    draw.ellipse([value * _OVERSAMPLING for value in box], fill=255)
    for finger in range(int(rng.integers(0, 5))):
        angle = towards + (finger - 1.5) * 0.25
        tip = palm + np.array([np.cos(angle), np.sin(angle)]) * radius * rng.uniform(1.5, 2.6)
        width = max(2, int(radius * 0.38 * _OVERSAMPLING))
        draw.line(_scaled(np.array([palm, tip])), fill=255, width=width)
        x, y = _scaled(tip[None])[0]
        draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=255)
    alpha = _pixels(image)
    relief = gaussian_filter(alpha, 5) + gaussian_filter(rng.normal(size=(size, size)), 8) * 1.5
    shade = np.clip(0.3 + 0.9 * relief, 0.1, 1.6)[..., None] * brightness
    colour = skin_linear * shade if rng.random() < 0.7 else rng.uniform(0.02, 0.7, size=3) * shade
    return Layer(colour.astype(np.float32), alpha, alpha)


def background(
    environment_map: Float[np.ndarray, "H W 3"] | None, size: int, rng: np.random.Generator
) -> Float[np.ndarray, "h w 3"]:
    """A blurred piece of an environment map, a gradient, or one wall with noise; linear, about 0 to 1."""
    if environment_map is not None and rng.random() < 0.6:
        height, width, _ = environment_map.shape
        extent = int(rng.integers(32, 97))
        row = int(rng.integers(height // 4, max(height // 4 + 1, 3 * height // 4 - extent)))
        rows = np.clip(np.arange(row, row + extent), 0, height - 1)
        columns = (int(rng.integers(width)) + np.arange(extent)) % width
        piece = np.asarray(environment_map, dtype=np.float32)[rows][:, columns]
        piece = np.minimum(piece / max(float(np.percentile(piece, 80)), 1e-4) * rng.uniform(0.1, 0.8), 4.0)
        planes = [
            Image.fromarray(piece[..., c]).resize((size, size), Image.Resampling.BICUBIC) for c in range(3)
        ]
        return np.maximum(np.stack([np.asarray(plane) for plane in planes], -1), 0.0)
    first, second = rng.uniform(0.0, 1.0, size=(2, 3)) ** 2
    axis = np.linspace(0, 1, size)
    ramp = np.clip(
        0.5 + (axis[None] - 0.5) * rng.normal(0, 1) + (axis[:, None] - 0.5) * rng.normal(0, 1), 0, 1
    )
    image = first + (second - first) * ramp[..., None]
    noise = gaussian_filter(rng.normal(size=(size, size)), rng.uniform(1, 15)) * rng.uniform(0, 6)
    return np.clip(image * np.exp(0.3 * noise)[..., None], 0.0, 1.5).astype(np.float32)
