"""Light as lamps that only ever add."""

import math

import pytest
import torch

from facelume.illumination import (
    NUM_LAMPS,
    LampFitConfig,
    LampView,
    fit_lamps,
    irradiance,
    irradiance_basis,
    irradiance_map,
    lamp_directions,
    lamp_transport,
    light_map_from_lamps,
    sh_basis,
    sh_from_lamps,
)

TRUSTING = LampFitConfig(ridge=1e-5, hue=0.0, num_steps=400)
"""The data alone decide, and the fit has run to its end."""


def ball(num_texels: int, *, device, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Normals of a whole ball."""
    normals = torch.randn(batch, num_texels, 3, generator=torch.Generator().manual_seed(seed)).to(device)
    return torch.nn.functional.normalize(normals, dim=-1)


def scene(*, device, batch: int = 1, num_lamps: int = 32, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Transport of a ball whose texels miss some of the lamps, and a third of the lamps lit."""
    draw = torch.Generator().manual_seed(seed)
    seen = (torch.rand(num_lamps, 600, generator=draw) > 0.2).float().to(device)
    directions = lamp_directions(num_lamps).to(device).expand(batch, -1, -1)
    is_lit = torch.rand(batch, num_lamps, 1, generator=draw) > 0.66
    lamps = torch.rand(batch, num_lamps, 3, generator=draw) * is_lit
    return lamp_transport(directions, seen, ball(600, device=device, batch=batch)), lamps.to(device)


def test_directions_cover_the_sphere_evenly():
    directions = lamp_directions()
    assert directions.shape == (NUM_LAMPS, 3)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(NUM_LAMPS))
    # Evenly: they integrate every product of two functions of bands 0 to 2 about like the sphere itself.
    basis = sh_basis(directions)
    gram = 4 * math.pi / NUM_LAMPS * basis.T @ basis
    torch.testing.assert_close(gram, torch.eye(9), atol=0.02, rtol=0)
    closest = (directions @ directions.T - 2 * torch.eye(NUM_LAMPS)).amax(dim=1).clamp(-1, 1).arccos()
    assert float(closest.min()) > 0.8 * float(closest.max())


def test_transport_is_the_clamped_cosine_where_the_lamp_is_seen(assert_close, device):
    directions = torch.eye(3, device=device)[None]
    normals = torch.tensor([[[0.0, 0.6, 0.8], [-1.0, 0.0, 0.0]]], device=device)
    seen = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.5, 1.0]], device=device)
    expected = torch.tensor([[[0.0, 0.6, 0.4], [0.0, 0.0, 0.0]]], device=device)
    assert_close(lamp_transport(directions, seen, normals), expected)


def test_known_lamps_are_found_from_their_shading(device):
    transport, lamps = scene(device=device)
    shading = transport @ lamps
    found = fit_lamps(transport, shading, torch.ones_like(shading), config=TRUSTING)
    torch.testing.assert_close(found, lamps, atol=0.02, rtol=0)
    torch.testing.assert_close(transport @ found, shading, atol=0.01, rtol=0)


@pytest.mark.parametrize("lamp", [3, 40, 64, 100])
def test_the_default_steps_explain_one_hard_lamp_and_a_sky(lamp, device):
    directions = lamp_directions().to(device)[None]
    transport = lamp_transport(
        directions, torch.ones(NUM_LAMPS, 600, device=device), ball(600, device=device)
    )
    lamps = torch.full((1, NUM_LAMPS, 3), 0.1 * 4 / NUM_LAMPS, device=device)
    lamps[:, lamp] = torch.tensor([1.0, 0.8, 0.5], device=device)
    shading = transport @ lamps
    found = fit_lamps(transport, shading, torch.ones_like(shading))
    assert float((transport @ found - shading).abs().mean() / shading.mean()) < 0.1
    towards = (found.mean(dim=-1)[..., None] * directions).sum(dim=1)[0]
    assert float(torch.nn.functional.cosine_similarity(towards, directions[0, lamp], dim=0)) > 0.99


def test_lamps_never_take_light_away(device):
    transport, lamps = scene(device=device)
    noise = torch.randn(lamps.shape, generator=torch.Generator().manual_seed(3)).to(device)
    shading = transport @ noise  # that of lamps half of which are negative
    found = fit_lamps(transport, shading, torch.ones_like(shading), config=TRUSTING)
    assert float(found.min()) >= 0.0
    assert float((found == 0).float().mean()) > 0.2


def test_the_bounded_fit_is_the_best_there_is(device):
    """No lamp can gain: its gradient is 0 where it is lit, and not negative where it is dark."""
    transport, _ = scene(device=device, num_lamps=16)
    shading = torch.rand(1, 600, 3, generator=torch.Generator().manual_seed(5)).to(device)
    settings = LampFitConfig(ridge=0.0, hue=0.0, num_steps=3000)
    found = fit_lamps(transport, shading, torch.ones_like(shading), config=settings)
    gradient = transport.transpose(1, 2) @ (transport @ found - shading) / 600
    assert float(gradient[found > 1e-6].abs().max()) < 1e-4
    assert float(gradient[found <= 1e-6].min()) > -1e-4


