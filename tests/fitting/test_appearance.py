import math
from dataclasses import replace

import pytest
import torch

from facelume.face_model import load_open_face_model
from facelume.fitting.appearance import Appearance, fit_appearance, linear_albedo
from facelume.illumination import irradiance_image

SIZE = 64


@pytest.fixture(scope="module")
def basis(device):
    return linear_albedo(load_open_face_model().to(device), size=SIZE)


@pytest.fixture(scope="module")
def normals(device) -> torch.Tensor:
    """Normals of a bulging face: they turn sideways towards the border of the atlas."""
    axis = torch.linspace(-0.8, 0.8, SIZE, device=device)
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    stacked = torch.stack([x, y, torch.sqrt((1.3 - x**2 - y**2).clamp_min(0.05))])[None]
    return torch.nn.functional.normalize(stacked, dim=1)


def side_light(*, device) -> torch.Tensor:
    light = torch.zeros(1, 9, 3, device=device)
    light[:, 0] = 0.75 * 2 * math.sqrt(math.pi)
    light[:, 3] = 0.8
    return light


def picture(albedo: torch.Tensor, light: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    return albedo * irradiance_image(light, normals).clamp_min(0) / math.pi


def test_basis_is_first_order_exact_inside_the_range(basis, device):
    model = load_open_face_model().to(device)
    coeffs = 0.3 * torch.randn(2, model.num_albedo, generator=torch.Generator().manual_seed(0)).to(device)
    expected = torch.nn.functional.avg_pool2d(model.albedo_map(coeffs, 4 * SIZE), 4)
    difference = (basis.albedo(coeffs) - expected).abs() * basis.mask
    assert float(difference.max()) < 0.01


def test_fit_explains_the_picture_and_keeps_the_skin_of_its_start(basis, normals, device):
    coeffs = torch.randn(1, len(basis.rows), generator=torch.Generator().manual_seed(1)).to(device)
    albedo = basis.albedo(coeffs)
    texture = picture(albedo, side_light(device=device), normals)
    visibility = torch.ones(1, SIZE, SIZE, device=device)
    fit = fit_appearance(
        basis, texture, visibility, normals, start=Appearance(coeffs, side_light(device=device))
    )
    rendered = picture(basis.albedo(fit.albedo), fit.light, normals)
    assert float(((rendered - texture).abs() * basis.mask).max()) < 0.05
    ratio = (basis.albedo(fit.albedo) * basis.mask).mean() / (albedo * basis.mask).mean()
    assert float(ratio) == pytest.approx(1.0, abs=0.2)


def test_a_shadow_does_not_become_skin(basis, normals, device):
    albedo = basis.albedo(torch.zeros(1, len(basis.rows), device=device))
    texture = picture(albedo, side_light(device=device), normals)
    texture[..., 20:30, 34:50] *= 0.3
    fit = fit_appearance(basis, texture, torch.ones(1, SIZE, SIZE, device=device), normals)
    tone = (basis.albedo(fit.albedo) / albedo).mean(dim=1)[0]
    inside, outside = tone[20:30, 34:50].mean(), tone[35:50, 20:44].mean()
    assert float(inside / outside) > 0.75


def test_the_linear_albedo_is_where_its_model_is():
    # "meta" is a second device on any machine: an operation on tensors of two devices raises.
    model = load_open_face_model()
    masks = {name: mask.to("meta") for name, mask in model.uv_masks.items()}
    linear = linear_albedo(replace(model, albedo=model.albedo.to("meta"), uv_masks=masks))
    assert {value.device.type for value in vars(linear).values()} == {"meta"}
