"""Scenes for the locator's training: photos composed onto backgrounds, with boxes and points of every face.

Everything is drawn on the fly from photos with landmarks and from pictures without faces; sizes are in
pixels of the scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFilter
from scipy.spatial import ConvexHull

from facelume.data.photos import PhotoRecord, face_box
from facelume.detection.mesh_points import NUM_MESH_POINTS, five_points

_CACHED_FACE_PX = 144.0
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
        return float(np.sqrt((self.box_px[2] - self.box_px[0]) * (self.box_px[3] - self.box_px[1])))


@dataclass(frozen=True)
class Scene:
    """A training picture and its faces."""

    picture: UInt8[np.ndarray, "S S 3"]
    faces: list[SceneFace]


def load_scene_photo(record: PhotoRecord) -> ScenePhoto:
    """Read a photo, reduced so that its face is at most 144 px, and halve it until the face is tiny."""
    size = float(face_box(record.landmarks_px)[1])
    with Image.open(record.path) as file:
        picture = file.convert("RGB")
    scale = min(1.0, _CACHED_FACE_PX / size)
    sides = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    ratio = np.array(sides) / np.array(picture.size)
    mips = [picture.resize(sides, Image.Resampling.BOX) if scale < 1.0 else picture]
    while size * scale / 2 ** len(mips) >= 9.0 and min(mips[-1].size) >= 8:
        mips.append(mips[-1].reduce(2))
    mesh = record.landmarks_px[:NUM_MESH_POINTS, :2] * ratio
    return ScenePhoto(
        mips=tuple(mips),
        outline_px=mesh[ConvexHull(mesh).vertices].astype(np.float64),
        points_px=(five_points(record.landmarks_px) * ratio).astype(np.float64),
        size_px=size * scale,
    )


def load_environment_pictures(path: Path, names: tuple[str, ...]) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Tone-mapped (one stop under and over the mean, sRGB) pictures of the named environment maps."""
    pictures = []
    with np.load(path, allow_pickle=False) as archive:
        for name in names:
            radiance = np.nan_to_num(archive[name].astype(np.float32), posinf=6e4)
            for exposure in (0.25, 0.6):
                linear = np.clip(radiance * exposure / np.median(radiance.mean(axis=-1)), 0.0, 1.0)
                pictures.append((np.power(linear, 1 / 2.2) * 255).astype(np.uint8))
    return pictures


def faceless_windows(record: PhotoRecord) -> list[UInt8[np.ndarray, "H W 3"]]:
    """The strips of a photo around its face (box widened by 15 %), where they are at least 72 px wide."""
    mesh = record.landmarks_px[:NUM_MESH_POINTS, :2]
    low, high = mesh.min(axis=0), mesh.max(axis=0)
    margin = 0.15 * (high - low)
    left, top, right, bottom = *(low - margin).astype(int), *(high + margin).astype(int) + 1
    with Image.open(record.path) as file:
        picture = np.asarray(file.convert("RGB"))
    strips = (
        picture[:, : max(0, left)],
        picture[:, max(0, right) :],
        picture[max(0, bottom) :],
        picture[: max(0, top)],
    )
    return [np.ascontiguousarray(strip) for strip in strips if min(strip.shape[:2]) >= 72]


