"""Pictures of synthetic heads: cast shadows, occlusion, highlights and light that bleeds under the skin.

These are the effects that a Lambertian face under order-2 light cannot make, and that a refined albedo must
refuse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter, shift
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_CAMERA, LIGHT_FROM_CAM
from facelume.data.synthetic.config import MaterialConfig
from facelume.data.synthetic.light import SceneLight
from facelume.geometry import vertex_normals
from facelume.illumination import irradiance, sh_basis
from facelume.raster import GeometryBuffers, directional_visibility, sample_map
from facelume.reflectance import shading_from_irradiance
from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart, is_part

# Smoothing of the glossy reflection of the ambient light: band factors of a lobe of roughness about 0.4.
_GLOSSY_BANDS = (1.0, *(0.9,) * 3, *(0.7,) * 5)
# Reflectance of skin at normal incidence (refractive index 1.4): d'Eon and Luebke, GPU Gems 3, chapter 14.
_SKIN_F0 = 0.028
# The ambient light's reflection at grazing angles, against 1 - F0 of a smooth surface: skin is rough, and
# what a cheek or jaw reflects there is mostly hair, neck and clothes.
_GRAZING_AMBIENT = 0.2
# Weight of the ambient light's reflection against the lamps'.
_AMBIENT_GLOSS = 0.6
# Gloss and GGX roughness of eyes and of what is wet in the mouth: smoother than any skin.
_EYE_GLOSS, _EYE_ROUGHNESS = 2.0, 0.12
_WET_GLOSS, _WET_ROUGHNESS = 1.5, 0.25
# Occlusion is that of a closed mouth: what shows of teeth and tongue when it opens sees at least this share
# of the light around the head.
_SHOWN_IN_OPEN_MOUTHS = (FacePart.UPPER_TEETH, FacePart.LOWER_TEETH, FacePart.TONGUE)
_LEAST_MOUTH_SHARE = 0.3
# Forehead and nose on the open model's atlas: half width, height over the middle, half height; atlas sides.
_T_ZONE_WIDTH, _T_ZONE_HEIGHT, _T_ZONE_EXTENT = 0.09, 0.12, 0.25
# Radius of the bleeding light of each colour over red's; below the least radius light is left as it is.
_BLEED_SHARES = (1.0, 0.5, 0.35)
_LEAST_BLEED_PX = 0.2
# Screens in front of the face take no light from lamps that stand lower over it than this.
_LEAST_SCREEN_COSINE, _LEAST_SCREEN_BLUR_PX, _PENUMBRA_DISTANCE_M = 0.15, 0.5, 0.05


@dataclass(frozen=True)
class SkinMaterial:
    """How the skin of one synthetic head shines.

    Attributes:
        specular_strength: Factor on the physical highlight of skin (F0 = 0.028); 0 is matte.
        roughness: GGX roughness of the skin, (0, 1].
        gloss_map: Oiliness over the atlas, about 1.
        bleed_px: Radius of the light that bleeds under the skin (red; green and blue less), crop pixels.
        bump_map: Height over the atlas that bends the normals: pores and fine wrinkles, arbitrary unit.
    """

    specular_strength: float
    roughness: float
    gloss_map: Float[Tensor, "1 1 s s"]
    bleed_px: float
    bump_map: Float[Tensor, "1 1 t t"]


def random_material(config: MaterialConfig, rng: np.random.Generator, map_size: int = 128) -> SkinMaterial:
    """From matte to oily; forehead and nose (the middle of the atlas) shine more."""
    axis = (np.arange(map_size) + 0.5) / map_size - 0.5
    t_zone = np.exp(-((axis[None] / _T_ZONE_WIDTH) ** 2)) * np.exp(
        -(((axis[:, None] + _T_ZONE_HEIGHT) / _T_ZONE_EXTENT) ** 2)
    )
    # Noise of standard deviation 0.4 after the blur.
    blotches = gaussian_filter(rng.normal(size=(map_size, map_size)), map_size / 24, mode="nearest") * 8
    oil = config.gloss_mean + rng.uniform(*config.t_zone_range) * t_zone + config.blotch_gloss * blotches
    fine_size = 2 * map_size
    fine = gaussian_filter(rng.normal(size=(fine_size, fine_size)), 1.0, mode="nearest")
    bump = fine * rng.uniform(*config.bump_range)
    strengths = (
        0.0,
        rng.uniform(*config.usual_strength_range),
        rng.uniform(*config.oily_strength_range),
    )
    return SkinMaterial(
        specular_strength=float(rng.choice(strengths, p=config.shine.shares)),
        roughness=float(rng.uniform(*config.roughness_range)),
        gloss_map=torch.from_numpy(np.clip(oil, *config.gloss_range).astype(np.float32))[None, None],
        bleed_px=float(rng.uniform(*config.bleed_range_px)),
        bump_map=torch.from_numpy(bump.astype(np.float32))[None, None],
    )


@dataclass(frozen=True)
class Screen:
    """Something flat in front of the face that casts a shadow on it: strands, glasses, a hand.

    Attributes:
        shade: How much light it takes away at each crop pixel, [0, 1].
        distance_m: How far it stands off the face.
    """

    shade: Float[np.ndarray, "H W"]
    distance_m: float

    def shadow(
        self, direction: Float[Tensor, " 3"], softness_m: float, px_per_m: float
    ) -> Float[np.ndarray, "H W"]:
        """Share of a distant light that it takes from each pixel of the face; none from beside or behind.

        Args:
            direction: Unit vector to the light, light axes.
            softness_m: Radius of the light's penumbra at 5 cm.
            px_per_m: Crop pixels per metre at the face.
        """
        right, up, ahead = direction.tolist()
        if ahead < _LEAST_SCREEN_COSINE:
            return np.zeros_like(self.shade)
        step = self.distance_m / ahead * px_per_m
        blur = softness_m * self.distance_m / _PENUMBRA_DISTANCE_M * px_per_m
        # The face sees at its pixel what stands towards the light.
        moved = shift(self.shade, (step * up, -step * right), order=1, mode="constant")
        return gaussian_filter(moved, max(blur, _LEAST_SCREEN_BLUR_PX)).clip(0, 1)


@dataclass(frozen=True)
class ShadedHead:
    """The light on a head, linear; with albedo the picture is ``albedo * shading + highlight``.

    Attributes:
        shading: Irradiance / pi; 0 outside the head.
        highlight: Light reflected at the surface; 0 outside the head.
    """

    shading: Float[Tensor, "3 H W"]
    highlight: Float[Tensor, "3 H W"]


def _pixel_points_light(depth: Float[Tensor, "H W"]) -> Float[Tensor, "H W 3"]:
    """Camera-space points of the crop's pixels, turned into light axes."""
    height, width = depth.shape
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    centre = torch.tensor(CROP_CAMERA.principal_point_px)
    rays = (torch.stack([columns, rows], -1) - centre) / CROP_CAMERA.focal_px
    points = torch.cat([rays * depth[..., None], depth[..., None]], -1)
    return points * torch.tensor(LIGHT_FROM_CAM)


