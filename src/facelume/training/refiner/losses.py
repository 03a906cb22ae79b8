"""Weights of the refinement losses and their sum for one batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from facelume.losses import refinement, supervised
from facelume.raster import GeometryBuffers, render
from facelume.refinement.refine import RefinerOutput, map_shading
from facelume.reflectance import srgb_from_linear
from facelume.training.refiner.batches import RefinerBatch
from facelume.training.refiner.config import LossWeights
from facelume.uv import resize_map

HIDDEN_SHARE = 0.4
OUTSIDE_SHARE = 0.1


@dataclass(frozen=True)
class Renderings:
    """The two renderings of a batch beside what they should look like; sRGB-encoded.

    Attributes:
        detail: Under the detailed light.
        coarse: Under the coarse light.
        target: The photo.
        mask: Where they are compared.
    """

    detail: Float[Tensor, "b 3 h w"]
    coarse: Float[Tensor, "b 3 h w"]
    target: Float[Tensor, "b 3 h w"]
    mask: Float[Tensor, "b 1 h w"]


def render_in_atlas(
    batch: RefinerBatch, output: RefinerOutput, uv_mask: Float[Tensor, "1 1 s s"]
) -> Renderings:
    """Re-light the albedo texel by texel and compare with the unwrapped photo where it is seen.

    The coarse light casts its shadows here: without them they would be asked of the albedo.
    """
    size = output.albedo.shape[-1]
    maps = batch.maps
    normals = resize_map(maps.normals_light, size)
    coarse = map_shading(resize_map(maps.coarse_map, size), normals)
    return Renderings(
        detail=srgb_from_linear(output.albedo * resize_map(output.shading, size)),
        coarse=srgb_from_linear(output.albedo * coarse),
        target=srgb_from_linear(maps.texture),
        mask=maps.visibility[:, None] * uv_mask,
    )


def render_in_crop(batch: RefinerBatch, output: RefinerOutput, buffers: GeometryBuffers) -> Renderings:
    """Render both lights pixel by pixel and compare with the crop inside M_face (the paper's way)."""
    return Renderings(
        detail=srgb_from_linear(render(buffers, output.albedo, output.light)),
        coarse=srgb_from_linear(render(buffers, output.albedo, batch.maps.coarse_light)),
        target=batch.image_srgb,
        mask=batch.face_mask,
    )


def loss_terms(
    batch: RefinerBatch,
    output: RefinerOutput,
    renderings: Renderings,
    uv_mask: Float[Tensor, "1 1 s s"],
    weights: LossWeights,
) -> dict[str, Float[Tensor, ""]]:
    """Every term with a weight that needs no second network, by name, not weighted yet.

    Args:
        batch: The faces.
        output: What the refinement said.
        renderings: See :func:`render_in_atlas` and :func:`render_in_crop`.
        uv_mask: M_uv at the albedo's size.
        weights: Terms of weight 0 are left out.
    """
    size = output.albedo.shape[-1]
    albedo = srgb_from_linear(output.albedo)
    prior = srgb_from_linear(resize_map(batch.maps.prior_albedo, size))
    light_mask = resize_map(uv_mask, output.light.shape[-1])
    is_covered = (batch.maps.normals_light.abs().sum(dim=1, keepdim=True) > 0).float()
    # Seen skin of the face counts most; ears, neck and scalp a little, so that they keep the skin's tone.
    share = OUTSIDE_SHARE + uv_mask * (HIDDEN_SHARE + (1 - HIDDEN_SHARE) * batch.maps.visibility[:, None])
    is_known = (batch.truth.amax(dim=1, keepdim=True) > 0).float()
    truth_mask = is_covered * share * is_known * batch.has_truth[:, None, None, None]
    photo_mask = renderings.mask * (1.0 - batch.has_truth[:, None, None, None])
    truth = srgb_from_linear(batch.truth)
    coarse_light = batch.maps.coarse_light
    coarse_map = resize_map(batch.maps.coarse_map, output.light.shape[-1])
    terms: dict[str, Callable[[], Tensor]] = {
        "illumination_regularisation": lambda: refinement.illumination_regularisation(
            output.light, coarse_map, light_mask
        ),
        "symmetry": lambda: refinement.symmetry(albedo, uv_mask),
        "albedo_smoothness": lambda: refinement.albedo_smoothness(albedo, prior, uv_mask),
        "prior_l1": lambda: refinement.prior_l1(albedo, prior, uv_mask),
        "image_gradient": lambda: refinement.image_gradient(
            renderings.coarse, renderings.target, renderings.mask
        ),
        "image": lambda: refinement.image(renderings.detail, renderings.target, renderings.mask),
        "coarse_image": lambda: refinement.prior_l1(renderings.coarse, renderings.target, renderings.mask),
        "coarse_detail": lambda: supervised.detail(renderings.coarse, renderings.target, photo_mask),
        "albedo_truth": lambda: supervised.albedo_truth(albedo, truth, truth_mask),
        "albedo_shape": lambda: supervised.albedo_shape(albedo, truth, truth_mask),
        "albedo_detail": lambda: supervised.detail(albedo, truth, truth_mask),
        "same_albedo": lambda: supervised.same_albedo(
            output.albedo, batch.person, uv_mask * resize_map(batch.maps.visibility[:, None], size)
        ),
        "light_smoothness": lambda: supervised.light_smoothness(
            output.light - coarse_map, coarse_light, light_mask
        ),
        "light_hue": lambda: _light_hue(batch, output, light_mask),
        "confidence": lambda: _confidence(batch, output, truth_mask),
    }
    return {name: term() for name, term in terms.items() if getattr(weights, name) > 0}


def _light_hue(batch: RefinerBatch, output: RefinerOutput, mask: Tensor) -> Tensor:
    size = output.shading.shape[-1]
    coarse = map_shading(resize_map(batch.maps.coarse_map, size), batch.maps.normals_light)
    return supervised.light_hue(output.shading, coarse, mask)


def _confidence(batch: RefinerBatch, output: RefinerOutput, mask: Tensor) -> Tensor:
    size = output.confidence_logit.shape[-1]
    error = (output.albedo.detach() - batch.truth).abs().mean(dim=1, keepdim=True)
    return supervised.confidence_bce(output.confidence_logit, resize_map(error, size), resize_map(mask, size))
