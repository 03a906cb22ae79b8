import numpy as np
import pytest
import torch

import measure_skin_colours
from facelume.data.places import place_of
from facelume.io.arrays import load_arrays
from facelume.reflectance import ITA_CLASSES, hue, human_skin, luminance

# Median diffuse colour of each ITA class, dark to very light, as published with the readings.
MEDIANS = torch.tensor(
    [
        [0.122, 0.053, 0.028],
        [0.265, 0.128, 0.070],
        [0.359, 0.186, 0.115],
        [0.418, 0.230, 0.156],
        [0.464, 0.274, 0.201],
        [0.496, 0.317, 0.256],
    ]
)


def test_medians_of_all_classes_are_skin():
    assert (human_skin().hue_distance(MEDIANS) < 1.0).all()


def test_orange_grey_and_blue_are_no_skin():
    colours = torch.tensor([[0.26, 0.09, 0.05], [0.3, 0.3, 0.3], [0.1, 0.15, 0.3], [0.8, 0.1, 0.1]])
    distance = human_skin().hue_distance(colours)
    assert (distance[1:] > 5).all()
    assert distance[0] > 2  # what an orange photo left of a face


def test_prior_is_centred_between_the_classes_and_dark_skin_is_within_it():
    skin = human_skin()
    precision = np.linalg.inv(skin.log_covariance.numpy())
    error = np.log(MEDIANS.numpy()) - skin.log_mean.numpy()
    distance = np.sqrt(np.einsum("na,ab,nb->n", error, precision, error))
    assert (distance < 2.5).all()
    assert float(torch.log(luminance(MEDIANS)).mean()) == pytest.approx(-1.63, abs=0.05)


def test_hue_goes_on_beyond_the_measured_tones_and_spread_stays_positive():
    skin = human_skin()
    tones = torch.linspace(-6, 1, 50)
    assert torch.linalg.eigvalsh(skin.spread_of_tone(tones)).min() > 0.001
    torch.testing.assert_close(skin.hue_of_tone(tones[:1]), skin.hue_of_tone(tones[1:2]))


def test_distance_has_finite_gradients_for_black():
    colour = torch.tensor([[0.0, 0.0, 0.0], [0.3, 0.2, 0.1]], requires_grad=True)
    human_skin().hue_distance(colour).sum().backward()
    assert torch.isfinite(colour.grad).all()


def test_luminance_and_hue_of_a_colour_come_back(device):
    skin, draw = human_skin(), torch.Generator().manual_seed(0)
    tones = torch.linspace(-4.5, -0.2, 40, device=device)
    offsets = 0.2 * torch.randn(40, 2, generator=draw).to(device)
    colour = torch.exp(skin.log_colour(tones, offsets))
    torch.testing.assert_close(torch.log(luminance(colour)), tones, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(hue(colour) - skin.hue_of_tone(tones), offsets, atol=1e-5, rtol=1e-4)
    middle = skin.log_colour(tones, torch.zeros(40, 2, device=device))
    assert float(skin.hue_distance(torch.exp(middle)).max()) < 1e-2


def test_a_usual_hue_stays_and_an_unusual_one_is_shortened_to_the_limit():
    skin, tones = human_skin(), torch.linspace(-3.5, -1, 30)
    offsets = torch.tensor([0.3, -0.3]).expand(30, 2)  # more red, less yellow: no skin varies like that
    shortened = skin.usual_offset(tones, offsets, 2.0)
    distance = skin.hue_distance(torch.exp(skin.log_colour(tones, shortened)))
    torch.testing.assert_close(distance, torch.full((30,), 2.0), atol=1e-2, rtol=0)
    torch.testing.assert_close(shortened[:, 0], -shortened[:, 1])
    small = 0.02 * torch.ones(30, 2)
    assert torch.equal(skin.usual_offset(tones, small, 2.0), small)
    nothing = torch.zeros(30, 2, requires_grad=True)
    skin.usual_offset(tones, nothing, 2.0).sum().backward()
    assert nothing.grad is not None
    assert bool(torch.isfinite(nothing.grad).all())


def test_statistics_are_those_of_known_readings():
    rng = np.random.default_rng(3)
    bounds = [-60, *(b for b, _ in ITA_CLASSES[:-1]), 90]
    ita = np.concatenate(
        [np.full(n, (bounds[i] + bounds[i + 1]) / 2) for i, n in enumerate((9, 99, 80, 70, 60, 30))]
    )
    tone = np.interp(ita, [-60, 90], [-3.0, -0.9]) + rng.normal(0, 0.01, len(ita))
    logs = np.stack([tone + 0.6, tone, tone - 0.4 * (1 + 0.1 * tone)], axis=1)
    found = measure_skin_colours.measure(np.exp(logs) + measure_skin_colours.SURFACE_REFLECTION, ita)
    assert found["num_readings"] == len(ita)
    # Each class weighs the same although the darkest has nine readings of 348.
    middles = [(bounds[i] + bounds[i + 1]) / 2 for i in range(6)]
    assert found["log_mean"][1] == pytest.approx(np.interp(middles, [-60, 90], [-3.0, -0.9]).mean(), abs=0.01)
    assert found["hue_curve"][0] == pytest.approx([0.6, 0, 0], abs=0.01)


def test_the_package_carries_what_the_tool_writes():
    readings = place_of("data/skin_colours/issa_face.npz")
    if not readings.is_file():
        pytest.skip("needs the readings of human skin (skin_colours/issa_face.npz)")
    arrays = load_arrays(readings, ("linear_rgb_sci", "ita_deg"))
    found = measure_skin_colours.measure(arrays["linear_rgb_sci"], arrays["ita_deg"])
    assert found["num_readings"] == human_skin().num_readings
    assert np.allclose(found["hue_curve"], human_skin().hue_curve, atol=1e-4)
    assert np.allclose(found["log_covariance"], human_skin().log_covariance, atol=1e-4)
