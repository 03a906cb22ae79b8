"""A face model's statistics on the open model's head: its mean, its identity, its expressions, its albedo."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from facelume.face_model import FaceModel, LinearShape
from facelume.face_model.licensed.albedo_maps import AlbedoMaps
from facelume.face_model.model import AlbedoSpace, unchanged_subdivision
from facelume.fitting import landmark_basis
from facelume.geometry import TriangleSurface
from facelume.networks.prior import PriorNetwork
from facelume.registration.carry import Carrier
from facelume.registration.carry_albedo import carry_albedo
from facelume.registration.surface_landmarks import find_landmarks
from facelume.registration.wrap import Surface, Wrap, common_marks, wrap
from facelume.types import EYE_PARTS, FacePart

REGISTRATION_VERSION = 1
"""Counts up when a change of this room changes its results: stored registrations are then made anew."""


@dataclass(frozen=True, eq=False)
class Registered:
    """A face model on the open model's head.

    Attributes:
        model: The model; its atlas, parts and landmarks are the open model's.
        wrapped: Where each vertex lies on the mean of the original.
    """

    model: FaceModel
    wrapped: Wrap


def register(
    original: FaceModel, open_head: FaceModel, network: PriorNetwork, *, asset_sha256: str
) -> Registered:
    """Give a face model's statistics to the open model's head.

    Args:
        original: A linear face model with its own mesh.
        open_head: The open model.
        network: Reads the landmarks of the original's mean.
        asset_sha256: Hash of what the result is made from, see :func:`registration_digest`.

    Raises:
        AssetError: No face is seen in the mean of the original, or it is not in metres.
    """
    mean = original.mean_shape
    mirrored = landmark_basis(open_head).mirrored
    own, other = (
        find_landmarks(head.topology, head.mean_shape, network, mirrored) for head in (open_head, original)
    )
    is_skin = original.topology.face_part == FacePart.SKIN
    surface = Surface(mean.double().numpy(), original.topology.faces[is_skin].numpy())
    wrapped = wrap(open_head, surface, common_marks(open_head, own, other))
    carrier = Carrier(open_head, wrapped.matched, wrapped.vertices)

    at_matched = _Read(wrapped.matched, surface.faces[wrapped.face], wrapped.bary).read
    rows = original.mesh_basis
    offset = at_matched(mean[None]) - wrapped.start[wrapped.matched]
    vertices = wrapped.start + carrier(offset, "identity")[0]
    identity = carrier(at_matched(rows[: original.num_identity]), "identity")
    from_open = ["teeth and inner mouth"]
    names, limits = original.expression_names, original.expression_limits
    if original.num_expression:
        expression = carrier(at_matched(rows[original.num_identity :]), "expression")
    else:
        names, limits = open_head.expression_names, open_head.expression_limits
        units = open_head.mesh_basis[open_head.num_identity :].double().numpy()
        expression = wrapped.scale * units @ wrapped.turn.T
        from_open.append("expressions")
    for part in EYE_PARTS:
        ball = _eyeball(original, open_head, part)
        if ball is None:
            from_open.append(f"{part.name.lower().replace('_', ' ')}")
            continue
        vertices[ball.vertices] = ball.read(mean[None])[0]
        identity[:, ball.vertices] = ball.read(rows[: original.num_identity])
        if original.num_expression:
            expression[:, ball.vertices] = ball.read(rows[original.num_identity :])
    albedo: AlbedoSpace | None = open_head.albedo
    if isinstance(original.albedo, AlbedoMaps):
        albedo = carry_albedo(original, original.albedo, open_head, wrapped, surface)
    else:
        from_open.append("albedo")
    model = dataclasses.replace(
        open_head,
        name=original.name,
        asset_sha256=asset_sha256,
        licence=f"{original.licence}; on the head of the open model ({open_head.licence})",
        num_identity=original.num_identity,
        expression_names=names,
        expression_limits=limits,
        linear=LinearShape(
            mean=torch.from_numpy(vertices).float(),
            basis=torch.from_numpy(np.concatenate([identity, expression])).float(),
            subdivision=unchanged_subdivision(len(vertices)),
        ),
        symmetry=None,
        albedo=albedo,
        from_open=tuple(from_open),
    )
    return Registered(model, wrapped)


@dataclass(frozen=True, eq=False)
class _Read:
    """Vertices of the open head as points of the original's triangles.

    Attributes:
        vertices: The vertices.
        corners: Corners of the original's triangle under each.
        bary: Barycentrics there.
    """

    vertices: Int[np.ndarray, " P"]
    corners: Int[np.ndarray, "P 3"]
    bary: Float[np.ndarray, "P 3"]

    def read(self, rows: Float[Tensor, "K V 3"]) -> Float[np.ndarray, "K P 3"]:
        """What rows over the original's vertices are there."""
        return np.einsum("kpcd,pc->kpd", rows.double().numpy()[:, self.corners], self.bary)


def _eyeball(original: FaceModel, open_head: FaceModel, part: FacePart) -> _Read | None:
    """The open model's eyeball on the original's, if that has one: boxes around the two are laid together."""
    theirs = original.topology.faces[original.topology.face_part == part].numpy()
    if len(theirs) == 0:
        return None
    own = open_head.topology.faces[open_head.topology.face_part == part].unique().numpy()
    ball = open_head.mean_shape.double().numpy()[own]
    mean = original.mean_shape.double().numpy()
    (low, high), (their_low, their_high) = (
        (a.min(axis=0), a.max(axis=0)) for a in (ball, mean[theirs.reshape(-1)])
    )
    placed = (ball - low) / (high - low) * (their_high - their_low) + their_low
    face, bary = TriangleSurface(mean[theirs]).closest(placed)
    return _Read(own, theirs[face], bary)


def registration_digest(original_sha256: str, open_head: FaceModel, network_sha256: str) -> str:
    """Hash of all that a registration is made from: it is the registered model's own.

    Args:
        original_sha256: Hash of the original's files.
        open_head: The open model.
        network_sha256: Hash of the network that reads the landmarks.
    """
    made_from = (original_sha256, open_head.asset_sha256, network_sha256, str(REGISTRATION_VERSION))
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()
