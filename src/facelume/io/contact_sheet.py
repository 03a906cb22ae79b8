"""A contact sheet: labelled pictures of any size on one grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_BACKGROUND = (24, 24, 28)
_TEXT = (235, 235, 235)
_CAPTION_PX = 26
_GAP_PX = 8


def compose_contact_sheet(
    tiles: Sequence[tuple[str, np.ndarray]], *, num_columns: int = 4, tile_px: int = 320
) -> UInt8[np.ndarray, "H W 3"]:
    """Lays pictures out row by row, each scaled to fit its square, with its caption below.

    Args:
        tiles: Caption and picture (H, W, 3) uint8, sRGB-encoded.
        num_columns: Pictures per row.
        tile_px: Side of the square that holds a picture.

    Returns:
        The sheet.
    """
    num_rows = -(-len(tiles) // num_columns)
    step_x, step_y = tile_px + _GAP_PX, tile_px + _CAPTION_PX + _GAP_PX
    sheet = Image.new("RGB", (num_columns * step_x + _GAP_PX, num_rows * step_y + _GAP_PX), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    for index, (caption, pixels) in enumerate(tiles):
        left = _GAP_PX + index % num_columns * step_x
        top = _GAP_PX + index // num_columns * step_y
        picture = Image.fromarray(pixels)
        scale = tile_px / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        sheet.paste(picture, (left + (tile_px - size[0]) // 2, top + (tile_px - size[1]) // 2))
        draw.text((left + tile_px / 2, top + tile_px + 4), caption, font=font, fill=_TEXT, anchor="ma")
    return np.asarray(sheet)
