"""The albedo of a face model in the open model's atlas."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facelume.face_model import FaceModel
from facelume.face_model.licensed.albedo_maps import AlbedoMaps
from facelume.raster import sample_map
from facelume.registration.wrap import MATCHED_M, Surface, Wrap
from facelume.types import FacePart
from facelume.uv import pull_push, texel_map

_MAP_SIZE = 256
_MAPS_AT_A_TIME = 16


def carry_albedo(
    original: FaceModel, albedo: AlbedoMaps, open_head: FaceModel, wrapped: Wrap, surface: Surface
) -> AlbedoMaps:
    """Read a face model's albedo at every texel of the open model's atlas.

    What the original does not show (eyes, teeth, inner mouth, perhaps ears and scalp) is the open model's
    mean: skin in the tone of the original and changing with it, everything else as it is.

    Args:
        original: The face model.
        albedo: Its albedo, in its own atlas.
        open_head: The open model.
        wrapped: Where the open head lies on the original's mean.
        surface: Skin of that mean.
    """
    texels = texel_map(open_head.topology, _MAP_SIZE)
    is_matched = np.zeros(open_head.num_vertices, bool)
    is_matched[wrapped.matched] = True
    corners = texels.vertex_index.numpy()
    is_known = is_matched[corners].all(axis=-1) & (texels.face_index >= 0).numpy()
    weights = texels.bary_coords[..., None].double().numpy()
    points = (wrapped.vertices[corners] * weights).sum(axis=-2)[is_known]
    is_skin_face = original.topology.face_part == FacePart.SKIN
    face, bary = surface.triangles.closest(points)
    is_near = np.linalg.norm(surface.triangles.at(face, bary) - points, axis=1) < MATCHED_M
    uv_corners = original.topology.uvs[original.topology.uv_faces[is_skin_face][torch.from_numpy(face)]]
    uv = (uv_corners * torch.from_numpy(bary).float()[..., None]).sum(dim=1)
    known = torch.zeros(_MAP_SIZE, _MAP_SIZE)
    place = torch.from_numpy(np.flatnonzero(is_known.reshape(-1)))
    known.view(-1)[place] = torch.from_numpy(is_near).float()
    is_skin = (texels.part == FacePart.SKIN).float()
    known = known * is_skin

    def carried(maps: Float[Tensor, "K 3 s s"]) -> Float[Tensor, "K 3 256 256"]:
        found = torch.zeros(len(maps), 3, _MAP_SIZE**2)
        for first in range(0, len(maps), _MAPS_AT_A_TIME):
            part = maps[first : first + _MAPS_AT_A_TIME]
            read = sample_map(part, uv[None, None].expand(len(part), -1, -1, -1))
            found[first : first + len(part), :, place] = read[:, :, 0]
        return found.unflatten(-1, (_MAP_SIZE, _MAP_SIZE))

    mean, basis = carried(albedo.mean[None])[0], carried(albedo.basis)
    usual = open_head.mean_albedo
    tone = (mean * known).sum((1, 2)) / (usual * known).sum((1, 2)).clamp(min=1e-6)
    elsewhere = usual * (1 + is_skin * (tone[:, None, None] - 1))
    spread = pull_push(basis, known[None, None].expand(len(basis), 1, -1, -1)) * is_skin
    return AlbedoMaps(
        mean=torch.where(known > 0, mean, elsewhere).clamp(0, 1),
        basis=torch.where(known > 0, basis, spread),
    )
