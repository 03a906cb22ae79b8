import pytest
import torch

from facelume.networks.builders import make_refiner
from facelume.networks.discriminator import PatchDiscriminator
from facelume.networks.refiner import Refiner, RefinerConfig, decode_albedo, decode_light, logit
from facelume.networks.unet_refiner import SelfAttention, UNetRefiner


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
    coarse = torch.randn(2, 27, 4, 4, device=device)
    assert_close(decode_albedo(torch.zeros(2, 3, 4, 4, device=device), prior, config), prior)
    assert_close(decode_light(torch.zeros(2, 27, 4, 4, device=device), coarse, config), coarse)


def test_residual_light_mean_scales_every_coefficient_of_its_colour(assert_close, device):
    config = RefinerConfig(width=2, head="residual")
    coarse = torch.randn(1, 9, 3, 2, 2, device=device)
    raw = torch.zeros(1, 9, 3, 2, 2, device=device)
    raw[:, :, 1] = 0.5
    light = decode_light(raw.flatten(1, 2), coarse.flatten(1, 2), config).unflatten(1, (9, 3))
    expected = coarse.clone()
    expected[:, :, 1] *= torch.e**0.5
    assert_close(light, expected)


def test_residual_light_can_bring_light_where_the_coarse_one_is_in_shadow(assert_close, device):
    """What is added counts by the level of the whole map, so that a black texel is no dead end."""
    config = RefinerConfig(width=2, head="residual")
    coarse = torch.zeros(1, 9, 3, 2, 2, device=device)
    coarse[:, 0, :, 0] = 2.0  # the other row of texels is in full shadow: the level is 1
    raw = torch.zeros(1, 9, 3, 2, 2, device=device)
    raw[:, 0], raw[:, 1] = 0.9, -0.9
    light = decode_light(raw.flatten(1, 2), coarse.flatten(1, 2), config).unflatten(1, (9, 3))
    assert_close(light[:, 0, :, 1], torch.full((1, 3, 2), 0.225, device=device))
    assert_close(light[:, 1], torch.full((1, 3, 2, 2), -0.225, device=device))
    assert_close(light[:, 0, :, 0], torch.full((1, 3, 2), 2.225, device=device))


def test_the_u_net_gives_its_light_at_half_the_size(device):
    settings = RefinerConfig(
        width=8, trunk="unet", with_context=True, with_gate=True, with_geometry=True, num_residual_blocks=1
    )
    network = make_refiner(settings).to(device).requires_grad_(False)
    assert isinstance(network, UNetRefiner)
    inputs = torch.rand(2, settings.num_input_channels, 32, 32, device=device)
    albedo, light = network(inputs)
    assert albedo.shape == (2, 5, 32, 32)
    assert light.shape == (2, 27, 16, 16)
    # It starts near "nothing is to be changed".
    assert float(albedo.abs().max()) < 0.2
    assert float(light.abs().max()) < 0.2


def test_the_u_net_sees_the_picture_past_its_coarse_grids(device):
    network = make_refiner(RefinerConfig(width=8, trunk="unet", num_residual_blocks=1)).to(device)
    network.up_1.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    first, second = (network(torch.rand(1, 6, 32, 32, device=device))[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_attention_gathers_by_likeness_from_every_cell(assert_close, device):
    layer, features = SelfAttention(8).to(device), torch.randn(2, 8, 3, 5, device=device)
    torch.nn.init.normal_(layer.project_out.weight)
    query, key, value = layer.project_in(layer.norm(features)).flatten(2).split(8, dim=1)
    gathered = []
    for head in range(4):
        rows = slice(2 * head, 2 * head + 2)
        likeness = query[:, rows].transpose(1, 2) @ key[:, rows] / 2**0.5
        gathered.append(value[:, rows] @ likeness.softmax(dim=-1).transpose(1, 2))
    expected = features + layer.project_out(torch.cat(gathered, dim=1).unflatten(2, (3, 5)))
    assert_close(layer(features), expected)


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
