"""The albedo basis of the open face model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facelume.errors import AssetError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.face_model.albedo import ALBEDO_FLOOR, AlbedoBasis, load_albedo_basis
from facelume.reflectance import ita_degrees


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def basis(model: FaceModel) -> AlbedoBasis:
    assert isinstance(model.albedo, AlbedoBasis)
    return model.albedo


def test_zero_coefficients_give_the_mean(basis: AlbedoBasis) -> None:
    torch.testing.assert_close(basis.map(torch.zeros(80), 256), basis.mean.clamp(ALBEDO_FLOOR, 1.0))


def test_the_map_is_linear_before_the_clamp(basis: AlbedoBasis) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = 0.05 * torch.randn(2, 80, generator=generator)
    zero = basis.map(torch.zeros(80), 128)
    both = basis.map(first + second, 128) - zero
    apart = basis.map(first, 128) + basis.map(second, 128) - 2 * zero
    inside = (zero > 0.1) & (zero < 0.9)
    torch.testing.assert_close(both[inside], apart[inside], atol=1e-5, rtol=0)


def test_batches_agree_with_single_maps(basis: AlbedoBasis) -> None:
    coefficients = basis.example_coeffs[:6].reshape(2, 3, 80)
    maps = basis.map(coefficients, 64)
    assert maps.shape == (2, 3, 3, 64, 64)
    torch.testing.assert_close(maps[1, 2], basis.map(coefficients[1, 2], 64))


def test_the_mirrored_coefficients_give_the_mirrored_map(basis: AlbedoBasis) -> None:
    coefficients = basis.example_coeffs[0]
    mirrored = basis.mirror_coeffs(coefficients)
    assert not torch.equal(mirrored, coefficients)
    torch.testing.assert_close(basis.mirror_coeffs(mirrored), coefficients)
    difference = (basis.map(mirrored, 256) - basis.map(coefficients, 256).flip(-1)).abs()
    assert difference.max() < 0.03  # the stored components are rounded to 1/127 of their peak
    assert difference.mean() < 1e-3


def test_it_spans_very_light_to_dark_skin(model: FaceModel, basis: AlbedoBasis) -> None:
    skin = model.uv_mask("skin", 128) > 0.5
    colours = basis.map(basis.example_coeffs, 128)[:, :, skin].mean(-1)
    tones = ita_degrees(colours)
    assert tones.min() < -30
    assert tones.max() > 55
    red, green, blue = colours.unbind(-1)
    assert bool((red > green).all())
    assert bool((green > blue * 0.9).all())


def test_lips_brows_and_eyes_stand_out(model: FaceModel, basis: AlbedoBasis) -> None:
    mean = basis.mean
    skin = mean[:, model.uv_mask("skin", 256) > 0.5].mean(-1)
    lips = mean[:, model.uv_mask("lips", 256) > 0.9].mean(-1)
    brows = mean[:, model.uv_mask("brows", 256) > 0.9].mean(-1)
    assert lips[0] / lips[1] > 1.15 * skin[0] / skin[1]
    assert brows.mean() < 0.8 * skin.mean()


def test_a_missing_part_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "broken.npz", mean_u16=np.zeros((3, 4, 4), np.uint16))
    with pytest.raises(AssetError, match="damaged"):
        load_albedo_basis(tmp_path / "broken.npz")
