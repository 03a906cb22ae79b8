import math

import pytest
import torch

from facelume.losses import refinement, supervised
from facelume.losses.masked import mean_over_mask

ONE = torch.ones(1, 1, 2, 2)


def test_mean_over_mask_ignores_what_is_outside(device):
    values = torch.tensor([[[[1.0, 3.0], [100.0, 100.0]]]], device=device)
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]], device=device)
    assert float(mean_over_mask(values, mask)) == 2.0


def test_mean_over_mask_does_not_depend_on_batch_or_channels(device):
    values = torch.full((3, 5, 4, 4), 7.0, device=device)
    assert float(mean_over_mask(values, torch.ones(1, 1, 4, 4, device=device))) == pytest.approx(7.0)


def test_mean_over_an_empty_mask_is_zero(device):
    assert (
        float(mean_over_mask(torch.ones(1, 3, 2, 2, device=device), torch.zeros(1, 1, 2, 2, device=device)))
        == 0.0
    )


def test_illumination_regularisation(device):
    light = torch.zeros(1, 27, 2, 2, device=device)
    light[0, 4] = 3.0  # coefficient 1, green: one of 27 channels off by 3
    coarse = torch.zeros(1, 27, 2, 2, device=device)
    assert float(refinement.illumination_regularisation(light, coarse, ONE)) == pytest.approx(9 / 27)


def test_one_coarse_light_stands_for_all_texels_and_its_shadows_stand_for_themselves(device):
    coarse = torch.randn(2, 27, 1, 1, device=device)
    light = coarse.expand(2, 27, 2, 2)
    assert float(refinement.illumination_regularisation(light, coarse, ONE)) == 0.0
    shadow = torch.tensor([[1.0, 0.2], [1.0, 1.0]], device=device)
    assert float(refinement.illumination_regularisation(light * shadow, light * shadow, ONE)) == 0.0
    assert float(refinement.illumination_regularisation(light * shadow, coarse, ONE)) > 0.0


def test_symmetry(device):
    albedo = torch.zeros(1, 3, 2, 2, device=device)
    albedo[..., 0, 0] = 0.5  # differs from its mirror texel by 0.5: two of four texels count 0.25
    assert float(refinement.symmetry(albedo, ONE)) == pytest.approx(0.125)
    assert float(refinement.symmetry(albedo + albedo.flip(-1), ONE)) == 0.0


def test_albedo_smoothness_by_hand(device):
    prior = torch.zeros(1, 3, 1, 3, device=device)
    prior[0, 0, 0, 2] = 0.1  # a border of the prior between texels 1 and 2
    albedo = torch.zeros(1, 3, 1, 3, device=device)
    albedo[0, :, 0, 1] = 0.2
    mask = torch.ones(1, 1, 1, 3, device=device)
    step = 3 * 0.2**2
    expected = 2 * (step + math.exp(-80 * 0.1**2) * step) / 3
    assert float(refinement.albedo_smoothness(albedo, prior, mask)) == pytest.approx(expected, rel=1e-5)


def test_albedo_smoothness_leaves_neighbours_outside_the_mask_out(device):
    albedo = torch.zeros(1, 3, 1, 3, device=device)
    albedo[0, :, 0, 2] = 1.0
    mask = torch.tensor([1.0, 1.0, 0.0], device=device).reshape(1, 1, 1, 3)
    assert float(refinement.albedo_smoothness(albedo, torch.zeros_like(albedo), mask)) == 0.0


def test_prior_l1(device):
    albedo = torch.full((2, 3, 2, 2), 0.25, device=device)
    assert float(refinement.prior_l1(albedo, torch.full_like(albedo, 0.75), ONE)) == pytest.approx(0.5)


def test_adversarial_losses_are_minus_log_probability(device):
    logits = torch.full((1, 1, 2, 2), 0.3, device=device)
    probability = 1 / (1 + math.exp(-0.3))
    assert float(refinement.adversarial(logits)) == pytest.approx(-math.log(probability))
    expected = -math.log(probability) - math.log(1 - probability)
    assert float(refinement.discriminator_loss(logits, logits)) == pytest.approx(expected, rel=1e-6)


def test_generator_gains_by_fooling_the_discriminator(device):
    low, high = torch.zeros(1, 1, 1, 1, device=device), torch.ones(1, 1, 1, 1, device=device)
    assert float(refinement.adversarial(high)) < float(refinement.adversarial(low))
    assert float(refinement.discriminator_loss(high, high)) > float(refinement.discriminator_loss(high, low))


