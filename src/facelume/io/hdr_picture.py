"""Pictures with the full range of light, Radiance ``.hdr`` and OpenEXR ``.exr``, to linear float arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from facelume.errors import UnreadableInputError

_MAX_PIXELS = 200_000_000
_FORMATS = ("hdr", "openexr")


def load_hdr_picture(path: Path) -> Float[np.ndarray, "H W 3"]:
    """Reads a Radiance or OpenEXR picture, whatever its suffix; row 0 is on top.

    The numbers are those of the file, as linear RGB: exposure and primaries that its header may name are not
    applied. Of a file with several parts the first is taken, of its channels R, G and B.

    Args:
        path: The file.

    Raises:
        UnreadableInputError: No such file, another format, damaged, turned, cropped, or without R, G and B.
    """
    import OpenImageIO  # takes 30 ms to load, and most runs read no such file

    try:
        path.open("rb").close()
        str(path).encode()  # OpenImageIO takes names that are UTF-8
    except UnicodeEncodeError as error:
        raise UnreadableInputError(f"{path}: its name is no UTF-8; rename it") from error
    except OSError as error:
        raise UnreadableInputError(
            f"{path}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    picture = OpenImageIO.ImageInput.open(str(path))
    if picture is None:
        raise UnreadableInputError(_unreadable(path, OpenImageIO.geterror()))
    try:
        spec = picture.spec()
        _require_upright_whole_rgb(path, picture.format_name(), spec)
        pixels = picture.read_image(OpenImageIO.FLOAT)
        if pixels is None:
            raise UnreadableInputError(_unreadable(path, picture.geterror()))
    finally:
        picture.close()
    channels = [spec.channelnames.index(name) for name in "RGB"]
    return np.ascontiguousarray(pixels[..., channels], dtype=np.float32)


def _unreadable(path: Path, reason: str) -> str:
    short = " ".join(reason.replace(str(path), "").split())[:160]
    return f"{path}: cannot be read as a Radiance .hdr or OpenEXR .exr picture ({short}); re-export it"


def _require_upright_whole_rgb(path: Path, format_name: str, spec: Any) -> None:
    """``spec`` is the picture's ``OpenImageIO.ImageSpec``."""
    if format_name not in _FORMATS:
        raise UnreadableInputError(
            f"{path}: is a {format_name} picture; linear radiance needs a Radiance .hdr or OpenEXR .exr file"
        )
    if not set("RGB") <= set(spec.channelnames):
        raise UnreadableInputError(
            f"{path}: has the channels {', '.join(spec.channelnames)}; re-export it with R, G and B"
        )
    if spec.get_int_attribute("Orientation", 1) != 1:
        raise UnreadableInputError(f"{path}: its rows do not run top-down, left to right; re-export it")
    stored = (spec.x, spec.y, spec.width, spec.height)
    if stored != (spec.full_x, spec.full_y, spec.full_width, spec.full_height):
        raise UnreadableInputError(
            f"{path}: holds a part of its picture only (data window); re-export it whole"
        )
    if not 0 < spec.width * spec.height <= _MAX_PIXELS:
        raise UnreadableInputError(
            f"{path}: claims {spec.width} x {spec.height} pixels; between 1 and {_MAX_PIXELS} are read"
        )
