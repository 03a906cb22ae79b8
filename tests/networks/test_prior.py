import pytest
import torch

from facelume.networks.prior import PriorConfig, PriorNetwork, PriorOutput


@pytest.fixture(scope="module", params=[0, 8], ids=["features", "colours"])
def network(request: pytest.FixtureRequest, device) -> PriorNetwork:
    torch.manual_seed(0)
    return PriorNetwork(PriorConfig(input_px=96, colour_grid=request.param)).to(device).eval()


def run(network: PriorNetwork, crop: torch.Tensor) -> PriorOutput:
    with torch.no_grad():
        return network(crop)


@pytest.mark.parametrize("num_crops", [1, 3])
def test_output_shapes_and_ranges(network: PriorNetwork, num_crops: int, device):
    output = run(network, torch.rand(num_crops, 3, 224, 224, device=device))
    assert output.identity.shape == (num_crops, 80)
    assert output.sh_radiance.shape == (num_crops, 9, 3)
    assert output.landmarks_px.shape == (num_crops, 478, 2)
    assert output.parsing_logits.shape == (num_crops, 1, 24, 24)
    assert output.expression.min() >= 0
    assert output.expression.max() <= 1
    assert output.landmark_sigma_px.min() > 0


def test_untrained_pose_is_a_frontal_head_that_fills_the_crop(network: PriorNetwork, device):
    output = run(network, torch.rand(1, 3, 224, 224, device=device))
    assert output.rotvec.abs().max() < 0.05
    torch.testing.assert_close(
        output.translation, torch.tensor([[0.0, 0.0, 1.05]], device=device), atol=0.02, rtol=0
    )


def test_mean_landmarks_are_where_training_starts(device):
    network = PriorNetwork(PriorConfig(input_px=64)).to(device).eval()
    mean = torch.rand(478, 2, device=device) * 224
    network.set_mean_landmarks(mean)
    torch.nn.init.zeros_(network.landmark_head.output.weight)
    output = run(network, torch.rand(2, 3, 224, 224, device=device))
    torch.testing.assert_close(output.landmarks_px, mean.expand(2, 478, 2), atol=1e-4, rtol=0)


def test_mean_landmarks_are_set_on_the_device_of_the_network():
    # "meta" is a second device on any machine: an operation on tensors of two devices raises.
    network = PriorNetwork(PriorConfig(input_px=64)).to("meta")
    network.set_mean_landmarks(torch.zeros(478, 2, device="meta"))


def test_a_crop_and_the_same_crop_at_input_resolution_agree(network: PriorNetwork, assert_close, device):
    crop = torch.rand(1, 3, 224, 224, device=device)
    small = torch.nn.functional.interpolate(crop, size=(96, 96), mode="bilinear", antialias=True)
    assert_close(run(network, crop).landmarks_px, run(network, small).landmarks_px)


def test_batch_members_do_not_mix(network: PriorNetwork, device):
    crops = torch.rand(3, 3, 224, 224, device=device)
    together = run(network, crops).landmarks_px[1:2]
    torch.testing.assert_close(together, run(network, crops[1:2]).landmarks_px, atol=1e-3, rtol=0)


def test_default_network_fits_its_budget_of_seven_megabytes_in_half_precision():
    state = PriorNetwork(PriorConfig(colour_grid=8)).state_dict()
    num_values = sum(value.numel() for value in state.values())
    assert num_values * 2 < 7e6
