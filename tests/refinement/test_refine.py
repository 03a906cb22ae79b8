import dataclasses
import math

import pytest
import torch

from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.refinement.light_map import light_inner_mouth, settle_light
from facelume.refinement.refine import RefinerInput, map_shading, network_input, refine
from facelume.reflectance import srgb_from_linear
from facelume.uv import resize_map


def white_light(batch: int, *, device) -> torch.Tensor:
    light = torch.zeros(batch, 9, 3, device=device)
    light[:, 0] = 2 * math.sqrt(math.pi)  # constant radiance 1: irradiance pi, shading 1
    return light


def map_of(light: torch.Tensor, size: int = 16) -> torch.Tensor:
    """The same light at every texel: nothing is in shadow."""
    return light.flatten(1)[..., None, None].repeat(1, 1, size, size)


@pytest.fixture
def maps(device) -> RefinerInput:
    torch.manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(2, 3, 64, 64, device=device), dim=1)
    prior = torch.full((2, 3, 64, 64), 0.3, device=device)
    light = white_light(2, device=device)
    return RefinerInput(
        texture=prior.clone(),
        visibility=torch.ones(2, 64, 64, device=device),
        normals_light=normals,
        prior_albedo=prior,
        coarse_light=light,
        coarse_map=map_of(light),
        exposure=torch.ones(2, 3, device=device),
    )


def config(**changes) -> RefinerConfig:
    return RefinerConfig(width=2, map_size=32, head="residual", with_context=True, with_gate=True, **changes)


def test_untrained_residual_refiner_stays_near_the_prior_and_the_coarse_light(maps, device):
    output = refine(Refiner(config()).to(device), maps)
    torch.testing.assert_close(output.albedo, maps.prior_albedo, atol=0.02, rtol=0)
    torch.testing.assert_close(
        map_shading(output.light, maps.normals_light),
        torch.ones(2, 3, 32, 32, device=device),
        atol=0.1,
        rtol=0,
    )


def test_albedo_has_the_size_of_the_texture_and_light_that_of_the_network(maps, device):
    output = refine(Refiner(config()).to(device), maps)
    assert output.albedo.shape == (2, 3, 64, 64)
    assert output.light.shape == (2, 27, 32, 32)
    assert output.confidence.shape == output.gate.shape == (2, 1, 32, 32)


def test_results_repeat(maps, device):
    network = Refiner(config()).to(device)
    assert torch.equal(refine(network, maps).albedo, refine(network, maps).albedo)


def test_every_map_is_made_on_the_device_of_the_input(maps, device):
    # "meta" is a second device on any machine: an operation on tensors of two devices raises.
    elsewhere = RefinerInput(**{name: value.to("meta") for name, value in vars(maps).items()})
    output = refine(Refiner(config()).to(device).to("meta"), elsewhere)
    assert {value.device.type for value in vars(output).values()} == {"meta"}
    settled = settle_light(output.light, output.shading, elsewhere.texture, elsewhere.visibility)
    part = torch.zeros(64, 64, dtype=torch.long, device="meta")
    assert light_inner_mouth(settled, elsewhere.coarse_light, part, 0.5).device.type == "meta"


def test_unseen_texels_are_noise_for_the_network(maps, device):
    network = Refiner(config()).to(device)
    half = torch.ones(2, 64, 64, device=device)
    half[..., 32:] = 0.0
    hidden = dataclasses.replace(maps, visibility=half)
    inputs, _ = network_input(hidden, network.config, torch.Generator().manual_seed(0))
    assert float(inputs[:, :3, :, :15].std()) < 1e-5
    assert float(inputs[:, :3, :, 17:].std()) == pytest.approx(1.0, abs=0.1)


def test_unseen_texels_continue_the_light_of_seen_ones(maps, assert_close, device):
    network = Refiner(config()).to(device)
    for parameter in network.light_decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(1))
    nothing = dataclasses.replace(maps, visibility=torch.zeros(2, 64, 64, device=device))
    coarse = map_of(maps.coarse_light, 32)
    assert_close(refine(network, nothing).light, coarse)
    half = torch.ones(2, 64, 64, device=device)
    half[..., 32:] = 0.0
    light = refine(network, dataclasses.replace(maps, visibility=half)).light.detach()
    gain = light[:, 0] / coarse[:, 0]
    assert float(gain[..., 20:].std()) < 0.5 * float(gain[..., :14].std())


def test_detail_is_not_trusted_in_the_dark(maps, device):
    light = white_light(2, device=device)
    light[:, 3] = 3.0  # lit from +X: texels whose normals point to -X get next to nothing
    normals = torch.zeros(2, 3, 64, 64, device=device)
    normals[:, 0, :, :32], normals[:, 0, :, 32:] = 1.0, -1.0
    side = dataclasses.replace(maps, coarse_light=light, coarse_map=map_of(light), normals_light=normals)
    gate = refine(Refiner(config()).to(device), side).gate.detach()
    assert float(gate[..., :15].mean()) == pytest.approx(0.5, abs=0.05)
    assert float(gate[..., 17:].max()) < 0.05
    gate = refine(Refiner(config(least_gate=0.6)).to(device), side).gate.detach()
    assert float(gate[..., :15].mean()) == pytest.approx(0.8, abs=0.05)
    assert float(gate[..., 17:].max()) < 0.08


