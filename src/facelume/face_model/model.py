"""The linear face model: coefficients in, head mesh, landmarks, albedo and masks out."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from facelume.errors import AssetError, UsageError
from facelume.types import LandmarkEmbedding, Topology
from facelume.uv.resize import resize_map


@runtime_checkable
class AlbedoSpace(Protocol):
    """Albedo of the whole atlas as a function of coefficients (standard deviations)."""

    @property
    def num_components(self) -> int:
        """Number of coefficients."""

    def map(
        self, coefficients: Float[Tensor, "*batch A"], size: int
    ) -> Float[Tensor, "*batch 3 {size} {size}"]:
        """Linear Rec.709 albedo in [0, 1]."""

    def to(self, device: torch.device | str) -> AlbedoSpace:
        """The same albedo with every tensor on ``device``."""


@dataclass(frozen=True, eq=False)
class LinearShape:
    """Mean and bases on the control mesh, metres, model axes.

    Attributes:
        mean: Control positions at zero coefficients.
        basis: Offsets, identity (one standard deviation each) first, then expressions (at 1).
        subdivision: Sparse COO matrix from control vertices to mesh vertices; rows sum to 1.
    """

    mean: Float[Tensor, "Nc 3"]
    basis: Float[Tensor, "K Nc 3"]
    subdivision: Tensor


@dataclass(frozen=True, eq=False)
class Symmetry:
    """What the left-right mirror does to coefficients.

    Attributes:
        identity_sign: +1 for a mirror-symmetric component, -1 for an odd one.
        expression_partner: Index of the expression on the other side; an involution.
    """

    identity_sign: Float[Tensor, " I"]
    expression_partner: Int[Tensor, " E"]


@dataclass(frozen=True, eq=False)
class FaceModel:
    """A head that is linear in identity and expression, with a texture atlas and an albedo basis.

    Model axes: +X the subject's left, +Y up, +Z where the face looks; metres; the origin lies 5 cm behind the
    middle between the eyeballs of the mean. Identity and albedo coefficients are in standard deviations,
    expressions in [0, 1] with their ARKit names. A licensed model may lack symmetry, landmarks or
    albedo: they are ``None``, and what needs them raises :class:`AssetError`.

    Attributes:
        name: Name of the model, for instance ``open``.
        asset_sha256: SHA-256 over the bytes of the asset files: networks are bound to it.
        atlas_id: Short hash of the atlas (``uvs`` and ``uv_faces``): textures and networks are bound to it.
        licence: Licence and source of the data, one line.
        num_identity: Number of identity coefficients.
        expression_names: ARKit name of each expression coefficient; ``expression_000``, ... if statistical.
        topology: Triangles, atlas, parts and left-right pairs.
        linear: Mean and bases on the control mesh.
        symmetry: What the mirror does to coefficients.
        landmarks478: The 478 MediaPipe face mesh points on the surface; 468-477 are the irises, 468-472 of
            the subject's right eye.
        landmarks68: iBUG-68 points on the surface.
        uv_masks: Region masks by name, 256x256, in [0, 1]; see :meth:`uv_mask`.
        albedo: Albedo basis, if the model has one.
        expression_limits: Smallest and largest useful value of each expression; ``None``: [0, 1] for all.
            Statistical expressions (standard deviations) have infinite limits.
        from_open: What a model on the open head has from the open model because it lacks its own.
        landmark_rows: Derived: the dense landmarks at zero coefficients, then their change per coefficient,
            metres, model axes; no landmarks where the model has none.
    """

    name: str
    asset_sha256: str
    atlas_id: str
    licence: str
    num_identity: int
    expression_names: tuple[str, ...]
    topology: Topology
    linear: LinearShape
    symmetry: Symmetry | None
    landmarks478: LandmarkEmbedding | None
    landmarks68: LandmarkEmbedding | None
    uv_masks: dict[str, Float[Tensor, "256 256"]]
    albedo: AlbedoSpace | None
    expression_limits: Float[Tensor, "E 2"] | None = None
    from_open: tuple[str, ...] = ()
    landmark_rows: Float[Tensor, "K1 L 3"] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        stacked = torch.cat([self.linear.mean[None], self.linear.basis])
        if self.landmarks478 is None:
            object.__setattr__(self, "landmark_rows", stacked.new_zeros(len(stacked), 0, 3))
            return
        corners = self.topology.faces[self.landmarks478.face_index]
        rows = [self._subdivide(block) for block in stacked.split(16)]
        at_corners = torch.cat([r[:, corners] for r in rows])
        weights = self.landmarks478.bary_coords[..., None].to(at_corners)
        object.__setattr__(self, "landmark_rows", (at_corners * weights).sum(-2))

    @property
    def num_expression(self) -> int:
        """Number of expression coefficients."""
        return len(self.expression_names)

    @property
    def num_albedo(self) -> int:
        """Number of albedo coefficients; 0 without an albedo basis."""
        return 0 if self.albedo is None else self.albedo.num_components

    @property
    def num_vertices(self) -> int:
        """Number of mesh vertices (after subdivision)."""
        return self.linear.subdivision.shape[0]

    @property
    def mean_shape(self) -> Float[Tensor, "V 3"]:
        """Vertices at zero coefficients, metres, model axes."""
        return self._subdivide(self.linear.mean[None])[0]

    @property
    def mesh_basis(self) -> Float[Tensor, "K V 3"]:
        """Change of the mesh per coefficient, identity first, then expression; metres, model axes."""
        return self._subdivide(self.linear.basis)

    def shape(
        self, identity: Float[Tensor, "*batch I"], expression: Float[Tensor, "*batch E"]
    ) -> Float[Tensor, "*batch V 3"]:
        """Mesh vertices for coefficients; metres, model axes.

        Args:
            identity: Standard deviations.
            expression: Strength of each ARKit unit; meant for [0, 1], linear beyond.
        """
        coefficients = torch.cat([identity, expression], -1)
        flat = coefficients.reshape(-1, coefficients.shape[-1])
        control = self.linear.mean + (flat @ self.linear.basis.flatten(1)).unflatten(-1, (-1, 3))
        vertices = self._subdivide(control)
        return vertices.reshape(*coefficients.shape[:-1], *vertices.shape[1:])

    def neutral(self, identity: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch V 3"]:
        """Mesh vertices of the expressionless face; metres, model axes."""
        return self.shape(identity, identity.new_zeros(*identity.shape[:-1], self.num_expression))

    def landmarks(
        self, identity: Float[Tensor, "*batch I"], expression: Float[Tensor, "*batch E"]
    ) -> Float[Tensor, "*batch L 3"]:
        """The 478 dense landmarks without making the mesh; metres, model axes.

        Raises:
            AssetError: If this model has no dense landmarks.
        """
        if self.landmarks478 is None:
            raise AssetError(f"face model {self.name!r} has no 478 dense landmarks: use the open model")
        coefficients = torch.cat([identity, expression], -1)
        offsets = coefficients @ self.landmark_rows[1:].flatten(1)
        return self.landmark_rows[0] + offsets.unflatten(-1, (-1, 3))

    def points_on_surface(
        self, vertices: Float[Tensor, "*batch V 3"], embedding: LandmarkEmbedding | None
    ) -> Float[Tensor, "*batch P 3"]:
        """Embedded points of a posed or unposed mesh, in the axes of ``vertices``.

        Raises:
            AssetError: If the embedding is one that this model lacks (``None``).
        """
        if embedding is None:
            raise AssetError(f"face model {self.name!r} lacks these landmarks: use the open model")
        corners = vertices[..., self.topology.faces[embedding.face_index], :]
        return (corners * embedding.bary_coords[..., None].to(vertices)).sum(-2)

    def mirror_identity(self, identity: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch I"]:
        """Identity of the mirror image of a face."""
        return identity * self._known_symmetry().identity_sign

    def mirror_expression(self, expression: Float[Tensor, "*batch E"]) -> Float[Tensor, "*batch E"]:
        """Expression of the mirror image: left and right units change places."""
        return expression[..., self._known_symmetry().expression_partner]

    def albedo_map(
        self, coefficients: Float[Tensor, "*batch A"], size: int = 256
    ) -> Float[Tensor, "*batch 3 {size} {size}"]:
        """Linear Rec.709 albedo in [0, 1] of the whole atlas for albedo coefficients (standard deviations).

        Raises:
            AssetError: If this model has no albedo basis.
        """
        if self.albedo is None:
            raise AssetError(f"face model {self.name!r} has no albedo basis: use the open model for textures")
        return self.albedo.map(coefficients, size)

    @property
    def mean_albedo(self) -> Float[Tensor, "3 256 256"]:
        """Linear albedo at zero coefficients."""
        zeros = torch.zeros(self.num_albedo, device=self.linear.mean.device)
        return self.albedo_map(zeros)

    def uv_mask(self, name: str, size: int = 256) -> Float[Tensor, "{size} {size}"]:
        """Region mask of the atlas in [0, 1], resampled to ``size``.

        ``face`` is M_uv: the whole face front with lips and eyes. See ``docs/face_model.md`` for each region.

        Raises:
            UsageError: If there is no such region.
        """
        if name not in self.uv_masks:
            names = ", ".join(self.uv_masks)
            raise UsageError(f"no UV mask {name!r} in face model {self.name!r}: choose from {names}")
        mask = self.uv_masks[name]
        if size == mask.shape[-1]:
            return mask
        return resize_map(mask[None, None], size)[0, 0].clamp(0, 1)

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> FaceModel:
        """The same model with every tensor on ``device`` and its geometry in ``dtype``."""

        def embedding(e: LandmarkEmbedding | None) -> LandmarkEmbedding | None:
            if e is None:
                return None
            return LandmarkEmbedding(e.face_index.to(device), e.bary_coords.to(device, dtype))

        linear = LinearShape(
            self.linear.mean.to(device, dtype),
            self.linear.basis.to(device, dtype),
            self.linear.subdivision.to(device, dtype),
        )
        symmetry = self.symmetry and Symmetry(
            self.symmetry.identity_sign.to(device, dtype), self.symmetry.expression_partner.to(device)
        )
        limits = self.expression_limits
        return dataclasses.replace(
            self,
            topology=self.topology.to(device),
            linear=linear,
            symmetry=symmetry,
            landmarks478=embedding(self.landmarks478),
            landmarks68=embedding(self.landmarks68),
            uv_masks={k: v.to(device) for k, v in self.uv_masks.items()},
            albedo=None if self.albedo is None else self.albedo.to(device),
            expression_limits=None if limits is None else limits.to(device, dtype),
        )

    def _known_symmetry(self) -> Symmetry:
        if self.symmetry is None:
            raise AssetError(f"face model {self.name!r} does not know its mirror image: use the open model")
        return self.symmetry

    def _subdivide(self, control: Float[Tensor, "b Nc 3"]) -> Float[Tensor, "b V 3"]:
        columns = control.transpose(0, 1).reshape(control.shape[1], -1)
        dense = torch.sparse.mm(self.linear.subdivision, columns)
        return dense.reshape(-1, control.shape[0], 3).transpose(0, 1)


def atlas_id_of(uvs: np.ndarray, uv_faces: np.ndarray) -> str:
    """First 16 hex digits of the SHA-256 over float32 ``uvs`` and int32 ``uv_faces``."""
    digest = hashlib.sha256(np.ascontiguousarray(uvs, np.float32).tobytes())
    digest.update(np.ascontiguousarray(uv_faces, np.int32).tobytes())
    return digest.hexdigest()[:16]


def unchanged_subdivision(count: int) -> Tensor:
    """The subdivision of a mesh that is not subdivided."""
    index = torch.arange(count)
    return torch.sparse_coo_tensor(
        torch.stack([index, index]), torch.ones(count), (count, count), check_invariants=True
    ).coalesce()