def test_image_gradient_by_hand(device):
    image = torch.zeros(1, 3, 2, 2, device=device)
    rendered = torch.zeros(1, 3, 2, 2, device=device)
    rendered[..., 0, 1] = 0.5
    # horizontal steps: 0.5 and 0 -> mean 0.125; vertical steps: 0 and -0.5 -> mean 0.125
    assert float(refinement.image_gradient(rendered, image, ONE)) == pytest.approx(0.25)


def test_image_gradient_ignores_a_constant_and_the_border_of_the_mask(device):
    image = torch.rand(1, 3, 4, 4, device=device)
    mask = torch.ones(1, 1, 4, 4, device=device)
    assert float(refinement.image_gradient(image + 0.3, image, mask)) == pytest.approx(0.0, abs=1e-10)
    mask[..., 2:] = 0.0
    rendered = image.clone()
    rendered[..., 2:] += 0.5
    assert float(refinement.image_gradient(rendered, image, mask)) == 0.0


def test_image(device):
    rendered = torch.full((1, 3, 2, 2), 0.5, device=device)
    assert float(refinement.image(rendered, torch.zeros_like(rendered), ONE)) == pytest.approx(0.25)


def test_cross_perceptual_is_one_minus_cosine_of_the_masked_pictures(device):
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]], device=device).reshape(1, 1, 2, 2)
    rendered, photo = torch.rand(1, 3, 2, 2, device=device), torch.rand(1, 3, 2, 2, device=device)
    loss = refinement.cross_perceptual(rendered, photo, mask, lambda picture: picture.flatten(1))
    a, b = rendered[0, :, 0, 0], photo[0, :, 0, 0]
    assert float(loss) == pytest.approx(float(1 - a @ b / (a.norm() * b.norm())), abs=1e-6)


def test_albedo_shape_forgives_one_offset_per_channel(device):
    truth = torch.rand(2, 3, 4, 4, device=device)
    offset = torch.tensor([0.1, -0.2, 0.3], device=device).reshape(1, 3, 1, 1)
    mask = torch.ones(2, 1, 4, 4, device=device)
    assert float(supervised.albedo_shape(truth + offset, truth, mask)) == pytest.approx(0.0, abs=1e-6)
    assert float(supervised.albedo_truth(truth + offset, truth, mask)) == pytest.approx(0.2, rel=1e-5)


def test_detail_counts_steps_and_no_levels(device):
    truth = torch.rand(2, 3, 8, 8, device=device)
    mask = torch.ones(2, 1, 8, 8, device=device)
    assert float(supervised.detail(truth + 0.3, truth, mask)) == pytest.approx(0.0, abs=1e-6)
    edge = torch.zeros_like(truth)
    edge[..., 4:] = (
        0.7  # of seven steps between neighbours in a row one is wrong; of five over three texels, three
    )
    expected = (0.7 / 7 + 0.7 * 3 / 5) / 4
    assert float(supervised.detail(truth + edge, truth, mask)) == pytest.approx(expected, rel=1e-4)
    mask[..., 3:6] = 0.0
    assert float(supervised.detail(truth + edge, truth, mask)) < 1e-6
    assert float(supervised.detail(truth + edge, truth, mask, (1, 4))) > 0.01


def test_light_smoothness_by_hand(device):
    coarse = torch.full((1, 9, 3), 2.0, device=device)
    light = torch.zeros(1, 27, 1, 3, device=device)
    light[..., 2] = 4.0  # steps 0 and 4, in units of 2: mean 1
    assert float(
        supervised.light_smoothness(light, coarse, torch.ones(1, 1, 1, 3, device=device))
    ) == pytest.approx(1.0)


def test_light_hue_lets_shadows_be_darker_but_not_redder(device):
    coarse = torch.full((1, 3, 2, 2), 0.8, device=device)
    assert float(supervised.light_hue(0.3 * coarse, coarse, ONE)) == pytest.approx(0.0, abs=1e-9)
    redder = coarse * torch.tensor([1.0, math.exp(-0.3), math.exp(-0.3)], device=device).reshape(1, 3, 1, 1)
    assert float(supervised.light_hue(redder, coarse, ONE)) == pytest.approx(
        (0.2**2 + 2 * 0.1**2) / 3, rel=1e-4
    )


def test_confidence_bce(device):
    logit = torch.zeros(1, 1, 1, 2, device=device)
    error = torch.tensor([0.04, 0.06], device=device).reshape(1, 1, 1, 2)
    assert float(supervised.confidence_bce(logit, error, torch.ones_like(error))) == pytest.approx(
        math.log(2)
    )
    better = torch.tensor([2.0, -2.0], device=device).reshape(1, 1, 1, 2)
    assert float(supervised.confidence_bce(better, error, torch.ones_like(error))) < math.log(2) / 2
