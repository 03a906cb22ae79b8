import pytest
import torch

from facelume.errors import AssetError
from facelume.networks.locator import LocatorConfig, LocatorNetwork, build_locator, fold_batch_norm

SMALL = {"stem_channels": 4, "middle_channels": 6, "channels": 8, "middle_blocks": 1, "blocks": 1}


def _trained_like(*, device) -> LocatorNetwork:
    torch.manual_seed(0)
    network = LocatorNetwork(LocatorConfig(**SMALL)).to(device)
    network.train()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and "head" not in name:  # scales and offsets of the batch normalisation
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    for _ in range(5):
        network(torch.rand(2, 3, 64, 64, device=device))
    return network.eval()


def test_folding_batch_norm_changes_nothing(device):
    network = _trained_like(device=device)
    folded = fold_batch_norm(network, LocatorConfig(**SMALL, batch_norm=False))
    pictures = torch.rand(2, 3, 48, 64, device=device)
    with torch.no_grad():
        before, after = network(pictures), folded(pictures)
    torch.testing.assert_close(after.centre_logits, before.centre_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.box_px, before.box_px, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(after.points_px, before.points_px, rtol=1e-4, atol=1e-3)
    assert not any("running" in name for name in folded.state_dict())


def test_folding_leaves_a_training_network_as_it_is(device):
    network = _trained_like(device=device).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold_batch_norm(network, LocatorConfig(**SMALL, batch_norm=False))
    assert all(module.training for module in network.modules())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_folding_into_a_network_with_batch_norm_is_refused(device):
    with pytest.raises(AssetError, match="batch_norm"):
        fold_batch_norm(_trained_like(device=device), LocatorConfig(**SMALL))


def test_a_network_that_says_zero_marks_a_32_px_box_around_every_cell_centre(device):
    network = LocatorNetwork(LocatorConfig(**SMALL)).to(device).eval()
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    with torch.no_grad():
        output = network(torch.rand(1, 3, 32, 48, device=device))
    assert output.centre_logits.shape == (1, 4, 6)
    assert output.box_px[0, :, 1, 2].tolist() == [4.0, -4.0, 36.0, 28.0]
    assert output.points_px[0, :, :, 1, 2].tolist() == [[20.0, 12.0]] * 5


def test_predictions_move_with_the_picture(device):
    network = _trained_like(device=device)
    picture = torch.rand(1, 3, 192, 192, device=device)
    with torch.no_grad():
        output, shifted = network(picture), network(picture.roll((8, 16), dims=(2, 3)))
    inner, moved = (slice(8, 16), slice(8, 16)), (slice(9, 17), slice(10, 18))
    torch.testing.assert_close(
        shifted.centre_logits[0][moved], output.centre_logits[0][inner], rtol=1e-4, atol=1e-4
    )
    shift = torch.tensor((16.0, 8.0, 16.0, 8.0), device=device)[:, None, None]
    torch.testing.assert_close(
        shifted.box_px[0][:, *moved], output.box_px[0][:, *inner] + shift, rtol=1e-4, atol=1e-2
    )


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="widht"):
        build_locator({"widht": 3})


def test_the_default_network_fits_its_budget():
    num_parameters = sum(p.numel() for p in LocatorNetwork(LocatorConfig(batch_norm=False)).parameters())
    assert num_parameters * 2 < 1.5e6
