"""Normals of triangle meshes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def triangle_normals(
    vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]
) -> Float[Tensor, "*batch F 3"]:
    """Unnormalised normal of each triangle: length is twice its area, direction is outside.

    Outside is the side from which the corners run counter-clockwise (right-handed axes).
    """
    origin = vertices.index_select(-2, faces[:, 0])
    first_edge = vertices.index_select(-2, faces[:, 1]) - origin
    second_edge = vertices.index_select(-2, faces[:, 2]) - origin
    return torch.cross(first_edge, second_edge, dim=-1)


def vertex_normals(
    vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]
) -> Float[Tensor, "*batch V 3"]:
    """Unit normal of each vertex: the area-weighted mean over its triangles, in the frame of the vertices.

    A vertex without a triangle (or with degenerate ones only) gets the zero vector. Differentiable.
    """
    weighted = triangle_normals(vertices, faces)
    total = torch.zeros_like(vertices)
    for corner in range(3):
        total = total.index_add(-2, faces[:, corner], weighted)
    length_squared = (total * total).sum(dim=-1, keepdim=True)
    # Triangles here are down to 1e-8 m^2, so the guard against zero must be far below that squared.
    is_degenerate = length_squared < 1e-36
    length = torch.sqrt(torch.where(is_degenerate, torch.ones_like(length_squared), length_squared))
    return torch.where(is_degenerate, torch.zeros_like(total), total / length)
