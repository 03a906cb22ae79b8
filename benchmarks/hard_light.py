"""Finding faces under hard light: how many are found, how many of those are aligned to half a face.

    python benchmarks/hard_light.py --laboratory data/light_groups/laboratory --photos data/faces \
        --maps data/lights/environment_maps.npz --heads 100

Prints one JSON object with an entry per set:

- ``laboratory``: photos of people under one lamp (``PERSON/az+070_el-35.jpg``: degrees, 0 is at the
  camera), and ``laboratory_side``, those of them whose lamp stands 70 degrees or more to the side. A person
  holds still while the lamps change: the landmarks under the frontal lamp are the reference of all;
- ``photos``: validation photos as they are; ``half_black``: every second of them, black beyond the middle of
  the face; ``nearly_black``: the same photos at 1/300 of their light; landmarks as published with the photos;
- ``heads``: synthetic faces under one hard lamp, stage lamps or from behind; landmarks exact;
- ``faceless``: the borders of every third photo, that photo with its face painted over, and environment maps,
  each as it is and at 1/300 of its light.

A face that is found further than 5 % of its size (NME) from the reference is ``half_aligned``;
``nme_percent`` is the mean of the others. ``find_s`` are seconds until a found face is aligned, median and
90th percentile.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from facelume.data.photos import PhotoRecord, load_photo_records
from facelume.data.synthetic import (
    LightConfig,
    LightKinds,
    SyntheticConfig,
    SyntheticFaces,
    load_environment_maps,
)
from facelume.detection import NetworkLocator
from facelume.errors import NoFaceError
from facelume.face_model import load_open_face_model
from facelume.fitting import landmark_basis
from facelume.geometry import mesh_box
from facelume.geometry.face_mesh import CHIN, NOSE_BRIDGE
from facelume.io.photo import read_photo
from facelume.metrics import normalised_mean_error
from facelume.pipeline.finding import FaceFinder
from facelume.pipeline.timing import StageTimer
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.training.locator.backgrounds import faceless_windows, load_environment_pictures
from facelume.training.prior.export import load_prior

HALF_ALIGNED_NME = 0.05
SIDE_DEG = 70
DIM = 1 / 300
SHADOW_EDGE = 0.01
"""Softness of the edge of black, in units of the way from the bridge of the nose to the chin."""
FRONTAL = "az+000_el+00.jpg"
Picture = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True, eq=False)
class Case:
    """A picture, and where its face is; without landmarks there is none."""

    name: str
    picture: Picture
    landmarks_px: Float[np.ndarray, "478 2"] | None


@dataclass(frozen=True)
class Answer:
    """What became of a case: NME and seconds are None where nothing was found or there is no face."""

    name: str
    is_found: bool
    nme: float | None
    find_s: float | None


def face_finder() -> FaceFinder:
    """The finder of the package, with its networks and its face model."""
    model = load_open_face_model()
    prior, _ = load_prior("prior", model)
    return FaceFinder(NetworkLocator.load(), prior, landmark_basis(model), with_coefficients=True)


def find(finder: FaceFinder, case: Case) -> Answer:
    """Look for the face of a picture."""
    timer = StageTimer()
    try:
        (face,) = finder.find(case.picture, timer, only_largest=True)
    except NoFaceError:
        return Answer(case.name, is_found=False, nme=None, find_s=None)
    found_px = face.landmarks_photo_px().astype(np.float64)
    nme = None if case.landmarks_px is None else float(normalised_mean_error(found_px, case.landmarks_px))
    return Answer(case.name, is_found=True, nme=nme, find_s=sum(timer.seconds.values()))


def laboratory(folder: Path, finder: FaceFinder) -> Iterator[Case]:
    """All photos of the laboratory; a person whose face is not found under the frontal lamp ends the run."""
    for person in sorted(path for path in folder.iterdir() if path.is_dir()):
        frontal = read_photo(person / FRONTAL).srgb
        (reference,) = finder.find(frontal, StageTimer(), only_largest=True)
        for path in sorted(person.glob("*.jpg")):
            landmarks_px = reference.landmarks_photo_px().astype(np.float64)
            yield Case(f"{person.name}/{path.name}", read_photo(path).srgb, landmarks_px)


def side_deg(name: str) -> int:
    """How far to the side the lamp of a laboratory photo stands."""
    azimuth = re.search(r"az([+-]\d+)_", name)
    assert azimuth is not None, name
    return abs(int(azimuth[1]))


def validation_records(root: Path, number: int) -> list[PhotoRecord]:
    """So many validation photos, as many of each set where it has them."""
    by_set: dict[str, list[PhotoRecord]] = {}
    for record in load_photo_records(root):
        if record.is_validation:
            by_set.setdefault(record.photo_set, []).append(record)
    ranked = sorted(chain(*(enumerate(records) for records in by_set.values())), key=lambda pair: pair[0])
    return [record for _, record in ranked[:number]]


def dimmed(picture: Picture, factor: Float[Tensor, "H W 1"] | float) -> Picture:
    """The picture with its light multiplied."""
    linear = linear_from_srgb(torch.tensor(picture).float() / 255) * factor
    return np.rint(255 * srgb_from_linear(linear).numpy()).astype(np.uint8)


def half_black(case: Case) -> Case:
    """The picture black on one side of the line from the bridge of the nose to the chin, by turns."""
    points_px = case.landmarks_px
    assert points_px is not None
    down = points_px[CHIN] - points_px[NOSE_BRIDGE]
    side = np.array([-down[1], down[0]]) / np.linalg.norm(down) * (1 if len(case.name) % 2 else -1)
    rows, columns = np.mgrid[: case.picture.shape[0], : case.picture.shape[1]] + 0.5
    away_px = (np.stack([columns, rows], axis=-1) - points_px[NOSE_BRIDGE]) @ side
    lit = 1 / (1 + np.exp(np.clip(away_px / (SHADOW_EDGE * np.linalg.norm(down)), -50, 50)))
    return Case(case.name, dimmed(case.picture, torch.from_numpy(lit).float()[..., None]), points_px)


def nearly_black(case: Case) -> Case:
    """The whole picture dark."""
    return Case(case.name, dimmed(case.picture, DIM), case.landmarks_px)


def photo_cases(records: Iterable[PhotoRecord]) -> Iterator[Case]:
    """Photos as they are."""
    for record in records:
        name = f"{record.photo_set}/{record.path.name}"
        yield Case(name, read_photo(record.path).srgb, record.landmarks_px[:, :2].astype(np.float64))


def heads(number: int, maps: Path, seed: int) -> Iterator[Case]:
    """Synthetic faces under hard light."""
    shares = dict.fromkeys(("environment", "studio", "sun", "window", "flash"), 0.0)
    light = LightConfig(kinds=LightKinds(**shares, lamp=0.5, stage=0.25, backlight=0.25))
    behind = list(load_environment_maps(maps, held_out=True).values())
    faces = SyntheticFaces(load_open_face_model(), behind, SyntheticConfig(light=light))
    rng = np.random.default_rng(seed)
    for index in range(number):
        face = faces.draw(rng)
        yield Case(f"head {index}", face.image_srgb, face.landmarks_px.astype(np.float64))


def faceless(records: Iterable[PhotoRecord], maps: Path) -> Iterator[Case]:
    """Pictures without a face, as they are and dark."""
    for name, picture in chain(_faceless_photos(records), _views(maps)):
        yield Case(name, picture, None)
        yield Case(f"{name}, dark", dimmed(picture, DIM), None)


def _faceless_photos(records: Iterable[PhotoRecord]) -> Iterator[tuple[str, Picture]]:
    for record in records:
        for window in faceless_windows(record):
            yield f"border of {record.path.name}", window
        with Image.open(record.path) as file:
            painted = np.asarray(file.convert("RGB")).copy()
        low, high = np.split(mesh_box(record.landmarks_px), 2)
        margin = 0.1 * (high - low)
        left, top = (int(edge) for edge in (low - margin).clip(0))
        right, bottom = (int(edge) for edge in high + margin)
        painted[top:bottom, left:right] = painted[top:bottom, left:right].mean(axis=(0, 1))
        yield f"painted {record.path.name}", painted


def _views(maps: Path) -> Iterator[tuple[str, Picture]]:
    with np.load(maps, allow_pickle=False) as archive:
        names = tuple(archive.files)
    for index, picture in enumerate(load_environment_pictures(maps, names)):
        yield f"map {names[index // 2]}", picture


def figures(answers: list[Answer]) -> dict[str, Any]:
    """Counts and means of a set."""
    found = [answer for answer in answers if answer.is_found]
    errors = {answer.name: answer.nme for answer in found if answer.nme is not None}
    rightly = {name: error for name, error in errors.items() if error <= HALF_ALIGNED_NME}
    seconds = [answer.find_s for answer in found if answer.find_s is not None]
    return {
        "pictures": len(answers),
        "found": len(found),
        "rightly_aligned": len(rightly),
        "half_aligned": [name for name in errors if name not in rightly],
        "refused": [answer.name for answer in answers if not answer.is_found],
        "nme_percent": round(100 * statistics.fmean(rightly.values()), 2) if rightly else None,
        "find_s": np.quantile(seconds, (0.5, 0.9)).round(3).tolist() if seconds else None,
    }


def figures_of_faceless(answers: list[Answer]) -> dict[str, Any]:
    """Count of pictures, and the names of those with a face nevertheless."""
    return {"pictures": len(answers), "false_faces": [answer.name for answer in answers if answer.is_found]}


def command_line() -> argparse.ArgumentParser:
    """The parser of this benchmark's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--laboratory", type=Path, help="folder of people under single lamps")
    parser.add_argument("--photos", type=Path, help="folder of photo sets with landmarks")
    parser.add_argument("--num-photos", type=int, default=150, help="validation photos")
    parser.add_argument("--maps", type=Path, help="environment maps (.npz): for heads and as pictures")
    parser.add_argument("--heads", type=int, default=0, help="synthetic faces; needs --maps")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic faces")
    return parser


def main() -> None:
    """Run the benchmark."""
    parser = command_line()
    arguments = parser.parse_args()
    if arguments.heads and arguments.maps is None:
        parser.error("--heads needs --maps")
    finder = face_finder()
    result: dict[str, Any] = {}

    @torch.inference_mode()
    def measure(cases: Iterable[Case]) -> list[Answer]:
        return [find(finder, case) for case in cases]

    if arguments.laboratory is not None:
        answers = measure(laboratory(arguments.laboratory, finder))
        result["laboratory"] = figures(answers)
        result["laboratory_side"] = figures([a for a in answers if side_deg(a.name) >= SIDE_DEG])
    records = []
    if arguments.photos is not None:
        records = validation_records(arguments.photos, arguments.num_photos)
        result["photos"] = figures(measure(photo_cases(records)))
        darken: Callable[[Case], Case]
        for darken in (half_black, nearly_black):
            result[darken.__name__] = figures(measure(map(darken, photo_cases(records[::2]))))
    if arguments.maps is not None:
        result["faceless"] = figures_of_faceless(measure(faceless(records[::3], arguments.maps)))
    if arguments.heads:
        result["heads"] = figures(measure(heads(arguments.heads, arguments.maps, arguments.seed)))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
