"""Pictures for people: the rendering on the photo, and a contact sheet of everything."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from facelume.camera import CROP_SIZE_PX
from facelume.illumination import light_presets, resolve_light
from facelume.io.contact_sheet import compose_contact_sheet
from facelume.io.picture import encode_srgb
from facelume.pipeline.face_result import FaceResult

BACKDROP_PX = 2048
_TILE_PX = 320
_SIDE_YAW_RAD = math.radians(50)


def reduce_photo(
    photo_srgb: UInt8[np.ndarray, "H W 3"], limit_px: int = BACKDROP_PX
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of the photo with its long side brought down to ``limit_px``; smaller photos keep their size."""
    height, width = photo_srgb.shape[:2]
    scale = limit_px / max(height, width)
    if scale >= 1:
        return photo_srgb.copy()  # the caller may fill the next frame into the same array
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(photo_srgb).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def draw_overlay(face: FaceResult) -> UInt8[np.ndarray, "H W 3"]:
    """The photo (at most 2048 px) with the detailed rendering on it."""
    backdrop = face.photo.backdrop_srgb
    shrink = backdrop.shape[1] / face.photo.size_px[0]
    picture_scale = face.crop.scale * shrink  # backdrop pixels per crop pixel
    size_px = int(np.clip(math.ceil(CROP_SIZE_PX * picture_scale), CROP_SIZE_PX, 1024))
    rendering = encode_srgb(face.render(size_px=size_px))
    alpha = (rendering.max(axis=-1) > 0).astype(np.uint8) * 255
    # Pillow wants: source pixel = matrix @ target pixel, pixel centres at +0.5 in both.
    matrix = face.crop.crop_from_photo / CROP_SIZE_PX * size_px
    matrix = np.concatenate([matrix[:, :2] / shrink, matrix[:, 2:]], axis=1)
    layer = Image.fromarray(np.concatenate([rendering, alpha[..., None]], axis=-1))
    extent = (backdrop.shape[1], backdrop.shape[0])
    moved = layer.transform(
        extent, Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BILINEAR
    )
    picture = Image.fromarray(backdrop).convert("RGBA")
    return np.asarray(Image.alpha_composite(picture, moved).convert("RGB"))


def draw_preview(face: FaceResult, overlay: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The contact sheet: photo, overlay, renderings, maps, the mesh from three sides, two other lights."""
    clay = np.full((8, 8, 3), 0.45, np.float32)
    studio = _clay_light()
    names = _two_presets()
    tiles: list[tuple[str, np.ndarray]] = [
        ("photo", face.photo.backdrop_srgb),
        ("overlay", overlay),
        ("detailed light (OD)", face.render_detail),
        ("coarse light (OC)", face.render_coarse),
        ("albedo map", encode_srgb(face.albedo)),
        ("albedo, unlit", face.render_albedo),
        ("shading", face.shading_picture),
    ]
    for label, yaw_rad in (("left", -_SIDE_YAW_RAD), ("front", 0.0), ("right", _SIDE_YAW_RAD)):
        view = face.posed.render_head(clay, studio, yaw_rad, _TILE_PX)
        tiles.append((f"mesh, {label}", encode_srgb(view)))
    for name in names:
        # Shadows would take longer than everything else here together.
        view = face.render(name, size_px=_TILE_PX, shadows=False)
        tiles.append((f"light: {name}", encode_srgb(view)))
    return compose_contact_sheet(tiles, num_columns=4, tile_px=_TILE_PX)


def _clay_light() -> Float[np.ndarray, "9 3"]:
    """A white light from the upper left over a soft ambient one."""
    light = np.zeros((9, 3), np.float32)
    light[0] = 2.4
    light[1] = 0.9
    light[2] = 1.2
    light[3] = -0.8
    return light


def _two_presets() -> list[str]:
    """The presets whose light comes most from picture left and most from picture right."""
    lights = {name: resolve_light(name) for name in light_presets()}
    sideways = {name: float(light[3].mean() / light[0].mean()) for name, light in lights.items()}
    return [min(sideways, key=sideways.__getitem__), max(sideways, key=sideways.__getitem__)]
