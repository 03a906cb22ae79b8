"""Batched augmentation of cached crops: placement, mirror, light, colour, sharpness, noise and occluders."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from facelume.camera import CROP_SIZE_PX
from facelume.reflectance import linear_from_srgb, srgb_from_linear


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of each change; a strength of 0 switches it off.

    Attributes:
        rotation_deg: Largest rotation to either side.
        scale_low: Smallest size of the face, relative to the canonical crop.
        scale_high: Largest size of the face.
        shift: Largest shift of the face, as a fraction of the crop.
        shear: Largest shear and relative stretch.
        mild_fraction: Fraction of samples with a fifth of the placement changes, as in a second pass.
        colour: Strength of gain, gamma, contrast and saturation changes.
        side_light: Largest logarithmic brightness gradient from one side of the crop to the other.
        degrade_fraction: Fraction of samples that lose resolution.
        noise: Largest standard deviation of the noise.
        occlude_fraction: Fraction of samples with an occluder.
    """

    rotation_deg: float = 35.0
    scale_low: float = 0.75
    scale_high: float = 1.35
    shift: float = 0.12
    shear: float = 0.06
    mild_fraction: float = 0.3
    colour: float = 0.35
    side_light: float = 0.8
    degrade_fraction: float = 0.25
    noise: float = 0.04
    occlude_fraction: float = 0.35


@dataclass(frozen=True)
class CropBatch:
    """Augmented crops with their labels.

    Attributes:
        image_srgb: Crops in [0, 1].
        parsing: ``M_parsing`` in [0, 1] at a quarter of the crops' resolution, zero under occluders.
        landmarks_px: Landmarks in pixels of a 224 px crop.
        canonical_from_crop: Affine map from pixels of this crop to pixels of the unchanged canonical crop.
        is_mirrored: Whether the picture was mirrored.
    """

    image_srgb: Float[Tensor, "b 3 s s"]
    parsing: Float[Tensor, "b 1 q q"]
    landmarks_px: Float[Tensor, "b 478 2"]
    canonical_from_crop: Float[Tensor, "b 2 3"]
    is_mirrored: Float[Tensor, " b"]


def _uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator) * (high - low) + low


def random_placement(
    num_samples: int, config: AugmentConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "b 2 3"], Float[Tensor, " b"]]:
    """Draw affine maps from the new crop to the canonical crop and which samples are mirrored."""
    strength = torch.where(torch.rand(num_samples, generator=generator) < config.mild_fraction, 0.2, 1.0)
    angle = (
        _uniform(generator, -1.0, 1.0, num_samples)
        * torch.deg2rad(torch.tensor(config.rotation_deg))
        * strength
    )
    log_low, log_high = torch.log(torch.tensor([config.scale_low, config.scale_high]))
    scale = torch.exp(
        -(torch.rand(num_samples, generator=generator) * (log_high - log_low) + log_low) * strength
    )
    linear = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()], -1), torch.stack([angle.sin(), angle.cos()], -1)], -2
    )
    shear = _uniform(generator, -1.0, 1.0, num_samples, 2, 2) * (config.shear * strength)[:, None, None]
    linear = linear @ (torch.eye(2) + shear) * scale[:, None, None]
    is_mirrored = (torch.rand(num_samples, generator=generator) < 0.5).float()
    flip = torch.diag_embed(torch.stack([1 - 2 * is_mirrored, torch.ones(num_samples)], -1))
    linear = flip @ linear
    shift = _uniform(generator, -1.0, 1.0, num_samples, 2) * (config.shift * CROP_SIZE_PX * strength)[:, None]
    centre = torch.full((num_samples, 2), CROP_SIZE_PX / 2)
    offset = centre + shift - (linear @ centre[..., None])[..., 0]
    return torch.cat([linear, offset[..., None]], -1), is_mirrored


