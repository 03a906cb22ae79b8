"""Every face model there is: what it needs, whether it is there, and loading it by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from facelume.errors import UsageError
from facelume.face_model.licensed.bfm2009 import BFM2009, load_bfm2009
from facelume.face_model.licensed.bfm_h5 import BFM2017, BFM2019, load_bfm_h5
from facelume.face_model.licensed.flame import FLAME2020, FLAME2023, load_flame
from facelume.face_model.licensed.ict import ICT, load_ict
from facelume.face_model.licensed.plain import PLAIN_NAME, load_plain, plain_source
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.model import FaceModel
from facelume.face_model.open_model import load_open_face_model

OPEN = FaceModelSource(
    name="open",
    summary="facelume's own: whole head, 80 identity, 52 ARKit expressions, 80 albedo coefficients",
    licence="Apache-2.0, from CC0 and CC BY 4.0 data (see NOTICE)",
)
_LOADERS: dict[str, tuple[FaceModelSource, Callable[[Path | None], FaceModel]]] = {
    OPEN.name: (OPEN, lambda _: load_open_face_model()),
    BFM2009.name: (BFM2009, load_bfm2009),
    BFM2017.name: (BFM2017, lambda folder: load_bfm_h5(BFM2017, folder)),
    BFM2019.name: (BFM2019, lambda folder: load_bfm_h5(BFM2019, folder)),
    FLAME2020.name: (FLAME2020, lambda folder: load_flame(FLAME2020, folder)),
    FLAME2023.name: (FLAME2023, lambda folder: load_flame(FLAME2023, folder)),
    ICT.name: (ICT, load_ict),
}


def face_model_sources() -> tuple[FaceModelSource, ...]:
    """All face models, the included one first."""
    return tuple(source for source, _ in _LOADERS.values())


def face_model_source(name: str) -> FaceModelSource:
    """Where a face model comes from.

    Args:
        name: One of the names of :func:`face_model_sources`, or a folder with the official files of one of
            them or with a ``linear_head.npz`` (``licensed/plain.py``); the folder is then the model's name.

    Raises:
        UsageError: If no model has this name, or the folder holds none.
    """
    return _found(name)[0]


def load_face_model(name: str, folder: Path | None = None) -> FaceModel:
    """Load a face model by name, with its own mesh and atlas.

    Args:
        name: As in :func:`face_model_source`.
        folder: Folder with the official files of a licensed model; ``$FACELUME_MODELS/<name>`` if not given,
            where ``FACELUME_MODELS`` defaults to ``~/.cache/facelume/models``.

    Raises:
        UsageError: If no model has this name.
        AssetError: If files are missing, damaged or not what they should be.
    """
    return _found(name)[1](folder)


def _found(name: str) -> tuple[FaceModelSource, Callable[[Path | None], FaceModel]]:
    if name in _LOADERS:
        return _LOADERS[name]
    place = Path(name).expanduser()
    if not place.is_dir():
        known = ", ".join(_LOADERS)
        raise UsageError(
            f"no face model named {name!r}: choose from {known}, or name a folder that holds one"
        )
    if (place / PLAIN_NAME).is_file():
        return plain_source(place), lambda folder: load_plain(folder or place)
    for source, load in _LOADERS.values():
        if not source.is_included and not source.missing(place):
            return _in_folder(source, load, place)
    raise UsageError(
        f"{place} holds no complete face model; see docs/licensed_models.md for the files of each"
    )


def _in_folder(
    source: FaceModelSource, load: Callable[[Path | None], FaceModel], place: Path
) -> tuple[FaceModelSource, Callable[[Path | None], FaceModel]]:
    """An official model that is named by its folder: results then say where it was."""
    name = str(place.resolve())

    def load_there(folder: Path | None) -> FaceModel:
        return dataclasses.replace(load(folder or place), name=name)

    return dataclasses.replace(source, name=name), load_there
