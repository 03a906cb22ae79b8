import math

import pytest
import torch
from torch.autograd import gradcheck

from facelume.camera import CROP_CAMERA, PinholeCamera, transform_points
from facelume.raster import (
    barycentric_at,
    directional_visibility,
    geometry_buffers,
    interpolate,
    rasterize,
    render,
    sample_map,
)

SMALL_CAMERA = PinholeCamera(36.0, (4.0, 4.0), 8, 8)


def test_barycentrics_are_perspective_correct(sphere, frontal_pose, assert_close, device):
    vertices, topology = sphere(0.08)
    posed = transform_points(frontal_pose(), vertices[None])
    raster = rasterize(posed, topology.faces, CROP_CAMERA)
    seen = raster.pix_to_face >= 0
    points = interpolate(posed, topology.faces, raster.pix_to_face, raster.bary_coords)
    landed = CROP_CAMERA.project(points[seen][None])[0]
    row, column = torch.nonzero(seen[0], as_tuple=True)
    expected = torch.stack([column, row], -1) + 0.5
    assert (landed - expected).abs().max() < 2e-3
    assert_close(raster.depth[seen], points[seen][:, 2])
    assert_close(raster.bary_coords[seen].sum(-1), torch.ones(int(seen.sum()), device=device))


def test_barycentrics_differentiate(sphere, frontal_pose):
    vertices, topology = sphere(0.1, rows=4, dtype=torch.float64)
    posed = transform_points(frontal_pose(dtype=torch.float64), vertices[None]).requires_grad_()
    pix_to_face = rasterize(posed.detach(), topology.faces, SMALL_CAMERA).pix_to_face
    assert (pix_to_face >= 0).sum() > 20
    assert gradcheck(lambda v: barycentric_at(v, topology.faces, pix_to_face, SMALL_CAMERA), (posed,))


@pytest.mark.parametrize("light_shape", [(1, 9, 3), (1, 27, 3, 3)])
def test_rendering_differentiates(sphere, frontal_pose, light_shape, device):
    vertices, topology = sphere(0.1, rows=4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    albedo = torch.rand(1, 3, 5, 5, generator=generator, dtype=torch.float64, requires_grad=True).to(device)
    light = torch.rand(light_shape, generator=generator, dtype=torch.float64).to(device) * 0.1
    if len(light_shape) == 3:
        light[:, 0] = 2.0
    else:
        light[:, :3] = 2.0
    light.requires_grad_()
    pose = frontal_pose(dtype=torch.float64)

    def image(v, a, sh):
        return render(geometry_buffers(topology, v, pose, SMALL_CAMERA), a, sh)

    moving = (vertices[None] + 0.001).requires_grad_()
    assert image(moving, albedo, light).detach().abs().max() > 0.1
    assert gradcheck(image, (moving, albedo, light))


def test_constant_light_of_radiance_one_shows_the_albedo(sphere, frontal_pose, assert_close, device):
    vertices, topology = sphere(0.08)
    buffers = geometry_buffers(topology, vertices[None], frontal_pose(), CROP_CAMERA)
    light = torch.zeros(1, 9, 3, device=device)
    light[:, 0] = math.sqrt(4 * math.pi)
    albedo = torch.tensor([0.2, 0.5, 0.9], device=device)[None, :, None, None].expand(1, 3, 16, 16)
    for given in (light, light.reshape(1, 27, 1, 1).expand(1, 27, 4, 4)):
        image = render(buffers, albedo, given)
        seen = buffers.mask[0]
        assert_close(image[0, :, seen], albedo[0, :, :1, 0].expand(3, int(seen.sum())))
        assert (image[0, :, ~seen] == 0).all()


def test_buffers_follow_the_conventions(sphere, frontal_pose):
    vertices, topology = sphere(0.08, rows=48)
    buffers = geometry_buffers(topology, vertices[None], frontal_pose(), CROP_CAMERA)
    # The middle of the picture looks at the viewer, its top up, its right side right.
    centre, top, right = (
        buffers.normal_light[0, :, row, col] for row, col in ((112, 112), (40, 112), (112, 184))
    )
    assert centre[2] > 0.99
    assert top[1] > 0.8
    assert right[0] > 0.8
    # Model +X (the subject's left) is on the picture's right and has u > 0.5; up is v < 0.5.
    assert buffers.uv[0, 112, 184, 0] > 0.7
    assert buffers.uv[0, 40, 112, 1] < 0.3
    # face_front was set on the upper half of the sphere.
    assert buffers.face_mask[0, 60, 112]
    assert not buffers.face_mask[0, 160, 112]
    assert buffers.mask[0, 160, 112]
    assert set(buffers.part.unique().tolist()) == {-1, 0}


def test_map_look_up_reads_texel_centres(assert_close, device):
    ramp = torch.arange(8.0, device=device).expand(1, 1, 8, 8)
    uv = torch.tensor([[0.5, 0.5], [7.5, 0.5], [4.0, 3.0], [0.0, 8.0]], device=device)[None, None] / 8
    assert_close(sample_map(ramp, uv)[0, 0, 0], torch.tensor([0.0, 7.0, 3.5, 0.0], device=device))


def test_a_ball_casts_its_shadow(sphere, device):
    ball, topology = sphere(0.05, rows=32)
    side = 0.3
    ground = torch.tensor(
        [[-side, -0.1, -side], [-side, -0.1, side], [side, -0.1, side], [side, -0.1, -side]], device=device
    )
    vertices = torch.cat([ball, ground])
    quad = torch.tensor([[0, 1, 2], [0, 2, 3]], device=device) + len(ball)
    faces = torch.cat([topology.faces, quad])
    steps = torch.linspace(-0.2, 0.2, 81, device=device)
    x, z = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([x, torch.full_like(x, -0.1), z], -1).reshape(-1, 3)
    normals = torch.tensor([0.0, 1.0, 0.0], device=device).expand_as(points)
    direction = torch.tensor([0.5, 1.0, 0.0], device=device)
    lit = directional_visibility(vertices, faces, points, normals, direction)
    # The shadow is an ellipse around the ball's projection: r^2 pi / cos(light, ground normal).
    cosine = (direction / direction.norm())[1].item()
    shadow_m2 = (1 - lit).sum().item() * (0.4 / 80) ** 2
    assert shadow_m2 == pytest.approx(math.pi * 0.05**2 / cosine, rel=0.05)
    centre = ((points - torch.tensor([-0.05, -0.1, 0.0], device=device)).norm(dim=-1)).argmin()
    assert lit[centre] == 0
    assert lit[points[:, 0] > 0.15].min() == 1


def test_the_lit_side_of_a_ball_has_no_shadow_acne(sphere, device):
    ball, topology = sphere(0.08, rows=48)
    normals = torch.nn.functional.normalize(ball, dim=-1)
    towards = torch.nn.functional.normalize(torch.tensor([0.3, 0.4, 1.0], device=device), dim=0)
    lit = directional_visibility(ball, topology.faces, ball, normals, towards)
    facing = normals @ towards
    assert lit[facing > 0.3].min() > 0.99
    assert lit[facing < 0].max() == 0
