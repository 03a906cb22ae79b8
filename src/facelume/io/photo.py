"""Reading a photo of any kind into upright 8-bit sRGB, or one clear error."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from facelume.errors import UnreadableInputError, UsageError

MAX_PIXELS = 400_000_000
PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".ppm"}
)
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_OPEN_LOCK = threading.Lock()


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        srgb: Pixels, upright (EXIF orientation applied), sRGB-encoded.
        path: Where it came from, as the caller wrote it; empty for pictures from memory.
        sha256: Hash of the file, or of the pixels for pictures from memory.
    """

    srgb: UInt8[np.ndarray, "H W 3"]
    path: str
    sha256: str

    @property
    def width_px(self) -> int:
        """Width of the upright photo."""
        return int(self.srgb.shape[1])

    @property
    def height_px(self) -> int:
        """Height of the upright photo."""
        return int(self.srgb.shape[0])


def read_photo(source: str | Path | Image.Image | np.ndarray) -> Photo:
    """Reads a photo from a file, a Pillow image or an array.

    Grey, palette, 1-bit, 16-bit, float, CMYK and transparent pictures become 8-bit sRGB (transparent ones
    over white; an embedded colour profile is converted). Of an animation the first frame is taken.

    Args:
        source: A file, a Pillow image (its EXIF orientation is applied), or an sRGB-encoded array (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, bool, or floating in [0, 1].

    Raises:
        UnreadableInputError: The file is missing, empty, truncated, too large or not a picture.
        UsageError: The array has another shape, type or range.
    """
    if isinstance(source, np.ndarray):
        pixels = _pixels_from_array(source)
        return Photo(pixels, "", hashlib.sha256(pixels.tobytes()).hexdigest())
    if isinstance(source, Image.Image):
        pixels = _srgb_from_image(source)
        return Photo(pixels, "", hashlib.sha256(pixels.tobytes()).hexdigest())
    path = Path(source)
    data = _read_bytes(path)
    with _large_pictures_allowed():
        pixels = _decode(path, data)
    return Photo(pixels, str(source), hashlib.sha256(data).hexdigest())


def hash_photo(path: Path) -> str:
    """Returns the SHA-256 of a photo file without decoding it.

    Raises:
        UnreadableInputError: The file cannot be read.
    """
    return hashlib.sha256(_read_bytes(path)).hexdigest()


def list_photos(folder: Path) -> list[Path]:
    """Returns the photos of a folder (not of folders in it), by name.

    Raises:
        UnreadableInputError: The folder cannot be read or holds no photo.
    """
    try:
        entries = sorted(folder.iterdir())
        found = [e for e in entries if e.suffix.lower() in PHOTO_SUFFIXES and not e.name.startswith(".")]
        found = [entry for entry in found if not entry.is_dir()]
    except OSError as error:
        raise UnreadableInputError(f"{folder}: the folder cannot be read ({error.strerror})") from error
    if not found:
        kinds = ", ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))
        raise UnreadableInputError(f"{folder}: no photo in this folder; photos are {kinds}")
    return found


def describe_left_out(folder: Path, photos: Collection[Path], *, known: Collection[str] = ()) -> str | None:
    """Says in one line which kinds of files of a folder do not count as photos; None if all files count.

    Args:
        folder: The folder; folders in it and hidden files are not counted.
        photos: Its photos, see :func:`list_photos`.
        known: Names of other files that are read too.
    """
    taken = {photo.name for photo in photos} | set(known)
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name[0] != "." and entry.is_file()]
    others = [name for name in names if name not in taken]
    if not others:
        return None
    kinds = ", ".join(sorted({Path(name).suffix.lower() or "no suffix" for name in others}))
    return f"{folder}: {len(others)} of {len(names)} files are left out ({kinds})"


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableInputError(f"{path}: there is no such file; check the path") from error
    except IsADirectoryError as error:
        raise UnreadableInputError(f"{path}: is a folder; name a photo file in it") from error
    except OSError as error:
        raise UnreadableInputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise UnreadableInputError(f"{path}: the file is empty (0 bytes)")
    return data


def _decode(path: Path, data: bytes) -> UInt8[np.ndarray, "H W 3"]:
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        raise UnreadableInputError(f"{path}: HEIC photos are not supported; convert it to JPEG or PNG")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableInputError(
                    f"{path}: {image.width} x {image.height} pixels is more than the limit of "
                    f"{MAX_PIXELS // 1_000_000} megapixels; make it smaller"
                )
            image.load()
            return _srgb_from_image(image)
    except UnreadableInputError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableInputError(f"{path}: is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableInputError(f"{path}: too large to decode; make it smaller") from error
    except Exception as error:  # a decoder of a damaged file may raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableInputError(f"{path}: damaged or truncated picture ({reason})") from error


@contextmanager
def _large_pictures_allowed() -> Iterator[None]:
    """Lifts Pillow's limit on pixels (``_decode`` checks ours) for one file, one thread at a time."""
    with _OPEN_LOCK:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _srgb_from_image(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    image = _upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _pixels_from_wide(np.asarray(image))
    if "transparency" in image.info or image.mode in {"RGBA", "LA", "PA", "La", "RGBa"}:
        image = _to_srgb_profile(image.convert("LA" if image.mode in {"L", "LA", "La"} else "RGBA"))
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image if image.mode == "RGBA" else image.convert("RGBA"))
    else:
        image = _to_srgb_profile(image.convert("RGB") if image.mode == "P" else image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(image) if is_turned else image  # it copies, which large photos feel
    except Exception:  # damaged EXIF block: the picture itself is fine
        return image


def _to_srgb_profile(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "CMYK", "L", "RGBA", "LA"}:
        return image
    if image.mode.endswith("A"):
        opaque = _to_srgb_profile(image.convert(image.mode[:-1])).convert("RGB")
        opaque.putalpha(image.getchannel("A"))
        return opaque
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a damaged or mismatched profile: the numbers are the best guess
    return image if converted is None else converted


def _pixels_from_wide(values: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Grey pictures of 16 or 32 bits, integer or floating, to three equal 8-bit channels."""
    grey = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(grey.max(initial=0.0))
    if np.issubdtype(values.dtype, np.floating):
        scale = 255.0 if top <= 1.0 else (1.0 if top <= 255.0 else 255.0 / top)
    else:
        scale = (
            1.0 if top <= 255 and values.dtype.itemsize > 2 else (1 / 257 if top <= 65535 else 255.0 / top)
        )
    grey8 = np.clip(np.rint(grey * scale), 0, 255).astype(np.uint8)
    return np.repeat(grey8[..., None], 3, axis=-1)


def _pixels_from_array(array: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in {1, 3, 4} or 0 in array.shape:
        raise UsageError(f"a photo array must be (H, W), (H, W, 3) or (H, W, 4), not {array.shape}")
    values: np.ndarray
    if array.dtype == np.bool_:
        values = array * np.float32(255)
    elif array.dtype == np.uint8:
        values = array
    elif array.dtype == np.uint16:
        values = array / np.float32(257)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise UsageError("a floating photo array must be finite and in [0, 1]; divide by 255 first?")
        values = array * np.float32(255)
    else:
        raise UsageError(f"a photo array must be uint8, uint16, bool or floating, not {array.dtype}")
    if array.shape[-1] == 4:
        alpha = values[..., 3:].astype(np.float32) / 255
        values = values[..., :3] * alpha + 255 * (1 - alpha)
    if values.dtype != np.uint8:
        values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)))
