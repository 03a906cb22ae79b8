import math
from importlib import resources

import numpy as np
import OpenImageIO
import pytest
import torch

from facelume.errors import AssetError, UnreadableInputError, UsageError
from facelume.illumination import (
    FRONT_SHADING,
    Lamps,
    directions_of_environment_map,
    front_shading,
    lamps_from_environment_map,
    light,
    light_presets,
    resolve_lamps,
    resolve_light,
    sh_from_environment_map,
    sh_from_lamps,
    shadowing_light,
    solid_angles,
    turn_light,
    yaw_rotation,
)
from facelume.illumination.environment_lamps import MAX_SPOTS, NUM_CELLS
from facelume.reflectance import luminance


def sky_with_suns(*suns, height=128, device="cpu"):
    """A weak grey sky, brighter above, with discs of 2 degrees around the given directions."""
    towards = directions_of_environment_map(height, 2 * height, device=device)
    radiance = (0.3 + 0.2 * towards[..., 1:2]).expand(-1, -1, 3).clone()
    for direction, colour in suns:
        axis = torch.nn.functional.normalize(torch.tensor(direction, device=device), dim=0)
        radiance[towards @ axis > math.cos(math.radians(2.0))] = torch.tensor(colour, device=device)
    return radiance


def strongest(lamps):
    index = luminance(lamps.strengths).argmax()
    return lamps.directions[index], lamps.strengths[index]


def write_hdr(path, radiance):
    height, width, _ = radiance.shape
    picture = OpenImageIO.ImageOutput.create(str(path))
    picture.open(str(path), OpenImageIO.ImageSpec(width, height, 3, "float"))
    picture.write_image(np.ascontiguousarray(radiance.numpy(force=True)))
    picture.close()


@pytest.mark.parametrize("direction", [(0.4, 0.5, 0.7), (0.01, 0.2, -1.0), (0.0, 1.0, 0.02)])
def test_a_sun_is_one_lamp_at_its_own_place(device, direction):
    radiance = sky_with_suns((direction, (900.0, 800.0, 600.0)), device=device)
    lamps = lamps_from_environment_map(radiance)
    towards, strength = strongest(lamps)
    axis = torch.nn.functional.normalize(torch.tensor(direction, device=device), dim=0)
    assert torch.rad2deg(torch.arccos((towards @ axis).clamp(max=1))) < 0.3
    sun = radiance.amax(dim=-1) > 100
    angles = solid_angles(128, 256, device=device)[:, None].expand(-1, 256)
    flux = (radiance[sun] * angles[sun][:, None]).sum(dim=0) / math.pi
    torch.testing.assert_close(strength, flux, rtol=0.02, atol=0)


def test_no_light_is_lost_and_the_coefficients_are_the_map_s(device):
    radiance = sky_with_suns(
        ((1.0, 0.2, 0.3), (50.0, 5.0, 5.0)), ((-0.5, 0.8, 0.1), (9.0, 9.0, 30.0)), device=device
    )
    lamps = lamps_from_environment_map(radiance)
    angles = solid_angles(128, 256, device=device)[:, None, None]
    torch.testing.assert_close(
        lamps.strengths.sum(dim=0) * math.pi, (radiance * angles).sum(dim=(0, 1)), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(lamps.directions.norm(dim=1), torch.ones_like(lamps.directions[:, 0]))
    expected = sh_from_environment_map(radiance)
    difference = sh_from_lamps(lamps.strengths, lamps.directions) - expected
    assert difference.abs().max() < 0.01 * expected.abs().max()


def test_more_suns_than_spots_stay_in_the_light():
    azimuths = [2 * math.pi * k / 9 for k in range(9)]
    suns = [((math.sin(a), 0.0, math.cos(a)), (60.0, 60.0, 60.0)) for a in azimuths]
    lamps = lamps_from_environment_map(sky_with_suns(*suns))
    assert len(lamps.directions) == NUM_CELLS + MAX_SPOTS
    strong = luminance(lamps.strengths) > 0.5 * luminance(lamps.strengths).max()
    assert strong.sum() >= len(suns)


def test_fine_maps_are_averaged_first():
    sun = ((0.3, 0.4, 0.8), (500.0, 400.0, 300.0))
    coarse, fine = (lamps_from_environment_map(sky_with_suns(sun, height=h)) for h in (256, 1024))
    for a, b in zip(strongest(coarse), strongest(fine), strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.01)
    total = sh_from_lamps(coarse.strengths, coarse.directions)
    torch.testing.assert_close(sh_from_lamps(fine.strengths, fine.directions), total, rtol=0.02, atol=0.02)


def test_a_black_map_is_lamps_that_are_off(device):
    lamps = lamps_from_environment_map(torch.zeros(16, 32, 3, device=device))
    assert not lamps.strengths.any()
    torch.testing.assert_close(lamps.directions.norm(dim=1), torch.ones(NUM_CELLS, device=device))


def test_the_lamps_of_a_preset_are_its_coefficients_at_its_exposure():
    for name, preset in light_presets().items():
        lamps = resolve_lamps(name)
        assert (lamps.strengths >= 0).all()
        total = sh_from_lamps(lamps.strengths, lamps.directions)
        assert (total - preset.sh_radiance).abs().max() < 0.02 * preset.sh_radiance.abs().max(), name
        assert front_shading(total).item() == pytest.approx(FRONT_SHADING, rel=0.02)


def test_lamps_turn_as_coefficients_do(assert_close, device):
    preset = resolve_lamps("sky")
    lamps = Lamps(preset.directions.to(device), preset.strengths.to(device))
    turned = turn_light(lamps, 0.7)
    coefficients = sh_from_lamps(lamps.strengths, lamps.directions)
    expected = turn_light(coefficients.numpy(force=True), 0.7)
    actual = sh_from_lamps(turned.strengths, turned.directions)
    assert_close(actual, torch.from_numpy(expected).to(device))
    ahead = Lamps(torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 3)).turned(yaw_rotation(math.pi / 2))
    torch.testing.assert_close(ahead.directions, torch.tensor([[1.0, 0.0, 0.0]]))
    with pytest.raises(UsageError, match="finite"):
        turn_light(lamps, math.inf)


