"""Rows of arrays in one file: pictures packed, equal ones kept once, any row read on its own.

A training of many days draws faces at random from more than fits in memory. Each file is a safetensors file
that says what it was made from; reading one row touches only its bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from facelume.data.fingerprint import Fingerprint, plain, require_same
from facelume.errors import UsageError

Codec = Literal["bytes", "picture", "light", "plain"]
"""``bytes``: a file, of any length. ``picture``: uint8, int8 or bool, lossless. ``light``: float16 pictures
of 0 or more, kept to 1/254 of the range of their logarithm over the row. ``plain``: numbers as they are."""

_ABOUT, _STAMP, _LAYOUT = "about", "fingerprint", "layout"
_CODES = 254
# Light below this share of a row's brightest is kept as this share.
_LEAST_SHARE = 1e-4
_PICTURE_CHANNELS = 3
_MIN_PICTURE_SIDE = 8


def write_rows(path: Path, rows: Sequence[Mapping[str, np.ndarray]], fingerprint: Fingerprint) -> None:
    """Write rows of the same arrays, whole or not at all.

    Args:
        path: The file.
        rows: Arrays by name; of one name all of one shape and type, files (uint8, one axis) apart.
        fingerprint: What they were made from.
    """
    tensors: dict[str, np.ndarray] = {}
    layout: dict[str, Any] = {}
    for name in rows[0]:
        column = [np.asarray(row[name]) for row in rows]
        codec = _codec_of(column[0])
        layout[name] = {"codec": codec, "shape": list(column[0].shape), "dtype": column[0].dtype.str}
        if codec == "plain":
            tensors[name] = np.stack(column)
        else:
            tensors[f"{name}.packed"], tensors[f"{name}.spans"] = _packed(column, codec)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    # One entry: safetensors writes several in no particular order.
    metadata = {_ABOUT: json.dumps({_STAMP: plain(fingerprint), _LAYOUT: layout})}
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, partial, metadata)
    partial.replace(path)


class RowFile:
    """A file of :func:`write_rows`; opened anew for each access, so that a thousand cost no handles.

    Args:
        path: The file.

    Raises:
        UsageError: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="np") as file:
                about = json.loads((file.metadata() or {})[_ABOUT])
                self._layout: dict[str, Any] = about[_LAYOUT]
                self.fingerprint: dict[str, Any] = about[_STAMP]
                name, entry = next(iter(self._layout.items()))
                key = name if entry["codec"] == "plain" else f"{name}.spans"
                self._length = int(file.get_slice(key).get_shape()[0])
        except (OSError, SafetensorError, KeyError, ValueError, StopIteration) as error:
            raise UsageError(f"{path}: damaged; delete it, it will be made again") from error

    def __len__(self) -> int:
        return self._length

    @property
    def names(self) -> list[str]:
        """Names of the arrays."""
        return list(self._layout)

    def require(self, fingerprint: Fingerprint, what: str) -> None:
        """Refuse rows that were made from something else.

        Args:
            fingerprint: What they would be made from now.
            what: What the file holds, plural, for the message.

        Raises:
            UsageError: They were; the message names every difference.
        """
        require_same(self.fingerprint, fingerprint, self.path, what)

    def row(self, index: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Arrays of one row by name, all of them or some."""
        with safe_open(self.path, framework="np") as file:
            return {name: self._array(file, name, index) for name in names or self._layout}

    def column(self, name: str) -> np.ndarray:
        """One array of all rows; pictures are unpacked one by one."""
        entry = self._layout[name]
        with safe_open(self.path, framework="np") as file:
            if entry["codec"] == "plain":
                return np.asarray(file.get_tensor(name))
            return np.stack([self._array(file, name, index) for index in range(len(self))])

    def _array(self, file: safe_open, name: str, index: int) -> np.ndarray:
        entry = self._layout[name]
        if entry["codec"] == "plain":
            return np.asarray(file.get_slice(name)[index : index + 1][0])
        start, stop = (int(end) for end in file.get_slice(f"{name}.spans")[index : index + 1][0])
        content = np.asarray(file.get_slice(f"{name}.packed")[start:stop])
        return _unpacked(content, entry["codec"], tuple(entry["shape"]), np.dtype(entry["dtype"]))


def _codec_of(array: np.ndarray) -> Codec:
    if array.ndim == 1 and array.dtype == np.uint8:
        return "bytes"
    is_picture = _is_picture(array.shape)
    if is_picture and array.dtype in (np.uint8, np.int8, np.bool_):
        return "picture"
    return "light" if is_picture and array.dtype == np.float16 else "plain"


def _is_picture(shape: tuple[int, ...]) -> bool:
    if len(shape) == _PICTURE_CHANNELS and shape[0] == _PICTURE_CHANNELS:
        shape = shape[1:]
    elif len(shape) == _PICTURE_CHANNELS and shape[-1] == _PICTURE_CHANNELS:
        shape = shape[:-1]
    return len(shape) == 2 and min(shape) >= _MIN_PICTURE_SIDE


def _packed(column: Sequence[np.ndarray], codec: Codec) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of all rows, and where those of each begin and end; equal rows share theirs."""
    known: dict[bytes, tuple[int, int]] = {}
    parts: list[bytes] = []
    spans, length = [], 0
    for array in column:
        key = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
        if key not in known:
            parts.append(_pack(array, codec))
            known[key] = (length, length + len(parts[-1]))
            length += len(parts[-1])
        spans.append(known[key])
    return np.frombuffer(b"".join(parts), np.uint8), np.array(spans, np.int64)


def _pack(array: np.ndarray, codec: Codec) -> bytes:
    if codec == "bytes":
        return array.tobytes()
    if codec == "light":
        codes, ends = _light_codes(array.astype(np.float32))
        return ends.tobytes() + _picture_file(codes)
    if array.dtype == np.bool_:
        return _picture_file(array.astype(np.uint8) * np.uint8(255))
    return _picture_file(array.view(np.uint8) ^ np.uint8(0x80) if array.dtype == np.int8 else array)


def _unpacked(content: np.ndarray, codec: Codec, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if codec == "bytes":
        return content
    if codec == "light":
        size = 2 * np.dtype(np.float32).itemsize
        low, high = np.frombuffer(content[:size].tobytes(), np.float32)
        codes = _picture_of(content[size:], shape)
        light = np.exp(low + (codes.astype(np.float32) - 1) * ((high - low) / (_CODES - 1)))
        return np.where(codes > 0, light, 0).astype(dtype)
    codes = _picture_of(content, shape)
    if dtype == np.bool_:
        return codes > 0
    return (codes ^ np.uint8(0x80)).view(np.int8) if dtype == np.int8 else codes


def _light_codes(light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps of the logarithm, 0 for no light, and the logarithms of the first and the last step."""
    brightest = float(light.max())
    if brightest <= 0:
        return np.zeros(light.shape, np.uint8), np.zeros(2, np.float32)
    low = np.float32(np.log(max(float(light[light > 0].min()), _LEAST_SHARE * brightest)))
    high = np.float32(np.log(brightest))
    step = max(float(high - low), 1e-6) / (_CODES - 1)
    codes = 1 + np.rint((np.log(np.maximum(light, 1e-30)) - low) / step).clip(0, _CODES - 1)
    return np.where(light > 0, codes, 0).astype(np.uint8), np.array([low, high], np.float32)


def _picture_file(picture: np.ndarray) -> bytes:
    if picture.ndim == _PICTURE_CHANNELS and picture.shape[0] == _PICTURE_CHANNELS:
        picture = picture.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "WEBP", lossless=True, method=0, quality=0)
    return file.getvalue()


def _picture_of(content: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    with Image.open(io.BytesIO(content.tobytes())) as picture:
        values = np.asarray(picture.convert("RGB"))
    if len(shape) < _PICTURE_CHANNELS:
        return values[..., 0].copy()
    return values.transpose(2, 0, 1).copy() if shape[0] == _PICTURE_CHANNELS else values.copy()
