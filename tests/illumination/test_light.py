import math

import numpy as np
import pytest
import torch

from facelume.errors import UnreadableInputError, UsageError
from facelume.illumination import (
    FRONT_SHADING,
    environment_map_from_sh,
    front_shading,
    irradiance,
    light_array,
    light_presets,
    light_tensor,
    load_light,
    resolve_light,
    sh_from_environment_map,
    turn_light,
    unit_light,
    with_front_shading,
)

FRONT, RIGHT, LEFT, UP, DOWN = torch.tensor([[0.0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])


def brightness(name, normal):
    return irradiance(light_presets()[name].sh_radiance, normal).mean().item()


def test_presets_are_exposed_and_say_where_they_come_from():
    presets = light_presets()
    assert len(presets) == 22
    for name, preset in presets.items():
        assert preset.name == name
        assert preset.licence in {"CC0-1.0", "Apache-2.0"}
        assert preset.source.startswith(("Poly Haven", "synthetic"))
        assert front_shading(preset.sh_radiance).item() == pytest.approx(FRONT_SHADING, abs=1e-4)


def test_synthetic_presets_come_from_where_their_name_says():
    assert brightness("front", FRONT) > brightness("front", RIGHT)
    assert brightness("right", RIGHT) > 2 * brightness("right", LEFT)
    assert brightness("left", LEFT) > 2 * brightness("left", RIGHT)
    assert brightness("top", UP) > 2 * brightness("top", DOWN)
    assert brightness("ambient", LEFT) == pytest.approx(brightness("ambient", FRONT), rel=1e-4)


def test_outdoor_maps_are_brighter_from_above():
    for name in ("city", "park", "sky", "esplanade"):
        assert brightness(name, UP) > brightness(name, DOWN)


def test_front_shading_of_closed_forms(device):
    ambient = torch.zeros(9, 3, device=device)
    ambient[0] = math.sqrt(4 * math.pi)
    assert front_shading(ambient).item() == pytest.approx(1.0, rel=1e-5)
    # E = (2 pi / 3) sqrt(3 / 4 pi) n_z; the mean of n_z over the half sphere is 1/2.
    from_front = torch.zeros(9, 3, device=device)
    from_front[2] = 1.0
    assert front_shading(from_front).item() == pytest.approx(math.sqrt(3 / (4 * math.pi)) / 3, rel=1e-5)
    # From behind, every front normal is unlit.
    assert front_shading(-from_front).item() == 0.0


def test_exposure_is_set_and_black_stays_black(assert_close, device):
    city = light_presets()["city"].sh_radiance.to(device)
    lights = torch.stack((7.0 * city, torch.zeros_like(city)))
    exposed = with_front_shading(lights, 0.5)
    assert_close(front_shading(exposed), torch.tensor([0.5, 0.0], device=device))


def test_light_files(tmp_path):
    light = light_presets()["hall"].sh_radiance
    np.savez(tmp_path / "light.npz", sh_radiance=light.numpy(force=True).astype(np.float64))
    torch.testing.assert_close(load_light(tmp_path / "light.npz"), light)
    exr = pytest.importorskip("OpenEXR", reason="OpenEXR is an optional dependency (extra hdr)")
    radiance = environment_map_from_sh(light).clamp(min=0)
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {"RGB": radiance.numpy(force=True)}).write(str(tmp_path / "light.exr"))
    torch.testing.assert_close(load_light(tmp_path / "light.exr"), sh_from_environment_map(radiance))


@pytest.mark.parametrize(
    "arrays",
    [
        {"other": np.zeros((9, 3))},
        {"sh_radiance": np.zeros(27)},
        {"sh_radiance": np.zeros((4, 5, 9, 3))},
        {"sh_radiance": np.full((4, 4, 9, 3), np.inf)},
        {"sh_radiance": np.full((9, 3), np.nan)},
        {"sh_radiance": np.array([["a"] * 3] * 9)},
    ],
)
def test_wrong_light_files_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "light.npz", **arrays)
    for read in (load_light, resolve_light):
        with pytest.raises(UnreadableInputError, match=r"sh_radiance.*light\.npz|light\.npz.*sh_radiance"):
            read(tmp_path / "light.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text", b"\x93NUMPY"])
def test_damaged_light_files_are_refused(tmp_path, content):
    (tmp_path / "light.npz").write_bytes(content)
    with pytest.raises(UnreadableInputError, match="cannot read a light"):
        load_light(tmp_path / "light.npz")
    with pytest.raises(UnreadableInputError, match="cannot read a light"):
        load_light(tmp_path / "missing.npz")


def test_a_light_is_a_preset_a_file_or_an_array(tmp_path):
    preset = light_presets()["hall"].sh_radiance.numpy(force=True)
    np.testing.assert_array_equal(resolve_light("hall"), preset)
    np.testing.assert_array_equal(resolve_light(3 * preset), 3 * preset)
    per_texel = np.broadcast_to(preset, (4, 4, 9, 3))
    np.savez(tmp_path / "light.npz", sh_radiance=per_texel, coarse=preset)
    np.testing.assert_array_equal(resolve_light(str(tmp_path / "light.npz")), per_texel)
    for wrong in (preset.T, per_texel[:3], np.full((9, 3), np.nan)):
        with pytest.raises(UsageError, match="a light must be finite"):
            resolve_light(wrong)
    with pytest.raises(UsageError, match="no light named 'moonlight'"):
        resolve_light("moonlight")


def test_unit_light_shades_every_normal_with_one(device):
    normals = torch.nn.functional.normalize(
        torch.randn(50, 3, generator=torch.manual_seed(0)).to(device), dim=1
    )
    received = irradiance(torch.from_numpy(unit_light()).to(device), normals)
    torch.testing.assert_close(received, torch.full((50, 3), math.pi, device=device), rtol=1e-5, atol=0)


def test_a_light_per_texel_turns_as_one_light_does():
    lights = np.stack(
        [light_presets()[name].sh_radiance.numpy(force=True) for name in ("left", "city", "top", "hall")]
    )
    turned = turn_light(lights.reshape(2, 2, 9, 3), 0.7).reshape(4, 9, 3)
    for light, expected in zip(lights, turned, strict=True):
        np.testing.assert_allclose(turn_light(light, 0.7), expected, atol=1e-6)


def test_layouts_of_a_light_map_are_each_other_s_inverse(device):
    public = np.random.default_rng(0).normal(size=(5, 5, 9, 3)).astype(np.float32)
    tensor = light_tensor(public, torch.zeros(1, device=device))
    assert tensor.shape == (1, 27, 5, 5)
    assert tensor[0, 3 * 4 + 1, 2, 3].item() == pytest.approx(public[2, 3, 4, 1])
    np.testing.assert_array_equal(light_array(tensor[0]), public)
