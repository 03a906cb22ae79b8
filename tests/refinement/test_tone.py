"""The tone of a skin: what the network says, weighed with how bright the photo is."""

import math

import pytest
import torch

from facelume.fitting.tone_cues import CUE_PICTURE_SIZE, NUM_CUES, ToneCues
from facelume.networks.tone import BEYOND_TONE_RANGE, ToneConfig, ToneNetwork
from facelume.refinement.tone import ExposureConfig, estimate_tone
from facelume.reflectance import human_skin, luminance

SURE, UNSURE = -20.0, 20.0


def cues(*skins, seed=0) -> ToneCues:
    skin = torch.tensor(skins)
    values = torch.randn(len(skin), NUM_CUES, generator=torch.Generator().manual_seed(seed))
    return ToneCues(skin, values, pictures(len(skin)))


def pictures(number: int) -> torch.Tensor:
    return torch.randn(
        number, 5, CUE_PICTURE_SIZE, CUE_PICTURE_SIZE, generator=torch.Generator().manual_seed(0)
    )


def tone_of(judged) -> torch.Tensor:
    return torch.log(luminance(torch.exp(judged.log_albedo)))


def test_the_photo_shows_the_albedo_under_the_exposure(tone_saying):
    seen = cues((0.5, 0.3, 0.2), (0.02, 0.01, 0.005))
    judged = estimate_tone(tone_saying(), seen)
    torch.testing.assert_close(judged.exposure * torch.exp(judged.log_albedo), seen.skin)


def test_network_and_brightness_count_by_their_certainty(tone_saying):
    network, settings = tone_saying(tone=0.2), ExposureConfig(log_mean=0.1, log_sigma=0.8)
    seen = cues((0.3, 0.2, 0.15))
    said = network(seen.values, seen.picture)
    shown = float(torch.log(luminance(seen.skin))) - 0.1
    sigma = float(said.log_sigma[0, 0].exp())
    share = sigma**2 / (sigma**2 + 0.8**2)
    judged = estimate_tone(network, seen, settings)
    middle = (1 - share) * float(said.log_luminance) + share * shown
    variance = (sigma * 0.8) ** 2 / (sigma**2 + 0.8**2)
    assert float(tone_of(judged)) == pytest.approx(middle - variance, abs=1e-5)
    assert float(judged.sigma) == pytest.approx(sigma * 0.8 / math.hypot(sigma, 0.8), rel=1e-5)


@pytest.mark.parametrize(("sigma", "least", "largest"), [(SURE, 0.0, 0.01), (UNSURE, 0.3, 0.5)])
def test_a_photo_of_twice_the_brightness_lightens_the_skin_as_far_as_the_network_is_unsure(
    tone_saying, sigma, least, largest
):
    network = tone_saying(sigma=sigma)
    judged = estimate_tone(network, cues((0.1, 0.06, 0.04), (0.2, 0.12, 0.08)))
    share = (tone_of(judged)[1] - tone_of(judged)[0]) / math.log(2)
    assert least <= float(share) < largest
    moved = torch.log(judged.exposure[1] / judged.exposure[0]).mean() / math.log(2)
    assert float(moved) == pytest.approx(1 - float(share), abs=0.02)


def test_where_no_skin_is_seen_the_network_alone_answers_and_the_light_is_white(tone_saying):
    network = tone_saying(tone=-0.4, hue=(0.1, 0.2))
    seen = cues((0.0, 0.0, 0.0))
    judged, said = estimate_tone(network, seen), network(seen.values, seen.picture)
    torch.testing.assert_close(judged.sigma, said.log_sigma[:, 0].exp())
    torch.testing.assert_close(tone_of(judged), said.log_luminance - judged.sigma.square())
    torch.testing.assert_close(judged.exposure, torch.ones(1, 3))


def test_the_answer_errs_least_for_the_size_of_the_albedo(tone_saying):
    judged = estimate_tone(tone_saying(), cues((0.0, 0.0, 0.0)))
    said = tone_of(judged) + judged.sigma.square()
    draw = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    truth = torch.exp(said + judged.sigma * draw)

    def error(factor: float) -> float:
        return float((factor * torch.exp(tone_of(judged)) / truth - 1).abs().mean())

    assert error(1.0) < min(error(0.95), error(1.05), error(float(torch.exp(judged.sigma.square()))))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_network_and_photo_say_the_skin_is_human(seed):
    draw = torch.Generator().manual_seed(seed)
    network = ToneNetwork(ToneConfig(NUM_CUES)).eval().requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=draw)
    skins = torch.exp(3 * torch.randn(200, 3, generator=draw))
    seen = ToneCues(skins, torch.randn(200, NUM_CUES, generator=draw), pictures(200))
    judged = estimate_tone(network, seen, ExposureConfig(log_sigma=0.3))
    skin = human_skin()
    darkest, lightest = (float(end) for end in skin.tone_range)
    assert float(tone_of(judged).std()) > 0.4
    assert float(tone_of(judged).min()) > darkest - BEYOND_TONE_RANGE - 1e-4
    assert float(tone_of(judged).max()) < lightest + BEYOND_TONE_RANGE + 1e-4
    assert float(skin.hue_distance(torch.exp(judged.log_albedo)).max()) < 3
    assert bool(torch.isfinite(judged.exposure).all())
