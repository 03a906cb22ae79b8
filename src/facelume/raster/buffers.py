"""Per-pixel geometry of a posed face, computed once, and the rendering that reads it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int8
from torch import Tensor
from torch.nn import functional

from facelume.camera import LIGHT_FROM_CAM, PinholeCamera, transform_points
from facelume.geometry import vertex_normals
from facelume.illumination import irradiance_image, irradiance_map
from facelume.raster.rasterizer import RasterResult, interpolate, rasterize, sample_map
from facelume.raster.visibility import Backend
from facelume.reflectance import shading_from_irradiance
from facelume.types import FacePart, Topology


@dataclass(frozen=True)
class GeometryBuffers:
    """What a picture of a posed face needs to know about its geometry.

    Attributes:
        uv: Atlas coordinates at each pixel centre; 0 where empty.
        normal_light: Unit normal in the light frame (+X right, +Y up, +Z to the viewer); 0 where empty.
        mask: True where any part of the head is seen.
        face_mask: M_proj: True where the face front is seen, or an eye, teeth or the inner mouth through it.
        part: :class:`~facelume.types.FacePart` of the visible triangle, -1 where empty.
        depth: Camera z, metres; 0 where empty.
        pix_to_face: Visible triangle, -1 where empty.
    """

    uv: Float[Tensor, "b H W 2"]
    normal_light: Float[Tensor, "b 3 H W"]
    mask: Bool[Tensor, "b H W"]
    face_mask: Bool[Tensor, "b H W"]
    part: Int8[Tensor, "b H W"]
    depth: Float[Tensor, "b H W"]
    pix_to_face: Int[Tensor, "b H W"]


def geometry_buffers(
    topology: Topology,
    vertices: Float[Tensor, "b V 3"],
    cam_from_model: Float[Tensor, "b 4 4"],
    camera: PinholeCamera,
    *,
    backend: Backend = "warp",
) -> GeometryBuffers:
    """Rasterise a face and interpolate atlas coordinates and normals per pixel.

    ``uv``, ``normal_light`` and ``depth`` are differentiable in the vertices and the pose.

    Args:
        topology: Triangles, atlas and parts.
        vertices: Positions in model axes, metres.
        cam_from_model: Rigid transforms into camera axes.
        camera: Intrinsics and picture size.
        backend: See ``rasterize``.
    """
    vertices_cam = transform_points(cam_from_model, vertices)
    raster = rasterize(vertices_cam, topology.faces, camera, backend=backend)
    return buffers_from_raster(topology, vertices_cam, raster)


def buffers_from_raster(
    topology: Topology, vertices_cam: Float[Tensor, "b V 3"], raster: RasterResult
) -> GeometryBuffers:
    """Interpolate atlas coordinates and normals at the pixels of an existing raster.

    Args:
        topology: Triangles, atlas and parts.
        vertices_cam: The rasterised positions, camera axes, metres.
        raster: Their raster.
    """
    pix_to_face, bary_coords = raster.pix_to_face, raster.bary_coords
    normals = vertex_normals(vertices_cam, topology.faces) * vertices_cam.new_tensor(LIGHT_FROM_CAM)
    normal = interpolate(normals, topology.faces, pix_to_face, bary_coords).movedim(-1, 1)
    uvs = topology.uvs.to(vertices_cam.dtype).expand(vertices_cam.shape[0], -1, -1)
    mask = pix_to_face >= 0
    face = pix_to_face.clamp(min=0)
    counted = topology.face_front | (topology.face_part != FacePart.SKIN)
    return GeometryBuffers(
        uv=interpolate(uvs, topology.uv_faces, pix_to_face, bary_coords),
        normal_light=functional.normalize(normal, dim=1),
        mask=mask,
        face_mask=mask & counted[face],
        part=torch.where(mask, topology.face_part[face].to(torch.int8), -1),
        depth=raster.depth,
        pix_to_face=pix_to_face,
    )


def render(
    buffers: GeometryBuffers,
    albedo_map: Float[Tensor, "b 3 h w"],
    light: Float[Tensor, "b 9 3"] | Float[Tensor, "b 27 h2 w2"],
) -> Float[Tensor, "b 3 H W"]:
    """Render ``albedo(uv) * max(E(normal), 0) / pi`` at each pixel, linear Rec.709, 0 outside the head.

    Differentiable in the albedo, in the light and, where the buffers are, in the vertices.

    Args:
        buffers: Geometry at each pixel.
        albedo_map: Linear albedo in the atlas.
        light: SH radiance in the light frame: one per face, or a map of it (channel 27 = 3 k + rgb), which
            is looked up bilinearly at each pixel before the irradiance is taken with that pixel's normal.
    """
    return sample_map(albedo_map, buffers.uv) * shading(buffers, light)


def shading(
    buffers: GeometryBuffers, light: Float[Tensor, "b 9 3"] | Float[Tensor, "b 27 h2 w2"]
) -> Float[Tensor, "b 3 H W"]:
    """Irradiance over pi at each pixel, clamped at 0, linear; 0 outside the head.

    Args:
        buffers: Geometry at each pixel.
        light: SH radiance, see ``render``.
    """
    if light.ndim == 4:
        received = irradiance_map(sample_map(light, buffers.uv), buffers.normal_light)
    else:
        received = irradiance_image(light, buffers.normal_light)
    return shading_from_irradiance(received) * buffers.mask[:, None]