def _colour(image: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    num_samples, strength = len(image), config.colour
    gain = torch.exp(_uniform(generator, -1.0, 1.0, num_samples, 1, 1, 1) * strength)
    gain = gain * torch.exp(_uniform(generator, -1.0, 1.0, num_samples, 3, 1, 1) * strength * 0.4)
    gamma = torch.exp(_uniform(generator, -1.0, 1.0, num_samples, 1, 1, 1) * strength)
    image = (image.clamp(1e-4, 1) ** gamma) * gain
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    image = (image - mean) * torch.exp(_uniform(generator, -1.0, 1.0, num_samples, 1, 1, 1) * strength) + mean
    grey = image.mean(dim=1, keepdim=True)
    is_grey = torch.rand(num_samples, 1, 1, 1, generator=generator) < 0.08
    saturation = torch.where(
        is_grey, 0.0, torch.exp(_uniform(generator, -1.0, 1.0, num_samples, 1, 1, 1) * strength)
    )
    return grey + (image - grey) * saturation


def _side_light(image: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    ramp = torch.linspace(-1, 1, image.shape[-1])
    slope = _uniform(generator, -1.0, 1.0, len(image), 2) * config.side_light
    field = slope[:, :1, None] * ramp[None, :, None] + slope[:, 1:, None] * ramp[None, None, :]
    return image * torch.exp(field)[:, None]


def _degrade(image: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    chosen = torch.nonzero(torch.rand(len(image), generator=generator) < config.degrade_fraction)[:, 0]
    if len(chosen):
        side = image.shape[-1]
        low = int(_uniform(generator, 0.15, 0.6, 1).item() * side)
        small = F.interpolate(image[chosen], size=(low, low), mode="area")
        image = image.index_copy(0, chosen, F.interpolate(small, size=(side, side), mode="bilinear"))
    amplitude = _uniform(generator, 0.0, 1.0, len(image), 1, 1, 1) ** 2 * config.noise
    return image + torch.randn(image.shape, generator=generator) * amplitude


def _occlude(
    image: Tensor, parsing: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay one rotated box or ellipse, filled with another picture or one colour, over some of the samples."""
    num_samples, side = len(image), image.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    centre = _uniform(generator, -0.8, 0.8, num_samples, 2)
    radius = _uniform(generator, 0.08, 0.4, num_samples, 2)
    angle = _uniform(generator, 0.0, torch.pi, num_samples)[:, None, None]
    across = columns[None] - centre[:, :1, None]
    down = rows[None] - centre[:, 1:, None]
    first = (across * angle.cos() + down * angle.sin()) / radius[:, :1, None]
    second = (down * angle.cos() - across * angle.sin()) / radius[:, 1:, None]
    is_box = torch.rand(num_samples, 1, 1, generator=generator) < 0.5
    extent = torch.where(is_box, torch.maximum(first.abs(), second.abs()), (first**2 + second**2).sqrt())
    is_used = torch.rand(num_samples, 1, 1, generator=generator) < config.occlude_fraction
    cover = ((extent < 1) & is_used)[:, None].float()
    colour = torch.rand(num_samples, 3, 1, 1, generator=generator)
    other = image.roll(1, dims=0).flip(2)
    filling = torch.where(torch.rand(num_samples, 1, 1, 1, generator=generator) < 0.5, colour, other)
    image = image * (1 - cover) + filling * cover
    return image, parsing * (1 - F.interpolate(cover, size=parsing.shape[-2:], mode="area"))


def crop_batch(
    pictures: UInt8[Tensor, "b S S 3"],
    masks: UInt8[Tensor, "b S S"],
    landmarks_px: Float[Tensor, "b 478 2"],
    placement: tuple[Float[Tensor, "b 2 3"], Float[Tensor, " b"]],
    *,
    margin_px: float,
    side_px: int,
    mirror_permutation: Int[Tensor, " 478"],
) -> CropBatch:
    """Sample crops at ``side_px`` from cached pictures under given placements.

    Args:
        pictures: Cached sRGB pictures.
        masks: Cached parsing masks x 255.
        landmarks_px: Landmarks in pixels of the canonical crop.
        placement: What :func:`random_placement` returned.
        margin_px: Extent of a cached picture in pixels of the canonical crop.
        side_px: Resolution of the crops.
        mirror_permutation: Landmark order of a mirrored picture.
    """
    canonical_from_crop, is_mirrored = placement
    half = CROP_SIZE_PX / 2
    linear, offset = canonical_from_crop[:, :, :2], canonical_from_crop[:, :, 2]
    centre = (linear @ torch.full((2, 1), half))[..., 0] + offset - half
    theta = torch.cat([linear * half, centre[..., None]], -1) / (margin_px / 2)
    grid = F.affine_grid(theta, [len(theta), 3, side_px, side_px], align_corners=False)
    image = F.grid_sample(
        pictures.permute(0, 3, 1, 2).float() / 255.0, grid, padding_mode="border", align_corners=False
    )
    parsing = F.grid_sample(masks[:, None].float() / 255.0, grid, padding_mode="zeros", align_corners=False)
    parsing = F.avg_pool2d(parsing, 4)
    points = torch.linalg.solve(linear[:, None], (landmarks_px - offset[:, None])[..., None])[..., 0]
    points = torch.where(is_mirrored[:, None, None] > 0.5, points[:, mirror_permutation], points)
    return CropBatch(image, parsing, points, canonical_from_crop, is_mirrored)


def augment_appearance(batch: CropBatch, config: AugmentConfig, generator: torch.Generator) -> CropBatch:
    """Change light, colour and sharpness and lay occluders over; labels of place stay as they are."""
    image = _side_light(batch.image_srgb, config, generator)
    image = _colour(image, config, generator)
    image, parsing = _occlude(image, batch.parsing, config, generator)
    image = _degrade(image, config, generator).clamp(0, 1)
    return CropBatch(image, parsing, batch.landmarks_px, batch.canonical_from_crop, batch.is_mirrored)


def augment_exposure(
    batch: CropBatch, config: AugmentConfig, generator: torch.Generator
) -> tuple[CropBatch, Float[Tensor, "b 3"]]:
    """Change exposure and white balance as a brighter or warmer light would; returns the gain of the light.

    The gain is applied in linear colour. Occluders and loss of resolution are added as well.
    """
    num_samples = len(batch.image_srgb)
    gain = torch.exp(_uniform(generator, -1.0, 0.5, num_samples, 1) * config.colour)
    gain = gain * torch.exp(_uniform(generator, -1.0, 1.0, num_samples, 3) * config.colour * 0.25)
    image = srgb_from_linear(linear_from_srgb(batch.image_srgb) * gain[:, :, None, None])
    image, parsing = _occlude(image, batch.parsing, config, generator)
    image = _degrade(image, config, generator).clamp(0, 1)
    return (
        CropBatch(image, parsing, batch.landmarks_px, batch.canonical_from_crop, batch.is_mirrored),
        gain,
    )
