"""Skins of synthetic people have the colours of measured skin, every tone as often as asked."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelume.data.synthetic import SkinConfig
from facelume.data.synthetic.skin import SyntheticSkins, bare_skin, random_skin, skin_of_atlas
from facelume.data.synthetic.skin_config import SkinColourConfig, ToneClasses
from facelume.data.synthetic.skin_tone import mean_colour, random_skin_colour, with_skin_colour
from facelume.face_model import FaceModel, load_open_face_model
from facelume.reflectance import ITA_CLASSES, hue, human_skin, ita_class, ita_degrees, luminance

SIZE = 128


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def skins(model: FaceModel) -> SyntheticSkins:
    return SyntheticSkins(model, SkinConfig(), SIZE)


def test_every_tone_is_drawn_as_often_and_no_hue_lies_beyond_the_limit() -> None:
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(np.stack([random_skin_colour(SkinColourConfig(), rng) for _ in range(600)]))
    counts = Counter(ita_class(float(angle)) for angle in ita_degrees(drawn))
    assert set(counts) == {name for _, name in ITA_CLASSES}
    # 100 of each class are expected, with a standard deviation of 9.
    assert max(abs(count - 100) for count in counts.values()) < 36
    distance = human_skin().hue_distance(drawn)
    assert float(distance.max()) < 2.5 + 1e-6
    assert 0.8 < float(distance.median()) < 1.5


def test_one_class_alone_can_be_asked_for() -> None:
    rng, dark = np.random.default_rng(0), ToneClasses(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    config = SkinColourConfig(classes=dark, hue_limit=0.0)
    drawn = torch.from_numpy(np.stack([random_skin_colour(config, rng) for _ in range(40)]))
    assert {ita_class(float(angle)) for angle in ita_degrees(drawn)} == {"dark"}
    torch.testing.assert_close(hue(drawn), human_skin().hue_of_tone(luminance(drawn).log()))


def test_skin_moves_to_its_colour_by_one_factor_and_eyes_stay(model: FaceModel) -> None:
    skin, bare = skin_of_atlas(model, SIZE), bare_skin(model, SIZE)
    before = model.albedo_map(torch.zeros(model.num_albedo), SIZE)
    colour = np.array([0.2, 0.1, 0.05])
    after = with_skin_colour(before, skin, bare, colour)
    torch.testing.assert_close(mean_colour(after, bare).double(), torch.from_numpy(colour), rtol=1e-3, atol=0)
    assert torch.equal(after[:, skin == 0], before[:, skin == 0])
    factor = (after / before)[:, (skin == 1) & (after.amin(0) > 0.006)]
    torch.testing.assert_close(factor, factor.mean(1, keepdim=True).expand_as(factor), rtol=1e-3, atol=0)


def test_the_mean_of_a_skin_is_measured_skin_with_its_detail(skins: SyntheticSkins, model: FaceModel) -> None:
    rng, bare = np.random.default_rng(1), bare_skin(model, SIZE)
    drawn = [skins.draw(rng) for _ in range(60)]
    distance = human_skin().hue_distance(torch.stack([skin.colour for skin in drawn]).double())
    assert float(distance.max()) < 3.0
    # Stubble, make-up and brows lie over it.
    changed = [float((mean_colour(skin.albedo, bare) / skin.colour - 1).abs().max()) for skin in drawn]
    assert 0.0 < np.median(changed) < 0.1
    assert max(changed) > 0.1


def test_the_coefficients_of_a_skin_are_those_of_the_nearest_albedo(
    skins: SyntheticSkins, model: FaceModel
) -> None:
    rng, bare = np.random.default_rng(2), bare_skin(model, SIZE)
    for skin in (skins.draw(rng) for _ in range(10)):
        near = mean_colour(model.albedo_map(skin.coeffs, SIZE), bare)
        assert float((near / skin.colour).log().abs().max()) < 0.25
        assert float(skin.coeffs.abs().max()) < 8.0


def test_a_skin_is_mixed_from_people_of_its_tone() -> None:
    people, tones = np.diag(np.linspace(-3.0, -1.0, 20)).astype(np.float32), np.linspace(-3.0, -1.0, 20)
    config = replace(SkinConfig(), own_range=(0.0, 0.0), likeness_sigma=0.1)
    for seed in range(20):
        mixed = random_skin(people, config, np.random.default_rng(seed), tones, -2.5)
        assert np.abs(tones[mixed != 0] + 2.5).max() < 0.5
        alike = random_skin(
            people, replace(config, likeness_sigma=0.0), np.random.default_rng(seed), tones, -9.0
        )
        assert np.flatnonzero(alike).tolist() == [0]
