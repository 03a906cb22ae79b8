import pytest
import torch
from torch.autograd import gradcheck

from facelume.uv import fill_hidden, masked_low_pass, pull_push, transfer_detail


def half_seen(size, width=2, *, device):
    """Visibility of a turned head: the left 60 % of the atlas, ending in a ramp of some texels."""
    columns = torch.arange(size, device=device).float()
    return ((0.6 * size - columns) / width).clamp(0, 1).expand(1, size, size).clone()


def symmetric_noise(size, seed=0, *, device):
    noise = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed)).to(device)
    return 0.2 + 0.3 * (noise + noise.flip(-1))


def test_pull_push_keeps_constants_and_known_values(assert_close, device):
    weight = (torch.rand(1, 1, 37, 37, generator=torch.Generator().manual_seed(0)).to(device) > 0.9).float()
    constant = torch.full((1, 2, 37, 37), 0.7, device=device)
    assert_close(pull_push(constant, weight), constant)
    field = torch.rand(1, 2, 37, 37, device=device)
    filled = pull_push(field, weight)
    assert_close(filled * weight, field * weight)
    assert filled.max() <= field[:, :, weight[0, 0] > 0].max() + 1e-6
    assert (pull_push(field, torch.zeros_like(weight)) == 0).all()


def test_filling_ends_at_the_texture_and_at_the_prior(assert_close, device):
    texture, prior = symmetric_noise(64, device=device), torch.full((1, 3, 64, 64), 0.4, device=device)
    assert_close(fill_hidden(texture, torch.ones(1, 64, 64, device=device), prior), texture)
    assert_close(fill_hidden(texture, torch.zeros(1, 64, 64, device=device), prior), prior)


def test_a_symmetric_face_is_completed_exactly(device):
    texture, prior = symmetric_noise(64, device=device), torch.full((1, 3, 64, 64), 0.4, device=device)
    visibility = half_seen(64, device=device)
    damaged = torch.where(visibility[:, None] > 0, texture, 0.0)
    torch.testing.assert_close(fill_hidden(damaged, visibility, prior), texture, rtol=1e-4, atol=1e-5)


def test_a_darker_person_stays_darker_where_nothing_is_seen(device):
    prior = symmetric_noise(64, seed=3, device=device)
    texture = 0.5 * (prior + 0.02) - 0.02
    visibility = torch.zeros(1, 64, 64, device=device)
    visibility[:, 10:40, 20:44] = 1
    torch.testing.assert_close(fill_hidden(texture, visibility, prior), texture, rtol=1e-3, atol=1e-4)


def test_no_seam_at_the_visibility_border_under_side_light(device):
    prior = torch.full((1, 3, 128, 128), 0.4, device=device)
    shade = torch.linspace(1.3, 0.7, 128, device=device)
    filled = fill_hidden(prior * shade, half_seen(128, device=device), prior)
    steps = filled.diff(dim=-1).abs()
    # A ramp of 0.6 over 128 texels steps by 0.0019; mirroring the lit side alone would jump by 0.04.
    assert steps.max() < 0.008


def test_detail_of_the_photo_comes_through_and_the_gate_closes_it(assert_close, device):
    size = 256
    low = torch.full((1, 3, 64, 64), 0.4, device=device)
    dots = torch.ones(1, 1, size, size, device=device)
    dots[..., ::16, ::16] = 0.5
    shading = torch.linspace(0.5, 1.5, size, device=device).expand(1, 3, size, size)
    texture = 0.4 * dots * shading
    seen = torch.ones(1, size, size, device=device)
    open_gate = transfer_detail(texture, shading, seen, low, torch.ones(1, 1, 64, 64, device=device))
    closed = transfer_detail(texture, shading, seen, low, torch.zeros(1, 1, 64, 64, device=device))
    assert_close(closed, torch.full_like(closed, 0.4))
    inner = open_gate[..., 32:-32, 32:-32]
    is_dot = dots.expand(1, 3, -1, -1)[..., 32:-32, 32:-32] < 1
    assert inner[is_dot].mean().item() == pytest.approx(0.2, abs=0.01)
    assert inner[~is_dot].mean().item() == pytest.approx(0.4, abs=0.01)


