import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from facelume.errors import UnreadableInputError, UsageError
from facelume.io.photo import list_photos, read_photo


@pytest.fixture
def picture() -> Image.Image:
    rows, columns = np.mgrid[0:40, 0:60]
    return Image.fromarray(np.stack([rows * 6, columns * 4, 255 - rows * 5], axis=-1).astype(np.uint8), "RGB")


def _png16(pixels: np.ndarray) -> bytes:
    """A 16-bit RGB PNG by hand: Pillow reads them but does not write them."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _grey(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L"))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif"])
def test_formats_give_the_same_picture(tmp_path: Path, picture: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture.save(path)
    photo = read_photo(path)
    assert (photo.width_px, photo.height_px, photo.path) == (60, 40, str(path))
    error = np.abs(photo.srgb.astype(int) - np.asarray(picture).astype(int))
    assert error.mean() < 8


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_rgb(tmp_path: Path, picture: Image.Image, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(_grey(picture).astype(np.uint16) * 257)
        assert image.mode == "I;16"
    elif mode in {"I", "F"}:
        image = picture.convert("L").convert(mode)
    elif mode == "LA":
        image = picture.convert("L").convert("LA")
    else:
        image = picture.convert(mode)
    path = tmp_path / ("a.tif" if mode in {"CMYK", "YCbCr", "F", "I"} else "a.png")
    image.save(path)
    pixels = read_photo(path).srgb
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    expected = np.asarray(picture.convert(mode).convert("RGB")) if mode in {"1", "P"} else None
    if expected is None:
        expected = np.asarray(
            picture if mode in {"RGBA", "CMYK", "YCbCr"} else picture.convert("L").convert("RGB")
        )
    assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= 3


def test_sixteen_bit_colour_png(tmp_path: Path, picture: Image.Image) -> None:
    wide = np.asarray(picture).astype(np.uint16) * 257
    path = tmp_path / "wide.png"
    path.write_bytes(_png16(wide))
    assert np.abs(read_photo(path).srgb.astype(int) - np.asarray(picture)).max() <= 1


def test_transparent_is_white_not_black() -> None:
    image = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert (read_photo(image).srgb == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, picture: Image.Image, orientation: int) -> None:
    stored = {
        1: picture,
        2: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: picture.transpose(Image.Transpose.ROTATE_180),
        4: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: picture.transpose(Image.Transpose.TRANSPOSE),
        6: picture.transpose(Image.Transpose.ROTATE_90),
        7: picture.transpose(Image.Transpose.TRANSVERSE),
        8: picture.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    stored.save(path, exif=exif)
    assert np.array_equal(read_photo(path).srgb, np.asarray(picture))


def test_bad_files_give_one_clear_line(tmp_path: Path, picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.resize((600, 400)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    buffer = io.BytesIO()
    picture.resize((600, 400)).save(buffer, "PNG")
    png = buffer.getvalue()
    cases = {
        "zero.jpg": (b"", "empty"),
        "text.jpg": (b"hello, I am a text\n" * 9, "not a picture"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut.png": (png[: len(png) // 2], "truncated"),
        "header.png": (png[:30], "truncated|not a picture"),
        "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    }
    for name, (data, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UnreadableInputError, match=message) as raised:
            read_photo(path)
        assert "\n" not in str(raised.value)
        assert name in str(raised.value)
    with pytest.raises(UnreadableInputError, match="no such file"):
        read_photo(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableInputError, match="is a folder"):
        read_photo(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(UnreadableInputError, match="cannot be read"):
        read_photo(path)


def test_large_photo_opens_and_a_bomb_does_not(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "large.png"
    Image.new("1", (12_000, 10_000)).save(path)  # 120 megapixels: above Pillow's own warning limit
    assert read_photo(path).srgb.shape == (10_000, 12_000, 3)
    bomb = tmp_path / "bomb.png"
    Image.new("1", (30_000, 20_000)).save(bomb)
    with pytest.raises(UnreadableInputError, match="megapixels"):
        read_photo(bomb)
    assert before == Image.MAX_IMAGE_PIXELS


def test_arrays(picture: Image.Image) -> None:
    array = np.asarray(picture)
    for given in (array, array / 255.0, (array / 255).astype(np.float32), array.astype(np.uint16) * 257):
        assert np.abs(read_photo(given).srgb.astype(int) - array).max() <= 1
    assert read_photo(array[..., 0]).srgb.shape == (40, 60, 3)
    for bad in (array * 1.0, array[None], array.astype(np.int64), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(UsageError):
            read_photo(bad)


def test_list_photos(tmp_path: Path, picture: Image.Image) -> None:
    with pytest.raises(UnreadableInputError, match="no photo"):
        list_photos(tmp_path)
    with pytest.raises(UnreadableInputError, match="cannot be read"):
        list_photos(tmp_path / "nowhere")
    picture.save(tmp_path / "b.PNG")
    picture.save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("x")
    assert [p.name for p in list_photos(tmp_path)] == ["a.jpg", "b.PNG"]


def _swapping_profile() -> bytes:
    """An sRGB profile under another name with red and green exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    entries = {bytes(profile[i : i + 4]): i for i in range(132, 132 + 12 * profile[131], 12)}
    red, green = (slice(entries[tag] + 4, entries[tag] + 8) for tag in (b"rXYZ", b"gXYZ"))
    profile[red], profile[green] = profile[green], profile[red]
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_profile_counts_in_every_mode(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (8, 8), (200, 50, 0))
    image = image.quantize(4) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "a.png", icc_profile=_swapping_profile())
    np.testing.assert_allclose(read_photo(tmp_path / "a.png").srgb[4, 4], (50, 200, 0), atol=2)
