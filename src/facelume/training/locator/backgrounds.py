"""Pictures without faces for the locator's training: windows of real ones, thumbnails, noise and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from facelume.data.distributions import draw_count, draw_log_uniform
from facelume.data.photos import PhotoRecord
from facelume.geometry import mesh_box
from facelume.training.locator.scene_config import BackgroundConfig

# Linear value that the median of an environment map gets in its two pictures.
_EXPOSURES = (0.25, 0.6)
# How far a strip keeps from the box of a face, in units of the box, and its least side.
_FACE_MARGIN, _LEAST_STRIP_PX = 0.15, 72


def load_environment_pictures(path: Path, names: tuple[str, ...]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """A darker and a lighter picture (gamma 2.2) of each named environment map."""
    pictures = []
    with np.load(path, allow_pickle=False) as archive:
        for name in names:
            radiance = np.nan_to_num(archive[name].astype(np.float32), posinf=6e4)
            for exposure in _EXPOSURES:
                linear = np.clip(radiance * exposure / np.median(radiance.mean(axis=-1)), 0.0, 1.0)
                pictures.append((np.power(linear, 1 / 2.2) * 255).astype(np.uint8))
    return pictures


def faceless_windows(record: PhotoRecord) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """The strips of a photo around its face (box widened by 15 %), where they are at least 72 px wide."""
    low, high = np.split(mesh_box(record.landmarks_px), 2)
    margin = _FACE_MARGIN * (high - low)
    left, top = (int(edge) for edge in low - margin)
    right, bottom = (int(edge) + 1 for edge in high + margin)
    with Image.open(record.path) as file:
        picture = np.asarray(file.convert("RGB"))
    strips = (
        picture[:, : max(0, left)],
        picture[:, max(0, right) :],
        picture[max(0, bottom) :],
        picture[: max(0, top)],
    )
    return [np.ascontiguousarray(strip) for strip in strips if min(strip.shape[:2]) >= _LEAST_STRIP_PX]


class BackgroundPainter:
    """Draws random pictures without faces.

    Args:
        pictures: Real pictures without faces; one that is listed twice is drawn twice as often.
        config: How often what is drawn.
        side_px: Side of the pictures drawn.
        rng: Source of all randomness.
    """

    def __init__(
        self,
        pictures: list[UInt8[np.ndarray, "_ _ 3"]],
        config: BackgroundConfig,
        *,
        side_px: int,
        rng: np.random.Generator,
    ) -> None:
        images = {id(picture): Image.fromarray(picture) for picture in pictures}
        self._pictures = [images[id(picture)] for picture in pictures]
        self._config = config
        self._side = side_px
        self._rng = rng

    def draw(self) -> UInt8[np.ndarray, "S S 3"]:
        """One picture: a window or a thumbnail of a real one, noise, shapes, or real textures in ovals."""
        kind = self._config.kinds.pick(self._rng.random())
        if kind == "thumbnail":
            return self._thumbnail()
        if kind == "noise":
            return self._noise()
        canvas = self._shapes() if kind in {"shapes", "shapes_with_ovals"} else self._window()
        return self._textured_ovals(canvas) if kind.endswith("with_ovals") else canvas

    def _pick(self) -> Image.Image:
        return self._pictures[self._rng.integers(len(self._pictures))]

    def _window(self) -> UInt8[np.ndarray, "S S 3"]:
        rng, side = self._rng, self._side
        picture = self._pick()
        smaller = min(picture.size)
        window = float(
            np.exp(rng.uniform(np.log(min(self._config.least_window_px, smaller)), np.log(smaller)))
        )
        left, top = rng.uniform(0, picture.width - window), rng.uniform(0, picture.height - window)
        box = (left, top, left + window, top + window)
        cut = picture.resize((side, side), Image.Resampling.BILINEAR, box)
        if rng.random() < self._config.turned_fraction:
            cut = cut.transpose(Image.Transpose(int(rng.integers(7))))
        return np.array(cut)

    def _thumbnail(self) -> UInt8[np.ndarray, "S S 3"]:
        """A whole picture, small, its edge repeated: what the coarse levels of the pyramid show."""
        rng, side = self._rng, self._side
        picture = self._pick()
        scale = draw_log_uniform((self._config.least_thumbnail_px, float(side)), rng) / max(picture.size)
        extent = (max(4, round(picture.width * scale)), max(4, round(picture.height * scale)))
        small = np.asarray(picture.resize(extent, Image.Resampling.BILINEAR, reducing_gap=2.0))
        left, top = rng.integers(0, max(1, side - extent[0])), rng.integers(0, max(1, side - extent[1]))
        rows = np.clip(np.arange(side) - top, 0, extent[1] - 1)
        columns = np.clip(np.arange(side) - left, 0, extent[0] - 1)
        return np.ascontiguousarray(small[np.ix_(rows, columns)])

    def _noise(self) -> UInt8[np.ndarray, "S S 3"]:
        """Sums of noise of several grains in the colours of two random ends."""
        rng, side, config = self._rng, self._side, self._config
        total = np.zeros((side, side), np.float32)
        for cells in 2 ** rng.permutation(np.arange(1, 8))[: draw_count(config.num_grains_range, rng)]:
            grain = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
            is_smooth = rng.random() < config.smooth_fraction
            method = Image.Resampling.BICUBIC if is_smooth else Image.Resampling.NEAREST
            total += np.asarray(grain.resize((side, side), method)) * rng.uniform(*config.grain_range)
        mix = 1 / (1 + np.exp(-total * rng.uniform(*config.contrast_range)))[..., None]
        ends = rng.uniform(0, 255, (2, 3))
        return (mix * ends[0] + (1 - mix) * ends[1]).astype(np.uint8)

    def _shapes(self) -> UInt8[np.ndarray, "S S 3"]:
        """Discs, rings, ovals and bars on a gradient: round things that are no faces."""
        rng, side, config = self._rng, self._side, self._config
        corners = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
        canvas = np.array(corners.resize((side, side), Image.Resampling.BILINEAR))
        y, x = np.mgrid[:side, :side]
        for _ in range(draw_count(config.num_shapes_range, rng)):
            centre = rng.uniform(0, side, 2)
            radii = np.exp(rng.uniform(np.log(config.least_shape_px), np.log(side / 3), 2))
            u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
            is_round = rng.random() < config.round_fraction
            distance = u * u + v * v if is_round else np.maximum(abs(u), abs(v))
            inner = 0.6 if rng.random() < config.ring_fraction else -1.0
            canvas[(distance < 1) & (distance > inner)] = rng.integers(0, 256, 3)
        return canvas

    def _textured_ovals(self, canvas: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Ovals cut from real pictures without faces, on the canvas."""
        rng, side, config = self._rng, self._side, self._config
        y, x = np.mgrid[:side, :side]
        for _ in range(draw_count(config.num_ovals_range, rng)):
            texture = self._window()
            centre = rng.uniform(0, side, 2)
            radius = draw_log_uniform((config.least_oval_px, side / 3), rng)
            aspect = rng.uniform(*config.oval_aspect_range)
            distance = np.hypot((x - centre[0]) / radius, (y - centre[1]) / (radius * aspect))
            alpha = np.clip((1 - distance) / rng.uniform(*config.oval_edge_range), 0, 1)[..., None]
            canvas = (canvas * (1 - alpha) + texture * alpha).astype(np.uint8)
        return canvas


def sample_edge(
    picture: UInt8[np.ndarray, "H W 3"], x: np.ndarray, y: np.ndarray
) -> UInt8[np.ndarray, "n 3"]:
    """Bilinear samples at array coordinates (0: first pixel's centre); outside, the edge is repeated."""
    height, width = picture.shape[:2]
    x, y = np.clip(x, 0, width - 1).astype(np.float32), np.clip(y, 0, height - 1).astype(np.float32)
    x0, y0 = (
        np.minimum(x.astype(np.int32), max(0, width - 2)),
        np.minimum(y.astype(np.int32), max(0, height - 2)),
    )
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    u, v = (x - x0)[:, None], (y - y0)[:, None]
    top = picture[y0, x0] * (1 - u) + picture[y0, x1] * u
    bottom = picture[y1, x0] * (1 - u) + picture[y1, x1] * u
    return (top * (1 - v) + bottom * v + 0.5).astype(np.uint8)
