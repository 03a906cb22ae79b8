import math
import re
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import torch

import facelume
from facelume.reflectance import (
    ITA_CLASSES,
    cielab_from_linear,
    ita_class,
    ita_degrees,
    linear_from_srgb,
    luminance,
    shade,
    shading_from_irradiance,
    srgb_from_linear,
)


def test_srgb_known_values():
    srgb = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)
    linear = torch.tensor([0.0, 0.04045 / 12.92, 0.21404114048223255, 1.0], dtype=torch.float64)
    torch.testing.assert_close(linear_from_srgb(srgb), linear)
    torch.testing.assert_close(srgb_from_linear(linear), srgb, atol=1e-5, rtol=0)


def test_all_8_bit_values_survive_the_round_trip():
    codes = torch.arange(256)
    back = srgb_from_linear(linear_from_srgb(codes / 255.0)) * 255.0
    torch.testing.assert_close(back.round().long(), codes)


def test_out_of_range_is_clamped():
    outside = torch.tensor([-3.0, 7.0])
    torch.testing.assert_close(linear_from_srgb(outside), torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(srgb_from_linear(outside), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("function", [linear_from_srgb, srgb_from_linear])
def test_colour_gradients_are_right_and_finite_at_black(function):
    inner = torch.tensor([1e-4, 0.002, 0.02, 0.3, 0.99], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (inner,))
    ends = torch.tensor([-1.0, 0.0, 1.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(function(ends).sum(), ends)
    assert gradient.isfinite().all()


def test_shading_is_albedo_times_irradiance_over_pi_and_never_negative():
    albedo = torch.tensor([0.5, 0.5, 0.5])
    received = torch.tensor([math.pi, 2 * math.pi, -1.0])
    torch.testing.assert_close(shade(albedo, received), torch.tensor([0.5, 1.0, 0.0]))
    white = shading_from_irradiance(received)
    torch.testing.assert_close(shade(albedo, received), albedo * white)


def test_irradiance_becomes_shading_in_one_module():
    """A fit may divide the basis by pi: it is linear and does not clamp."""
    package = Path(facelume.__file__).parent
    elsewhere = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path.name != "lambert.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(irradiance|received).*/ (math|torch|np)\.pi", line)
        and "irradiance_basis(" not in line
    ]
    assert elsewhere == []


def test_luminance_of_white_is_one_and_green_weighs_most():
    assert luminance(torch.ones(3)).item() == pytest.approx(1.0)
    torch.testing.assert_close(luminance(torch.eye(3)), torch.tensor([0.2126, 0.7152, 0.0722]))


def test_cielab_agrees_with_scikit_image():
    rng = np.random.default_rng(0)
    srgb = rng.uniform(0, 1, (50, 3))
    linear = linear_from_srgb(torch.from_numpy(srgb))
    expected = skimage.color.rgb2lab(srgb[None])[0]
    np.testing.assert_allclose(cielab_from_linear(linear).numpy(), expected, atol=0.05)


def test_white_is_l_star_100_and_neutral():
    lab = cielab_from_linear(torch.tensor([[1.0, 1, 1], [0.18, 0.18, 0.18]], dtype=torch.float64))
    np.testing.assert_allclose(lab[:, 1:].numpy(), 0.0, atol=1e-9)
    np.testing.assert_allclose(lab[:, 0].numpy(), [100.0, 49.496], atol=1e-3)


def test_ita_is_the_angle_of_lightness_over_yellowness():
    skin = linear_from_srgb(torch.tensor([229.0, 194.0, 170.0]) / 255.0)
    lightness, _, yellow = skimage.color.rgb2lab(np.array([[[229, 194, 170]]]) / 255.0)[0, 0]
    assert ita_degrees(skin).item() == pytest.approx(
        math.degrees(math.atan((lightness - 50) / yellow)), abs=0.1
    )


def test_ita_falls_with_darker_skin_and_names_the_class():
    skins = torch.tensor([[240.0, 210, 190], [200.0, 150, 120], [90.0, 56, 40]]) / 255.0
    angles = ita_degrees(linear_from_srgb(skins))
    assert angles[0] > angles[1] > angles[2]
    assert ita_class(angles[0].item()) == "very light"
    assert ita_class(angles[2].item()) == "dark"
    assert [ita_class(bound) for bound, _ in ITA_CLASSES] == [name for _, name in ITA_CLASSES]
