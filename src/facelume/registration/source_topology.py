"""A reconstructed face on the mesh and atlas that its face model has of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from facelume.face_model import FaceModel
from facelume.geometry import TriangleSurface, vertex_normals
from facelume.raster import sample_map
from facelume.types import EYE_PARTS, FacePart, Mesh, lock_arrays
from facelume.uv import texel_map


@dataclass(frozen=True, eq=False)
class SourceMesh:
    """A face with the vertices, triangles and atlas of its model's official files.

    Attributes:
        mesh: With expression; metres, axes of :class:`~facelume.face_model.FaceModel`, in the files' order.
        normals: Unit normal of each vertex.
        face_part: :class:`~facelume.types.FacePart` of each triangle.
        albedo: Linear Rec.709 albedo in [0, 1] in the model's own atlas, origin top-left.
    """

    mesh: Mesh
    normals: Float[np.ndarray, "V 3"]
    face_part: Int[np.ndarray, " F"]
    albedo: Float[np.ndarray, "S S 3"]

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        lock_arrays(self)


class SourceTopology:
    """Takes faces from the open model's head back to the model's own mesh.

    Args:
        original: The model with its own mesh.
        registered: The same model on the open head; on the CPU.
    """

    def __init__(self, original: FaceModel, registered: FaceModel) -> None:
        self._original, self._registered = original, registered
        self._face, self._bary = self._nearest(
            original.mean_shape.double().numpy(), _parts_of_vertices(original)
        )

    def face(
        self,
        identity: Float[Tensor, " I"],
        expression: Float[Tensor, " E"],
        albedo: Float[np.ndarray, "S S 3"],
    ) -> SourceMesh:
        """A face on the model's own mesh; its albedo goes to the model's own atlas.

        Where the model has no expressions of its own, each vertex moves with the place of the open head that
        it lies nearest to.

        Args:
            identity: Coefficients of the model.
            expression: Likewise; of the open model where the model has none.
            albedo: Linear albedo in the open model's atlas.
        """
        identity, expression = identity.cpu(), expression.cpu()
        original, registered = self._original, self._registered
        if original.num_expression:
            vertices = original.shape(identity, expression)
        else:
            moved = registered.shape(identity, expression) - registered.neutral(identity)
            corners = registered.topology.faces[torch.from_numpy(self._face)]
            weights = torch.from_numpy(self._bary).to(moved)
            none = identity.new_zeros(0)
            vertices = original.shape(identity, none) + (moved[corners] * weights[..., None]).sum(dim=1)
        topology = original.topology
        mesh = Mesh(
            vertices=vertices.numpy().astype(np.float32),
            faces=topology.faces.numpy(),
            uvs=topology.uvs.numpy().astype(np.float32),
            uv_faces=topology.uv_faces.numpy(),
        )
        normals = vertex_normals(vertices, topology.faces).numpy().astype(np.float32)
        return SourceMesh(mesh, normals, topology.face_part.numpy().astype(np.int64), self._albedo(albedo))

    def _albedo(self, albedo: Float[np.ndarray, "S S 3"]) -> Float[np.ndarray, "S S 3"]:
        uv = self._open_uv(len(albedo))
        carried = sample_map(torch.from_numpy(albedo.copy()).permute(2, 0, 1)[None], uv[None])
        return np.ascontiguousarray(carried[0].permute(1, 2, 0).numpy())

    @lru_cache(maxsize=1)  # noqa: B019 - one object lives as long as its reconstructor
    def _open_uv(self, size: int) -> Float[Tensor, "{size} {size} 2"]:
        """Where in the open model's atlas each texel of the model's own atlas lies; 0 beyond its charts."""
        original, registered = self._original, self._registered
        texels = texel_map(original.topology, size)
        is_used = (texels.face_index >= 0).numpy()
        mean = original.mean_shape.double()
        points = (mean[texels.vertex_index] * texels.bary_coords[..., None]).sum(dim=-2).numpy()
        face, bary = self._nearest(points[is_used], texels.part.numpy()[is_used])
        corners = registered.topology.uvs[registered.topology.uv_faces[torch.from_numpy(face)]]
        uv = torch.zeros(size, size, 2)
        uv[torch.from_numpy(is_used)] = (corners * torch.from_numpy(bary).float()[..., None]).sum(dim=1)
        return uv

    def _nearest(
        self, points: Float[np.ndarray, "P 3"], part: Int[np.ndarray, " P"]
    ) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 3"]]:
        """Triangle and barycentrics on the open head: an eyeball's on the same eyeball."""
        mean = self._registered.mean_shape.double().numpy()
        faces = self._registered.topology.faces.numpy()
        open_part = self._registered.topology.face_part.numpy()
        face, bary = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
        for parts in (*((eye,) for eye in EYE_PARTS), tuple(p for p in FacePart if p not in EYE_PARTS)):
            mine = np.isin(part, parts)
            if mine.any():
                theirs = np.flatnonzero(np.isin(open_part, parts))
                found, bary[mine] = TriangleSurface(mean[faces[theirs]]).closest(points[mine])
                face[mine] = theirs[found]
        return face, bary


def _parts_of_vertices(model: FaceModel) -> Int[np.ndarray, " V"]:
    part = np.full(model.num_vertices, int(FacePart.SKIN))
    faces = model.topology.faces.numpy()
    part[faces.reshape(-1)] = model.topology.face_part.numpy().astype(int).repeat(3)
    return part