class SceneComposer:
    """Draws random scenes.

    Args:
        photos: Photos with faces.
        backgrounds: Pictures without faces.
        side_px: Side of a scene.
        rng: Source of all randomness.
    """

    def __init__(
        self,
        photos: list[ScenePhoto],
        backgrounds: list[UInt8[np.ndarray, "H W 3"]],
        *,
        side_px: int,
        rng: np.random.Generator,
    ) -> None:
        self._photos = photos
        self._backgrounds = [Image.fromarray(picture) for picture in backgrounds]
        self._side = side_px
        self._rng = rng

    def draw(self) -> Scene:
        """Compose one scene: one whole photo, several on a background, or none."""
        rng, side = self._rng, self._side
        kind = rng.random()
        faces: list[SceneFace] = []
        if kind < 0.35:
            canvas, faces = self._whole_photo()
        else:
            canvas = self._background()
        num_pastes = rng.integers(1, 8) if kind >= 0.35 else (rng.integers(1, 3) if rng.random() < 0.2 else 0)
        owner = np.zeros((side, side), dtype=np.int32)
        pasted: list[tuple[SceneFace, int]] = []
        for index in range(1, num_pastes + 1):
            largest = 130.0 if num_pastes < 3 else 70.0
            size = float(np.exp(rng.uniform(np.log(10.0), np.log(largest))))
            face = self._paste(canvas, owner, index, size, with_face=rng.random() < 0.62)
            if face is not None:
                pasted.append((face, index))
        visible = [
            SceneFace(f.box_px, f.points_px, _visible_share(f.box_px, owner, index)) for f, index in pasted
        ]
        whole = [SceneFace(f.box_px, f.points_px, _visible_share(f.box_px, owner, 0)) for f in faces]
        return Scene(self._degrade(self._cut_out(canvas, whole + visible)), whole + visible)

    def _background(self) -> UInt8[np.ndarray, "S S 3"]:
        rng, side = self._rng, self._side
        kind = rng.random()
        if kind < 0.75:
            picture = self._backgrounds[rng.integers(len(self._backgrounds))]
            smaller = min(picture.size)
            window = float(np.exp(rng.uniform(np.log(min(48, smaller)), np.log(smaller))))
            left = rng.uniform(0, picture.width - window)
            top = rng.uniform(0, picture.height - window)
            cut = picture.resize(
                (side, side), Image.Resampling.BILINEAR, (left, top, left + window, top + window)
            )
            cut = cut.transpose(Image.Transpose(int(rng.integers(7)))) if rng.random() < 0.4 else cut
            return np.array(cut)
        if kind < 0.85:
            cells = int(2 ** rng.integers(1, 7))
            noise = rng.integers(0, 256, (cells, cells, 3 if rng.random() < 0.7 else 1), dtype=np.uint8)
            smooth = Image.Resampling.BICUBIC if rng.random() < 0.7 else Image.Resampling.NEAREST
            picture = Image.fromarray(np.broadcast_to(noise, (cells, cells, 3)).copy())
            return np.array(picture.resize((side, side), smooth))
        return self._shapes()

    def _shapes(self) -> UInt8[np.ndarray, "S S 3"]:
        """Discs, ovals and bars on a gradient: round things that are no faces."""
        rng, side = self._rng, self._side
        corners = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
        canvas = np.array(corners.resize((side, side), Image.Resampling.BILINEAR))
        y, x = np.mgrid[:side, :side]
        for _ in range(rng.integers(3, 16)):
            centre, radii = rng.uniform(0, side, 2), np.exp(rng.uniform(np.log(2), np.log(side / 3), 2))
            u, v = (x - centre[0]) / radii[0], (y - centre[1]) / radii[1]
            inside = (u * u + v * v < 1) if rng.random() < 0.7 else (np.maximum(abs(u), abs(v)) < 1)
            canvas[inside] = rng.integers(0, 256, 3)
        return canvas

    def _whole_photo(self) -> tuple[UInt8[np.ndarray, "S S 3"], list[SceneFace]]:
        """One photo over the scene, its edge repeated outside, as the locator pads tight crops."""
        rng, side = self._rng, self._side
        photo = self._photos[rng.integers(len(self._photos))]
        size = float(np.exp(rng.uniform(np.log(12.0), np.log(120.0))))
        mip, mip_scale = _choose_mip(photo, size)
        angle = _draw_angle(rng) if rng.random() < 0.5 else 0.0
        centre = photo.points_px.mean(axis=0)
        target = side / 2 + rng.uniform(-0.5, 0.5, 2) * max(0.0, side - 0.8 * size)
        scene_from_photo = _similarity(
            size / photo.size_px, angle, mirror=rng.random() < 0.5, source=centre, target=target
        )
        photo_from_scene = np.linalg.inv(np.vstack((scene_from_photo, (0, 0, 1))))
        x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
        source = (
            photo_from_scene[:2, :2] @ np.stack((x.ravel(), y.ravel())) + photo_from_scene[:2, 2:]
        ) * mip_scale
        canvas = _sample_edge(np.asarray(mip), source[0] - 0.5, source[1] - 0.5).reshape(side, side, 3)
        if rng.random() < 0.2:
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
            _draw_angle(rng),
            mirror=rng.random() < 0.5,
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
        rng = self._rng
        width, height = extent
        if rng.random() < 0.35:
            return Image.new("L", extent, 255)
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        if rng.random() < 0.5:
            feather = rng.uniform(0.02, 0.12) * min(extent)
            edge = np.minimum(np.minimum(x, width - x)[None], np.minimum(y, height - y)[:, None])
            alpha = np.clip(edge / feather, 0, 1)
        else:
            low, high = photo.outline_px.min(axis=0) * mip_scale, photo.outline_px.max(axis=0) * mip_scale
            radius = (high - low) / 2 * rng.uniform(1.15, 1.7)
            centre = (low + high) / 2 - np.array((0.0, 0.1 * radius[1]))
            distance = np.hypot((x[None] - centre[0]) / radius[0], (y[:, None] - centre[1]) / radius[1])
            alpha = np.clip((1.0 - distance) / rng.uniform(0.03, 0.25), 0, 1)
        return Image.fromarray((alpha * 255).astype(np.uint8))

    def _erase(
        self, picture: UInt8[np.ndarray, "H W 3"], outline_px: Float[np.ndarray, "n 2"]
    ) -> UInt8[np.ndarray, "H W 3"]:
        """Return the picture with the face inside the outline blurred away, shuffled, or covered."""
        rng = self._rng
        height, width = picture.shape[:2]
        low = np.clip(np.floor(outline_px.min(axis=0)), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(outline_px.max(axis=0)), 0, (width, height)).astype(int)
        extent = high - low
        if extent.min() < 3:
            return picture
        result = picture.copy()
        region = (slice(low[1], high[1]), slice(low[0], high[0]))
        inside = result[region]
        kind = rng.random()
        if kind < 0.35:
            radius = 0.3 * float(extent.max())
            inside[:] = np.asarray(Image.fromarray(inside).filter(ImageFilter.BoxBlur(radius)))
        elif kind < 0.65:
            cells = rng.integers(3, 6)
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
            texture = Image.fromarray(self._background()).resize((int(extent[0]), int(extent[1])))
            inside[:] = np.asarray(texture)
        return result

    def _cut_out(
        self, canvas: UInt8[np.ndarray, "S S 3"], faces: list[SceneFace]
    ) -> UInt8[np.ndarray, "S S 3"]:
        """Cover a part (up to a third of width and height) of some faces with a flat or noisy rectangle."""
        rng = self._rng
        for face in faces:
            if rng.random() > 0.15:
                continue
            low, extent = face.box_px[:2], face.box_px[2:] - face.box_px[:2]
            hole = np.maximum(1, extent * rng.uniform(0.1, 0.35, 2)).astype(int)
            corner = np.clip(low + rng.uniform(0, 1, 2) * (extent - hole), 0, self._side - 1).astype(int)
            target = canvas[corner[1] : corner[1] + hole[1], corner[0] : corner[0] + hole[0]]
            target[:] = rng.integers(0, 256, target.shape if rng.random() < 0.3 else 3, dtype=np.uint8)
        return canvas

    def _degrade(self, canvas: UInt8[np.ndarray, "S S 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Colour, contrast, grey, blur, lower resolution, noise and JPEG artefacts."""
        rng, side = self._rng, self._side
        levels = np.linspace(0.0, 1.0, 256, dtype=np.float32)[:, None]
        gain = np.exp(rng.normal(0.0, 0.22) + rng.normal(0.0, 0.07, 3))
        curve = np.power(levels, np.exp(rng.normal(0.0, 0.3))) * gain
        curve = (curve - 0.5) * np.exp(rng.normal(0.0, 0.2)) + 0.5 + rng.normal(0.0, 0.06)
        table = (np.clip(curve, 0, 1) * 255).astype(np.uint8)
        picture = np.stack([table[canvas[..., channel], channel] for channel in range(3)], axis=-1)
        if rng.random() < 0.15:
            picture = np.repeat(np.asarray(Image.fromarray(picture).convert("L"))[..., None], 3, axis=-1)
        if rng.random() < 0.2:
            picture = np.asarray(
                Image.fromarray(picture).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.5)))
            )
        if rng.random() < 0.1:
            small = int(side / rng.uniform(1.2, 2.2))
            picture = np.asarray(Image.fromarray(picture).resize((small, small), 2).resize((side, side), 2))
        if rng.random() < 0.25:
            noise = rng.standard_normal((side, side, 3), dtype=np.float32) * (rng.uniform(2, 16))
            picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
        if rng.random() < 0.3:
            buffer = BytesIO()
            Image.fromarray(picture).save(buffer, "JPEG", quality=int(rng.integers(25, 90)))
            picture = np.asarray(Image.open(buffer))
        return np.ascontiguousarray(picture)


