"""From a photo to the atlas: which texels the photo shows, and what it shows there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_FACE_SIZE_PX, CropTransform, PinholeCamera, sample_crop
from facelume.raster import GeometryBuffers
from facelume.reflectance import linear_from_srgb
from facelume.uv.texels import PosedTexels

DEPTH_TOLERANCE_M = 0.008
SURFACE_TOLERANCE_M = 0.002
GRAZING_COSINE = 0.15
FULL_COSINE = 0.35
MASK_MARGIN_PX = 3


@dataclass(frozen=True)
class UnwrapResult:
    """A photo in the atlas.

    Attributes:
        texture: Linear Rec.709 colour of the photo at each texel; meaningless where ``visibility`` is 0.
        visibility: How well the photo shows the texel, in [0, 1].
    """

    texture: Float[Tensor, "b 3 S S"]
    visibility: Float[Tensor, "b S S"]


def unwrap_crop(
    image_linear: Float[Tensor, "b 3 H W"],
    texels: PosedTexels,
    buffers: GeometryBuffers,
    camera: PinholeCamera,
    parsing: Float[Tensor, "b h w"],
) -> UnwrapResult:
    """Carry crops into the atlas.

    Args:
        image_linear: Crops, linear Rec.709, any resolution; their field of view is the camera's.
        texels: The posed texels of the same faces.
        buffers: The geometry of the same faces at the camera's pixels.
        camera: The crop camera.
        parsing: Share of bare face (no hair, glasses, hand) at each crop pixel, in [0, 1], any resolution.
    """
    uv_px = _project(texels, camera)
    size = uv_px.new_tensor([camera.width_px, camera.height_px])
    grid = (uv_px / size).clamp(-1, 2) * 2 - 1
    return UnwrapResult(
        texture=functional.grid_sample(image_linear, grid, padding_mode="border", align_corners=False),
        visibility=texel_visibility(texels, buffers, camera, parsing),
    )


def unwrap(
    photo_srgb: Shaped[np.ndarray, "H W 3"],
    transform: CropTransform,
    texels: PosedTexels,
    buffers: GeometryBuffers,
    camera: PinholeCamera,
    parsing: Float[Tensor, "1 h w"],
) -> UnwrapResult:
    """Carry one photo into the atlas at the photo's own resolution.

    The crop's field of view is resampled from the photo at about one pixel per texel (never finer than the
    photo), then looked up. Texels outside the photo or the crop are unseen.

    Args:
        photo_srgb: EXIF-upright photo, sRGB, uint8 or float in [0, 1].
        transform: Where the crop lies in the photo.
        texels: The posed texels of the face (batch of one).
        buffers: The geometry of the face at the crop camera's pixels (batch of one).
        camera: The crop camera.
        parsing: Share of bare face at each crop pixel, in [0, 1].
    """
    # The face of a crop spans about 0.8 of the atlas.
    texels_per_px = texels.part.shape[0] * 0.8 / CROP_FACE_SIZE_PX
    fineness = max(1.0, min(texels_per_px, transform.scale))
    crop = sample_crop(photo_srgb, transform, math.ceil(camera.width_px * fineness))
    device = texels.position_cam.device
    image = linear_from_srgb(torch.from_numpy(crop).to(device).permute(2, 0, 1)[None])
    result = unwrap_crop(image.to(texels.position_cam.dtype), texels, buffers, camera, parsing)
    is_inside = _inside_photo(_project(texels, camera), transform, photo_srgb.shape[1], photo_srgb.shape[0])
    return UnwrapResult(texture=result.texture, visibility=result.visibility * is_inside)


def texel_visibility(
    texels: PosedTexels,
    buffers: GeometryBuffers,
    camera: PinholeCamera,
    parsing: Float[Tensor, "b h w"],
    *,
    depth_tolerance_m: float = DEPTH_TOLERANCE_M,
) -> Float[Tensor, "b S S"]:
    """How well each texel is seen, in [0, 1].

    The product of: projects into the picture; lies on the surface that the raster shows there (same part,
    depth within 2 mm plus what one pixel adds at that slant, 8 mm at most); faces the camera (0 at a cosine
    of 0.15, 1 from 0.35); bare face in the parsing mask shrunk by 3 px (0 at 0.5, 1 from 0.75), since
    strands of hair blur over its border.

    Args:
        texels: Posed texels.
        buffers: The geometry of the same faces at the camera's pixels.
        camera: The camera of the buffers.
        parsing: Share of bare face at each pixel, in [0, 1], any resolution.
        depth_tolerance_m: Upper bound of the depth tolerance.
    """
    position, height, width = texels.position_cam, camera.height_px, camera.width_px
    points_px = _project(texels, camera)
    size = points_px.new_tensor([width, height])
    is_inside = ((points_px >= 0) & (points_px <= size)).all(-1) & (texels.part >= 0)
    column = points_px[..., 0].detach().floor().long().clamp(0, width - 1)
    row = points_px[..., 1].detach().floor().long().clamp(0, height - 1)
    flat = (row * width + column).flatten(1)
    seen_depth = torch.gather(buffers.depth.flatten(1), 1, flat).view_as(row)
    seen_part = torch.gather(buffers.part.flatten(1), 1, flat).view_as(row)
    cosine = facing_cosine(texels)
    slant = torch.sqrt((1 - cosine**2).clamp(min=0)) / cosine.clamp(min=1e-3)
    tolerance = SURFACE_TOLERANCE_M + slant * position[:, 2] / camera.focal_px
    is_surface = (position[:, 2] - seen_depth).abs() <= tolerance.clamp(max=depth_tolerance_m)
    is_surface &= seen_part == texels.part
    facing = ((cosine - GRAZING_COSINE) / (FULL_COSINE - GRAZING_COSINE)).clamp(0, 1)
    grid = (points_px / size).clamp(-1, 2) * 2 - 1
    margin = MASK_MARGIN_PX * parsing.shape[-1] // width
    eroded = -functional.max_pool2d(-parsing[:, None], 2 * margin + 1, stride=1, padding=margin)
    bare = functional.grid_sample(eroded, grid, padding_mode="zeros", align_corners=False)[:, 0]
    return facing * ((bare - 0.5) / 0.25).clamp(0, 1) * (is_inside & is_surface)


def facing_cosine(texels: PosedTexels) -> Float[Tensor, "b S S"]:
    """Cosine between each texel's normal and the direction to the camera; negative when turned away."""
    to_camera = -functional.normalize(texels.position_cam, dim=1)
    flip = to_camera.new_tensor([1.0, -1.0, -1.0])[:, None, None]
    return (texels.normal_light * flip * to_camera).sum(1)