def test_an_environment_map_is_exposed_alike_in_both_forms(tmp_path):
    radiance = sky_with_suns(((0.3, 0.4, 0.8), (300.0, 200.0, 100.0)), height=64)
    for name, scale in (("a.hdr", 1.0), ("b.hdr", 16.0)):
        write_hdr(tmp_path / name, radiance * scale)
    lamps, bright = (resolve_lamps(tmp_path / name) for name in ("a.hdr", "b.hdr"))
    torch.testing.assert_close(bright.strengths, lamps.strengths)
    coefficients = torch.from_numpy(resolve_light(tmp_path / "a.hdr"))
    difference = sh_from_lamps(lamps.strengths, lamps.directions) - coefficients
    assert difference.abs().max() < 0.01 * coefficients.abs().max()


def test_shadows_are_cast_where_lamps_are_known(tmp_path):
    write_hdr(tmp_path / "sky.hdr", sky_with_suns(height=32))
    coefficients = resolve_light("hall")
    np.savez(tmp_path / "light.npz", sh_radiance=coefficients)
    for known in ("hall", tmp_path / "sky.hdr"):
        assert isinstance(shadowing_light(known), Lamps)
        np.testing.assert_array_equal(shadowing_light(known, shadows=False), resolve_light(known))
    for unknown in (coefficients, tmp_path / "light.npz"):
        np.testing.assert_array_equal(shadowing_light(unknown), coefficients)
        with pytest.raises(UsageError, match="whose lamps are known") as caught:
            shadowing_light(unknown, shadows=True)
        assert caught.value.arguments == ("shadows", "light")


def test_lights_that_are_none_are_refused_with_shadows_too(tmp_path):
    with pytest.raises(UsageError, match="no light named 'moonlight'"):
        shadowing_light("moonlight", shadows=True)
    with pytest.raises(UnreadableInputError, match=r"missing\.exr"):
        shadowing_light(tmp_path / "missing.exr")
    write_hdr(tmp_path / "probe.hdr", torch.ones(32, 32, 3))
    with pytest.raises(UnreadableInputError, match="twice as"):
        shadowing_light(tmp_path / "probe.hdr")


def test_a_damaged_package_says_so(tmp_path, monkeypatch):
    light_presets()
    stored = (resources.files("facelume.illumination") / "light_presets.npz").read_bytes()
    monkeypatch.setattr(light.importlib.resources, "files", lambda _: tmp_path)
    for content in (None, stored[: len(stored) // 2], b"text"):
        if content is not None:
            (tmp_path / "light_presets.npz").write_bytes(content)
        with pytest.raises(AssetError, match="reinstall"):
            light._preset_lamps.__wrapped__()