def test_texels_and_colours_of_no_weight_do_not_count(device):
    transport, lamps = scene(device=device)
    shading = transport @ lamps
    weights = torch.ones_like(shading)
    weights[:, ::3] = 0.0
    weights[:, 1::3, 2] = 0.0
    spoiled = torch.where(weights > 0, shading, 7.0)
    found = fit_lamps(transport, spoiled, weights, config=TRUSTING)
    torch.testing.assert_close(found, lamps, atol=0.05, rtol=0)


def test_the_scale_of_the_weights_changes_nothing(device):
    transport, lamps = scene(device=device)
    weights = torch.rand(1, 600, 3, generator=torch.Generator().manual_seed(2)).to(device)
    first, second = (fit_lamps(transport, transport @ lamps, scale * weights) for scale in (1.0, 1000.0))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_brighter_shading_gives_brighter_lamps(device):
    transport, lamps = scene(device=device)
    shading = transport @ lamps
    plain = fit_lamps(transport, shading, torch.ones_like(shading))
    bright = fit_lamps(transport, 20 * shading, torch.ones_like(shading))
    torch.testing.assert_close(bright, 20 * plain, atol=1e-3, rtol=1e-3)


def test_a_lamp_that_no_texel_sees_settles_at_its_share_of_the_mean(device):
    transport, lamps = scene(device=device)
    transport[..., 5] = 0.0
    shading = transport @ lamps
    settings = LampFitConfig(ridge=0.05, unseen_share=0.5, hue=0.0, num_steps=2000)
    found = fit_lamps(transport, shading, torch.ones_like(shading), config=settings)
    torch.testing.assert_close(found[:, 5], 0.5 * found.mean(dim=1), atol=0.01, rtol=0.03)


def test_the_pull_of_the_hue_evens_the_colours_of_lamps_and_keeps_that_of_all(device):
    transport, lamps = scene(device=device)
    lamps = lamps * torch.tensor([1.0, 0.7, 0.4], device=device)
    shading = transport @ lamps
    spreads = []
    for pull in (0.0, 0.05, 1.0):
        settings = LampFitConfig(ridge=1e-4, hue=pull, num_steps=500)
        found = fit_lamps(transport, shading, torch.ones_like(shading), config=settings)
        total = found.sum(dim=1)
        grey = found.mean(dim=-1, keepdim=True) * (total / total.mean(dim=-1, keepdim=True))[:, None]
        spreads.append(float((found - grey).abs().sum() / found.sum()))
        torch.testing.assert_close(total, lamps.sum(dim=1), rtol=0.05, atol=0)
    assert spreads[0] > spreads[1] > spreads[2]
    assert spreads[2] < 0.5 * spreads[0]


def test_a_colour_that_is_nearly_all_clipped_takes_its_hue_from_the_others(device):
    """Of red only the dark tenth of the texels is known: lamps that light the rest are as red as all are."""
    transport, lamps = scene(device=device)
    lamps = lamps.mean(dim=-1, keepdim=True) * torch.tensor([1.2, 1.0, 0.8], device=device)
    shading = transport @ lamps
    weights = torch.ones_like(shading)
    is_bright = shading[..., 0] > shading[..., 0].quantile(0.1)
    weights[..., 0] = torch.where(is_bright, 0.0, 1.0)
    capped = torch.where(weights > 0, shading, shading.amin())
    found = transport @ fit_lamps(transport, capped, weights, config=LampFitConfig(num_steps=400))
    ratio = (found[..., 0] / found[..., 1])[is_bright]
    assert float(ratio.median()) == pytest.approx(1.2, abs=0.1)


def test_a_batch_gives_what_each_face_gives_alone(device):
    transport, lamps = scene(device=device, batch=3)
    shading = transport @ lamps
    shading[1] *= 50.0
    weights = torch.rand(3, 600, 3, generator=torch.Generator().manual_seed(2)).to(device)
    start = torch.rand(3, 32, 3, generator=torch.Generator().manual_seed(4)).to(device)
    together = fit_lamps(transport, shading, weights, start)
    for row in range(3):
        part = slice(row, row + 1)
        alone = fit_lamps(transport[part], shading[part], weights[part], start[part])
        torch.testing.assert_close(together[part], alone, rtol=1e-4, atol=1e-5)


def test_where_nothing_is_seen_the_light_is_white_and_even(device):
    transport, lamps = scene(device=device)
    shading = transport @ lamps
    found = fit_lamps(transport, shading, torch.zeros_like(shading))
    in_the_open = lamp_transport(
        lamp_directions(32).to(device)[None], torch.ones(32, 200, device=device), ball(200, device=device)
    )
    torch.testing.assert_close(in_the_open @ found, torch.ones(1, 200, 3, device=device), atol=0.05, rtol=0)


