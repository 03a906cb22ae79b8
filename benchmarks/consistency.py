"""Why one person's albedo differs from photo to photo: by what scale, and what several known lamps reach.

    python benchmarks/consistency.py --evaluation OUT [--laboratory data/light_groups/laboratory]

``OUT`` is a finished ``facelume evaluate`` of groups. Prints one JSON object for each set of it:

- ``within``, ``between``: root mean square difference of two albedos of one person, of two people, each
  divided by its mean (as ``albedo_distance``), split into ``hue`` (one colour for the whole face), ``low``
  (more than about 6 texels of 128), ``middle`` (2 to 6) and ``high``;

and with ``--laboratory``, whose people ``OUT`` must hold with their frontal photos found:

- ``stereo``: the ``albedo_distance`` of photometric stereo from every second lamp to that from the other
  lamps, the lamps known, within and between people: what single photos are measured against.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from facelume.camera import CROP_CAMERA, CropTransform, sample_crop
from facelume.evaluation.groups import DISTANCE_SIZE, LEAST_SHARED_SHARE, result_folder
from facelume.evaluation.skin import SEEN, VisibleSkin, read_visible_skin
from facelume.face_model import load_open_face_model
from facelume.metrics import albedo_distance
from facelume.pipeline import read_result
from facelume.training.refiner.laboratory import LampPhotos, photos_of, stereo_of
from facelume.uv import pose_texels, resize_map, texel_map, unwrap_crop

LOW_TEXELS, MIDDLE_TEXELS = 6.0, 2.0
MAX_PAIRS = 1500
_BRIGHTEST_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Seen:
    """What one photo shows of a person."""

    person: str
    set_name: str
    name: str
    skin: VisibleSkin


def read_seen(out: Path) -> list[Seen]:
    """Every found photo of a person of an evaluation."""
    model = load_open_face_model()
    rows = [json.loads(line) for line in (out / "photos.jsonl").read_text().splitlines()]
    return [
        Seen(
            row["person"],
            row["set"],
            row["name"],
            read_visible_skin(result_folder(out, row["set"], row["name"]), model, DISTANCE_SIZE),
        )
        for row in rows
        if row.get("found") and "person" in row
    ]


def scales(first: Seen, second: Seen) -> dict[str, float]:
    """Mean squares of the difference of two albedos, by scale, where both show bare skin."""
    mask = first.skin.mask & second.skin.mask
    albedos = [seen.skin.albedo_linear / seen.skin.albedo_linear[mask].mean() for seen in (first, second)]
    difference = albedos[0] - albedos[1]
    hue = difference[mask].mean(axis=0)
    rest = difference - hue
    low = _blurred(rest, mask, LOW_TEXELS)
    middle = _blurred(rest, mask, MIDDLE_TEXELS) - low
    parts = {"all": difference, "low": low, "middle": middle, "high": rest - low - middle}
    squares = {name: float(np.mean(part[mask] ** 2)) for name, part in parts.items()}
    return squares | {"hue": float(np.mean(hue**2))}


def _blurred(
    values: Float[np.ndarray, "S S 3"], mask: Bool[np.ndarray, "S S"], sigma: float
) -> Float[np.ndarray, "S S 3"]:
    weight = mask.astype(np.float64)[..., None]
    blur = (sigma, sigma, 0)
    return gaussian_filter(values * weight, blur) / np.maximum(gaussian_filter(weight, blur), 1e-3)


def by_scale(pairs: Sequence[tuple[Seen, Seen]]) -> dict[str, float] | None:
    """Root mean squares over pairs that share enough, some of them where there are many; None for no pair."""
    if len(pairs) > MAX_PAIRS:
        chosen = np.random.default_rng(0).choice(len(pairs), MAX_PAIRS, replace=False)
        pairs = [pairs[k] for k in chosen]
    least = LEAST_SHARED_SHARE * _face_skin().sum()
    rows = [scales(a, b) for a, b in pairs if (a.skin.mask & b.skin.mask).sum() >= least]
    if not rows:
        return None
    return {name: round(float(np.sqrt(np.mean([row[name] for row in rows]))), 3) for name in rows[0]}


def _face_skin() -> Bool[np.ndarray, "S S"]:
    return load_open_face_model().uv_mask("skin", DISTANCE_SIZE).numpy(force=True) > SEEN


def split_by_scale(seen: Sequence[Seen]) -> dict[str, Any]:
    """See the module."""
    pairs = list(itertools.combinations(seen, 2))
    return {
        "photos": len(seen),
        "within": by_scale([(a, b) for a, b in pairs if a.person == b.person]),
        "between": by_scale([(a, b) for a, b in pairs if a.person != b.person]),
    }


def stereo_halves(out: Path, seen: Sequence[Seen], laboratory: Path) -> dict[str, Any]:
    """See the module."""
    frontal = {s.person: s for s in seen if Path(s.name).stem == "az+000_el+00"}
    found = []
    for person, photo in sorted(frontal.items()):
        photos = photos_of(laboratory / person)
        halves = [_stereo_in_atlas(out, photo, photos, start) for start in (0, 1)]
        found.append((halves, photo.skin.mask))
    within = [albedo_distance(halves[0], halves[1], mask) for halves, mask in found]
    between = [
        albedo_distance(a[0], b[1], mask & other)
        for (a, mask), (b, other) in itertools.permutations(found, 2)
    ]
    means = float(np.mean(within)), float(np.mean(between))
    return {
        "people": len(found),
        "within": round(means[0], 3),
        "between": round(means[1], 3),
        "ratio": round(means[0] / means[1], 3),
    }


def _stereo_in_atlas(out: Path, frontal: Seen, photos: LampPhotos, start: int) -> Float[np.ndarray, "S S 3"]:
    """Photometric stereo of every second lamp, unwrapped by the fit of the frontal photo."""
    model = load_open_face_model()
    chosen = slice(start, None, 2)
    half = LampPhotos(photos.person, photos.paths[chosen], photos.directions[chosen])
    albedo = stereo_of(half).albedo.numpy()
    albedo = (albedo / np.percentile(albedo, _BRIGHTEST_PERCENTILE)).clip(0, 1)
    folder = result_folder(out, frontal.set_name, frontal.name)
    document = json.loads((folder / "result.json").read_text())
    crop = CropTransform(np.array(document["crop"]["photo_from_crop"], np.float64))
    posed = read_result(folder).posed
    topology = model.topology
    texels = pose_texels(texel_map(topology, 256), topology, posed.vertices[None], posed.cam_from_model[None])
    picture = sample_crop(np.repeat(albedo[..., None], 3, axis=-1).astype(np.float32), crop)
    maps = torch.from_numpy(picture).permute(2, 0, 1)[None]
    everywhere = torch.ones(1, CROP_CAMERA.height_px, CROP_CAMERA.width_px)
    unwrapped = unwrap_crop(maps, texels, posed.crop_buffers, CROP_CAMERA, everywhere)
    return resize_map(unwrapped.texture, DISTANCE_SIZE)[0].permute(1, 2, 0).numpy()


def reports(out: Path, laboratory: Path | None) -> Iterator[dict[str, Any]]:
    """One report for each set."""
    everyone = read_seen(out)
    for set_name in sorted({s.set_name for s in everyone}):
        seen = [s for s in everyone if s.set_name == set_name]
        report = {"set": set_name} | split_by_scale(seen)
        if laboratory is not None:
            report["stereo"] = stereo_halves(out, seen, laboratory)
        yield report


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluation", type=Path, required=True, help="folder of facelume evaluate --out")
    parser.add_argument("--laboratory", type=Path, help="folder of the photos that it measured")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    for report in reports(arguments.evaluation, arguments.laboratory):
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
