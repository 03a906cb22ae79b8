import math

import torch

from facelume.fitting import PhotometricConfig, PhotometricFit, fit_light_and_albedo
from facelume.illumination import irradiance_basis


def half_sphere(num_pixels: int = 900, *, device) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    normals = torch.randn(num_pixels, 3, generator=generator).to(device)
    normals[:, 2] = normals[:, 2].abs() + 0.2
    return torch.nn.functional.normalize(normals, dim=-1)


def side_light(*, device) -> torch.Tensor:
    light = torch.zeros(9, 3, device=device)
    light[0] = torch.tensor([3.3, 3.1, 2.9], device=device)
    light[3] = 1.0
    light[1] = -0.4
    return light


def scene(*, device) -> tuple[torch.Tensor, ...]:
    """Albedo mean and basis (brightness, redness, a spot), true coefficients, normals and the picture."""
    normals = half_sphere(device=device)
    num_pixels = len(normals)
    mean = torch.tensor([0.5, 0.35, 0.27], device=device).expand(num_pixels, 3)
    spot = (normals[:, 0] > 0.4).float()
    basis = torch.zeros(num_pixels, 3, 3, device=device)
    basis[:, :, 0] = mean * 0.3
    basis[:, 0, 1], basis[:, 1, 1] = 0.04, -0.03
    basis[:, :, 2] = -0.12 * spot[:, None]
    coeffs = torch.tensor([0.6, -0.8, 1.2], device=device)
    albedo = mean + basis @ coeffs
    image = albedo * (irradiance_basis(normals) @ side_light(device=device)) / math.pi
    return mean, basis, coeffs, normals, image


def fit_light_alone(
    albedo: torch.Tensor, image: torch.Tensor, normals: torch.Tensor, weights: torch.Tensor
) -> PhotometricFit:
    """The joint fit with an albedo that is known: a basis without components."""
    nothing = albedo.new_zeros(1, len(albedo), 3, 0)
    return fit_light_and_albedo(albedo[None], nothing, image[None], normals[None], weights[None])


def test_light_of_known_albedo_is_found_in_spite_of_highlights_and_shadow(device):
    mean, basis, coeffs, normals, image = scene(device=device)
    albedo = mean + basis @ coeffs
    spoiled = image.clone()
    spoiled[::15] += 0.6
    spoiled[1::15] *= 0.1
    fit = fit_light_alone(albedo, spoiled, normals, torch.ones(len(normals), device=device))
    shading = irradiance_basis(normals) @ side_light(device=device) / math.pi
    found = irradiance_basis(normals) @ fit.sh_radiance[0] / math.pi
    assert ((found - shading).abs() / shading).mean() < 0.03


def test_albedo_and_light_are_told_apart(device):
    mean, basis, coeffs, normals, image = scene(device=device)
    config = PhotometricConfig(exposure=0.95)
    fit = fit_light_and_albedo(
        mean[None],
        basis[None],
        image[None],
        normals[None],
        torch.ones(1, len(normals), device=device),
        config=config,
    )
    albedo = mean + basis @ coeffs
    found = mean + basis @ fit.albedo_coeffs[0]
    shading = irradiance_basis(normals) @ side_light(device=device) / math.pi
    found_shading = irradiance_basis(normals) @ fit.sh_radiance[0] / math.pi
    picture = found * found_shading
    assert ((picture - image).abs() / image).mean() < 0.03
    assert ((found - albedo).abs() / albedo).mean() < 0.12
    assert ((found_shading - shading).abs() / shading).mean() < 0.12
    assert abs(float(fit.albedo_coeffs[0, 2] - coeffs[2])) < 0.4


def test_uninformative_pixels_give_the_prior_whose_seen_mean_is_the_exposure(assert_close, device):
    mean, basis, _, normals, image = scene(device=device)
    config = PhotometricConfig(exposure=0.8)
    fit = fit_light_and_albedo(
        mean[None],
        basis[None],
        image[None],
        normals[None],
        torch.zeros(1, len(normals), device=device),
        config=config,
    )
    assert_close(fit.albedo_coeffs, torch.zeros(1, 3, device=device))
    generator = torch.Generator().manual_seed(2)
    seen = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=generator).to(device), dim=-1)
    seen[:, 2] = seen[:, 2].abs()
    shading = irradiance_basis(seen) @ fit.sh_radiance[0] / math.pi
    average = (shading * seen[:, 2:]).sum(0) / seen[:, 2].sum()
    torch.testing.assert_close(average, torch.full((3,), 0.8, device=device), atol=3e-3, rtol=0)


def test_darker_exposure_goes_to_the_light_more_than_to_the_skin(device):
    mean, basis, _, normals, image = scene(device=device)
    ones = torch.ones(1, len(normals), device=device)
    tight = PhotometricConfig(exposure_sigma=2.0)
    normal = fit_light_and_albedo(mean[None], basis[None], image[None], normals[None], ones, config=tight)
    dark = fit_light_and_albedo(mean[None], basis[None], 0.7 * image[None], normals[None], ones, config=tight)
    ratio = dark.sh_radiance[0, 0].mean() / normal.sh_radiance[0, 0].mean()
    assert 0.65 < ratio < 0.85


def test_unseen_pixels_do_not_switch_the_rejection_of_highlights_off(device):
    mean, basis, coeffs, normals, image = scene(device=device)
    albedo = mean + basis @ coeffs
    spoiled = image.clone()
    spoiled[::15] += 0.6
    hidden = torch.arange(len(normals), device=device) % 3 > 0  # two thirds are unseen and hold nonsense
    spoiled[hidden] = 5.0
    weights = (~hidden).float()
    found = fit_light_alone(albedo, spoiled, normals, weights)
    seen = irradiance_basis(normals[~hidden])
    shading, truth = seen @ found.sh_radiance[0], seen @ side_light(device=device)
    assert float((shading - truth).abs().mean() / truth.mean()) < 0.03