def test_a_lamp_is_a_delta_of_radiance_band_by_band(device):
    """The irradiance of a delta is ``sum_l A_l (2 l + 1) / (4 pi) P_l(n . d)``; a lamp's delta weighs pi."""
    direction = torch.tensor([[0.48, 0.6, 0.64]], device=device)
    light = sh_from_lamps(torch.ones(1, 3, device=device), direction)
    normals = ball(100, device=device)[0]
    cosine = (normals @ direction[0])[:, None].expand(-1, 3)
    bands = (
        torch.full_like(cosine, 1 / 4),
        cosine / 2,
        5 / 32 * (3 * cosine.square() - 1),
    )
    total = torch.zeros_like(cosine)
    for band, rows in enumerate((slice(0, 1), slice(1, 4), slice(4, 9))):
        only = torch.zeros_like(light)
        only[rows] = light[rows]
        torch.testing.assert_close(irradiance(only, normals) / math.pi, bands[band], atol=1e-5, rtol=1e-4)
        total = total + bands[band]
    torch.testing.assert_close(irradiance(light, normals) / math.pi, total, atol=1e-5, rtol=1e-4)
    # Three bands are near the clamped cosine, and no nearer than three bands can be.
    assert 0.02 < float((total[:, 0] - cosine[:, 0].clamp(min=0)).abs().max()) < 0.1


def test_many_even_lamps_are_a_white_sky(device):
    directions = lamp_directions().to(device)
    light = sh_from_lamps(torch.full((NUM_LAMPS, 3), 4.0 / NUM_LAMPS, device=device), directions)
    expected = torch.zeros(9, 3, device=device)
    expected[0] = 2 * math.sqrt(math.pi)  # radiance 1 from everywhere
    torch.testing.assert_close(light, expected, atol=0.02, rtol=0)


def texels(size: int, *, device, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random strengths, what each texel sees, normals; the first row of texels lies beyond the charts."""
    draw = torch.Generator().manual_seed(8)
    strengths = torch.rand(batch, 32, 3, generator=draw) ** 4
    seen = (torch.rand(32, size, size, generator=draw) * 1.5).clamp(max=1.0)
    seen[:, -1] = 0.0  # the last row sees no lamp at all
    normals = ball(size * size, device=device, batch=batch).transpose(1, 2).unflatten(2, (size, size)).clone()
    normals[:, :, 0] = 0.0
    seen[:, 0] = 0.0
    return strengths.to(device), seen.to(device), normals


def test_a_light_map_gives_the_lamps_irradiance_at_every_texels_normal(device):
    strengths, seen, normals = texels(8, device=device, batch=2)
    directions = lamp_directions(32).to(device).expand(2, -1, -1)
    light = light_map_from_lamps(strengths, LampView(directions, seen), normals)
    received = lamp_transport(directions, seen.flatten(1), normals.flatten(2).transpose(1, 2)) @ strengths
    expected = math.pi * received.transpose(1, 2).unflatten(2, (8, 8))
    torch.testing.assert_close(irradiance_map(light, normals), expected, atol=1e-4, rtol=1e-4)
    assert float(light[..., 0, :].abs().max()) == float(light[..., -1, :].abs().max()) == 0.0


def test_one_lamp_behind_the_texel_leaves_it_black_though_its_nine_numbers_would_not(device):
    directions = torch.tensor([[[0.0, 0.0, -1.0]]], device=device)
    normals = torch.tensor([0.0, 0.0, 1.0], device=device)[None, :, None, None]
    strengths = torch.ones(1, 1, 3, device=device)
    seen = torch.ones(1, 1, 1, device=device)
    plain = irradiance_map(sh_from_lamps(strengths, directions).flatten(1)[..., None, None], normals)
    assert float(plain.abs().min()) > 0.1
    corrected = irradiance_map(light_map_from_lamps(strengths, LampView(directions, seen), normals), normals)
    assert float(corrected.abs().max()) < 1e-5


def test_a_light_map_differs_from_what_the_texels_see_by_as_little_as_possible(device):
    """The least change of nine numbers that changes one weighted sum of them lies along the weights."""
    strengths, seen, normals = texels(6, device=device)
    directions = lamp_directions(32).to(device)[None]
    light = light_map_from_lamps(strengths, LampView(directions, seen), normals).unflatten(1, (9, 3))
    per_lamp = math.pi * sh_basis(directions)[..., None] * strengths[:, :, None]
    change = light - torch.einsum("lhw,blkc->bkchw", seen, per_lamp)
    along = irradiance_basis(normals.movedim(1, -1)).movedim(-1, 1)[:, :, None]
    along = along / along.norm(dim=1, keepdim=True)
    across = change - (change * along).sum(dim=1, keepdim=True) * along
    assert float(across.abs().max()) < 1e-4
    assert float(change.abs().max()) > 0.1
