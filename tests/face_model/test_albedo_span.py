"""The albedo basis reaches every class of skin tone with few and small coefficients."""

from __future__ import annotations

import pytest
import torch

from facelume.face_model import FaceModel, load_open_face_model
from facelume.face_model.albedo import AlbedoBasis
from facelume.reflectance import ita_class, ita_degrees

SKIN_TONES = {
    "very light": (0.56, 0.43, 0.35),
    "light": (0.46, 0.32, 0.24),
    "intermediate": (0.41, 0.272, 0.195),
    "tan": (0.355, 0.220, 0.150),
    "brown": (0.19, 0.098, 0.056),
    "dark": (0.060, 0.034, 0.024),
}
"""Linear Rec.709 skin colours, one in each class of individual typology angle."""


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def basis(model: FaceModel) -> AlbedoBasis:
    assert isinstance(model.albedo, AlbedoBasis)
    return model.albedo


@pytest.mark.parametrize("name", SKIN_TONES)
def test_each_tone_is_reached_by_the_first_ten_components(
    model: FaceModel, basis: AlbedoBasis, name: str
) -> None:
    target = torch.tensor(SKIN_TONES[name])
    assert ita_class(float(ita_degrees(target))) == name
    skin = model.uv_mask("skin", basis.basis.shape[-1]) > 0.5
    change = basis.basis[:10, :, skin].mean(-1)
    start = basis.map(torch.zeros(80), basis.basis.shape[-1])[:, skin].mean(-1)
    ridge = 1e-5 * torch.eye(10)
    coefficients = torch.zeros(80)
    coefficients[:10] = torch.linalg.solve(change @ change.T + ridge, change @ (target - start))
    reached = basis.map(coefficients, basis.basis.shape[-1])[:, skin].mean(-1)
    assert (reached - target).square().mean().sqrt() < 0.02
    assert coefficients.abs().max() < 3.0


def test_components_come_in_order_and_are_mirror_images_of_themselves(basis: AlbedoBasis) -> None:
    assert basis.num_components == 80
    assert set(basis.mirror_sign.tolist()) == {1.0, -1.0}
    flipped = basis.basis.flip(-1) * basis.mirror_sign[:, None, None, None]
    step = basis.basis.flatten(1).abs().amax(1) / 127
    assert bool(((flipped - basis.basis).abs().flatten(1).amax(1) <= 1.01 * step).all())
    assert torch.equal(basis.mirror_sign[0], torch.tensor(1.0))
    energy = basis.basis.square().flatten(1).sum(1)
    assert energy[0] > 5 * energy[1]
    assert energy[:10].sum() > energy[10:].sum()


def test_known_and_mixed_skins_stay_below_white_and_above_black(basis: AlbedoBasis) -> None:
    known = basis.example_coeffs
    mixed = 0.5 * (known + known.roll(1, 0))
    for coefficients in (known, mixed):
        maps = basis.map(coefficients[::8], 64)
        assert maps.max() < 1.0
        assert float((maps <= 0.0051).float().mean()) < 0.02
