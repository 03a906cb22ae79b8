"""Rasteriser: what each pixel sees, look-ups there, rendering, cast shadows."""

from facelume.raster.buffers import (
    GeometryBuffers,
    buffers_from_raster,
    geometry_buffers,
    render,
    shading,
)
from facelume.raster.rasterizer import RasterResult, barycentric_at, interpolate, rasterize, sample_map
from facelume.raster.shadow import directional_visibility
from facelume.raster.visibility import EMPTY_KEY, depth_of, triangle_of, visible_keys

__all__ = [
    "EMPTY_KEY",
    "GeometryBuffers",
    "RasterResult",
    "barycentric_at",
    "buffers_from_raster",
    "depth_of",
    "directional_visibility",
    "geometry_buffers",
    "interpolate",
    "rasterize",
    "render",
    "sample_map",
    "shading",
    "triangle_of",
    "visible_keys",
]
