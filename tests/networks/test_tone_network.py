"""Whatever the tone network says is a colour that human skin has, and it says how sure it is."""

import pytest
import torch

from facelume.fitting.tone_cues import CUE_PICTURE_SIZE, NUM_CUES
from facelume.networks.tone import BEYOND_TONE_RANGE, ToneConfig, ToneNetwork
from facelume.reflectance import human_skin, luminance


def pictures(number: int, seed: int = 0, device: torch.device | str = "cpu") -> torch.Tensor:
    """Random pictures of the atlas."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(number, 5, CUE_PICTURE_SIZE, CUE_PICTURE_SIZE, generator=draw).to(device)


def shaken(seed: int, std: float) -> ToneNetwork:
    """A network of random weights, of the usual size or far too large."""
    network = ToneNetwork(ToneConfig(NUM_CUES)).eval()
    draw = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=std, generator=draw)
    return network


@pytest.mark.parametrize("std", [0.1, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_random_weights_and_cues_give_human_skin(seed, std, device):
    network = shaken(seed, std).to(device).requires_grad_(False)
    cues = 3 * torch.randn(500, NUM_CUES, generator=torch.Generator().manual_seed(seed)).to(device)
    said, skin = network(cues, pictures(500, seed, device)), human_skin()
    colour = torch.exp(said.log_colour)
    assert float(skin.hue_distance(colour).max()) < 3
    darkest, lightest = (float(end) for end in skin.tone_range)
    least, largest = float(said.log_luminance.min()), float(said.log_luminance.max())
    assert darkest - BEYOND_TONE_RANGE - 1e-3 < least < largest < lightest + BEYOND_TONE_RANGE + 1e-3
    torch.testing.assert_close(torch.log(luminance(colour)), said.log_luminance, atol=1e-4, rtol=0)


@pytest.mark.parametrize("tone", [-20.0, -1.0, 0.0, 1.0, 20.0])
@pytest.mark.parametrize("hue", [(20.0, -20.0), (-20.0, 20.0), (20.0, 20.0), (-20.0, -20.0)])
def test_the_corners_of_its_answers_are_human_skin(tone_saying, tone, hue, device):
    # Red over green and green over blue vary together: two usual ones can be a pair that no skin has.
    said = tone_saying(tone, hue).to(device)(
        torch.zeros(1, NUM_CUES, device=device), pictures(1, device=device)
    )
    assert 1.5 < float(human_skin().hue_distance(torch.exp(said.log_colour))) < 3


def test_every_measured_tone_can_be_said(tone_saying):
    raw = (-6.0, -1.0, 0.0, 1.0, 6.0)
    said = [float(tone_saying(tone)(torch.zeros(1, NUM_CUES), pictures(1)).log_luminance) for tone in raw]
    darkest, lightest = (float(end) for end in human_skin().tone_range)
    expected = [darkest, (darkest + lightest) / 2, lightest]
    # Near the ends of measured skin the answers bend a little, so that no two of them are one.
    assert said[1:4] == pytest.approx(expected, abs=0.02)
    ends = [darkest - BEYOND_TONE_RANGE, lightest + BEYOND_TONE_RANGE]
    assert [said[0], said[4]] == pytest.approx(ends, abs=1e-3)


def test_certainty_stays_between_its_bounds(tone_saying):
    for raw, expected in ((-20.0, 0.05), (20.0, 0.8)):
        said = tone_saying(sigma=raw)(torch.zeros(1, NUM_CUES), pictures(1))
        torch.testing.assert_close(said.log_sigma.exp(), torch.full((1, 3), expected))


def test_cues_count_relative_to_those_it_was_trained_with():
    network = shaken(0, 0.3)
    cues = torch.randn(5, NUM_CUES, generator=torch.Generator().manual_seed(1))
    plain = network(cues, pictures(5)).log_luminance
    network.cue_mean.fill_(2.0)
    network.cue_scale.fill_(0.5)
    torch.testing.assert_close(network(2.0 + 0.5 * cues, pictures(5)).log_luminance, plain)


def test_gradients_reach_every_weight_even_where_a_hue_is_cut(tone_saying, device):
    network = tone_saying(0.5, (2.0, -2.0)).to(device).requires_grad_(True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(0))
    values = torch.randn(64, NUM_CUES, generator=torch.Generator().manual_seed(1)).to(device)
    said = network(values, pictures(64, device=device))
    (said.log_colour.square().mean() + said.log_sigma.mean()).backward()
    for name, parameter in network.named_parameters():
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert float(parameter.grad.abs().max()) > 0, name


def test_it_looks_at_the_picture_and_need_not():
    values = torch.zeros(2, NUM_CUES)
    torch.manual_seed(0)
    with torch.no_grad():
        seen = ToneNetwork(ToneConfig(NUM_CUES)).eval()(values, pictures(2)).log_luminance
    assert abs(float(seen[0] - seen[1])) > 1e-3
    numbers = ToneNetwork(ToneConfig(NUM_CUES, picture_width=0)).eval()
    assert not any("picture" in name for name, _ in numbers.named_parameters())
    said = numbers(values, pictures(2)).log_luminance
    assert float(said[0]) == float(said[1])


class TestMembers:
    def test_they_answer_together_and_their_disagreement_is_doubt(self):
        torch.manual_seed(0)
        network = ToneNetwork(ToneConfig(NUM_CUES, dropout=0.0, num_members=3)).requires_grad_(False)
        values = torch.randn(4, NUM_CUES, generator=torch.Generator().manual_seed(1))
        together = network.eval()(values, pictures(4))
        alone = [member(values, pictures(4)) for member in network.members]
        luminance_of = torch.stack([said.log_luminance for said in alone])
        assert float(luminance_of.std(dim=0).min()) > 1e-3
        torch.testing.assert_close(together.log_luminance, luminance_of.mean(dim=0))
        torch.testing.assert_close(
            together.hue_offset, torch.stack([said.hue_offset for said in alone]).mean(dim=0)
        )
        own = torch.stack([torch.exp(2 * said.log_sigma[:, 0]) for said in alone]).mean(dim=0)
        expected = (own + luminance_of.var(dim=0, correction=0)).sqrt()
        torch.testing.assert_close(together.log_sigma[:, 0].exp(), expected)

    def test_in_training_each_answers_for_itself(self):
        torch.manual_seed(0)
        network = ToneNetwork(ToneConfig(NUM_CUES, width=8, picture_width=4, num_members=2))
        values = torch.randn(5, NUM_CUES, generator=torch.Generator().manual_seed(1))
        said = network.train()(values, pictures(5))
        assert len(said.log_luminance) == 10
        said.log_luminance[:5].sum().backward()
        reached = [float(member.answer.weight.grad.abs().max()) for member in network.members]
        assert reached[0] > 0
        assert reached[1] == 0