def _draw_angle(rng: np.random.Generator) -> float:
    return (
        float(np.clip(rng.normal(0.0, 0.3), -0.9, 0.9))
        if rng.random() < 0.8
        else float(rng.uniform(-0.9, 0.9))
    )


def _choose_mip(photo: ScenePhoto, size_px: float) -> tuple[Image.Image, float]:
    """The smallest mip whose face is at least 0.8 times the wanted size, and its scale to the first mip."""
    level = int(np.clip(np.floor(np.log2(photo.size_px / size_px) + 0.3), 0, len(photo.mips) - 1))
    mip = photo.mips[level]
    return mip, float(np.sqrt(mip.width * mip.height / (photo.mips[0].width * photo.mips[0].height)))


def _similarity(
    scale: float,
    angle_rad: float,
    *,
    mirror: bool,
    source: Float[np.ndarray, " 2"],
    target: Float[np.ndarray, " 2"],
) -> Float[np.ndarray, "2 3"]:
    """Affine matrix that takes ``source`` to ``target``, scales, turns and, if asked, mirrors."""
    cosine, sine = scale * np.cos(angle_rad), scale * np.sin(angle_rad)
    linear = np.array([(cosine, -sine), (sine, cosine)]) @ np.diag((-1.0 if mirror else 1.0, 1.0))
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


def _sample_edge(
    picture: UInt8[np.ndarray, "H W 3"], x: np.ndarray, y: np.ndarray
) -> UInt8[np.ndarray, "n 3"]:
    """Bilinear samples at array coordinates; outside, the edge is repeated."""
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
