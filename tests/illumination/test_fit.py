import torch

from facelume.illumination import (
    fit_sh_radiance,
    irradiance,
    light_presets,
)
from facelume.reflectance import luminance


def scene(num=3000, seed=0, *, is_front=True, device):
    generator = torch.Generator().manual_seed(seed)
    normals = torch.nn.functional.normalize(torch.randn(num, 3, generator=generator).to(device), dim=-1)
    if is_front:
        normals[:, 2] = normals[:, 2].abs()
    albedo = 0.2 + 0.5 * torch.rand(num, 3, generator=generator).to(device)
    light = light_presets()["esplanade"].sh_radiance.to(device)
    return albedo, normals, light


def image_of(albedo, normals, light):
    return albedo * irradiance(light[None], normals) / torch.pi


def shading_error(found, light, normals):
    difference = luminance(irradiance(found[None], normals) - irradiance(light[None], normals))
    return (difference.square().mean().sqrt() / luminance(irradiance(light[None], normals)).mean()).item()


def test_a_light_seen_from_all_sides_is_recovered(device):
    albedo, normals, light = scene(is_front=False, device=device)
    found = fit_sh_radiance(
        albedo, image_of(albedo, normals, light), normals, torch.ones(3000, device=device), ridge=1e-7
    )
    torch.testing.assert_close(found, light, atol=2e-3, rtol=2e-3)


def test_the_front_half_is_enough_for_its_shading(device):
    albedo, normals, light = scene(device=device)
    image = image_of(albedo, normals, light)
    assert (
        shading_error(
            fit_sh_radiance(albedo, image, normals, torch.ones(3000, device=device)), light, normals
        )
        < 0.02
    )


def test_a_strong_ridge_gives_the_prior_and_no_weight_gives_it_too(assert_close, device):
    albedo, normals, light = scene(device=device)
    prior = light_presets()["hall"].sh_radiance.to(device)
    image = image_of(albedo, normals, light)
    strong = fit_sh_radiance(albedo, image, normals, torch.ones(3000, device=device), prior=prior, ridge=1e6)
    torch.testing.assert_close(strong, prior, atol=1e-4, rtol=1e-4)
    nothing = fit_sh_radiance(albedo, image, normals, torch.zeros(3000, device=device), prior=prior)
    assert_close(nothing, prior)


def test_without_a_prior_the_constant_is_free(device):
    albedo, normals, _ = scene(device=device)
    grey = fit_sh_radiance(albedo, 0.6 * albedo, normals, torch.ones(3000, device=device), ridge=10.0)
    torch.testing.assert_close(
        grey[0], torch.full((3,), 0.6 * (4 * torch.pi) ** 0.5, device=device), atol=1e-3, rtol=0
    )


def test_the_fit_depends_neither_on_the_number_nor_on_the_scale_of_weights(assert_close, device):
    albedo, normals, light = scene(500, device=device)
    image = image_of(albedo, normals, light)
    single = fit_sh_radiance(albedo, image, normals, torch.ones(500, device=device), ridge=0.1)
    twice = [torch.cat((v, v)) for v in (albedo, image, normals)]
    assert_close(fit_sh_radiance(*twice, torch.full((1000,), 9.0, device=device), ridge=0.1), single)


def test_pixels_without_weight_do_not_count(assert_close, device):
    albedo, normals, light = scene(500, device=device)
    image = image_of(albedo, normals, light)
    weights = (torch.arange(500, device=device) < 400).float()
    broken = torch.where(weights[:, None] > 0, image, torch.full_like(image, 50.0))
    assert_close(
        fit_sh_radiance(albedo, broken, normals, weights),
        fit_sh_radiance(albedo[:400], image[:400], normals[:400], torch.ones(400, device=device)),
    )


def test_batches_agree(device):
    scenes = [scene(200, seed, device=device) for seed in range(6)]
    albedo = torch.stack([s[0] for s in scenes]).reshape(2, 3, 200, 3)
    normals = torch.stack([s[1] for s in scenes]).reshape(2, 3, 200, 3)
    image = albedo * (0.3 + 0.5 * normals[..., 1:2].clamp(min=0))
    weights = torch.ones(2, 3, 200, device=device)
    prior = light_presets()["hall"].sh_radiance.to(device)
    found = fit_sh_radiance(albedo, image, normals, weights, prior=prior)
    for i in range(2):
        for j in range(3):
            single = fit_sh_radiance(albedo[i, j], image[i, j], normals[i, j], weights[i, j], prior=prior)
            torch.testing.assert_close(found[i, j], single, atol=1e-3, rtol=1e-3)


def test_gradients_flow_to_albedo_and_image(device):
    albedo, normals, light = (v.double() for v in scene(40, device=device))
    image = image_of(albedo, normals, light)
    weights = torch.rand(40, dtype=torch.float64, device=device) + 0.5
    inputs = (albedo.requires_grad_(), image.detach().requires_grad_(), weights.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, i, w: fit_sh_radiance(a, i, normals, w, ridge=0.05), inputs, fast_mode=True
    )
