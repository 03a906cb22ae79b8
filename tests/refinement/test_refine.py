import dataclasses
import math

import pytest
import torch

from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.refinement.light_map import light_inner_mouth, settle_light
from facelume.refinement.refine import RefinerInput, map_shading, network_input, refine


def white_light(batch: int, *, device) -> torch.Tensor:
    light = torch.zeros(batch, 9, 3, device=device)
    light[:, 0] = 2 * math.sqrt(math.pi)  # constant radiance 1: irradiance pi, shading 1
    return light


@pytest.fixture
def maps(device) -> RefinerInput:
    torch.manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(2, 3, 64, 64, device=device), dim=1)
    prior = torch.full((2, 3, 64, 64), 0.3, device=device)
    return RefinerInput(
        prior.clone(), torch.ones(2, 64, 64, device=device), normals, prior, white_light(2, device=device)
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
    hidden = RefinerInput(maps.texture, half, maps.normals_light, maps.prior_albedo, maps.coarse_light)
    inputs, _ = network_input(hidden, network.config, torch.Generator().manual_seed(0))
    assert float(inputs[:, :3, :, :15].std()) < 1e-5
    assert float(inputs[:, :3, :, 17:].std()) == pytest.approx(1.0, abs=0.1)


def test_unseen_texels_continue_the_light_of_seen_ones(maps, assert_close, device):
    network = Refiner(config()).to(device)
    for parameter in network.light_decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=torch.Generator().manual_seed(1))
    nothing = dataclasses.replace(maps, visibility=torch.zeros(2, 64, 64, device=device))
    coarse = maps.coarse_light.reshape(2, 27, 1, 1).expand(2, 27, 32, 32)
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
    side = dataclasses.replace(maps, coarse_light=light, normals_light=normals)
    gate = refine(Refiner(config()).to(device), side).gate.detach()
    assert float(gate[..., :15].mean()) == pytest.approx(0.5, abs=0.05)
    assert float(gate[..., 17:].max()) < 0.05


def test_paper_heads_need_no_context(device):
    network = Refiner(RefinerConfig(width=2, map_size=32)).to(device)
    prior = torch.rand(1, 3, 32, 32, device=device)
    maps = RefinerInput(
        prior,
        torch.ones(1, 32, 32, device=device),
        torch.zeros(1, 3, 32, 32, device=device),
        prior,
        white_light(1, device=device),
    )
    output = refine(network, maps)
    assert output.albedo.shape == (1, 3, 32, 32)
    assert float(output.gate.max()) == 0.0


def test_gradients_reach_every_parameter(maps, device):
    network = Refiner(config()).to(device)
    output = refine(network, maps)
    (output.albedo.mean() + output.light.mean() + output.confidence.mean()).backward()
    assert all(p.grad is not None for p in network.parameters())
