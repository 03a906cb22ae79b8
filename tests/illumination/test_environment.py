import math
import sys

import numpy as np
import pytest
import torch

from facelume.errors import AssetError, UnreadableInputError
from facelume.illumination import (
    directions_of_environment_map,
    environment_map_from_sh,
    load_environment_map,
    sh_basis,
    sh_from_environment_map,
    solid_angles,
)


def test_axes_of_a_map():
    directions = directions_of_environment_map(64, 128)
    near = 2 * math.pi / 64
    torch.testing.assert_close(
        directions[0].mean(0), torch.tensor([0.0, 1, 0]), atol=near, rtol=0
    )  # row 0: up
    torch.testing.assert_close(directions[32, 64], torch.tensor([0.0, 0, 1]), atol=near, rtol=0)  # centre: +Z
    torch.testing.assert_close(directions[32, 32], torch.tensor([1.0, 0, 0]), atol=near, rtol=0)  # left: +X
    torch.testing.assert_close(directions[32, 96], torch.tensor([-1.0, 0, 0]), atol=near, rtol=0)  # right: -X
    torch.testing.assert_close(
        directions[32, 0], torch.tensor([0.0, 0, -1]), atol=near, rtol=0
    )  # borders: -Z


def test_a_map_is_seen_from_the_inside_without_mirroring():
    # For a viewer at the centre who looks at the map's centre, picture right is forward x up.
    directions = directions_of_environment_map(64, 128, dtype=torch.float64)
    to_the_right = directions[31, 66] - directions[31, 64]
    forward, up = torch.tensor([0.0, 0, 1]).double(), torch.tensor([0.0, 1, 0]).double()
    assert to_the_right @ torch.linalg.cross(forward, up) > 0


def test_directions_are_unit_and_symmetric():
    directions = directions_of_environment_map(16, 32, dtype=torch.float64)
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(16, 32, dtype=torch.float64))
    mirrored = directions.flip(1) * torch.tensor([-1.0, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(mirrored, directions)


@pytest.mark.parametrize(("height", "width"), [(1, 2), (5, 9), (128, 256)])
def test_solid_angles_sum_to_the_sphere(height, width):
    total = solid_angles(height, width, dtype=torch.float64).sum() * width
    assert total.item() == pytest.approx(4 * math.pi, rel=1e-12)


def test_a_constant_map_is_the_constant_term():
    light = sh_from_environment_map(torch.full((64, 128, 3), 0.7))
    assert light[0, 0].item() == pytest.approx(0.7 * math.sqrt(4 * math.pi), rel=1e-6)
    assert light[1:].abs().max() < 1e-3


def test_a_band_limited_map_comes_back():
    light = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    found = sh_from_environment_map(environment_map_from_sh(light, 128, 256))
    torch.testing.assert_close(found, light, atol=2e-3, rtol=0)


def test_a_lamp_lights_from_where_it_is_in_the_map():
    radiance = torch.zeros(64, 128, 3)
    radiance[20, 32] = 100.0
    direction = directions_of_environment_map(64, 128)[20, 32]
    expected = sh_basis(direction) * 100.0 * solid_angles(64, 128)[20]
    torch.testing.assert_close(sh_from_environment_map(radiance)[:, 1], expected)


def rgbe(radiance):
    """Encode linear RGB as shared-exponent bytes, the inverse of what the reader does."""
    mantissa, exponent = np.frexp(radiance.max(axis=-1))
    scale = np.where(radiance.max(axis=-1) > 0, mantissa * 256 / np.maximum(radiance.max(axis=-1), 1e-30), 0)
    channels = np.floor(radiance * scale[..., None]).astype(np.uint8)
    shared = np.where(radiance.max(axis=-1) > 0, exponent + 128, 0).astype(np.uint8)
    return np.concatenate((channels, shared[..., None]), axis=-1)


def run_length(row):
    """Code one channel of one row: runs of equal bytes, and literals."""
    out, i = bytearray(), 0
    while i < len(row):
        end = i
        while end < len(row) and end - i < 127 and row[end] == row[i]:
            end += 1
        if end - i > 2:
            out += bytes((128 + end - i, row[i]))
        else:
            end = min(i + 3, len(row))
            out += bytes((end - i,)) + row[i:end].tobytes()
        i = end
    return bytes(out)


def hdr_file(radiance, *, is_run_length_coded):
    height, width, _ = radiance.shape
    pixels = rgbe(radiance)
    head = b"#?RADIANCE\n# made by a test\nFORMAT=32-bit_rle_rgbe\n\n" + f"-Y {height} +X {width}\n".encode()
    if not is_run_length_coded:
        return head + pixels.tobytes()
    start = bytes((2, 2, width >> 8, width & 255))
    return head + b"".join(start + b"".join(run_length(row[:, c]) for c in range(4)) for row in pixels)


def example_map():
    radiance = np.random.default_rng(0).uniform(0, 3, (9, 300, 3)).astype(np.float32)
    radiance[2:4, 10:290] = (12.0, 7.0, 3.0)
    radiance[5, :100] = 0.0
    return radiance


@pytest.mark.parametrize("is_run_length_coded", [True, False])
def test_radiance_hdr_files_are_read(tmp_path, is_run_length_coded):
    path = tmp_path / "map.hdr"
    path.write_bytes(hdr_file(example_map(), is_run_length_coded=is_run_length_coded))
    found = load_environment_map(path).numpy()
    step = 2.0 ** np.ceil(np.log2(np.maximum(example_map().max(axis=-1, keepdims=True), 1e-9))) / 256
    assert (np.abs(found - example_map()) <= 1.001 * step).all()
    np.testing.assert_array_equal(found[5, :100], 0.0)


def test_open_exr_files_are_read(tmp_path):
    exr = pytest.importorskip("OpenEXR", reason="OpenEXR is an optional dependency (extra hdr)")
    path = tmp_path / "map.exr"
    radiance = example_map()
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {"RGB": radiance}).write(str(path))
    np.testing.assert_array_equal(load_environment_map(path).numpy(), radiance)


def test_without_open_exr_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    path = tmp_path / "map.exr"
    path.write_bytes(b"v/1\x01")
    with pytest.raises(AssetError, match=r"facelume\[hdr\]"):
        load_environment_map(path)


VALID = hdr_file(example_map(), is_run_length_coded=True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.hdr", b""),
        ("text.hdr", b"hello\n\nworld"),
        ("cut.hdr", VALID[: len(VALID) // 2]),
        ("cut_by_one.hdr", VALID[:-1]),
        ("cut_flat.hdr", hdr_file(example_map(), is_run_length_coded=False)[:-10]),
        ("order.hdr", VALID.replace(b"-Y 9 +X 300", b"+Y 9 +X 300")),
        ("huge.hdr", VALID.replace(b"-Y 9 +X 300", b"-Y 999999 +X 999999")),
        ("xyze.hdr", VALID.replace(b"rle_rgbe", b"rle_xyze")),
        ("picture.jpg", b"\xff\xd8\xff"),
        ("broken.exr", b"v/1\x01 not really"),
    ],
)
def test_damaged_maps_are_refused_in_one_line(tmp_path, name, content):
    if name.endswith(".exr"):
        pytest.importorskip("OpenEXR", reason="OpenEXR is an optional dependency (extra hdr)")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableInputError, match=name):
        load_environment_map(path)


def test_a_missing_map_is_refused(tmp_path):
    with pytest.raises(UnreadableInputError, match="cannot read"):
        load_environment_map(tmp_path / "nowhere.hdr")
