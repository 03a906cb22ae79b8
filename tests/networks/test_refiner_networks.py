import pytest
import torch

from facelume.networks.discriminator import PatchDiscriminator
from facelume.networks.refiner import Refiner, RefinerConfig, decode_albedo, decode_light, logit


def num_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_paper_width_has_the_paper_parameter_count():
    assert num_parameters(Refiner(RefinerConfig())) == pytest.approx(36.8e6, rel=0.002)


def test_half_width_has_a_quarter_of_the_parameters():
    assert num_parameters(Refiner(RefinerConfig(width=32))) == pytest.approx(9.2e6, rel=0.005)


def test_paper_network_is_17_gmac():
    """Multiply-accumulates at 256 texels, counted by hooks without computing anything."""
    with torch.device("meta"):
        network = Refiner(RefinerConfig())
    macs = 0

    def count(module, inputs, output):
        nonlocal macs
        weights = module.weight.numel()
        grid = inputs[0] if isinstance(module, torch.nn.ConvTranspose2d) else output
        macs += weights * grid.shape[-1] * grid.shape[-2]

    for module in network.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            module.register_forward_hook(count)
    network(torch.zeros(1, 6, 256, 256, device="meta"))
    assert macs == pytest.approx(17e9, rel=0.03)


@pytest.mark.parametrize(
    "config", [RefinerConfig(width=2), RefinerConfig(width=2, with_context=True, with_gate=True)]
)
def test_heads_have_the_size_of_the_input(config, device):
    albedo, light = Refiner(config).to(device)(
        torch.rand(2, config.num_input_channels, 32, 32, device=device)
    )
    assert albedo.shape == (2, config.num_albedo_channels, 32, 32)
    assert light.shape == (2, 27, 32, 32)


def test_there_are_no_skip_connections(device):
    """With the residual blocks' input cut off, the heads no longer depend on the picture."""
    network = Refiner(RefinerConfig(width=2)).to(device)
    network.encoder.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    first, second = (
        network(torch.rand(1, 6, 32, 32, device=device)),
        network(torch.rand(1, 6, 32, 32, device=device)),
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_residual_heads_at_zero_return_prior_and_coarse_light(assert_close, device):
    config = RefinerConfig(width=2, head="residual")
    prior = torch.rand(2, 3, 4, 4, device=device) * 0.9 + 0.05
    coarse = torch.randn(2, 9, 3, device=device)
    assert_close(decode_albedo(torch.zeros(2, 3, 4, 4, device=device), prior, config), prior)
    light = decode_light(torch.zeros(2, 27, 4, 4, device=device), coarse, config)
    assert_close(light, coarse.reshape(2, 27, 1, 1).expand(2, 27, 4, 4))


def test_residual_light_mean_scales_every_coefficient_of_its_colour(assert_close, device):
    config = RefinerConfig(width=2, head="residual")
    coarse = torch.randn(1, 9, 3, device=device)
    raw = torch.zeros(1, 9, 3, 2, 2, device=device)
    raw[:, :, 1] = 0.5
    light = decode_light(raw.reshape(1, 27, 2, 2), coarse, config).reshape(1, 9, 3, 2, 2)
    expected = coarse.clone()
    expected[:, :, 1] *= torch.e**0.5
    assert_close(light[..., 0, 0], expected)


def test_logit_inverts_sigmoid(assert_close, device):
    values = torch.linspace(-4, 4, 9, device=device)
    assert_close(logit(torch.sigmoid(values)), values)


def test_patch_discriminator_sees_70_texels(device):
    network = PatchDiscriminator(width=4).to(device)
    network.layers = torch.nn.Sequential(
        *(m for m in network.layers if not isinstance(m, torch.nn.InstanceNorm2d))
    )
    maps = torch.rand(1, 3, 256, 256, requires_grad=True, device=device)
    logits = network(maps)
    assert logits.shape == (1, 1, 30, 30)
    (gradient,) = torch.autograd.grad(logits[0, 0, 15, 15], maps)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70
