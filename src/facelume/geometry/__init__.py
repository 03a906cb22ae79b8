"""Rotations, vertex normals, similarity alignment, boxes and the scheme of the face's landmarks."""

from facelume.geometry.boxes import box_area, box_centre, box_iou, box_size, shared_area
from facelume.geometry.closest import TriangleSurface, closest_on_triangles
from facelume.geometry.face_mesh import five_points, mesh_box
from facelume.geometry.normals import triangle_normals, vertex_normals
from facelume.geometry.rotation import rotation_from_rotvec, rotvec_from_rotation
from facelume.geometry.similarity import Similarity, similarity_from_points

__all__ = [
    "Similarity",
    "TriangleSurface",
    "box_area",
    "box_centre",
    "box_iou",
    "box_size",
    "closest_on_triangles",
    "five_points",
    "mesh_box",
    "rotation_from_rotvec",
    "rotvec_from_rotation",
    "shared_area",
    "similarity_from_points",
    "triangle_normals",
    "vertex_normals",
]
