import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, CropTransform
from facelume.raster import render, sample_map
from facelume.uv import (
    facing_cosine,
    fill_with_noise,
    interpolate_texels,
    texel_map,
    unwrap,
    unwrap_crop,
)

FULL_PARSING = torch.ones(1, 224, 224)


def pattern(texels, vertices):
    """A smooth colouring of the surface, painted into the atlas."""
    return interpolate_texels(texels, 0.5 + 0.4 * torch.sin(vertices[None] * 60))


@pytest.mark.parametrize("size", [64, 129])
def test_texels_know_their_own_centre(head, size, device):
    _, topology = head
    texels = texel_map(topology, size)
    steps = (torch.arange(size, device=device) + 0.5) / size
    centre = torch.stack(torch.meshgrid(steps, steps, indexing="xy"))
    # In this atlas every uv row has its own vertex, so uvs can be spread like vertex values.
    spread = interpolate_texels(texels, topology.uvs[None])[0]
    inside = texels.inside
    assert (spread - centre)[:, inside].abs().max() < 1e-5
    area = 0.8 * 0.7 + 0.4 * 0.1
    assert inside.float().mean().item() == pytest.approx(area, abs=0.02)


def test_texel_map_is_left_right_symmetric(head, device):
    vertices, topology = head
    texels = texel_map(topology, 96)
    position = interpolate_texels(texels, vertices[None])[0]
    assert (texels.inside == texels.inside.flip(-1)).all()
    mirrored = position.flip(-1) * torch.tensor([-1.0, 1.0, 1.0], device=device)[:, None, None]
    assert (position - mirrored)[:, texels.inside].abs().max() < 3e-4


def test_the_gutter_keeps_the_background_out_of_look_ups(head, posed, device):
    vertices, topology = head
    texels, _, buffers = posed(64, yaw_rad=1.2)
    painted = interpolate_texels(texels, torch.ones(1, len(vertices), 1, device=device))
    looked_up = sample_map(painted, buffers.uv)[0, 0][buffers.mask[0]]
    assert looked_up.min() > 0.9999
    without = texel_map(topology, 64, gutter_px=0)
    bare = interpolate_texels(without, torch.ones(1, len(vertices), 1, device=device))
    assert sample_map(bare, buffers.uv)[0, 0][buffers.mask[0]].min() < 0.9
    at_256 = texel_map(topology, 256)
    middle = at_256.face_index[100] >= 0
    inside = at_256.inside[100]
    assert middle.sum() - inside.sum() == 8
    assert (at_256.part[at_256.face_index < 0] == -1).all()


def test_a_painted_face_comes_back_from_its_picture(head, posed, device):
    vertices, _ = head
    texels, texels_posed, buffers = posed(128, yaw_rad=0.3)
    albedo = pattern(texels, vertices)
    light = torch.zeros(1, 9, 3, device=device)
    light[:, 0] = math.sqrt(4 * math.pi)
    image = render(buffers, albedo, light)
    result = unwrap_crop(image, texels_posed, buffers, CROP_CAMERA, FULL_PARSING)
    seen = result.visibility[0] > 0.9
    assert 0.25 < seen.float().mean() < 0.6
    error = (result.texture - albedo)[0][:, seen].abs()
    assert error.mean() < 0.002
    assert error.max() < 0.05


def test_visibility_ends_at_the_limb(posed, device):
    _, texels_posed, buffers = posed(128, yaw_rad=0.3)
    result = unwrap_crop(
        torch.ones(1, 3, 224, 224, device=device), texels_posed, buffers, CROP_CAMERA, FULL_PARSING
    )
    cosine = facing_cosine(texels_posed)
    part = (texels_posed.part >= 0)[None]
    assert (result.visibility[cosine < 0.15] == 0).all()
    assert result.visibility[(cosine > 0.4) & part].min() == 1
    assert (result.visibility[~part] == 0).all()


def test_what_another_part_covers_is_not_seen(posed, device):
    _, texels_posed, buffers = posed(64)
    part = buffers.part.clone()
    part[:, :, :112] = 3
    covered = replace(buffers, part=part)
    nearer = replace(buffers, depth=buffers.depth - 0.02)
    image = torch.ones(1, 3, 224, 224, device=device)
    half = unwrap_crop(image, texels_posed, covered, CROP_CAMERA, FULL_PARSING).visibility[0]
    assert half[:, :31].max() == 0
    assert half[:, 33:].max() == 1
    assert unwrap_crop(image, texels_posed, nearer, CROP_CAMERA, FULL_PARSING).visibility.max() == 0
    assert unwrap_crop(image, texels_posed, buffers, CROP_CAMERA, 0 * FULL_PARSING).visibility.max() == 0


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_unwrapping_a_photo_agrees_with_its_crop(posed, scale):
    _, texels_posed, buffers = posed(128)
    # A photo that is a linear ramp in crop coordinates, encoded as sRGB.
    angle = 0.2
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * scale
    offset = np.array([100.0, 40.0]) * scale
    transform = CropTransform(np.concatenate([turn, offset[:, None]], 1))
    height, width = round(330 * scale), round(380 * scale)
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    crop_px = (np.stack([columns, rows], -1) - offset) @ np.linalg.inv(turn).T
    linear = np.clip(np.stack([crop_px[..., 0], crop_px[..., 1], crop_px.sum(-1) / 2], -1) / 224, 0.02, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    result = unwrap(srgb.astype(np.float32), transform, texels_posed, buffers, CROP_CAMERA, FULL_PARSING)
    seen = result.visibility[0] > 0.9
    points = texels_posed.position_cam[0].flatten(1).T[None]
    expected = (CROP_CAMERA.project(points)[0].T / 224).reshape(2, 128, 128)
    assert (result.texture[0, :2] - expected)[:, seen].abs().max() < 0.01
    # The same picture cut in the middle of the face: what lies outside the photo is unseen.
    cut = unwrap(
        srgb[: round(150 * scale)].astype(np.float32),
        transform,
        texels_posed,
        buffers,
        CROP_CAMERA,
        FULL_PARSING,
    )
    assert 0.05 < (cut.visibility > 0.9).float().mean() < 0.6 * seen.float().mean()


def test_unseen_texels_become_repeatable_noise(device):
    texture = torch.zeros(1, 3, 64, 64, device=device)
    visibility = torch.zeros(1, 64, 64, device=device)
    visibility[:, :, :32] = 1
    first, second = (fill_with_noise(texture, visibility, torch.Generator().manual_seed(5)) for _ in range(2))
    assert (first == second).all()
    assert (first[..., :32] == 0).all()
    assert first[..., 32:].mean().abs() < 0.05
    assert first[..., 32:].std().item() == pytest.approx(1.0, abs=0.05)
