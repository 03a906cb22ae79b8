import torch

from facelume.losses import supervised

ONE = torch.ones(3, 1, 16, 16)


def test_two_tones_of_one_albedo_agree_and_a_stain_does_not():
    albedo = torch.rand(1, 3, 16, 16).clamp(0.2, 0.8)
    brighter = (albedo + 0.02) * torch.tensor([1.2, 0.9, 0.8]).reshape(1, 3, 1, 1) - 0.02
    stained = albedo.clone()
    stained[..., 8:, :] *= 0.5
    person = torch.tensor([7, 7, 8])
    same = supervised.same_albedo(torch.cat([albedo, brighter, stained]), person, ONE)
    other = supervised.same_albedo(torch.cat([albedo, stained, brighter]), person, ONE)
    assert float(same) < 0.02
    assert float(other) > 0.15


def test_only_texels_that_both_pictures_show_count():
    albedo = torch.full((2, 3, 16, 16), 0.4)
    albedo[1, :, :8] = 0.1
    mask = torch.ones(2, 1, 16, 16)
    mask[0, :, :8] = 0.0
    assert float(supervised.same_albedo(albedo, torch.tensor([1, 1]), mask)) < 1e-6


def test_without_a_pair_it_is_zero_with_a_gradient():
    albedo = torch.rand(3, 3, 16, 16, requires_grad=True)
    loss = supervised.same_albedo(albedo, torch.tensor([1, 2, 3]), ONE)
    loss.backward()
    assert float(loss) == 0.0
    assert torch.isfinite(albedo.grad).all()
