"""What is behind a synthetic head: surroundings, pieces of them, walls; linear, before exposure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import gaussian_filter

from facelume.camera import CROP_CAMERA
from facelume.data.distributions import draw_count
from facelume.data.synthetic.cover_config import BackdropConfig
from facelume.data.synthetic.light import SceneLight, Surroundings

_AHEAD = (0.0, 0.0, 1.0)
_BRIGHT_PERCENT, _LARGEST_VALUE = 80, 8.0
# Blur of the surroundings, pixels of their map: out of focus; some maps have dark rings at their lamps.
_FOCUS = 0.7
# Spread of the logarithm of each colour of a wall.
_WALL_TINT = 0.5


def backdrop(
    light: SceneLight,
    environment_maps: Sequence[Float[np.ndarray, "H W 3"]],
    size: int,
    config: BackdropConfig,
    rng: np.random.Generator,
) -> Float[np.ndarray, "{size} {size} 3"]:
    """What is behind a head, as bright against its light as the light says.

    Args:
        light: What lights the head.
        environment_maps: Maps whose pieces are shown.
        size: Pixels along an edge.
        config: Shares and ranges.
        rng: Source of everything random.
    """
    kind = config.kinds.pick(rng.random())
    if kind == "surroundings" and light.surroundings is not None:
        return _surroundings(light.surroundings, size, rng.uniform(*config.zoom_range))
    white = light.shading_of(_AHEAD) * light.behind_level
    if kind == "wall" or len(environment_maps) == 0:
        return (_wall(size, config, rng) * white).astype(np.float32)
    radiance = environment_maps[int(rng.integers(len(environment_maps)))]
    return (_piece(radiance, size, config, rng) * white).astype(np.float32)


def _surroundings(surroundings: Surroundings, size: int, zoom: float) -> Float[np.ndarray, "{size} {size} 3"]:
    """The map behind the head, as a camera of ``zoom`` times the crop's field of view sees it."""
    across = (np.arange(size) + 0.5) / size * CROP_CAMERA.width_px - CROP_CAMERA.principal_point_px[0]
    x, y = np.meshgrid(across, across)
    slope = zoom / CROP_CAMERA.focal_px
    rays = np.stack([x * slope, -y * slope, -np.ones_like(x)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    seen = surroundings.seen_along(rays)
    pixel = np.pi / surroundings.radiance.shape[0] / slope * size / CROP_CAMERA.width_px
    return gaussian_filter(seen, (_FOCUS * pixel, _FOCUS * pixel, 0), truncate=2.5).astype(np.float32)


def _piece(
    radiance: Float[np.ndarray, "H W 3"], size: int, config: BackdropConfig, rng: np.random.Generator
) -> Float[np.ndarray, "{size} {size} 3"]:
    """A blurred piece of an environment map about its horizon, of usual brightness."""
    height, width, _ = radiance.shape
    extent = draw_count(config.window_range_px, rng)
    row = int(rng.integers(height // 4, max(height // 4 + 1, 3 * height // 4 - extent)))
    rows = np.clip(np.arange(row, row + extent), 0, height - 1)
    columns = (int(rng.integers(width)) + np.arange(extent)) % width
    piece = np.asarray(radiance, dtype=np.float32)[rows][:, columns]
    bright = max(float(np.percentile(piece, _BRIGHT_PERCENT)), 1e-4)
    piece = np.minimum(piece / bright * rng.uniform(*config.brightness_range), _LARGEST_VALUE)
    planes = [Image.fromarray(piece[..., c]).resize((size, size), Image.Resampling.BICUBIC) for c in range(3)]
    return np.maximum(np.stack([np.asarray(plane) for plane in planes], -1), 0.0)


def _wall(
    size: int, config: BackdropConfig, rng: np.random.Generator
) -> Float[np.ndarray, "{size} {size} 3"]:
    """One wall, a gradient of two colours with noise; reflectance."""
    first, second = rng.uniform(0.0, 1.0, size=2) ** 2
    first, second = (grey * np.exp(rng.normal(0, _WALL_TINT, size=3)) for grey in (first, second))
    axis = np.linspace(0, 1, size)
    slope_x, slope_y = rng.normal(0, config.slope_sigma), rng.normal(0, config.slope_sigma)
    ramp = np.clip(0.5 + (axis[None] - 0.5) * slope_x + (axis[:, None] - 0.5) * slope_y, 0, 1)
    image = first + (second - first) * ramp[..., None]
    noise = gaussian_filter(rng.normal(size=(size, size)), rng.uniform(*config.grain_range_px))
    noise = noise * rng.uniform(*config.noise_range)
    return np.clip(image * np.exp(0.3 * noise)[..., None], 0.0, 1.5)
