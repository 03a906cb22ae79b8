import math

import numpy as np
import torch

from facelume.illumination import NUM_SH, sh_basis


def sphere_quadrature(num_heights=8, num_azimuths=16, *, device):
    """Gauss-Legendre in z times trapezoid in azimuth: exact for polynomials up to degree 15."""
    z, weights = np.polynomial.legendre.leggauss(num_heights)
    azimuth = 2 * np.pi * np.arange(num_azimuths) / num_azimuths
    ring = np.sqrt(1 - z**2)
    x, y = ring[:, None] * np.cos(azimuth), ring[:, None] * np.sin(azimuth)
    directions = np.stack((x, y, np.broadcast_to(z[:, None], x.shape)), axis=-1).reshape(-1, 3)
    solid_angles = np.repeat(weights * 2 * np.pi / num_azimuths, num_azimuths)
    return torch.from_numpy(directions).to(device), torch.from_numpy(solid_angles).to(device)


def test_the_basis_is_orthonormal_by_exact_quadrature(device):
    directions, solid_angles = sphere_quadrature(device=device)
    basis = sh_basis(directions)
    gram = (basis * solid_angles[:, None]).T @ basis
    torch.testing.assert_close(
        gram, torch.eye(NUM_SH, dtype=torch.float64, device=device), atol=1e-13, rtol=0
    )


def test_order_and_signs(assert_close, device):
    x, y, z = 0.48, 0.6, 0.64
    root = [math.sqrt(1 / (4 * math.pi)), math.sqrt(3 / (4 * math.pi)), math.sqrt(15 / (4 * math.pi))]
    expected = [
        root[0],
        root[1] * y,
        root[1] * z,
        root[1] * x,
        root[2] * x * y,
        root[2] * y * z,
        math.sqrt(5 / (16 * math.pi)) * (3 * z * z - 1),
        root[2] * x * z,
        0.5 * root[2] * (x * x - y * y),
    ]
    direction = torch.tensor([x, y, z], dtype=torch.float64, device=device)
    assert_close(sh_basis(direction), torch.tensor(expected, dtype=torch.float64, device=device))


def test_batches_agree(assert_close, device):
    directions = torch.nn.functional.normalize(
        torch.linspace(-1, 2, 18, device=device).reshape(2, 3, 3), dim=-1
    )
    single = torch.stack([sh_basis(d) for d in directions.reshape(-1, 3)]).reshape(2, 3, 9)
    assert_close(sh_basis(directions), single)
