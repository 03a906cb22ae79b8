"""Procedural meshes with known silhouettes, depths and shadows."""

import math

import pytest
import torch

from facelume.types import Topology


@pytest.fixture(scope="session")
def sphere(device):
    """Unit-free builder: radius, rows -> vertices (V, 3) in model axes and a topology with an atlas."""

    def build(radius, rows=16, dtype=torch.float32):
        columns = 2 * rows
        theta = torch.linspace(0.0, math.pi, rows + 1, dtype=torch.float64, device=device)[1:-1]
        phi = torch.arange(columns, dtype=torch.float64, device=device) * (2 * math.pi / columns) - math.pi
        grid_theta, grid_phi = torch.meshgrid(theta, phi, indexing="ij")
        ring = torch.stack(
            [grid_theta.sin() * grid_phi.sin(), grid_theta.cos(), grid_theta.sin() * grid_phi.cos()], -1
        ).reshape(-1, 3)
        poles = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]], dtype=torch.float64, device=device)
        vertices = torch.cat([ring, poles]) * radius
        faces, num_ring = [], (rows - 1) * columns
        for row in range(rows - 2):
            for column in range(columns):
                a, b = row * columns + column, row * columns + (column + 1) % columns
                c, d = a + columns, b + columns
                faces += [[a, c, b], [b, c, d]]
        for column in range(columns):
            after = (column + 1) % columns
            last = (rows - 2) * columns
            faces += [[num_ring, column, after], [num_ring + 1, last + after, last + column]]
        faces = torch.tensor(faces, device=device)
        # A planar atlas (front and back overlap): enough to test look-ups.
        uvs = vertices[:, :2] / radius * torch.tensor([0.4, -0.4], dtype=torch.float64, device=device) + 0.5
        topology = Topology(
            faces=faces,
            uvs=uvs.to(dtype),
            uv_faces=faces,
            face_part=torch.zeros(len(faces), dtype=torch.uint8, device=device),
            face_front=vertices[faces].mean(1)[:, 1] > 0,
            mirror_vertices=torch.arange(len(vertices), device=device),
        )
        return vertices.to(dtype), topology

    return build


@pytest.fixture
def frontal_pose(device):
    """cam_from_model of a frontal head one metre away."""

    def build(num=1, dtype=torch.float32):
        matrix = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=dtype, device=device))
        matrix[2, 3] = 1.0
        return matrix.expand(num, 4, 4).clone()

    return build
