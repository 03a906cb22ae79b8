"""Rotations, vertex normals and similarity alignment."""

from facelume.geometry.normals import triangle_normals, vertex_normals
from facelume.geometry.rotation import rotation_from_rotvec, rotvec_from_rotation
from facelume.geometry.similarity import Similarity, similarity_from_points

__all__ = [
    "Similarity",
    "rotation_from_rotvec",
    "rotvec_from_rotation",
    "similarity_from_points",
    "triangle_normals",
    "vertex_normals",
]
