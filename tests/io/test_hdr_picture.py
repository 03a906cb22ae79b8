"""Radiance and OpenEXR pictures, made here byte by byte or by the OpenEXR package."""

import os
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from facelume.errors import UnreadableInputError
from facelume.io.hdr_picture import load_hdr_picture


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


VALID = hdr_file(example_map(), is_run_length_coded=True)


@pytest.mark.parametrize("is_run_length_coded", [True, False])
def test_radiance_hdr_files_are_read(tmp_path, is_run_length_coded):
    path = tmp_path / "map.hdr"
    path.write_bytes(hdr_file(example_map(), is_run_length_coded=is_run_length_coded))
    found = load_hdr_picture(path)
    step = 2.0 ** np.ceil(np.log2(np.maximum(example_map().max(axis=-1, keepdims=True), 1e-9))) / 256
    assert (np.abs(found - example_map()) <= 1.001 * step).all()
    np.testing.assert_array_equal(found[5, :100], 0.0)


def write_exr(path: Path, channels, **header) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage} | header
    OpenEXR.File(header, channels).write(str(path))


@pytest.mark.parametrize("extra", [(), ("A",), ("A", "Z", "diffuse.R")])
def test_open_exr_files_are_read_whatever_else_they_hold(tmp_path, extra):
    radiance = example_map()
    channels = {name: np.ascontiguousarray(radiance[..., i]) for i, name in enumerate("RGB")}
    channels |= {name: np.full(radiance.shape[:2], 0.5, np.float32) for name in extra}
    write_exr(tmp_path / "map.exr", channels)
    np.testing.assert_array_equal(load_hdr_picture(tmp_path / "map.exr"), radiance)


def test_half_precision_comes_as_float32(tmp_path):
    radiance = example_map().astype(np.float16)
    write_exr(tmp_path / "map.exr", {"RGB": radiance})
    found = load_hdr_picture(tmp_path / "map.exr")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, radiance.astype(np.float32))


def test_numbers_are_those_of_the_file_whatever_exposure_its_header_names(tmp_path):
    for name, line in (("a.hdr", b""), ("b.hdr", b"EXPOSURE=2.0\n")):
        (tmp_path / name).write_bytes(VALID.replace(b"FORMAT=", line + b"FORMAT="))
    np.testing.assert_array_equal(load_hdr_picture(tmp_path / "a.hdr"), load_hdr_picture(tmp_path / "b.hdr"))


def test_the_content_decides_and_not_the_suffix(tmp_path):
    (tmp_path / "map.pic").write_bytes(VALID)
    assert load_hdr_picture(tmp_path / "map.pic").shape == (9, 300, 3)
    Image.new("RGB", (20, 10)).save(tmp_path / "fake.hdr", "JPEG")
    with pytest.raises(UnreadableInputError, match="is a jpeg picture"):
        load_hdr_picture(tmp_path / "fake.hdr")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.hdr", b""),
        ("text.hdr", b"hello\n\nworld"),
        ("cut.hdr", VALID[: len(VALID) // 2]),
        ("cut_by_one.hdr", VALID[:-1]),
        ("cut_flat.hdr", hdr_file(example_map(), is_run_length_coded=False)[:-10]),
        ("zeros.hdr", VALID[:3000] + bytes(50) + VALID[3050:]),
        ("bottom_up.hdr", VALID.replace(b"-Y 9 +X 300", b"+Y 9 +X 300")),
        ("right_to_left.hdr", VALID.replace(b"-Y 9 +X 300", b"-Y 9 -X 300")),
        ("huge.hdr", VALID.replace(b"-Y 9 +X 300", b"-Y 999999 +X 999999")),
        ("large.hdr", VALID.replace(b"-Y 9 +X 300", b"-Y 60000 +X 60000")),
        ("xyze.hdr", VALID.replace(b"rle_rgbe", b"rle_xyze")),
        ("picture.jpg", b"\xff\xd8\xff"),
        ("broken.exr", b"v/1\x01 not really"),
    ],
)
def test_damaged_pictures_are_refused_in_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableInputError, match=name) as raised:
        load_hdr_picture(path)
    assert "\n" not in str(raised.value)


def test_exr_files_that_are_no_whole_rgb_picture_are_refused(tmp_path):
    radiance = example_map()
    write_exr(tmp_path / "grey.exr", {"Y": np.ascontiguousarray(radiance[..., 0])})
    with pytest.raises(UnreadableInputError, match="channels Y"):
        load_hdr_picture(tmp_path / "grey.exr")
    window = (np.array([0, 0], np.int32), np.array([599, 8], np.int32))
    write_exr(tmp_path / "part.exr", {"RGB": radiance}, displayWindow=window)
    with pytest.raises(UnreadableInputError, match="part of its picture"):
        load_hdr_picture(tmp_path / "part.exr")
    write_exr(tmp_path / "cut.exr", {"RGB": radiance})
    content = (tmp_path / "cut.exr").read_bytes()
    (tmp_path / "cut.exr").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableInputError, match=r"cut\.exr"):
        load_hdr_picture(tmp_path / "cut.exr")


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    with pytest.raises(UnreadableInputError, match="No such file"):
        load_hdr_picture(tmp_path / "nowhere.hdr")
    with pytest.raises(UnreadableInputError, match="directory"):
        load_hdr_picture(tmp_path)


def test_names_beyond_ascii_are_read_and_those_that_are_no_utf8_refused(tmp_path):
    (tmp_path / "großes 光.hdr").write_bytes(VALID)
    assert load_hdr_picture(tmp_path / "großes 光.hdr").shape == (9, 300, 3)
    latin = tmp_path / os.fsdecode(b"caf\xe9.hdr")
    try:
        latin.write_bytes(VALID)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(UnreadableInputError, match="UTF-8"):
        load_hdr_picture(latin)
