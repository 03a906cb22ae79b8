"""A symmetric test head: a ball with a front chart and a separate back chart, and its posed texels."""

import math

import pytest
import torch

from facelume.camera import CROP_CAMERA
from facelume.raster import geometry_buffers
from facelume.types import Topology
from facelume.uv import pose_texels, texel_map


def _grid(rows, columns, *, device):
    """Triangles of a (rows + 1) x (columns + 1) vertex grid; diagonals mirror each other left and right."""
    faces = []
    for row in range(rows):
        for column in range(columns):
            a = row * (columns + 1) + column
            b, c, d = a + 1, a + columns + 1, a + columns + 2
            faces += [[a, c, b], [b, c, d]] if column < columns // 2 else [[a, c, d], [a, d, b]]
    return torch.tensor(faces, device=device)


@pytest.fixture(scope="session")
def head(device):
    """(vertices (V, 3) model axes, topology): a ball of 8 cm; chart 0 is its front half, chart 1 its back."""
    rows, columns, radius = 24, 24, 0.08
    charts, uvs, faces = [], [], []
    for phi_centre, (u0, u1, v0, v1) in ((0.0, (0.1, 0.9, 0.05, 0.75)), (math.pi, (0.3, 0.7, 0.85, 0.95))):
        theta = torch.linspace(0.02, math.pi - 0.02, rows + 1, dtype=torch.float64, device=device)
        phi = (
            torch.linspace(-math.pi / 2, math.pi / 2, columns + 1, dtype=torch.float64, device=device)
            + phi_centre
        )
        t, p = torch.meshgrid(theta, phi, indexing="ij")
        charts.append(
            torch.stack([t.sin() * p.sin(), t.cos(), t.sin() * p.cos()], -1).reshape(-1, 3) * radius
        )
        v, u = torch.meshgrid(
            torch.linspace(v0, v1, rows + 1, dtype=torch.float64, device=device),
            torch.linspace(u0, u1, columns + 1, dtype=torch.float64, device=device),
            indexing="ij",
        )
        uvs.append(torch.stack([u, v], -1).reshape(-1, 2))
        faces.append(_grid(rows, columns, device=device) + len(faces) * (rows + 1) * (columns + 1))
    faces = torch.cat(faces)
    per_chart = (rows + 1) * (columns + 1)
    index = torch.arange(2 * per_chart, device=device).reshape(2, rows + 1, columns + 1)
    topology = Topology(
        faces=faces,
        uvs=torch.cat(uvs).float(),
        uv_faces=faces,
        face_part=torch.zeros(len(faces), dtype=torch.uint8, device=device),
        face_front=torch.arange(len(faces), device=device) < len(faces) // 2,
        mirror_vertices=index.flip(-1).flatten(),
    )
    return torch.cat(charts).float(), topology


@pytest.fixture(scope="session")
def posed(head, device):
    """Builder: atlas size, turn about +Y -> (TexelMap, PosedTexels, GeometryBuffers), one metre away."""

    def build(size=128, yaw_rad=0.0):
        vertices, topology = head
        c, s = math.cos(yaw_rad), math.sin(yaw_rad)
        turn = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]], device=device)
        matrix = torch.eye(4, device=device)
        matrix[:3, :3] = torch.diag(torch.tensor([1.0, -1.0, -1.0], device=device)) @ turn
        matrix[2, 3] = 1.0
        texels = texel_map(topology, size)
        texels_posed = pose_texels(texels, topology, vertices[None], matrix[None])
        buffers = geometry_buffers(topology, vertices[None], matrix[None], CROP_CAMERA)
        return texels, texels_posed, buffers

    return build
