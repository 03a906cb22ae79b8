"""Prepares faces for the refiner: fit the mesh to landmarks, unwrap, fit prior albedo and coarse light."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cattrs
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facelume.camera import CROP_CAMERA, CROP_SIZE_PX, cam_from_model, crop_from_landmarks, sample_crop
from facelume.data.photos import PhotoRecord, load_photo_records, read_parsing_mask
from facelume.data.synthetic.faces import SyntheticFaces, load_environment_maps, stack
from facelume.data.synthetic.scene import SyntheticConfig
from facelume.data.synthetic.skin_detail import procedural_detail
from facelume.face_model import FaceModel
from facelume.fitting.appearance import AlbedoBasis, Appearance, albedo_basis, fit_appearance
from facelume.fitting.landmarks import LandmarkBasis, fit_landmarks, landmark_basis
from facelume.networks.prior import PriorConfig, PriorNetwork
from facelume.raster import geometry_buffers
from facelume.reflectance import linear_from_srgb, srgb_from_linear
from facelume.training.refiner.batches import PreparedFaces
from facelume.training.refiner.config import RefinerDataConfig, RefinerTrainingConfig
from facelume.uv import TexelMap, pose_texels, texel_map, unwrap_crop
from facelume.weights import build_and_load

_NETWORK_START_SHARE = 0.6


@dataclass(frozen=True)
class PreparationTools:
    """What depends on the face model and the atlas size alone.

    Attributes:
        model: The face model.
        landmarks: Its landmark rows.
        albedo: Its first-order albedo.
        texels: Its atlas.
    """

    model: FaceModel
    landmarks: LandmarkBasis
    albedo: AlbedoBasis
    texels: TexelMap


def preparation_tools(model: FaceModel, size: int) -> PreparationTools:
    """Compute the tools for maps of ``size`` texels."""
    return PreparationTools(
        model=model,
        landmarks=landmark_basis(model),
        albedo=albedo_basis(model),
        texels=texel_map(model.topology, size),
    )


@dataclass(frozen=True)
class LabelledCrops:
    """Crops with what is known about them.

    Attributes:
        image_srgb: Contract crops in [0, 1].
        parsing: M_parsing in [0, 1].
        landmarks_px: The 478 points in crop pixels.
        start: Guess of albedo coefficients and light, as a prior network gives it, or None.
        truth_srgb: True albedo where known.
    """

    image_srgb: Float[Tensor, "b 3 224 224"]
    parsing: Float[Tensor, "b 224 224"]
    landmarks_px: Float[Tensor, "b 478 2"]
    start: Appearance | None
    truth_srgb: Float[Tensor, "b 3 t t"] | None


def prepare(crops: LabelledCrops, tools: PreparationTools) -> PreparedFaces:
    """Unwrap crops and fit their prior albedo and coarse light."""
    model = tools.model
    fit = fit_landmarks(tools.landmarks, crops.landmarks_px)
    matrix = cam_from_model(fit.rotvec, fit.translation)
    vertices = model.shape(fit.identity, fit.expression)
    buffers = geometry_buffers(model.topology, vertices, matrix, CROP_CAMERA)
    texels = pose_texels(tools.texels, model.topology, vertices, matrix)
    unwrapped = unwrap_crop(linear_from_srgb(crops.image_srgb), texels, buffers, CROP_CAMERA, crops.parsing)
    appearance = fit_appearance(
        tools.albedo, unwrapped.texture, unwrapped.visibility, texels.normal_light, start=crops.start
    )
    prior = srgb_from_linear(model.albedo_map(appearance.albedo, tools.texels.size))
    truth = torch.zeros_like(prior)
    if crops.truth_srgb is not None:
        truth = functional.interpolate(crops.truth_srgb, size=prior.shape[-2:], mode="area")
    face_mask = (crops.parsing > 0.5) & buffers.face_mask
    return PreparedFaces(
        texture=_bytes(srgb_from_linear(unwrapped.texture)),
        visibility=_bytes(unwrapped.visibility),
        normals=(texels.normal_light * 127).round().to(torch.int8).numpy(),
        prior=_bytes(prior),
        truth=_bytes(truth),
        has_truth=np.full(len(prior), crops.truth_srgb is not None),
        coarse_light=appearance.light.numpy(),
        image=_bytes(crops.image_srgb.movedim(1, -1)),
        face_mask=_bytes(face_mask.float()),
        identity=fit.identity.numpy(),
        expression=fit.expression.numpy(),
        pose=torch.cat([fit.rotvec, fit.translation], -1).numpy(),
    )


def _bytes(values: Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


def crops_from_synthetic(shard: dict[str, np.ndarray], rng: np.random.Generator) -> LabelledCrops:
    """Synthetic crops with the errors that a prior network makes: landmarks, parsing, skin.

    Args:
        shard: See :func:`facelume.data.synthetic.faces.read_shard`.
        rng: Source of the errors.
    """
    count = len(shard["image_srgb"])
    landmarks: np.ndarray = shard["landmarks_px"].astype(np.float32)
    together = rng.normal(0, 0.6, size=(count, 1, 2))
    together = together + rng.normal(0, 0.012, size=(count, 1, 2)) * (landmarks - 112)
    landmarks = landmarks + together + rng.normal(0, 0.6, size=landmarks.shape)
    parsing = torch.from_numpy(shard["parsing"]).float()[:, None] / 255.0
    # A parsing network answers at a quarter of the resolution: strands and thin frames slip through.
    parsing = functional.interpolate(functional.avg_pool2d(parsing, 4), scale_factor=4, mode="bilinear")[:, 0]
    # From a prior network that sees the skin well to one that says nothing but "an average face".
    shrink = rng.choice([0.0, 1.0], p=[0.35, 0.65], size=(count, 1)) * rng.uniform(0.3, 0.95, size=(count, 1))
    coeffs = shard["albedo"] * shrink + rng.uniform(0.05, 0.4) * rng.normal(size=shard["albedo"].shape)
    return LabelledCrops(
        image_srgb=torch.from_numpy(shard["image_srgb"]).movedim(-1, 1).float() / 255.0,
        parsing=parsing,
        landmarks_px=torch.from_numpy(landmarks.astype(np.float32)),
        start=Appearance(torch.from_numpy(coeffs.astype(np.float32)), torch.from_numpy(shard["light_sh"])),
        truth_srgb=torch.from_numpy(shard["albedo_srgb"]).movedim(-1, 1).float() / 255.0,
    )


def crop_of_photo(record: PhotoRecord) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Cut one labelled photo as the contract asks.

    Returns:
        The crop (224, 224, 3) in [0, 1], M_parsing (224, 224) in [0, 1] or None, landmarks in crop pixels.
    """
    transform = crop_from_landmarks(record.landmarks_px[:, :2].astype(np.float64))
    with Image.open(record.path) as picture:
        crop = sample_crop(np.asarray(picture.convert("RGB")), transform)
    parsing = None
    if record.mask_path is not None:
        # The masks lie over their photos at the photos' own size.
        mask = read_parsing_mask(record.mask_path).astype(np.float32)
        parsing = sample_crop(np.repeat(mask[..., None], 3, axis=-1), transform)[..., 0]
    return crop, parsing, transform.to_crop(record.landmarks_px[:, :2].astype(np.float64)).astype(np.float32)