COLOURS = [(0.4, 0.4, 0.4), (1.3, 0.8, 0.5), (0.6, 0.8, 1.2)]


def uneven(maps: RefinerInput, *, device) -> RefinerInput:
    """A face with detail, half of it in shadow, a quarter of it hidden; nothing is brighter than 0.6."""
    draw = torch.Generator().manual_seed(4)
    light = maps.coarse_light * torch.tensor([1.1, 1.0, 0.8], device=device)
    light_map = map_of(light)
    light_map[..., 8:, :] *= 0.15
    visibility = torch.ones(2, 64, 64, device=device)
    visibility[..., 48:] = 0.0
    return dataclasses.replace(
        maps,
        texture=0.05 + 0.5 * torch.rand(2, 3, 64, 64, generator=draw).to(device),
        visibility=visibility,
        coarse_light=light,
        coarse_map=light_map,
        exposure=torch.tensor([[1.1, 1.0, 0.8], [0.9, 0.9, 0.9]], device=device),
    )


def under(maps: RefinerInput, colour: torch.Tensor) -> RefinerInput:
    """The same face when its light has another strength and colour."""
    return dataclasses.replace(
        maps,
        texture=maps.texture * colour[:, None, None],
        coarse_light=maps.coarse_light * colour,
        coarse_map=maps.coarse_map * colour.repeat(9)[:, None, None],
        exposure=maps.exposure * colour,
    )


def set_in_its_ways(network: Refiner) -> Refiner:
    """A network that changes whatever it is shown: large weights everywhere."""
    draw = torch.Generator().manual_seed(1)
    for parameter in [*network.albedo_decoder.parameters(), *network.light_decoder.parameters()]:
        torch.nn.init.normal_(parameter, std=0.1, generator=draw)
    return network


@pytest.mark.parametrize("colour", COLOURS)
def test_the_network_sees_neither_exposure_nor_tint(maps, colour, device):
    settings, face = config(with_geometry=True), uneven(maps, device=device)
    first, second = (
        network_input(shown, settings, torch.Generator().manual_seed(0))[0]
        for shown in (face, under(face, torch.tensor(colour, device=device)))
    )
    torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_photo_times_a_colour_has_the_same_albedo_and_its_light_times_that_colour(maps, colour, device):
    network, face = set_in_its_ways(Refiner(config())).to(device), uneven(maps, device=device)
    gain = torch.tensor(colour, device=device)
    with torch.no_grad():
        plain, coloured = refine(network, face), refine(network, under(face, gain))
    assert float((plain.albedo_low - maps.prior_albedo[..., ::2, ::2]).abs().mean()) > 0.02
    torch.testing.assert_close(coloured.albedo, plain.albedo, atol=1e-4, rtol=1e-4)
    expected = plain.light * gain.repeat(9)[:, None, None]
    torch.testing.assert_close(coloured.light, expected, atol=1e-4, rtol=1e-4)


def test_the_paper_shows_its_network_the_photo_as_it_is(maps, device):
    shown, _ = network_input(uneven(maps, device=device), RefinerConfig(width=2, map_size=64))
    face = uneven(maps, device=device)
    expected = 2.0 * srgb_from_linear(face.texture) - 1.0
    torch.testing.assert_close(shown[:, :3, :, :48], expected[..., :48])


def test_shadows_of_the_coarse_light_are_shown_to_the_network(maps, device):
    shown, _ = network_input(uneven(maps, device=device), config())
    shading = shown[:, 7:10].exp()
    assert float((shading[..., 17:, :] / shading[..., :15, :].mean()).mean()) == pytest.approx(0.15, abs=0.01)


def test_clipped_texels_and_normals_are_shown_where_asked_for(maps, device):
    face = uneven(maps, device=device)
    face.texture[:, 1, 20:30] = 0.99
    settings = config(with_geometry=True)
    shown, _ = network_input(face, settings)
    assert shown.shape[1] == settings.num_input_channels
    is_clipped = shown[:, -1]
    assert float(is_clipped[:, 11:14, :23].min()) == 1.0  # hidden from column 24 on
    assert float(is_clipped[..., 25:].max()) == float(is_clipped[:, :9].max()) == 0.0
    torch.testing.assert_close(shown[:, 10:13], resize_map(maps.normals_light, 32))


def test_paper_heads_need_no_context(maps, device):
    network = Refiner(RefinerConfig(width=2, map_size=32)).to(device)
    output = refine(network, maps)
    assert output.albedo.shape == (2, 3, 64, 64)
    assert float(output.gate.max()) == 0.0


def test_gradients_reach_every_parameter(maps, device):
    network = Refiner(config()).to(device)
    output = refine(network, maps)
    (output.albedo.mean() + output.light.mean() + output.confidence.mean()).backward()
    assert all(p.grad is not None for p in network.parameters())
