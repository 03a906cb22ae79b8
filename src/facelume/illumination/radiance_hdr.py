"""Reader of Radiance ``.hdr`` pictures (RGBE), flat or run-length coded, in plain numpy."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Float, UInt8

from facelume.errors import UnreadableInputError

_MAX_PIXELS = 200_000_000
_MIN_RLE_WIDTH = 8
_MAX_RLE_WIDTH = 0x7FFF


def read_radiance_hdr(data: bytes, *, name: str) -> Float[np.ndarray, "H W 3"]:
    """Decode a Radiance picture to linear RGB, float32, row 0 on top.

    Args:
        data: Content of the file.
        name: File name for error messages.

    Raises:
        UnreadableInputError: Not a Radiance RGBE picture, another pixel order than top-down, or damaged.
    """
    header, _, body = data.partition(b"\n\n")
    if not header.startswith((b"#?RADIANCE", b"#?RGBE")) or not body:
        raise UnreadableInputError(f"{name} is no Radiance .hdr picture (its header is missing or cut off)")
    if b"32-bit_rle_xyze" in header:
        raise UnreadableInputError(f"{name} is in XYZE colours; re-export it as RGBE (linear Rec.709)")
    resolution, _, pixels = body.partition(b"\n")
    match = re.fullmatch(rb"-Y (\d{1,6}) \+X (\d{1,6})\s*", resolution)
    if match is None:
        raise UnreadableInputError(
            f"{name} has the pixel order {resolution[:40]!r}; re-export it top-down ('-Y height +X width')"
        )
    height, width = int(match[1]), int(match[2])
    if not 0 < height * width <= _MAX_PIXELS:
        raise UnreadableInputError(
            f"{name} claims {width} x {height} pixels; between 1 and {_MAX_PIXELS} are read"
        )
    rgbe = _decode(pixels, height, width, name=name)
    # ldexp(m, e - 136) = m / 256 * 2^(e - 128); an exponent of 0 means black.
    exponent = rgbe[..., 3].astype(np.int32)
    radiance = np.ldexp(rgbe[..., :3].astype(np.float32), exponent[..., None] - 136)
    return np.where(exponent[..., None] == 0, np.float32(0), radiance).astype(np.float32)


def _decode(pixels: bytes, height: int, width: int, *, name: str) -> UInt8[np.ndarray, "H W 4"]:
    is_run_length_coded = (
        _MIN_RLE_WIDTH <= width <= _MAX_RLE_WIDTH
        and pixels[:2] == b"\x02\x02"
        and len(pixels) > 3
        and (pixels[2] << 8 | pixels[3]) == width
    )
    if not is_run_length_coded:
        if len(pixels) < 4 * height * width:
            raise UnreadableInputError(
                f"{name} is cut off: {len(pixels)} bytes for {width} x {height} pixels"
            )
        return np.frombuffer(pixels, dtype=np.uint8, count=4 * height * width).reshape(height, width, 4)
    rows = np.zeros((height, 4, width), dtype=np.uint8)
    position = 0
    for row in range(height):
        if pixels[position : position + 4] != bytes((2, 2, width >> 8, width & 255)):
            raise UnreadableInputError(f"{name} is damaged: row {row} of {height} has no valid start")
        position += 4
        for channel in range(4):
            position = _decode_channel(pixels, position, rows[row, channel], name=f"{name}, row {row}")
    return np.ascontiguousarray(rows.transpose(0, 2, 1))


def _decode_channel(pixels: bytes, position: int, target: UInt8[np.ndarray, " W"], *, name: str) -> int:
    """Decode one channel of one row into ``target``; returns the position behind it."""
    filled, width = 0, target.shape[0]
    while filled < width:
        head = pixels[position : position + 2]
        count = head[0] if head else 0
        is_run = count > 128
        count = count - 128 if is_run else count
        needed = 2 if is_run else 1 + count
        if count == 0 or filled + count > width or position + needed > len(pixels):
            raise UnreadableInputError(f"{name} is damaged or cut off: run-length data does not fill the row")
        chunk = pixels[position + 1 : position + needed]
        target[filled : filled + count] = np.frombuffer(chunk, dtype=np.uint8)
        filled += count
        position += needed
    return position
