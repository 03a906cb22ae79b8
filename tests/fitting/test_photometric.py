import math

import torch

from facelume.fitting import PhotometricConfig, PhotometricFit, fit_light_and_albedo
from facelume.illumination import irradiance_basis


def half_sphere(num_pixels: int = 900) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    normals = torch.randn(num_pixels, 3, generator=generator)
    normals[:, 2] = normals[:, 2].abs() + 0.2
    return torch.nn.functional.normalize(normals, dim=-1)


def side_light() -> torch.Tensor:
    light = torch.zeros(9, 3)
    light[0] = torch.tensor([3.3, 3.1, 2.9])
    light[3] = 1.0
    light[1] = -0.4
    return light


def scene() -> tuple[torch.Tensor, ...]:
    """Albedo mean and basis (brightness, redness, a spot), true coefficients, normals and the picture."""
    normals = half_sphere()
    num_pixels = len(normals)
    mean = torch.tensor([0.5, 0.35, 0.27]).expand(num_pixels, 3)
    spot = (normals[:, 0] > 0.4).float()
    basis = torch.zeros(num_pixels, 3, 3)
    basis[:, :, 0] = mean * 0.3
    basis[:, 0, 1], basis[:, 1, 1] = 0.04, -0.03
    basis[:, :, 2] = -0.12 * spot[:, None]
    coeffs = torch.tensor([0.6, -0.8, 1.2])
    albedo = mean + basis @ coeffs
    image = albedo * (irradiance_basis(normals) @ side_light()) / math.pi
    return mean, basis, coeffs, normals, image


def fit_light_alone(
    albedo: torch.Tensor, image: torch.Tensor, normals: torch.Tensor, weights: torch.Tensor
) -> PhotometricFit:
    """The joint fit with an albedo that is known: a basis without components."""
    nothing = albedo.new_zeros(1, len(albedo), 3, 0)
    return fit_light_and_albedo(albedo[None], nothing, image[None], normals[None], weights[None])


def test_light_of_known_albedo_is_found_in_spite_of_highlights_and_shadow():
    mean, basis, coeffs, normals, image = scene()
    albedo = mean + basis @ coeffs
    spoiled = image.clone()
    spoiled[::15] += 0.6
    spoiled[1::15] *= 0.1
    fit = fit_light_alone(albedo, spoiled, normals, torch.ones(len(normals)))
    shading = irradiance_basis(normals) @ side_light() / math.pi
    found = irradiance_basis(normals) @ fit.sh_radiance[0] / math.pi
    assert ((found - shading).abs() / shading).mean() < 0.03
    assert fit.trust[0, ::15].mean() < 0.2
    assert fit.trust[0, 2::15].mean() > 0.8


def test_albedo_and_light_are_told_apart():
    mean, basis, coeffs, normals, image = scene()
    config = PhotometricConfig(exposure=0.95)
    fit = fit_light_and_albedo(
        mean[None], basis[None], image[None], normals[None], torch.ones(1, len(normals)), config=config
    )
    albedo = mean + basis @ coeffs
    found = mean + basis @ fit.albedo_coeffs[0]
    shading = irradiance_basis(normals) @ side_light() / math.pi
    found_shading = irradiance_basis(normals) @ fit.sh_radiance[0] / math.pi
    picture = found * found_shading
    assert ((picture - image).abs() / image).mean() < 0.03
    assert ((found - albedo).abs() / albedo).mean() < 0.12
    assert ((found_shading - shading).abs() / shading).mean() < 0.12
    assert abs(float(fit.albedo_coeffs[0, 2] - coeffs[2])) < 0.4


def test_uninformative_pixels_give_the_prior_whose_seen_mean_is_the_exposure():
    mean, basis, _, normals, image = scene()
    config = PhotometricConfig(exposure=0.8)
    fit = fit_light_and_albedo(
        mean[None], basis[None], image[None], normals[None], torch.zeros(1, len(normals)), config=config
    )
    torch.testing.assert_close(fit.albedo_coeffs, torch.zeros(1, 3))
    generator = torch.Generator().manual_seed(2)
    seen = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=generator), dim=-1)
    seen[:, 2] = seen[:, 2].abs()
    shading = irradiance_basis(seen) @ fit.sh_radiance[0] / math.pi
    average = (shading * seen[:, 2:]).sum(0) / seen[:, 2].sum()
    torch.testing.assert_close(average, torch.full((3,), 0.8), atol=3e-3, rtol=0)


def test_darker_exposure_goes_to_the_light_more_than_to_the_skin():
    mean, basis, _, normals, image = scene()
    ones = torch.ones(1, len(normals))
    tight = PhotometricConfig(exposure_sigma=2.0)
    normal = fit_light_and_albedo(mean[None], basis[None], image[None], normals[None], ones, config=tight)
    dark = fit_light_and_albedo(mean[None], basis[None], 0.7 * image[None], normals[None], ones, config=tight)
    ratio = dark.sh_radiance[0, 0].mean() / normal.sh_radiance[0, 0].mean()
    assert 0.65 < ratio < 0.85


def test_unseen_pixels_do_not_switch_the_rejection_of_highlights_off():
    mean, basis, coeffs, normals, image = scene()
    albedo = mean + basis @ coeffs
    spoiled = image.clone()
    spoiled[::15] += 0.6
    hidden = torch.arange(len(normals)) % 3 > 0  # two thirds are unseen and hold nonsense
    spoiled[hidden] = 5.0
    weights = (~hidden).float()
    found = fit_light_alone(albedo, spoiled, normals, weights)
    seen = irradiance_basis(normals[~hidden])
    shading, truth = seen @ found.sh_radiance[0], seen @ side_light()
    assert float((shading - truth).abs().mean() / truth.mean()) < 0.03
