"""Parts of synthetic faces follow their skin as measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from facelume.data.synthetic.part_colours import (
    MEAN_SKIN_LOG_LUMINANCE,
    PART_STATISTICS,
    SKIN_SURFACE,
    PartRegions,
    paint_parts,
    part_regions,
    sample_part_colours,
)
from facelume.errors import UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.reflectance import human_skin
from facelume.reflectance.colour import REC709_LUMINANCE
from facelume.types import EYE_PARTS
from facelume.uv import texel_map

SIZE = 128


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def regions(model: FaceModel) -> PartRegions:
    return part_regions(model, SIZE)


def log_skin_of(log_luminance: float) -> np.ndarray:
    red_green, green_blue = human_skin().hue_of_tone(torch.tensor(log_luminance)).tolist()
    logs = np.array([red_green, 0.0, -green_blue])
    return logs + log_luminance - np.log(np.exp(logs) @ np.array(REC709_LUMINANCE))


@pytest.mark.parametrize(
    ("offset", "names"),
    [(-1.2, ("sclera",)), (-0.5, ("lips", "sclera")), (0.0, ("lips", "sclera", "brows", "iris"))],
)
def test_drawn_colours_have_the_statistics_of_the_table(offset: float, names: tuple[str, ...]) -> None:
    skin, rng = log_skin_of(MEAN_SKIN_LOG_LUMINANCE + offset), np.random.default_rng(0)
    seen_skin = np.log(np.exp(skin) + SKIN_SURFACE)
    seen_tone = np.log(np.exp(seen_skin) @ np.array(REC709_LUMINANCE))
    draws = [sample_part_colours(skin, rng) for _ in range(4000)]
    for name in names:
        part = PART_STATISTICS[name]
        albedo = np.exp(np.stack([d[name] for d in draws]))
        relative = np.log(albedo * np.exp(part.shade) + part.surface) - seen_skin
        expected = np.array(part.at_mean) + (seen_tone - MEAN_SKIN_LOG_LUMINANCE) * np.array(part.slope)
        error = np.array(part.spread) / np.sqrt(len(draws))
        assert np.all(np.abs(relative.mean(0) - expected) < 4 * error + 0.02), name
        assert relative.std(0) == pytest.approx(part.spread, rel=0.08), name


def test_lips_contrast_less_and_eyes_more_with_darker_skin() -> None:
    rng = np.random.default_rng(1)
    dark, light = log_skin_of(-2.6), log_skin_of(-1.1)
    contrast = {
        name: [
            np.mean([sample_part_colours(s, rng)[name][1] - s[1] for _ in range(300)]) for s in (dark, light)
        ]
        for name in ("lips", "sclera")
    }
    assert contrast["lips"][0] > contrast["lips"][1] + 0.4
    assert contrast["sclera"][0] > contrast["sclera"][1] + 0.8


def test_iris_and_sclera_fill_the_front_of_the_eyeballs_without_overlap(
    model: FaceModel, regions: PartRegions
) -> None:
    part = texel_map(model.topology, SIZE).part.numpy()
    both = regions.masks["iris"] + regions.masks["sclera"]
    assert both.max() <= 1 + 1e-6
    assert not both[~np.isin(part, EYE_PARTS)].any()
    # A disc of 5.9 mm against an eyeball's front of 14 mm, seen from ahead.
    assert 0.05 < regions.judged["iris"].sum() / regions.masks["sclera"].sum() < 0.25


@pytest.mark.parametrize("tone", [-2.7, -1.2])
def test_painted_parts_have_the_wanted_colour_and_keep_their_pattern(
    model: FaceModel, regions: PartRegions, tone: float
) -> None:
    before = model.albedo_map(model.albedo.example_coeffs[3].float(), SIZE)  # type: ignore[union-attr]
    colours = sample_part_colours(log_skin_of(tone), np.random.default_rng(2))
    after = paint_parts(before, regions, colours)
    log_before, log_after = (np.log(m.double().numpy()).transpose(1, 2, 0) for m in (before, after))
    for name in ("lips", "sclera", "iris", "teeth"):
        reached = np.exp(log_after[regions.judged[name]].mean(0))
        assert reached == pytest.approx(np.exp(colours[name]), rel=0.08, abs=0.001), name
    lips = regions.masks["lips"] > 0.98
    assert (log_after - log_before)[lips].std(0).max() < 0.02 < log_before[lips].std(0).min()
    brows = regions.judged["brows"]
    value = np.exp(log_before) @ np.array(REC709_LUMINANCE)
    dark = brows & (value <= np.median(value[brows]))
    reached = np.exp(log_after[dark].mean(0))
    assert reached == pytest.approx(np.exp(colours["brows"]), rel=0.05, abs=0.001)
    untouched = np.stack(list(regions.masks.values())).max(0) == 0
    assert np.array_equal(after.numpy()[:, untouched], before.numpy()[:, untouched])


def test_a_map_without_brows_gets_even_ones(regions: PartRegions) -> None:
    even = torch.full((3, SIZE, SIZE), 0.3)
    wanted = np.log([0.05, 0.04, 0.03])
    after = paint_parts(even, regions, {"brows": wanted}).numpy()
    assert np.log(after[:, regions.judged["brows"]]).mean(1) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize(
    "broken",
    [
        lambda regions: paint_parts(torch.full((3, SIZE // 2, SIZE // 2), 0.3), regions, {}),
        lambda regions: paint_parts(torch.full((3, SIZE, SIZE), 0.3), regions, {"nose": np.zeros(3)}),
    ],
    ids=["size", "name"],
)
def test_what_does_not_fit_is_refused(broken: Callable[[PartRegions], object], regions: PartRegions) -> None:
    with pytest.raises(UsageError, match="regions"):
        broken(regions)