def _bent_normals(
    normals: Float[Tensor, "N 3"], bump: Float[Tensor, "H W"], pixels: Int[Tensor, " N"]
) -> Float[Tensor, "N 3"]:
    slope_x = functional.pad(bump.diff(dim=1), (0, 1)).flatten()[pixels]
    slope_y = functional.pad(bump.diff(dim=0), (0, 0, 0, 1)).flatten()[pixels]
    bent = normals - torch.stack([slope_x, -slope_y, torch.zeros_like(slope_x)], -1)
    return functional.normalize(bent, dim=-1)


def _ggx(
    normals: Float[Tensor, "N 3"],
    view: Float[Tensor, "N 3"],
    light: Float[Tensor, " 3"],
    roughness: Float[Tensor, " N"],
) -> Float[Tensor, " N"]:
    """Cook-Torrance highlight (GGX, Schlick, Kelemen) times the cosine at the light."""
    half = functional.normalize(view + light, dim=-1)
    cos_light = (normals @ light).clamp_min(0.0)
    cos_half = (normals * half).sum(-1).clamp(0.0, 1.0)
    light_half = (half @ light).clamp(0.05, 1.0)
    alpha2 = roughness**4
    lobe = alpha2 / (math.pi * (cos_half.square() * (alpha2 - 1.0) + 1.0).square())
    fresnel = _SKIN_F0 + (1.0 - _SKIN_F0) * (1.0 - light_half) ** 5
    return lobe * fresnel * cos_light / (4.0 * light_half.square())


