"""What each part of the way from photo to albedo is worth: the evaluation with one part left out at a time.

    python benchmarks/ablate_pipeline.py --data DIR --out OUT [--only NAME ...]

``DIR`` is what ``facelume evaluate --data`` reads. Prints one line of JSON for each row: ``everything``, then

- ``tone_of_photo``: the photo's own colour at the usual exposure: no human skin, no tone network;
- ``brightness_of_photo``: the photo's own brightness, in the usual hue of human skin of that brightness;
- ``no_cast_shadows``: lamps shine through the head, only attached shadows remain;
- ``own_shadows``: what the head hides of the lamps follows from each face's own shape, not the mean head's;
- ``own_tone``: the refiner is asked about each skin in its own tone instead of the usual one;
- ``no_refiner``: the albedo and light of the fit;
- ``no_settled_light``: the light of the refiner as it is.

Weights are those of ``FACELUME_WEIGHTS`` or the package.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facelume.evaluation import EvaluationOptions, evaluate
from facelume.fitting.tone_cues import ToneCues
from facelume.networks.refiner import Refiner
from facelume.networks.tone import ToneNetwork
from facelume.networks.unet_refiner import UNetRefiner
from facelume.pipeline import reconstructor
from facelume.refinement import inputs, stage
from facelume.refinement.inputs import FaceInPhoto, InputBasis, PreparedInput, UnwrappedFace
from facelume.refinement.refine import RefinerInput, RefinerOutput, map_shading, refine
from facelume.refinement.tone import ExposureConfig, SkinTone
from facelume.reflectance import human_skin, luminance
from facelume.uv import lamp_visibility, resize_map


def tone_of_photo(_network: ToneNetwork, cues: ToneCues) -> SkinTone:
    """The photo's own colour, as if exposed as usual."""
    config = ExposureConfig()
    shown = torch.log(cues.skin.clamp(min=1e-4)) - config.log_mean
    sigma = torch.full_like(shown[:, 0], config.log_sigma)
    return SkinTone(shown, sigma, torch.full_like(shown, config.log_mean).exp())


def brightness_of_photo(_network: ToneNetwork, cues: ToneCues) -> SkinTone:
    """The photo's own brightness, as if exposed as usual, in the hue that human skin of it has."""
    config = ExposureConfig()
    log_luminance = torch.log(luminance(cues.skin).clamp(min=1e-4)) - config.log_mean
    log_luminance = log_luminance.clamp(*(float(end) for end in human_skin().tone_range))
    judged = human_skin().log_colour(log_luminance, log_luminance.new_zeros(len(log_luminance), 2))
    sigma = torch.full_like(log_luminance, config.log_sigma)
    return SkinTone(judged, sigma, cues.skin.clamp(min=1e-4) / torch.exp(judged))


def seen_through_the_head(*arguments: Any, **options: Any) -> Float[Tensor, "L s s"]:
    """Every texel sees every lamp."""
    return torch.ones_like(lamp_visibility(*arguments, **options))


class OwnShadows:
    """Lamps are hidden by the shape and expression of the face that was unwrapped last."""

    def unwrap_face(self, face: FaceInPhoto, basis: InputBasis) -> UnwrappedFace:
        """Unwrap a face and remember its shape."""
        self._vertices = face.vertices[0]
        return inputs.unwrap_face(face, basis)

    def prepare_input(
        self, unwrapped: UnwrappedFace, basis: InputBasis, tone_network: ToneNetwork
    ) -> PreparedInput:
        """Prepare it with what its own head hides."""
        hidden = lamp_visibility(basis.model.topology, self._vertices, basis.lamps, basis.albedo.size)
        return inputs.prepare_input(unwrapped, replace(basis, lamp_visibility=hidden), tone_network)


_OWN_SHADOWS = OwnShadows()


def refine_in_own_tone(
    refiner: nn.Module, maps: RefinerInput, _tone: SkinTone, _toned: Float[Tensor, "p p"]
) -> RefinerOutput:
    """The refiner sees the skin as it is."""
    return refine(refiner, maps)


def keep_the_fit(
    refiner: Refiner | UNetRefiner, maps: RefinerInput, _tone: SkinTone, _toned: Float[Tensor, "p p"]
) -> RefinerOutput:
    """The albedo and light of the fit."""
    size = refiner.config.map_size
    light, albedo = resize_map(maps.coarse_map, size), resize_map(maps.prior_albedo, size)
    unknown = torch.zeros_like(albedo[:, :1])
    shading = map_shading(light, maps.normals_light)
    whole = resize_map(maps.prior_albedo, maps.texture.shape[-1])
    return RefinerOutput(whole, light, unknown, unknown + 0.5, albedo, unknown, shading)


def keep_the_light(light: Float[Tensor, "b 27 m m"], *_others: Tensor) -> Float[Tensor, "b 27 m m"]:
    """The light as it is."""
    return light


ROWS: Mapping[str, tuple[tuple[object, str, Callable[..., Any]], ...]] = {
    "everything": (),
    "tone_of_photo": ((inputs, "estimate_tone", tone_of_photo),),
    "brightness_of_photo": ((inputs, "estimate_tone", brightness_of_photo),),
    "no_cast_shadows": ((inputs, "lamp_visibility", seen_through_the_head),),
    "own_shadows": (
        (reconstructor, "unwrap_face", _OWN_SHADOWS.unwrap_face),
        (reconstructor, "prepare_input", _OWN_SHADOWS.prepare_input),
    ),
    "own_tone": ((stage, "refine_in_usual_tone", refine_in_own_tone),),
    "no_refiner": ((stage, "refine_in_usual_tone", keep_the_fit),),
    "no_settled_light": ((stage, "settle_light", keep_the_light),),
}
"""What each row puts in the place of what."""


@contextmanager
def without(row: str) -> Iterator[None]:
    """Leaves a part out."""
    with ExitStack() as stack:
        for module, name, replacement in ROWS[row]:
            stack.enter_context(patch.object(module, name, replacement))
        yield


def figures(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures of an evaluation that the parts are there for."""
    everyone = summary["all"]
    found = {"od_db": everyone["detail"]["psnr_db"]["mean"], "oc_db": everyone["coarse"]["psnr_db"]["mean"]}
    albedo = everyone.get("albedo", {})
    for key in ("error", "absolute_error", "ita_error_deg"):
        if key in albedo:
            found[key] = albedo[key]["mean"]
    for axis, fit in (everyone.get("tie_break") or {}).items():
        if fit is not None:
            found[f"{axis}_a"], found[f"{axis}_b"] = fit["truth_weight"], fit["photo_weight"]
    groups = [part["groups"] for part in summary["sets"].values() if part.get("groups")]
    if len(groups) == 1:
        (group,) = groups
        found["spread_log_luminance"] = group["spread"]["log_luminance"]["ours"]
        found["within_over_between"] = group["albedo_distance"]["ratio"]
        found["cross_light_db"] = group["cross_light"]["psnr_db"]["mean"]
    return {name: round(float(value), 4) for name, value in found.items() if value is not None}


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="photos, as facelume evaluate reads them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the evaluations, one each")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="rows to measure")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    for row in arguments.only:
        with without(row):
            summary = evaluate(arguments.data, arguments.out / row, EvaluationOptions())
        print(json.dumps({"row": row} | figures(summary)), flush=True)


if __name__ == "__main__":
    main()