def test_detail_that_the_albedo_has_already_is_not_drawn_twice(device):
    albedo = torch.full((1, 3, 256, 256), 0.5, device=device)
    albedo[..., 100:110, 60:100] = 0.1
    ones = torch.ones(1, 1, 256, 256, device=device)
    result = transfer_detail(albedo * 0.8, 0.8 * ones.expand(1, 3, -1, -1), ones[:, 0], albedo, ones)
    torch.testing.assert_close(result, albedo, rtol=1e-4, atol=1e-4)


def test_a_highlight_is_held_back_and_a_mole_is_not(device):
    texture = torch.full((1, 3, 256, 256), 0.3, device=device)
    texture[..., 50:54, 50:54] = 0.95
    texture[..., 50:54, 150:154] = 0.05
    ones = torch.ones(1, 1, 256, 256, device=device)
    low = torch.full((1, 3, 256, 256), 0.3, device=device)
    result = transfer_detail(texture, ones.expand(1, 3, -1, -1), ones[:, 0], low, ones)
    assert result[0, 0, 51, 51] < 0.45
    assert result[0, 0, 51, 151] < 0.1


def test_the_hidden_side_gets_mirrored_detail_and_no_dark_seam(assert_close, device):
    size = 256
    albedo = torch.full((1, 3, size, size), 0.4, device=device)
    albedo[..., 20:24, 40:44] = 0.2
    albedo[..., 20:24, size - 44 : size - 40] = 0.2
    visibility = half_seen(size, width=8, device=device)
    texture = torch.where(visibility[:, None] > 0, albedo, 0.0)
    ones = torch.ones(1, 3, size, size, device=device)
    low = torch.full_like(albedo, 0.4)
    result = transfer_detail(texture, ones, visibility, low, ones[:, :1])
    assert result[0, 0, 21, size - 42].item() == pytest.approx(0.21, abs=0.02)
    assert_close(result[0, :, 100:], low[0, :, 100:])


@pytest.mark.parametrize("size", [512, 1024])
def test_detail_transfer_is_the_same_at_any_size(size, device):
    factor = size // 256
    small = symmetric_noise(256, device=device)
    large = small.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    low = torch.full((1, 3, 64, 64), 0.4, device=device)
    gate = torch.ones(1, 1, 64, 64, device=device)
    shading = torch.ones(1, 3, 32, 32, device=device)
    at_256 = transfer_detail(small, shading, torch.ones(1, 256, 256, device=device), low, gate)
    at_size = transfer_detail(large, shading, torch.ones(1, size, size, device=device), low, gate)
    reduced = torch.nn.functional.avg_pool2d(at_size, factor)
    assert (reduced - at_256).abs().mean() < 0.005


def test_low_pass_ignores_what_is_masked(assert_close, device):
    field = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(1)).to(device)
    weight = (field > 0.5).float()
    low = masked_low_pass(field, weight, 17)
    expected = field[..., 92:109, 92:109][weight[..., 92:109, 92:109] > 0].mean()
    assert_close(low[0, 0, 100, 100], expected)


def test_detail_transfer_differentiates(device):
    generator = torch.Generator().manual_seed(4)
    shape = (1, 3, 12, 12)
    texture, shading, low = (
        0.2 + 0.5 * torch.rand(shape, generator=generator, dtype=torch.float64).to(device) for _ in range(3)
    )
    gate = torch.rand(1, 1, 6, 6, generator=generator, dtype=torch.float64).to(device)
    seen = torch.rand(1, 12, 12, generator=generator, dtype=torch.float64).to(device)
    inputs = tuple(x.requires_grad_() for x in (shading, low, gate))
    # 12 texels stand for a whole atlas, so a box of 3 of them is 64 of 256.
    assert gradcheck(lambda s, a, g: transfer_detail(texture, s, seen, a, g, box_px=64), inputs)