def shade_head(
    buffers: GeometryBuffers,
    casters: tuple[Float[Tensor, "V 3"], Int[Tensor, "F 3"]],
    occlusion: Float[Tensor, "H W"],
    light: SceneLight,
    material: SkinMaterial,
    screens: Sequence[Screen] = (),
) -> ShadedHead:
    """Shade the crop pixels of one head.

    Args:
        buffers: Geometry at the crop's pixels (batch of one).
        casters: Vertices (light axes, metres) and triangles of everything that casts shadows.
        occlusion: Ambient occlusion per pixel, 1 = open.
        light: What shines on it.
        material: How it shines.
        screens: What else casts shadows.
    """
    height, width = occlusion.shape
    pixels = buffers.mask[0].flatten().nonzero()[:, 0]
    points = _pixel_points_light(buffers.depth[0]).reshape(-1, 3)[pixels]
    part = buffers.part[0].flatten()[pixels]
    smooth_normals = buffers.normal_light[0].movedim(0, -1).reshape(-1, 3)[pixels]
    bump = sample_map(material.bump_map, buffers.uv)[0, 0]
    normals = torch.where(
        (part == FacePart.SKIN)[:, None], _bent_normals(smooth_normals, bump, pixels), smooth_normals
    )
    view = functional.normalize(-points, dim=-1)
    open_share = occlusion.flatten()[pixels][:, None]
    shows = is_part(part, _SHOWN_IN_OPEN_MOUTHS)[:, None]
    open_share = torch.where(shows, open_share.clamp_min(_LEAST_MOUTH_SHARE), open_share)
    is_eye = is_part(part, EYE_PARTS)
    is_wet = is_part(part, MOUTH_PARTS)
    gloss = sample_map(material.gloss_map, buffers.uv)[0, 0].flatten()[pixels] * material.specular_strength
    gloss = torch.where(is_eye, _EYE_GLOSS, torch.where(is_wet, _WET_GLOSS, gloss))
    on_skin = torch.where(is_wet, _WET_ROUGHNESS, material.roughness)
    roughness = torch.where(is_eye, _EYE_ROUGHNESS, on_skin)

    received = irradiance(light.ambient_sh[None], normals).clamp_min(0.0) * open_share
    reflected = 2.0 * (normals * view).sum(-1, keepdim=True) * normals - view
    glossy = (sh_basis(reflected) * torch.tensor(_GLOSSY_BANDS)) @ light.ambient_sh
    fresnel = _SKIN_F0 + _GRAZING_AMBIENT * (1.0 - (normals * view).sum(-1).clamp(0.0, 1.0)) ** 5
    highlight = glossy.clamp_min(0.0) * open_share * (_AMBIENT_GLOSS * fresnel * gloss)[:, None]
    vertices, faces = casters
    px_per_m = CROP_CAMERA.focal_px / float(points[:, 2].abs().median()) if len(points) else 0.0
    for direction, flux, softness in zip(light.directions, light.radiant_flux, light.softness_m, strict=True):
        visible = directional_visibility(
            vertices, faces, points, smooth_normals, direction, softness_m=float(softness)
        )
        for screen in screens:
            shadow = torch.from_numpy(screen.shadow(direction, float(softness), px_per_m))
            visible = visible * (1.0 - shadow.flatten()[pixels].to(visible))
        received = received + ((normals @ direction).clamp_min(0.0) * visible)[:, None] * flux
        highlight = highlight + (_ggx(normals, view, direction, roughness) * visible * gloss)[:, None] * flux
    canvas = torch.zeros(height * width, 6)
    canvas[pixels] = torch.cat([received, highlight], -1)
    irradiance_image, highlight_image = canvas.reshape(height, width, 6).movedim(-1, 0).split(3)
    irradiance_image = _bleed(
        irradiance_image, buffers.mask[0] & (buffers.part[0] == FacePart.SKIN), material.bleed_px
    )
    return ShadedHead(shading_from_irradiance(irradiance_image) * buffers.mask[0], highlight_image)


def _bleed(
    irradiance_image: Float[Tensor, "3 H W"], mask: Tensor, radius_px: float
) -> Float[Tensor, "3 H W"]:
    """Blur the irradiance inside the mask, red most: a cheap stand-in for subsurface scattering."""
    if radius_px < _LEAST_BLEED_PX:
        return irradiance_image
    weight = mask.float().numpy()
    result = irradiance_image.clone()
    for channel, share in enumerate(_BLEED_SHARES):
        sigma = radius_px * share
        total = np.maximum(gaussian_filter(weight, sigma), 1e-3)
        blurred = gaussian_filter(irradiance_image[channel].numpy() * weight, sigma) / total
        result[channel] = torch.where(mask, torch.from_numpy(blurred), irradiance_image[channel])
    return result


def ambient_occlusion(
    vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"], num_directions: int = 96
) -> Float[Tensor, " V"]:
    """Cosine-weighted share of the sky that each vertex sees past the mesh, in [0, 1]; slow."""
    normals = vertex_normals(vertices[None], faces)[0]
    index = torch.arange(num_directions) + 0.5
    height = 1.0 - 2.0 * index / num_directions
    azimuth = math.pi * (1.0 + math.sqrt(5.0)) * index
    ring = torch.sqrt(1.0 - height**2)
    directions = torch.stack([ring * torch.cos(azimuth), height, ring * torch.sin(azimuth)], -1)
    seen, total = torch.zeros(len(vertices)), torch.zeros(len(vertices))
    for direction in directions:
        cosine = (normals @ direction).clamp_min(0.0)
        seen += cosine * directional_visibility(
            vertices, faces, vertices, normals, direction, softness_m=0.002
        )
        total += cosine
    return (seen / total.clamp_min(1e-6)).clamp(0.0, 1.0)