def fill_with_noise(
    texture: Float[Tensor, "b 3 S S"],
    visibility: Float[Tensor, "b S S"],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "b 3 S S"]:
    """Replace texels seen less than half by N(0, 1) noise: the image input of the refinement network.

    Args:
        texture: Any encoding.
        visibility: In [0, 1].
        generator: Source of the noise, on the CPU, so that a result can be repeated on any device.
    """
    noise = torch.randn(texture.shape, generator=generator, dtype=texture.dtype).to(texture.device)
    return torch.where((visibility > 0.5)[:, None], texture, noise)


def _project(texels: PosedTexels, camera: PinholeCamera) -> Float[Tensor, "b S S 2"]:
    """Picture positions of texels; those beyond the gutter or behind the camera land far outside."""
    b, _, size, _ = texels.position_cam.shape
    points = texels.position_cam.flatten(2).transpose(1, 2)
    is_ahead = points[..., 2:] > 1e-3
    safe = torch.where(is_ahead, points, points.new_tensor([0.0, 0.0, 1.0]))
    return torch.where(is_ahead, camera.project(safe), -1e4).reshape(b, size, size, 2)


def _inside_photo(
    points_px: Float[Tensor, "1 S S 2"], transform: CropTransform, width_px: int, height_px: int
) -> Float[Tensor, "1 S S"]:
    matrix = points_px.new_tensor(np.asarray(transform.photo_from_crop, dtype=np.float64))
    photo_px = points_px @ matrix[:, :2].T + matrix[:, 2]
    limits = photo_px.new_tensor([width_px, height_px])
    return ((photo_px >= 0) & (photo_px <= limits)).all(-1).to(points_px.dtype)
