"""Photometric stereo: the albedo of a bumpy surface under lamps that cast shadows, shine and clip."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from facelume.fitting.photometric_stereo import photometric_stereo

SIZE = 48


def surface() -> tuple[Tensor, Tensor]:
    """Albedo in stripes on a bulge, and its normals."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIZE), torch.linspace(-1, 1, SIZE), indexing="ij")
    normals = functional.normalize(torch.stack([0.7 * x, 0.5 * y, torch.ones_like(x)], dim=-1), dim=-1)
    return 0.3 + 0.2 * torch.sin(9 * x), normals


def lamps() -> Tensor:
    angles = [(0, 0), (35, 20), (-35, 20), (50, 0), (-50, 0), (0, 45), (15, -30), (-15, -30)]
    rows = [(math.radians(a), math.radians(e)) for a, e in angles]
    directions = [(math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)) for a, e in rows]
    return torch.tensor(directions)


def test_shadows_shine_and_clipped_values_of_single_lamps_are_set_aside() -> None:
    albedo, normals = surface()
    directions = lamps()
    pictures = (albedo * (normals @ directions.T).clamp(min=0).movedim(-1, 0)).clone()
    pictures[3, 10:20, 10:20] = 0.0  # something casts a shadow
    pictures[5, 25:35, 25:35] += 0.3  # something shines
    pictures[0, 38:44, 5:15] = 1.0
    found = photometric_stereo(pictures, directions)
    torch.testing.assert_close(found.albedo, albedo, rtol=0.03, atol=0.003)
    agreeing = found.num_agreeing
    assert float(agreeing.median()) > 7.5
    for rows, columns in ((slice(11, 19), slice(11, 19)), (slice(26, 34), slice(26, 34))):
        assert 6.5 < float(agreeing[rows, columns].mean()) < 7.5


def test_a_mirrored_frame_gives_the_same_albedo() -> None:
    albedo, normals = surface()
    directions = lamps()
    pictures = albedo * (normals @ directions.T).clamp(min=0).movedim(-1, 0)
    mirrored = photometric_stereo(pictures, directions * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(mirrored.albedo, photometric_stereo(pictures, directions).albedo)


def test_what_no_lamp_reaches_is_agreed_on_by_none() -> None:
    albedo, normals = surface()
    directions = lamps()
    pictures = albedo * (normals @ directions.T).clamp(min=0).movedim(-1, 0)
    noise = torch.rand(len(directions), 8, SIZE, generator=torch.Generator().manual_seed(0))
    pictures[:, :8] = noise
    agreeing = photometric_stereo(pictures, directions).num_agreeing
    assert float(agreeing[:8].median()) < 5.0 < float(agreeing[8:].min())
