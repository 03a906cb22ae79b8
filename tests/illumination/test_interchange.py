import math

import pytest
import torch

from facelume.illumination import (
    deca_from_sh,
    deep3d_from_sh,
    irradiance,
    sh_from_deca,
    sh_from_deep3d,
)


def normals(num=40, *, device):
    generator = torch.Generator().manual_seed(0)
    return torch.nn.functional.normalize(
        torch.randn(num, 3, generator=generator, dtype=torch.float64).to(device), dim=-1
    )


def deep3d_shading(gamma, n):
    """Deep3DFaceRecon's shading S(n), written out from its description (colour = albedo * S)."""
    band0 = math.pi / math.sqrt(4 * math.pi)
    band1 = 2 * math.pi / math.sqrt(3) * math.sqrt(3 / (4 * math.pi))
    band2 = 2 * math.pi / math.sqrt(8) * 3 * math.sqrt(5 / (12 * math.pi))
    x, y, z = n.unbind(-1)
    functions = [
        band0 * torch.ones_like(x),
        -band1 * y,
        band1 * z,
        -band1 * x,
        band2 * x * y,
        -band2 * y * z,
        band2 / math.sqrt(12) * (3 * z**2 - 1),
        -band2 * x * z,
        0.5 * band2 * (x**2 - y**2),
    ]
    per_colour = gamma.reshape(3, 9).clone()
    per_colour[:, 0] += 0.8
    return torch.stack(functions, dim=-1) @ per_colour.T


def deca_shading(light, n):
    """DECA's shading S(n), written out from its description (image = albedo * S)."""
    x, y, z = n.unbind(-1)
    first, second = (
        (2 * math.pi / 3) * math.sqrt(3 / (4 * math.pi)),
        (math.pi / 4) * 3 * math.sqrt(5 / (12 * math.pi)),
    )
    functions = [
        torch.full_like(x, 1 / math.sqrt(4 * math.pi)),
        first * x,
        first * y,
        first * z,
        second * x * y,
        second * x * z,
        second * y * z,
        second / 2 * (x**2 - y**2),
        (math.pi / 8) * math.sqrt(5 / (4 * math.pi)) * (3 * z**2 - 1),
    ]
    return torch.stack(functions, dim=-1) @ light


def random(*shape, seed=1, device):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(device)


def test_a_deep3d_light_shades_as_in_deep3d(assert_close, device):
    gamma = random(27, device=device)
    expected = deep3d_shading(gamma, normals(device=device))
    assert_close(irradiance(sh_from_deep3d(gamma)[None], normals(device=device)) / math.pi, expected)


def test_a_deca_light_shades_as_in_deca(assert_close, device):
    light = random(9, 3, device=device)
    assert_close(
        irradiance(sh_from_deca(light)[None], normals(device=device)) / math.pi,
        deca_shading(light, normals(device=device)),
    )


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_round_trips(batch, assert_close, device):
    gamma, light, sh = (
        random(*batch, 27, device=device),
        random(*batch, 9, 3, device=device),
        random(*batch, 9, 3, device=device),
    )
    assert_close(deep3d_from_sh(sh_from_deep3d(gamma)), gamma)
    assert_close(sh_from_deep3d(deep3d_from_sh(sh)), sh)
    assert_close(deca_from_sh(sh_from_deca(light)), light)
    assert_close(sh_from_deca(deca_from_sh(sh)), sh)


def test_zero_gamma_is_the_0_8_that_deep3d_adds(device):
    light = sh_from_deep3d(torch.zeros(27, device=device))
    assert light[0, 0].item() == pytest.approx(0.8 * math.pi)
    assert light[1:].abs().max() == 0


def test_the_documented_band_factors(device):
    gamma = torch.zeros(3, 9, device=device)
    gamma[0] = 1.0
    ratio = sh_from_deep3d(gamma.flatten())[:, 0].abs() / math.pi
    assert ratio[1].item() == pytest.approx(1.732, abs=1e-3)
    assert ratio[4].item() == pytest.approx(2.828, abs=1e-3)
    deca = sh_from_deca(torch.ones(9, 3, device=device))[:, 0]
    assert (deca[1] / deca[0]).item() == pytest.approx(math.pi)
