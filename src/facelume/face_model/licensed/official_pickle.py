"""Read the pickled files of licensed models without running anything that is in them.

A pickle names the functions it wants called. Here the names are looked up in a short list of stand-ins that
can only build arrays; any other name ends the reading. Neither chumpy nor an old scipy has to be installed:
what FLAME's files keep of them is turned into plain numpy arrays. No other module of facelume reads pickles.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - the one importer of pickled official files; find_class admits stand-ins only
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from facelume.errors import AssetError


class ChumpyArray:
    """Stand-in for ``chumpy.ch.Ch``: keeps the state it is given; ``x`` in it is the array."""

    __slots__ = ("state",)

    def __setstate__(self, state: object) -> None:
        self.state = state

    def to_numpy(self) -> np.ndarray:
        """The plain array; raises ``ValueError`` for a chumpy expression, which has no ``x``."""
        state = getattr(self, "state", None)
        if not isinstance(state, dict) or "x" not in state:
            raise ValueError("a chumpy object holds no plain array")
        return np.asarray(_plain(state["x"]))


class _Sparse:
    """Stand-in for a compressed scipy matrix: keeps its arrays."""

    __slots__ = ("state",)
    rows_are_compressed = False

    def __setstate__(self, state: object) -> None:
        self.state = state

    def to_numpy(self) -> np.ndarray:
        """The dense matrix; raises ``KeyError`` or ``ValueError`` if the arrays do not fit together."""
        state = getattr(self, "state", None)
        if not isinstance(state, dict):
            raise ValueError("a sparse matrix holds no arrays")
        num_rows, num_columns = (int(n) for n in state["_shape" if "_shape" in state else "shape"])
        pointers = np.asarray(state["indptr"], dtype=np.int64)
        along = np.asarray(state["indices"], dtype=np.int64)
        across = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
        dense = np.zeros((num_rows, num_columns))
        where = (across, along) if self.rows_are_compressed else (along, across)
        np.add.at(dense, where, np.asarray(state["data"], dtype=np.float64))
        return dense


class SparseColumns(_Sparse):
    """Stand-in for ``scipy.sparse.csc_matrix``."""

    __slots__ = ()


class SparseRows(_Sparse):
    """Stand-in for ``scipy.sparse.csr_matrix``."""

    __slots__ = ()
    rows_are_compressed = True


class _Name:
    """A name that may be mentioned in a pickle but not called."""

    __slots__ = ()


class _EmptyArray:
    """What numpy's ``_reconstruct`` does: an empty array, filled by the state that follows."""

    __slots__ = ()

    def __call__(self, *_: object) -> np.ndarray:
        return np.ndarray((0,), np.int8)


class _ArrayFromBuffer:
    """What numpy's ``_frombuffer`` does (pickle protocol 5)."""

    __slots__ = ()

    def __call__(
        self, data: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: str
    ) -> np.ndarray:
        return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


class _Scalar:
    """What numpy's ``scalar`` does for numbers."""

    __slots__ = ()

    def __call__(self, dtype: np.dtype, data: bytes | str) -> np.generic:
        raw = data.encode("latin1") if isinstance(data, str) else data
        return np.frombuffer(raw, dtype, count=1)[0]


class _Latin1:
    """What ``_codecs.encode`` does for the bytes of a protocol 2 pickle."""

    __slots__ = ()

    def __call__(self, text: str, _: str = "latin1") -> bytes:
        return text.encode("latin1")


class _Bare:
    """What ``copyreg._reconstructor`` does, for stand-ins only."""

    __slots__ = ()

    def __call__(self, kind: type, *_: object) -> ChumpyArray | _Sparse:
        for stand_in in (ChumpyArray, SparseColumns, SparseRows):
            if kind is stand_in:
                return stand_in()
        raise ValueError(f"{kind!r} cannot be built")


_NUMPY_CORES = ("numpy.core", "numpy._core")
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): _Name(),
    ("_codecs", "encode"): _Latin1(),
    ("chumpy.ch", "Ch"): ChumpyArray,
    **{(f"{core}.multiarray", "_reconstruct"): _EmptyArray() for core in _NUMPY_CORES},
    **{(f"{core}.multiarray", "scalar"): _Scalar() for core in _NUMPY_CORES},
    **{(f"{core}.numeric", "_frombuffer"): _ArrayFromBuffer() for core in _NUMPY_CORES},
    **{(f"scipy.sparse.{m}", "csc_matrix"): SparseColumns for m in ("csc", "_csc")},
    **{(f"scipy.sparse.{m}", "csr_matrix"): SparseRows for m in ("csr", "_csr")},
    **{(m, "_reconstructor"): _Bare() for m in ("copy_reg", "copyreg")},
    **{(m, "object"): _Name() for m in ("__builtin__", "builtins")},
    **{(m, "set"): set for m in ("__builtin__", "builtins")},
}


class _AllowListUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        """The stand-in for a name; nothing is ever imported."""
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}") from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the file."""
        raise pickle.UnpicklingError(f"it refers to an object outside the file ({pid!r})")


def read_pickle(path: Path) -> Any:
    """Read a pickle of numbers, strings, containers and arrays; chumpy and sparse arrays come back dense.

    Raises:
        AssetError: If the file asks for anything else, or is damaged.
    """
    with path.open("rb") as stream:
        return _load(stream, path)


def read_pickled_npy(path: Path) -> Any:
    """Read an ``.npy`` file, also one that holds a pickled dict (``np.save`` of a dict), by the same rules.

    Raises:
        AssetError: As :func:`read_pickle`.
    """
    with path.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            _, _, dtype = read_header(stream)
        except (ValueError, EOFError) as error:
            raise AssetError(f"{path} is not an .npy file ({error}): download it again") from error
        if not dtype.hasobject:
            return np.load(path, allow_pickle=False)
        value = _load(stream, path)
    return _plain(value.item()) if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _load(stream: BinaryIO, path: Path) -> Any:
    try:
        return _plain(_AllowListUnpickler(stream, encoding="latin1").load())
    except Exception as error:  # a hostile or damaged stream can raise any kind
        raise AssetError(
            f"{path} was not read: {error}. Official files hold arrays only; download it again from the "
            "model's site"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, ChumpyArray | _Sparse):
        return value.to_numpy()
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    return value
