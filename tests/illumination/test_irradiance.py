import math
import re
from pathlib import Path

import pytest
import torch
from scipy.integrate import quad

import facelume
from facelume.illumination import (
    irradiance,
    irradiance_basis,
    irradiance_image,
    irradiance_map,
    sh_basis,
)


def unit_vectors(*shape, seed=0, device):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(
        torch.randn(*shape, 3, generator=generator, dtype=torch.float64).to(device), dim=-1
    )


def random_light(*shape, seed=1, device):
    return torch.randn(*shape, 9, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(
        device
    )


def test_constant_radiance_one_gives_irradiance_pi(assert_close, device):
    light = torch.zeros(9, 3, dtype=torch.float64, device=device)
    light[0] = math.sqrt(4 * math.pi)
    received = irradiance(light, unit_vectors(20, device=device))
    assert_close(received, torch.full((20, 3), math.pi, dtype=torch.float64, device=device))


@pytest.mark.parametrize("band", [0, 1, 2])
def test_the_factors_are_the_cosine_lobe_integrals(band, assert_close, device):
    # Funk-Hecke: A_l = 2 pi int_0^1 P_l(t) t dt for the kernel max(cos, 0).
    legendre = [lambda t: 1.0, lambda t: t, lambda t: 0.5 * (3 * t * t - 1)][band]
    factor = 2 * math.pi * quad(lambda t: legendre(t) * t, 0, 1)[0]
    normals = unit_vectors(5, device=device)
    columns = slice(band * band, (band + 1) ** 2)
    expected = factor * sh_basis(normals)[:, columns]
    assert_close(irradiance_basis(normals)[:, columns], expected)


def test_the_factors_live_in_one_file():
    package = Path(facelume.__file__).parent
    spellings = re.compile(
        r"pi\s*/\s*4(\.0*)?\b|2(\.0*)?\s*\*\s*(math|np|torch)\.pi\s*/\s*3(\.0*)?\b|2\.0943\d|0\.7853\d"
    )
    code = {
        path: re.sub(r'""".*?"""|#.*', "", path.read_text(), flags=re.DOTALL)
        for path in package.rglob("*.py")
    }
    assert [str(p.relative_to(package)) for p, text in code.items() if spellings.search(text)] == [
        "illumination/irradiance.py"
    ]


def test_irradiance_is_not_clamped(assert_close, device):
    sun = sh_basis(torch.tensor([0.0, 0.0, 1.0], device=device))[:, None].expand(9, 3)
    # A point of light at angle t: E ~ 1/4 + cos(t) / 2 + 5/32 (3 cos(t)^2 - 1); its minimum is negative.
    side = torch.tensor([math.sqrt(1 - 0.64), 0.0, -0.8], device=device)
    expected = 0.25 - 0.5 * 0.8 + 5 / 32 * (3 * 0.64 - 1)
    assert expected < 0
    assert_close(irradiance(sun, side), torch.full((3,), expected, device=device))


def test_one_light_broadcasts_over_many_normals(assert_close, device):
    lights, normals = random_light(2, device=device), unit_vectors(2, 7, device=device)
    received = irradiance(lights[:, None], normals)
    for b in range(2):
        for n in range(7):
            assert_close(received[b, n], irradiance(lights[b], normals[b, n]))


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_image_and_map_agree_with_the_pointwise_function(batch, assert_close, device):
    normals = unit_vectors(*batch, 4, 5, device=device)
    light = random_light(*batch, device=device)
    expected = irradiance(light[..., None, None, :, :], normals).movedim(-1, -3)
    picture = normals.movedim(-1, -3)
    assert_close(irradiance_image(light, picture), expected)
    # Channel 3 * k + rgb: the same light in every texel.
    constant = light.reshape(*batch, 27, 1, 1).expand(*batch, 27, 4, 5)
    assert_close(irradiance_map(constant, picture), expected)


def test_map_reads_the_light_of_each_texel(assert_close, device):
    lights = random_light(4, 5, device=device)
    normals = unit_vectors(4, 5, device=device)
    per_texel = lights.flatten(-2).permute(2, 0, 1)
    expected = irradiance(lights, normals).permute(2, 0, 1)
    assert_close(irradiance_map(per_texel, normals.permute(2, 0, 1)), expected)


def test_gradients(device):
    light, normals = (
        random_light(device=device).requires_grad_(),
        unit_vectors(3, device=device).requires_grad_(),
    )
    assert torch.autograd.gradcheck(lambda a, b: irradiance(a[None], b), (light, normals))
    per_texel = torch.randn(27, 2, 2, dtype=torch.float64, requires_grad=True, device=device)
    picture = unit_vectors(2, 2, device=device).permute(2, 0, 1).clone().requires_grad_()
    assert torch.autograd.gradcheck(irradiance_map, (per_texel, picture))
