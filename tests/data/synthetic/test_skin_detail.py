"""Procedural detail: repeatable, in range, only on the face front, and outside what a smooth basis holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from facelume.data.synthetic.skin_config import Adornments, SkinDetailConfig
from facelume.data.synthetic.skin_detail import SkinDetail, procedural_detail
from facelume.data.synthetic.skin_regions import skin_regions
from facelume.face_model import FaceModel, load_open_face_model

SIZE = 128


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def plain() -> Tensor:
    return torch.tensor([0.38, 0.24, 0.17])[:, None, None].expand(3, SIZE, SIZE).contiguous()


def test_same_seed_gives_same_detail_and_other_seed_other(plain: Tensor) -> None:
    first = procedural_detail(plain, np.random.default_rng(3))
    again = procedural_detail(plain, np.random.default_rng(3))
    other = procedural_detail(plain, np.random.default_rng(4))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 1e-3


def test_input_is_left_alone_and_range_is_kept(plain: Tensor) -> None:
    before = plain.clone()
    maps = torch.stack([procedural_detail(plain, np.random.default_rng(seed)) for seed in range(12)])
    assert torch.equal(plain, before)
    assert maps.min() >= 0.005
    assert maps.max() <= 0.95
    assert (maps - plain).abs().mean((1, 2, 3)).min() > 1e-3


def test_eyes_mouth_and_back_of_the_head_are_unchanged(model: FaceModel, plain: Tensor) -> None:
    off = (model.uv_mask("face", SIZE) < 1e-3) & (model.uv_mask("ears", SIZE) > 0.5)
    eyes = functional.max_pool2d(1 - model.uv_mask("eyes", SIZE)[None, None], 7, 1, 3)[0, 0] < 1e-3
    assert off.any()
    assert eyes.any()
    for seed in range(12):
        changed = (procedural_detail(plain, np.random.default_rng(seed)) != plain).any(0)
        assert not changed[off].any()
        assert not changed[eyes].any()


def test_pigment_is_in_the_skin_and_hair_lies_over_it(model: FaceModel, plain: Tensor) -> None:
    detail, seeds = SkinDetail(model, SkinDetailConfig()), range(12)
    pigmented = torch.stack([detail.pigmented(plain, np.random.default_rng(seed)) for seed in seeds])
    assert float((pigmented - plain).abs().mean((1, 2, 3)).min()) > 1e-3
    bearded = replace(SkinDetailConfig(), adornments=Adornments(1.0, 0.0, 0.0))
    hair = np.array([0.02, 0.01, 0.005])
    worn = SkinDetail(model, bearded).adorned(plain, np.random.default_rng(0), hair)
    assert float((plain - worn).mean()) > 0.005
    lighter = SkinDetail(model, bearded).adorned(plain, np.random.default_rng(0), np.full(3, 0.9))
    # Hair is never lighter than the skin.
    assert float((lighter - plain).max()) < 1e-6


def test_detail_is_finer_than_a_64_texel_map_can_hold(model: FaceModel, plain: Tensor) -> None:
    face = model.uv_mask("face", SIZE) > 0.9
    shares = []
    for seed in range(12):
        change = (procedural_detail(plain, np.random.default_rng(seed)) - plain)[None]
        coarse = functional.avg_pool2d(change, 4)
        smooth = functional.interpolate(coarse, size=SIZE, mode="bilinear", align_corners=False)
        fine = (change - smooth)[0][:, face]
        shares.append(float(fine.square().mean() / change[0][:, face].square().mean()))
    assert np.median(shares) > 0.03
    assert max(shares) > 0.15


def test_regions_are_mirror_symmetric_and_where_they_should_be(model: FaceModel) -> None:
    regions = skin_regions(model, SIZE)
    for mask in (regions.skin, regions.lips, regions.eyelids, regions.cheeks, *regions.beards.values()):
        assert np.abs(mask - mask[:, ::-1]).max() < 1e-5
        assert mask.max() > 0.5
    rows = np.arange(SIZE)[:, None] + 0.5

    def height(mask: np.ndarray) -> float:
        return float((mask * rows).sum() / mask.sum())

    beards = regions.beards
    order = [regions.eyelids, regions.cheeks, beards["moustache"], regions.lips, beards["chin"]]
    heights = [height(mask) for mask in order]
    assert heights == sorted(heights)
    assert height(regions.brows) < height(regions.cheeks)
