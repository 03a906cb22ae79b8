"""Where training data comes from and what may be done with what is learned from it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cattrs

from facelume.errors import UsageError
from facelume.weights import Terms, WeightRecord

SOURCE_NAME = "source.json"
"""File in a folder of pictures that says where they come from: a :class:`DataSource` as JSON."""


@dataclass(frozen=True)
class DataSource:
    """Something a network learned from.

    Attributes:
        name: What it is, as a sentence's part: ``photos of CelebAMask-HQ``.
        licence: Its licence, in words.
        terms: What that means for the weights.
    """

    name: str
    licence: str
    terms: Terms


KNOWN_SETS = {
    "celebahq": DataSource(
        "photos and parsing masks of CelebAMask-HQ", "non-commercial research", "research"
    ),
    "utkface": DataSource("photos of UTKFace", "non-commercial research", "research"),
    "scut": DataSource("photos of SCUT-FBP5500", "non-commercial research", "research"),
    "aaf": DataSource("photos of the All-Age-Faces dataset", "non-commercial research", "research"),
    "london": DataSource("photos of the Face Research Lab London Set", "CC BY 4.0", "credit"),
}
"""The photo sets whose terms we have read, by folder name."""

OPEN_MODEL_FACES = DataSource(
    "synthetic faces of the open face model", "CC0, with CC BY 4.0 portraits in its albedo basis", "credit"
)
MODEL_FITS = DataSource("fits of the open face model to these photos", "as the photos", "free")
ENVIRONMENT_MAPS = DataSource("environment maps of Poly Haven, through a public mirror", "CC0", "free")
LANDMARKS = DataSource("face-mesh landmarks detected by MediaPipe", "Apache-2.0", "free")
LABORATORY_PHOTOS = DataSource(
    "photos of the Extended Yale Face Database B", "non-commercial research", "research"
)
RECOGNITION = DataSource(
    "a MobileFaceNet trained on CASIA-WebFace as perceptual network", "research weights", "research"
)


def photo_set_source(root: Path, photo_set: str) -> DataSource:
    """Where a photo set comes from: its ``source.json``, else what is known of its name, else unstated.

    Args:
        root: Folder of the photo sets.
        photo_set: Name of the set's folder.

    Raises:
        UsageError: ``source.json`` is no :class:`DataSource`.
    """
    unstated = DataSource(f"photos of the set {photo_set!r}", "not stated", "unstated")
    return _stated_source(root / photo_set) or KNOWN_SETS.get(photo_set, unstated)


def background_source(folder: Path) -> DataSource:
    """Where a folder of pictures without faces comes from: its ``source.json``, else unstated.

    Raises:
        UsageError: ``source.json`` is no :class:`DataSource`.
    """
    return _stated_source(folder) or DataSource(
        f"pictures without faces of the folder {folder.name!r}", "not stated", "unstated"
    )


def _stated_source(folder: Path) -> DataSource | None:
    path = folder / SOURCE_NAME
    if not path.is_file():
        return None
    converter = cattrs.Converter(forbid_extra_keys=True)
    try:
        return converter.structure(json.loads(path.read_text(encoding="utf-8")), DataSource)
    except (OSError, ValueError, cattrs.BaseValidationError) as error:
        raise UsageError(
            f"{path}: must hold name, licence and terms (free, credit, research or unstated)"
        ) from error


def weights_source(record: WeightRecord) -> DataSource:
    """Weights as a source: what their network says was learned from their data."""
    return DataSource(f"answers of the network {record.id}", record.licence, record.terms)


def photo_sources(root: Path, photo_sets: Sequence[str]) -> list[DataSource]:
    """Sources of some photo sets and of the landmarks that come with them."""
    return [*(photo_set_source(root, name) for name in photo_sets), LANDMARKS]


def describe_sources(sources: Iterable[DataSource]) -> str:
    """One sentence that names every source once, with its licence."""
    return "; ".join(f"{source.name} ({source.licence})" for source in dict.fromkeys(sources))


def licence_of(sources: Iterable[DataSource]) -> tuple[str, Terms]:
    """Licence, in words and in one word, of weights that learned from some sources: the strictest one's."""
    named = list(dict.fromkeys(sources))

    def names(terms: Terms) -> str:
        return ", ".join(source.name for source in named if source.terms == terms)

    if names("research"):
        return f"non-commercial research, because of: {names('research')}", "research"
    if names("unstated"):
        return f"not stated; it depends on: {names('unstated')}", "unstated"
    if names("credit"):
        return f"Apache-2.0, with credit for: {names('credit')}", "credit"
    return "Apache-2.0", "free"
