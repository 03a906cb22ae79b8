"""Scenes for the locator's training: photos composed onto backgrounds, with boxes and points of every face.

Everything is drawn on the fly from photos with landmarks and from pictures without faces; sizes are in
pixels of the scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from scipy.spatial import ConvexHull

from facelume.data.distributions import draw_count, draw_log_uniform
from facelume.data.photos import PhotoRecord
from facelume.geometry import box_size, five_points, mesh_box
from facelume.geometry.face_mesh import NUM_MESH_POINTS
from facelume.training.locator.backgrounds import BackgroundPainter, sample_edge
from facelume.training.locator.flaws import spoil
from facelume.training.locator.occluders import draw_cloth, draw_glasses
from facelume.training.locator.scene_config import PlacementConfig, SceneConfig

# Faces of photos in memory are at most so large: scenes hold few larger ones, and those may be soft.
_CACHED_FACE_PX = 144.0
# The stack of halved pictures ends where the face, or the picture, is smaller than this.
_LEAST_FACE_PX, _LEAST_SIDE_PX = 9.0, 8
# From so many pasted photos on, they are smaller, so that they cover each other less.
_CROWD = 3
_MIRRORED_POINTS = (1, 0, 2, 4, 3)


@dataclass(frozen=True)
class ScenePhoto:
    """A photo as a stack of halved pictures with the outline of its face.

    Attributes:
        mips: The picture at scales 1, 1/2, 1/4, ...
        outline_px: Corners of the convex hull of the mesh points, pixels of the first mip.
        points_px: The five points, pixels of the first mip.
        size_px: Root of width times height of the face box in the first mip.
    """

    mips: tuple[Image.Image, ...]
    outline_px: Float[np.ndarray, "n 2"]
    points_px: Float[np.ndarray, "5 2"]
    size_px: float


@dataclass(frozen=True)
class SceneFace:
    """A face in a scene.

    Attributes:
        box_px: Left, top, right, bottom of the box of the mesh points.
        points_px: The five points.
        visible: Share of the box that is inside the scene and not covered.
    """

    box_px: Float[np.ndarray, " 4"]
    points_px: Float[np.ndarray, "5 2"]
    visible: float

    @property
    def size_px(self) -> float:
        """Root of box width times height."""
        return float(box_size(self.box_px))


@dataclass(frozen=True)
class Scene:
    """A training picture and its faces.

    Attributes:
        picture: sRGB.
        faces: What can be seen on it, the hidden and the tiny ones too.
    """

    picture: UInt8[np.ndarray, "S S 3"]
    faces: list[SceneFace]


def load_scene_photo(record: PhotoRecord) -> ScenePhoto:
    """Read a photo, reduced so that its face is at most 144 px, and halve it until the face is tiny."""
    size = float(box_size(mesh_box(record.landmarks_px)))
    with Image.open(record.path) as file:
        picture = file.convert("RGB")
    scale = min(1.0, _CACHED_FACE_PX / size)
    sides = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    ratio = np.array(sides) / np.array(picture.size)
    mips = [picture.resize(sides, Image.Resampling.BOX) if scale < 1.0 else picture]
    while size * scale / 2 ** len(mips) >= _LEAST_FACE_PX and min(mips[-1].size) >= _LEAST_SIDE_PX:
        mips.append(mips[-1].reduce(2))
    mesh = record.landmarks_px[:NUM_MESH_POINTS, :2] * ratio
    return ScenePhoto(
        mips=tuple(mips),
        outline_px=mesh[ConvexHull(mesh).vertices].astype(np.float64),
        points_px=(five_points(record.landmarks_px) * ratio).astype(np.float64),
        size_px=size * scale,
    )


class SceneComposer:
    """Draws random scenes.

    Args:
        photos: Photos with faces.
        backgrounds: Pictures without faces.
        config: How often what is drawn.
        side_px: Side of a scene.
        rng: Source of all randomness.
    """

    def __init__(
        self,
        photos: list[ScenePhoto],
        backgrounds: list[UInt8[np.ndarray, "_ _ 3"]],
        config: SceneConfig,
        *,
        side_px: int,
        rng: np.random.Generator,
    ) -> None:
        self._photos = photos
        self._config = config
        self._painter = BackgroundPainter(backgrounds, config.backgrounds, side_px=side_px, rng=rng)
        self._side = side_px
        self._rng = rng

    def draw(self) -> Scene:
        """Compose one scene: a background, one photo over the whole scene, or several on a background."""
        rng, side, config = self._rng, self._side, self._config
        kind = config.kinds.pick(rng.random())
        faces: list[SceneFace] = []
        num_pastes = 0
        if kind == "close_up":
            canvas, faces = self._whole_photo(
                draw_log_uniform(config.close_up_range_px, rng), is_close_up=True
            )
        elif kind == "whole_photo":
            canvas, faces = self._whole_photo(draw_log_uniform(config.whole_range_px, rng), is_close_up=False)
            if rng.random() < config.extra_fraction:
                num_pastes = draw_count(config.num_extra_range, rng)
        else:
            canvas = self._painter.draw()
            if kind == "pasted":
                num_pastes = draw_count(config.num_pasted_range, rng)
        sizes_px = config.pasted_range_px if num_pastes < _CROWD else config.crowd_range_px
        owner = np.zeros((side, side), dtype=np.int32)
        pasted: list[tuple[SceneFace, int]] = []
        for index in range(1, num_pastes + 1):
            size = draw_log_uniform(sizes_px, rng)
            with_face = rng.random() < config.erasures.kept_fraction
            face = self._paste(canvas, owner, index, size, with_face=with_face)
            if face is not None:
                pasted.append((face, index))
        visible = [
            SceneFace(f.box_px, f.points_px, _visible_share(f.box_px, owner, index)) for f, index in pasted
        ]
        whole = [SceneFace(f.box_px, f.points_px, _visible_share(f.box_px, owner, 0)) for f in faces]
        canvas = self._cover(canvas, whole + visible)
        return Scene(spoil(canvas, config.flaws, rng), whole + visible)

    def _whole_photo(
        self, size: float, *, is_close_up: bool
    ) -> tuple[UInt8[np.ndarray, "S S 3"], list[SceneFace]]:
        """One photo over the scene, its edge repeated outside, as the locator pads tight crops."""
        rng, side, placement = self._rng, self._side, self._config.placement
        photo = self._photos[rng.integers(len(self._photos))]
        mip, mip_scale = _choose_mip(photo, size)
        angle = _draw_angle(placement, rng) if rng.random() < placement.tilted_fraction else 0.0
        centre = photo.points_px.mean(axis=0)
        spread = size if is_close_up else max(0.0, side - 0.8 * size)
        target = side / 2 + rng.uniform(-0.5, 0.5, 2) * spread
        scene_from_photo = _similarity(
            size / photo.size_px, angle, widening=_draw_widening(placement, rng), source=centre, target=target
        )
        photo_from_scene = np.linalg.inv(np.vstack((scene_from_photo, (0, 0, 1))))
        x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
        source = (
            photo_from_scene[:2, :2] @ np.stack((x.ravel(), y.ravel())) + photo_from_scene[:2, 2:]
        ) * mip_scale
        canvas = sample_edge(np.asarray(mip), source[0] - 0.5, source[1] - 0.5).reshape(side, side, 3)
        if rng.random() < self._config.erasures.whole_fraction:
            return self._erase(canvas, _map(scene_from_photo, photo.outline_px)), []
        return canvas, [_face_of(photo, scene_from_photo)]

    def _paste(
        self,
        canvas: UInt8[np.ndarray, "S S 3"],
        owner: np.ndarray,
        index: int,
        size: float,
        *,
        with_face: bool,
    ) -> SceneFace | None:
        """Paste a photo, or one with its face erased, into canvas and owner, both changed in place."""
        rng, side = self._rng, self._side
        photo = self._photos[rng.integers(len(self._photos))]
        mip, mip_scale = _choose_mip(photo, size)
        target = rng.uniform(-0.1 * size, side + 0.1 * size, 2)
        matrix = _similarity(
            size / photo.size_px,
            _draw_angle(self._config.placement, rng),
            widening=_draw_widening(self._config.placement, rng),
            source=photo.points_px.mean(axis=0),
            target=target,
        )
        alpha = self._alpha(photo, mip.size, mip_scale)
        corners = _map(matrix, np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * np.array(photo.mips[0].size))
        low = np.clip(np.floor(corners.min(axis=0)), 0, side).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)), 0, side).astype(int)
        if (high - low).min() < 2:
            return None
        inverse = np.linalg.inv(np.vstack((matrix, (0, 0, 1))))[:2] * mip_scale
        inverse[:, 2] += inverse[:, :2] @ low
        extent = (int(high[0] - low[0]), int(high[1] - low[1]))
        affine = (Image.Transform.AFFINE, tuple(inverse.ravel()), Image.Resampling.BILINEAR)
        patch = np.asarray(mip.transform(extent, *affine))
        weight = np.asarray(alpha.transform(extent, *affine))
        if not with_face:
            patch = self._erase(patch, _map(matrix, photo.outline_px) - low)
        region = (slice(low[1], high[1]), slice(low[0], high[0]))
        blend = weight[..., None].astype(np.float32) / 255.0
        canvas[region] = (canvas[region] * (1 - blend) + patch * blend + 0.5).astype(np.uint8)
        owner[region][weight > 127] = index
        return _face_of(photo, matrix) if with_face else None

    def _alpha(self, photo: ScenePhoto, extent: tuple[int, int], mip_scale: float) -> Image.Image:
        """Opacity of a paste: the whole picture, hard or feathered, or an oval around the head."""
        rng, edges = self._rng, self._config.edges
        width, height = extent
        if rng.random() < edges.whole_fraction:
            return Image.new("L", extent, 255)
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        if rng.random() < edges.feathered_fraction:
            feather = rng.uniform(*edges.feather_range) * min(extent)
            edge = np.minimum(np.minimum(x, width - x)[None], np.minimum(y, height - y)[:, None])
            alpha = np.clip(edge / feather, 0, 1)
        else:
            low, high = photo.outline_px.min(axis=0) * mip_scale, photo.outline_px.max(axis=0) * mip_scale
            radius = (high - low) / 2 * rng.uniform(*edges.oval_range)
            centre = (low + high) / 2 - np.array((0.0, 0.1 * radius[1]))
            distance = np.hypot((x[None] - centre[0]) / radius[0], (y[:, None] - centre[1]) / radius[1])
            alpha = np.clip((1.0 - distance) / rng.uniform(*edges.oval_edge_range), 0, 1)
        return Image.fromarray((alpha * 255).astype(np.uint8))

    def _erase(
        self, picture: UInt8[np.ndarray, "H W 3"], outline_px: Float[np.ndarray, "n 2"]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Return the picture with the face inside the outline blurred away, shuffled, or covered."""
        rng, erasures = self._rng, self._config.erasures
        height, width = picture.shape[:2]
        low = np.clip(np.floor(outline_px.min(axis=0)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(outline_px.max(axis=0)), 0, (width, height)).astype(int)
        extent = high - low
        if extent.min() < 3:
            return picture
        result = picture.copy()
        region = (slice(low[1], high[1]), slice(low[0], high[0]))
        inside = result[region]
        kind = erasures.kinds.pick(rng.random())
        if kind == "blurred":
            radius = 0.3 * float(extent.max())
            inside[:] = np.asarray(Image.fromarray(inside).filter(ImageFilter.BoxBlur(radius)))
        elif kind == "shuffled":
            cells = draw_count(erasures.num_cells_range, rng)
            rows, columns = (
                np.array_split(np.arange(extent[1]), cells),
                np.array_split(np.arange(extent[0]), cells),
            )
            blocks = [
                Image.fromarray(inside[np.ix_(r, c)]) for r in rows for c in columns if len(r) and len(c)
            ]
            order = rng.permutation(len(blocks))
            shuffled = iter(order)
            for r in rows:
                for c in columns:
                    if len(r) and len(c):
                        block = blocks[next(shuffled)].resize((len(c), len(r)))
                        inside[np.ix_(r, c)] = np.asarray(block)
        else:
            texture = Image.fromarray(self._painter.draw()).resize((int(extent[0]), int(extent[1])))
            inside[:] = np.asarray(texture)
        return result

    def _cover(
        self, canvas: UInt8[np.ndarray, "S S 3"], faces: list[SceneFace]
    ) -> UInt8[np.ndarray, "S S 3"]:
        """Cover a part of some faces: a small rectangle, dark glasses, or everything below the nose."""
        rng, covers = self._rng, self._config.covers
        for face in faces:
            kind = covers.kinds.pick(rng.random())
            low, extent = face.box_px[:2], face.box_px[2:] - face.box_px[:2]
            if kind == "rectangle":
                hole = np.maximum(1, extent * rng.uniform(*covers.rectangle_range, 2)).astype(int)
                corner = np.clip(low + rng.uniform(0, 1, 2) * (extent - hole), 0, self._side - 1).astype(int)
                target = canvas[corner[1] : corner[1] + hole[1], corner[0] : corner[0] + hole[0]]
                is_noisy = rng.random() < covers.noisy_fraction
                target[:] = rng.integers(0, 256, target.shape if is_noisy else 3, dtype=np.uint8)
            elif kind == "glasses":
                canvas = draw_glasses(canvas, face.points_px, covers, rng)
            elif kind == "cloth":
                canvas = draw_cloth(canvas, face.points_px, rng)
        return canvas


def _draw_angle(config: PlacementConfig, rng: np.random.Generator) -> float:
    limit = config.tilt_limit_rad
    if rng.random() < config.usual_fraction:
        return float(np.clip(rng.normal(0.0, config.tilt_sigma_rad), -limit, limit))
    return float(rng.uniform(-limit, limit))


def _draw_widening(config: PlacementConfig, rng: np.random.Generator) -> float:
    """Factor of the width: now and then narrower, as of a head that is turned away; half are mirrored."""
    factor = rng.uniform(*config.narrowed_range) if rng.random() < config.narrowed_fraction else 1.0
    return float(factor if rng.random() < 0.5 else -factor)


def _choose_mip(photo: ScenePhoto, size_px: float) -> tuple[Image.Image, float]:
    """The smallest mip whose face is at least 0.8 times the wanted size, and its scale to the first mip."""
    level = int(np.clip(np.floor(np.log2(photo.size_px / size_px) + 0.3), 0, len(photo.mips) - 1))
    mip = photo.mips[level]
    return mip, float(np.sqrt(mip.width * mip.height / (photo.mips[0].width * photo.mips[0].height)))


def _similarity(
    scale: float,
    angle_rad: float,
    *,
    widening: float,
    source: Float[np.ndarray, " 2"],
    target: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "2 3"]:
    """Affine matrix that takes ``source`` to ``target``: widened (mirrored if negative), scaled, turned."""
    cosine, sine = scale * np.cos(angle_rad), scale * np.sin(angle_rad)
    linear = np.array([(cosine, -sine), (sine, cosine)]) @ np.diag((widening, 1.0))
    return np.column_stack((linear, target - linear @ source))


def _map(matrix: Float[np.ndarray, "2 3"], points: np.ndarray) -> Float[np.ndarray, "n 2"]:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _face_of(photo: ScenePhoto, matrix: Float[np.ndarray, "2 3"]) -> SceneFace:
    outline, points = _map(matrix, photo.outline_px), _map(matrix, photo.points_px)
    if np.linalg.det(matrix[:, :2]) < 0:
        points = points[list(_MIRRORED_POINTS)]
    return SceneFace(np.concatenate((outline.min(axis=0), outline.max(axis=0))), points, 1.0)


def _visible_share(box_px: Float[np.ndarray, " 4"], owner: np.ndarray, index: int) -> float:
    """Share of a box whose pixels belong to ``index`` (what is outside the scene does not)."""
    low, high = np.floor(box_px[:2] + 0.5).astype(int), np.floor(box_px[2:] + 0.5).astype(int)
    area = max(1, int(np.prod(high - low)))
    clipped = owner[max(0, low[1]) : max(0, high[1]), max(0, low[0]) : max(0, high[0])]
    same: Bool[np.ndarray, "h w"] = clipped == index
    return float(same.sum() / area)
