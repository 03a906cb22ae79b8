"""The smooth correction of a light map."""

import math

import torch

from facelume.fitting.appearance import LinearAlbedo
from facelume.illumination import irradiance_image
from facelume.refinement.light_map import (
    DARK_OFFSET,
    MOUTH_GAINS,
    inner_mouth_gain,
    light_inner_mouth,
    refit_light,
    settle_light,
)


def constant_light(size: int, *, device) -> torch.Tensor:
    light = torch.zeros(1, 27, size, size, device=device)
    light[:, :3] = math.sqrt(4 * math.pi)  # radiance 1 from everywhere: shading 1
    return light


def test_a_darker_photo_darkens_the_light_by_the_same_factor(device) -> None:
    albedo = torch.full((1, 3, 32, 32), 0.5, device=device)
    photo = torch.full((1, 3, 64, 64), 0.25, device=device)
    light = settle_light(
        constant_light(32, device=device), albedo, photo, torch.ones(1, 64, 64, device=device)
    )
    factor = (0.25 + DARK_OFFSET) / (0.5 + DARK_OFFSET)
    torch.testing.assert_close(light, constant_light(32, device=device) * factor, atol=1e-4, rtol=1e-4)


def test_unseen_texels_keep_their_light(assert_close, device) -> None:
    albedo = torch.full((1, 3, 32, 32), 0.5, device=device)
    visibility = torch.zeros(1, 64, 64, device=device)
    visibility[:, :, :32] = 1.0
    light = settle_light(
        constant_light(32, device=device), albedo, torch.full((1, 3, 64, 64), 0.2, device=device), visibility
    )
    assert_close(light[..., 20:], constant_light(32, device=device)[..., 20:])
    assert bool((light[:, :3, :, :12] < 0.6 * math.sqrt(4 * math.pi)).all())


def test_fine_detail_does_not_enter_the_light(device) -> None:
    albedo = torch.full((1, 3, 128, 128), 0.5, device=device)
    checker = (
        torch.arange(256, device=device)[:, None] // 2 + torch.arange(256, device=device)[None] // 2
    ) % 2
    photo = (0.5 + 0.2 * (2.0 * checker - 1.0)).expand(1, 3, 256, 256)
    light = settle_light(
        constant_light(128, device=device), albedo, photo, torch.ones(1, 256, 256, device=device), box_px=9
    )
    inner = light[:, :3, 16:-16, 16:-16]
    assert float(inner.std() / inner.mean()) < 0.08


def test_half_of_the_colour_is_followed_by_default(device) -> None:
    albedo = torch.full((1, 3, 16, 16), 0.5, device=device)
    photo = torch.tensor([0.7, 0.5, 0.35], device=device).view(1, 3, 1, 1).expand(1, 3, 16, 16).contiguous()
    shares = [
        settle_light(
            constant_light(16, device=device),
            albedo,
            photo,
            torch.ones(1, 16, 16, device=device),
            colour_share=share,
        )
        for share in (0.0, 0.5, 1.0)
    ]
    shares = [light[0, :3, 8, 8] for light in shares]
    spread = [float(torch.log(s[0] / s[2])) for s in shares]
    assert abs(spread[0]) < 1e-5
    assert abs(spread[1] - 0.5 * spread[2]) < 1e-4
    assert spread[2] > 0.5


def test_light_beyond_what_is_clipped_is_kept_and_what_is_missing_is_added(assert_close, device):
    """A clipped colour says "at least this"; here the photo's red is clipped below or above the model's."""
    photo = torch.tensor([1.0, 0.5, 0.5], device=device).view(1, 3, 1, 1).repeat(1, 1, 16, 16)
    seen, light = torch.ones(1, 16, 16, device=device), constant_light(16, device=device)
    for red, changes in ((1.4, False), (0.7, True)):
        model = torch.tensor([red, 0.5, 0.5], device=device).view(1, 3, 1, 1).repeat(1, 1, 16, 16)
        settled = settle_light(light, model, photo, seen, colour_share=1.0)[0, :3, 8, 8] / light[0, :3, 8, 8]
        assert_close(settled[1:], torch.ones(2, device=device))
        expected = (1.0 + DARK_OFFSET) / (red + DARK_OFFSET) if changes else 1.0
        assert_close(settled[0], torch.tensor(expected, device=device))


def test_the_inner_mouth_takes_a_share_of_the_coarse_light(assert_close, device) -> None:
    part = torch.zeros(32, 32, dtype=torch.long, device=device)
    part[24:, :] = 4
    coarse = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0)).to(device)
    light = light_inner_mouth(constant_light(16, device=device), coarse, part, 0.5)
    assert_close(light[0, :, 14, 3], 0.5 * coarse.flatten(1)[0])
    assert_close(light[..., :12, :], constant_light(16, device=device)[..., :12, :])


def test_the_share_is_the_median_ratio_of_photo_and_rendering(device) -> None:
    rendering = torch.full((3, 8, 8), 0.5, device=device)
    photo = torch.full((3, 8, 8), 0.2, device=device)
    assert (
        abs(inner_mouth_gain(rendering, photo, torch.ones(8, 8, dtype=torch.bool, device=device)) - 0.4)
        < 1e-6
    )
    few = torch.zeros(8, 8, dtype=torch.bool, device=device)
    few[0, :5] = True
    assert inner_mouth_gain(rendering, photo, few) == MOUTH_GAINS[1]
    dark = inner_mouth_gain(rendering, 0.01 * photo, torch.ones(8, 8, dtype=torch.bool, device=device))
    assert abs(dark - MOUTH_GAINS[0]) < 1e-6


def test_refit_finds_the_light_of_a_known_albedo(device) -> None:
    axis = torch.linspace(-0.8, 0.8, 64, device=device)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    normals = torch.stack([x, y, torch.sqrt((1.3 - x**2 - y**2).clamp_min(0.05))])[None]
    normals = torch.nn.functional.normalize(normals, dim=1)
    true_light = torch.zeros(1, 9, 3, device=device)
    true_light[:, 0], true_light[:, 3] = 1.5 * math.sqrt(math.pi), 0.8
    albedo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(device) * 0.5 + 0.2
    texture = albedo * irradiance_image(true_light, normals).clamp_min(0) / math.pi
    everywhere = torch.ones(64, 64, device=device)
    basis = LinearAlbedo(albedo[0], albedo.new_zeros(0, 3, 64, 64), everywhere, everywhere > 0)
    start = torch.zeros(1, 9, 3, device=device)
    start[:, 0] = 2.0
    light = refit_light(
        basis, albedo, texture, torch.ones(1, 64, 64, device=device), normals, start, ridge=1e-5
    )
    rendered = albedo * irradiance_image(light, normals).clamp_min(0) / math.pi
    assert float((rendered - texture).abs().max()) < 0.01
