"""Which distant lamps the texels of a head see past the head itself."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from facelume.geometry import vertex_normals
from facelume.raster.shadow import directional_visibility
from facelume.types import Topology
from facelume.uv.texels import interpolate_texels, texel_map

PENUMBRA_M = 0.004
"""Radius of the penumbra: a lamp stands for a patch of the sphere, and a fitted shape is not exact."""


@torch.no_grad()
def lamp_visibility(
    topology: Topology,
    vertices: Float[Tensor, "V 3"],
    directions: Float[Tensor, "L 3"],
    size: int,
    *,
    penumbra_m: float = PENUMBRA_M,
) -> Float[Tensor, "L {size} {size}"]:
    """Share of each lamp that each texel sees, [0, 1]; 0 where the surface turns away, and beyond the charts.

    Args:
        topology: Triangles and atlas.
        vertices: Positions, metres.
        directions: Towards the lamps, in the axes of the vertices.
        size: Texels along an edge.
        penumbra_m: Radius of the penumbra, metres.
    """
    texels = texel_map(topology, size)
    normals = vertex_normals(vertices[None], topology.faces)
    spread = interpolate_texels(texels, torch.cat([vertices[None], normals], dim=-1))[0].flatten(1).T
    covered = (texels.part >= 0).flatten()
    seen = vertices.new_zeros(len(directions), size * size)
    points, normal = spread[covered, :3], torch.nn.functional.normalize(spread[covered, 3:], dim=-1)
    for row, direction in zip(seen, directions, strict=True):
        row[covered] = directional_visibility(
            vertices, topology.faces, points, normal, direction, softness_m=penumbra_m
        )
    return seen.unflatten(1, (size, size))
