"""From the parts of an official file to a :class:`FaceModel`: axes, atlas, colours, landmarks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial import cKDTree
from torch import Tensor

from facelume.errors import AssetError
from facelume.face_model.licensed.albedo_maps import AlbedoMaps
from facelume.face_model.licensed.source import FaceModelSource, files_digest
from facelume.face_model.model import FaceModel, LinearShape, atlas_id_of, unchanged_subdivision
from facelume.reflectance import linear_from_srgb
from facelume.types import EYE_PARTS, FacePart, LandmarkEmbedding, Topology, is_part
from facelume.uv import interpolate_texels, texel_map

MAP_SIZE = 256
EYE_TO_ORIGIN_M = 0.05
CORNERS_TO_EYE_M = 0.010
STRENGTH = (0.0, 1.0)
DEVIATIONS = (-float("inf"), float("inf"))


class MissingPartWarning(UserWarning):
    """A licensed model lacks something that the open model has."""


@dataclass(frozen=True, eq=False)
class SurfaceColours:
    """Colours of a model before they become an albedo basis, in sRGB-encoded or linear values, 0 to 1.

    Attributes:
        mean: Per vertex (V, 3), or a map in the model's atlas (S, S, 3), row 0 at the top.
        basis: Change per standard deviation, one more axis in front.
        is_linear: False if the values are sRGB-encoded.
    """

    mean: Float[np.ndarray, "*place 3"]
    basis: Float[np.ndarray, "A *place 3"]
    is_linear: bool


@dataclass(frozen=True, eq=False)
class ModelParts:
    """A licensed model as its loader found it: metres, axes +X subject's left, +Y up, +Z face forward.

    Attributes:
        mean: Mean shape, the model's own origin.
        identity: Change per standard deviation.
        expression: Change per unit of each expression coefficient.
        expression_names: A name each.
        expression_limits: Smallest and largest useful coefficient of each expression.
        eyes_middle: Middle between the eyeball centres of the mean, the model's own origin.
        faces: Triangles.
        uvs: Atlas positions, origin top-left.
        uv_faces: Index into ``uvs`` for each triangle corner.
        face_part: As in :class:`facelume.types.Topology`.
        face_front: As in :class:`facelume.types.Topology`.
        landmarks68: Triangle and barycentrics of the iBUG points, if the model has them.
        colours: Colours, if the model has them.
    """

    mean: Float[np.ndarray, "V 3"]
    identity: Float[np.ndarray, "I V 3"]
    expression: Float[np.ndarray, "E V 3"]
    expression_names: tuple[str, ...]
    expression_limits: tuple[tuple[float, float], ...]
    eyes_middle: Float[np.ndarray, " 3"]
    faces: Int[np.ndarray, "F 3"]
    uvs: Float[np.ndarray, "T 2"]
    uv_faces: Int[np.ndarray, "F 3"]
    face_part: UInt8[np.ndarray, " F"]
    face_front: Bool[np.ndarray, " F"]
    landmarks68: tuple[Int[np.ndarray, " 68"], Float[np.ndarray, "68 3"]] | None
    colours: SurfaceColours | None


def assemble(source: FaceModelSource, files: Iterable[Path], parts: ModelParts) -> FaceModel:
    """Make the model: origin 5 cm behind the middle of the eyes, albedo linear, masks baked; warns of gaps.

    Raises:
        AssetError: If an index points outside the mesh.
    """
    for name, indices, limit in (
        ("triangle", parts.faces, len(parts.mean)),
        ("atlas", parts.uv_faces, len(parts.uvs)),
    ):
        if len(indices) == 0 or indices.min() < 0 or indices.max() >= limit:
            raise AssetError(f"face model {source.name!r}: a {name} index is outside its {limit} points")
    topology = Topology(
        faces=torch.from_numpy(parts.faces.astype(np.int64)),
        uvs=torch.from_numpy(parts.uvs.astype(np.float32)),
        uv_faces=torch.from_numpy(parts.uv_faces.astype(np.int64)),
        face_part=torch.from_numpy(parts.face_part),
        face_front=torch.from_numpy(parts.face_front),
        mirror_vertices=torch.from_numpy(mirror_pairs(parts.mean - parts.eyes_middle)),
    )
    origin = parts.eyes_middle - (0.0, 0.0, EYE_TO_ORIGIN_M)
    gaps = ["the 478 dense landmarks", "left-right symmetry of coefficients and atlas"]
    gaps += ["iBUG-68 landmarks"] * (parts.landmarks68 is None) + ["albedo"] * (parts.colours is None)
    warnings.warn(f"face model {source.name!r} lacks {', '.join(gaps)}", MissingPartWarning, stacklevel=3)
    return FaceModel(
        name=source.name,
        asset_sha256=files_digest(files),
        atlas_id=atlas_id_of(parts.uvs, parts.uv_faces),
        licence=f"{source.licence} ({source.url})",
        num_identity=len(parts.identity),
        expression_names=parts.expression_names,
        topology=topology,
        linear=LinearShape(
            mean=_floats(parts.mean - origin),
            basis=torch.cat([_floats(parts.identity), _floats(parts.expression)]),
            subdivision=unchanged_subdivision(len(parts.mean)),
        ),
        symmetry=None,
        landmarks478=None,
        landmarks68=None
        if parts.landmarks68 is None
        else LandmarkEmbedding(torch.from_numpy(parts.landmarks68[0]), _floats(parts.landmarks68[1])),
        uv_masks=_region_masks(topology),
        albedo=None if parts.colours is None else _albedo(parts.colours, topology),
        expression_limits=torch.tensor(parts.expression_limits).reshape(-1, 2),
    )


def linear_colours(colours: SurfaceColours) -> SurfaceColours:
    """Linear Rec.709 colours; an sRGB basis is carried over to first order around the mean.

    With s the sRGB mean, B its basis and f the decoding, the result is f(s) and f'(s) B: exact at the mean,
    linear in the coefficients as every albedo basis here; it drifts from f(s + B c) as the square of B c.
    """
    if colours.is_linear:
        return colours
    encoded = torch.from_numpy(colours.mean.astype(np.float64)).clamp(0, 1).requires_grad_()
    decoded = linear_from_srgb(encoded)
    slope = torch.autograd.grad(decoded.sum(), encoded)[0].numpy()
    return SurfaceColours(decoded.detach().numpy(), colours.basis * slope, is_linear=True)


def mirror_pairs(mean: Float[np.ndarray, "V 3"]) -> Int[np.ndarray, " V"]:
    """Pair vertices with the nearest one of the mirrored mean, where that choice is mutual.

    Vertices without a partner (the scans' meshes are not symmetric) stay their own: always an involution.
    """
    nearest = cKDTree(mean).query(mean * (-1.0, 1.0, 1.0))[1]
    own = np.arange(len(mean))
    return np.where(nearest[nearest] == own, nearest, own)


def outward(mean: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Int[np.ndarray, "F 3"]:
    """The triangles counter-clockwise seen from outside; all are turned if most of the area faces inwards."""
    a, b, c = (mean[faces[:, k]] for k in range(3))
    centre = mean.mean(0) - (0.0, 0.0, EYE_TO_ORIGIN_M)
    volume = (np.cross(b - a, c - a) * ((a + b + c) / 3 - centre)).sum()
    return faces[:, ::-1].copy() if volume < 0 else faces


def front_by_position(
    mean: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], eyes_middle: Float[np.ndarray, " 3"]
) -> Bool[np.ndarray, " F"]:
    """Face front of a model whose files do not mark it: an oval around the face, before the head's centre.

    Half axes 75 mm across and 105 mm high, centre 25 mm below the eyes.
    """
    x, y, z = (mean[faces].mean(1) - eyes_middle).T
    return ((x / 0.075) ** 2 + ((y + 0.025) / 0.105) ** 2 <= 1) & (z > -EYE_TO_ORIGIN_M)


def landmarks_at_vertices(
    vertex_index: Int[np.ndarray, " L"], faces: Int[np.ndarray, "F 3"], *, owner: str
) -> tuple[Int[np.ndarray, " L"], Float[np.ndarray, "L 3"]]:
    """Landmarks given as vertices, as triangle and barycentrics.

    Raises:
        AssetError: If a landmark's vertex belongs to no triangle.
    """
    flat = faces.reshape(-1)
    order = np.argsort(flat, kind="stable")
    place = np.searchsorted(flat[order], vertex_index)
    corner = order[np.minimum(place, len(flat) - 1)]
    if (flat[corner] != vertex_index).any():
        raise AssetError(f"face model {owner!r}: a landmark's vertex belongs to no triangle")
    return corner // 3, np.eye(3)[corner % 3]


def rows_of_3(matrix: np.ndarray, num_vertices: int | None, *, what: str) -> Float[np.ndarray, "K V 3"]:
    """A (3V, K) matrix of interleaved x, y, z as (K, V, 3); a vector counts as K = 1.

    Raises:
        AssetError: If the rows are not 3 for each of ``num_vertices`` vertices.
    """
    columns = np.asarray(matrix)
    columns = columns.reshape(-1, 1) if columns.ndim == 1 or 1 in columns.shape else columns
    rows, count = columns.shape if columns.ndim == 2 else (0, 0)
    if rows == 0 or rows % 3 or (num_vertices is not None and rows != 3 * num_vertices):
        wanted = "a multiple of 3" if num_vertices is None else f"3 x {num_vertices}"
        raise AssetError(f"{what} has shape {np.shape(matrix)}, its rows must be {wanted}: download it again")
    return columns.T.reshape(count, rows // 3, 3)


def _floats(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _albedo(colours: SurfaceColours, topology: Topology) -> AlbedoMaps:
    linear = linear_colours(colours)
    stacked = _floats(np.concatenate([linear.mean[None], linear.basis]))
    if stacked.dim() == 3:
        texels = texel_map(topology, MAP_SIZE)
        maps = torch.cat([interpolate_texels(texels, block) for block in stacked.split(16)])
    else:
        maps = torch.nn.functional.interpolate(stacked.movedim(-1, 1), size=(MAP_SIZE, MAP_SIZE), mode="area")
    return AlbedoMaps(mean=maps[0], basis=maps[1:])


def _region_masks(topology: Topology) -> dict[str, Float[Tensor, "256 256"]]:
    texels = texel_map(topology, MAP_SIZE)
    owner = texels.face_index.clamp(min=0)
    masks = {
        "face": topology.face_front[owner],
        "skin": topology.face_part[owner] == FacePart.SKIN,
        "eyes": is_part(topology.face_part[owner], EYE_PARTS),
    }
    return {name: (mask & texels.inside).float() for name, mask in masks.items()}