def prepare_all(config: RefinerTrainingConfig, model: FaceModel, batch_size: int = 40) -> None:
    """Draw and prepare every face that a run needs and that its folders do not hold yet."""
    data = config.data
    tools = preparation_tools(model, config.network.map_size)
    prior = None if data.prior_weights is None else _load_prior(data.prior_weights, model)
    maps: list[np.ndarray] = []
    held_out: list[np.ndarray] = []
    if data.environment_maps is not None:
        maps = list(load_environment_maps(data.environment_maps).values())
        held_out = list(load_environment_maps(data.environment_maps, held_out=True).values())
    for folder, lights, count, seed in (
        (data.train_folder, maps, data.num_synthetic, 0),
        (data.validation_folder, held_out, data.num_synthetic_validation, 1),
    ):
        faces = None
        for number in range(math.ceil(count / batch_size)):
            path = folder / f"synthetic_{number:05d}.npz"
            if path.exists():
                continue
            if faces is None:
                faces = SyntheticFaces(
                    model, lights, SyntheticConfig(pigment_fraction=0.5), procedural_detail
                )
            rng = np.random.default_rng([seed, number])
            drawn = stack([faces.draw(rng) for _ in range(min(batch_size, count - number * batch_size))])
            crops = crops_from_synthetic(drawn, rng)
            if prior is not None and rng.random() < _NETWORK_START_SHARE:
                crops = replace(crops, start=network_start(prior, crops.image_srgb))
            prepare(crops, tools).save(path)
    if data.photos is not None:
        _prepare_photos(data, tools, prior, batch_size)


def _load_prior(weights: str, model: FaceModel) -> PriorNetwork:
    def build(config: Mapping[str, Any]) -> PriorNetwork:
        return PriorNetwork(cattrs.Converter(forbid_extra_keys=True).structure(dict(config), PriorConfig))

    network, _ = build_and_load(weights, build, face_model_sha256=model.asset_sha256, atlas_id=model.atlas_id)
    return network.eval()


def network_start(prior: PriorNetwork, image_srgb: Float[Tensor, "b 3 224 224"]) -> Appearance:
    """What the prior network says about albedo and light of crops."""
    with torch.no_grad():
        output = prior(image_srgb)
    return Appearance(output.albedo, output.sh_radiance)


def _prepare_photos(
    data: RefinerDataConfig, tools: PreparationTools, prior: PriorNetwork | None, batch_size: int
) -> None:
    assert data.photos is not None
    records = load_photo_records(data.photos, data.photo_sets)
    usable = [r for r in records if r.mask_path is not None or r.photo_set in data.clear_sets]
    for folder, is_held_out in ((data.train_folder, False), (data.validation_folder, True)):
        chosen = [r for r in usable if r.is_validation == is_held_out]
        for number in range(math.ceil(len(chosen) / batch_size)):
            path = folder / f"photos_{number:05d}.npz"
            if path.exists():
                continue
            part = [crop_of_photo(r) for r in chosen[number * batch_size : (number + 1) * batch_size]]
            bare = np.ones((CROP_SIZE_PX, CROP_SIZE_PX), dtype=np.float32)
            parsing = np.stack([bare if mask is None else mask for _, mask, _ in part])
            images = torch.from_numpy(np.stack([crop for crop, _, _ in part])).movedim(-1, 1)
            crops = LabelledCrops(
                image_srgb=images,
                parsing=torch.from_numpy(parsing),
                landmarks_px=torch.from_numpy(np.stack([points for _, _, points in part])),
                start=None if prior is None else network_start(prior, images),
                truth_srgb=None,
            )
            prepare(crops, tools).save(path)
