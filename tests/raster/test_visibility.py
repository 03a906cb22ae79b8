import math
import subprocess
import sys

import pytest
import torch
from scipy.spatial import Delaunay

from facelume.camera import CROP_CAMERA, PinholeCamera, transform_points
from facelume.raster import EMPTY_KEY, depth_of, rasterize, triangle_of, visible_keys


@pytest.mark.parametrize("radius_m", [0.03, 0.08])
def test_sphere_covers_the_area_of_its_silhouette(sphere, frontal_pose, radius_m):
    vertices, topology = sphere(radius_m, rows=64)
    raster = rasterize(transform_points(frontal_pose(), vertices[None]), topology.faces, CROP_CAMERA)
    silhouette_px = CROP_CAMERA.focal_px * radius_m / math.sqrt(1 - radius_m**2)
    covered = (raster.pix_to_face >= 0).sum().item()
    assert covered == pytest.approx(math.pi * silhouette_px**2, rel=0.005)


def test_depth_of_a_sphere_is_the_ray_intersection(sphere, frontal_pose, device):
    vertices, topology = sphere(0.08, rows=96)
    raster = rasterize(transform_points(frontal_pose(), vertices[None]), topology.faces, CROP_CAMERA)
    offset = (torch.arange(224, device=device) + 0.5 - 112.0) / 1015.0
    y, x = torch.meshgrid(offset, offset, indexing="ij")
    a = x**2 + y**2 + 1
    root = (1 - a * (1 - 0.08**2)).clamp(min=0).sqrt()
    expected = (1 - root) / a
    inner = (x**2 + y**2).sqrt() < 0.07
    assert (raster.depth[0] - expected)[inner].abs().max() < 1e-4


def test_triangles_that_share_edges_cover_each_pixel_once(device):
    generator = torch.Generator().manual_seed(3)
    inner = torch.rand(40, 2, generator=generator).to(device) * 24
    # Half of the points lie exactly on pixel centres, where the tie rule decides.
    inner[:20] = inner[:20].floor() + 0.5
    corners = torch.tensor([[0.0, 0.0], [24.0, 0.0], [0.0, 24.0], [24.0, 24.0]], device=device)
    points = torch.cat([corners, inner])
    faces = torch.from_numpy(Delaunay(points.numpy(force=True)).simplices).to(device).long()
    faces[::2] = faces[::2, [0, 2, 1]]
    count = torch.zeros(24, 24, dtype=torch.int64, device=device)
    for face in faces:
        keys = visible_keys(points[None], torch.ones(1, len(points), device=device), face[None], (24, 24))
        count += keys[0] != EMPTY_KEY
    assert (count == 1).all()


@pytest.mark.parametrize("is_perspective", [True, False])
@pytest.mark.parametrize("cull_backfaces", [True, False])
def test_warp_agrees_with_its_torch_twin(is_perspective, cull_backfaces, device):
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(2, 90, 2, generator=generator).to(device) * 60 - 10
    depth = torch.rand(2, 90, generator=generator).to(device) + 0.2
    depth[:, ::17] = -0.5
    points[0, 5] = float("nan")
    points[1, 7] = 1e9
    faces = torch.randint(0, 90, (60, 3), generator=generator).to(device)
    fast, slow = (
        visible_keys(
            points,
            depth,
            faces,
            (37, 41),
            is_perspective=is_perspective,
            cull_backfaces=cull_backfaces,
            backend=backend,
        )
        for backend in ("warp", "torch")
    )
    assert (triangle_of(fast) == triangle_of(slow)).float().mean() > 0.999
    assert ((fast == EMPTY_KEY) == (slow == EMPTY_KEY)).all()
    torch.testing.assert_close(depth_of(fast), depth_of(slow), rtol=1e-6, atol=0)
    assert 0.2 < (fast != EMPTY_KEY).float().mean() < 1


def test_twin_agrees_on_a_sphere(sphere, frontal_pose):
    vertices, topology = sphere(0.08, rows=10)
    posed = transform_points(frontal_pose(), vertices[None])
    camera = PinholeCamera(300.0, (33.0, 32.0), 66, 64)
    fast, slow = (rasterize(posed, topology.faces, camera, backend=name) for name in ("warp", "torch"))
    assert (fast.pix_to_face == slow.pix_to_face).all()


def test_the_nearer_of_two_triangles_wins_and_ties_go_to_the_lower_index(device):
    points = torch.tensor([[[0.0, 0.0], [0.0, 8.0], [8.0, 0.0]]], device=device).repeat(1, 3, 1)
    depth = torch.tensor([[2.0] * 3 + [1.0] * 3 + [1.0] * 3], device=device)
    keys = visible_keys(points, depth, torch.arange(9, device=device).reshape(3, 3), (8, 8))
    seen = triangle_of(keys)
    assert set(seen.unique().tolist()) == {-1, 1}
    assert depth_of(keys)[seen == 1].unique().tolist() == [1.0]


def test_back_faces_are_drawn_unless_culled(sphere, frontal_pose):
    vertices, topology = sphere(0.05)
    posed = transform_points(frontal_pose(), vertices[None])
    inside_out = topology.faces[:, [0, 2, 1]]
    whole = rasterize(posed, topology.faces, CROP_CAMERA)
    culled = rasterize(posed, topology.faces, CROP_CAMERA, cull_backfaces=True)
    assert (whole.pix_to_face == culled.pix_to_face).all()
    drawn = rasterize(posed, inside_out, CROP_CAMERA)
    assert (drawn.pix_to_face == whole.pix_to_face).all()
    far_side = rasterize(posed, inside_out, CROP_CAMERA, cull_backfaces=True)
    assert far_side.depth[0, 112, 112].item() == pytest.approx(1.05, abs=1e-3)
    assert whole.depth[0, 112, 112].item() == pytest.approx(0.95, abs=1e-3)


def test_triangles_at_or_behind_the_camera_are_left_out(device):
    vertices = torch.tensor(
        [[[-1.0, -1.0, 2.0], [1.0, -1.0, 2.0], [0.0, 1.0, -1.0], [0.0, 1.0, 2.0]]], device=device
    )
    behind = rasterize(vertices, torch.tensor([[0, 1, 2]], device=device), CROP_CAMERA)
    assert (behind.pix_to_face == -1).all()
    assert (behind.bary_coords == 0).all()
    assert (behind.depth == 0).all()
    ahead = rasterize(vertices, torch.tensor([[0, 1, 2], [0, 1, 3]], device=device), CROP_CAMERA)
    assert ahead.pix_to_face.max() == 1


def test_a_batch_gives_what_its_items_give_alone(sphere, frontal_pose, assert_close, device):
    vertices, topology = sphere(0.06)
    poses = frontal_pose(3)
    poses[:, 0, 3] = torch.tensor([-0.03, 0.0, 0.05], device=device)
    posed = transform_points(poses, vertices.expand(3, -1, -1))
    together = rasterize(posed, topology.faces, CROP_CAMERA)
    for item in range(3):
        alone = rasterize(posed[item : item + 1], topology.faces, CROP_CAMERA)
        assert (alone.pix_to_face[0] == together.pix_to_face[item]).all()
        assert_close(alone.bary_coords[0], together.bary_coords[item])


def test_warp_is_imported_late_and_writes_nothing():
    program = (
        "import sys, torch, facelume.raster as r\n"
        "assert 'warp' not in sys.modules\n"
        "p = torch.tensor([[[0., 0.], [0., 4.], [4., 0.]]])\n"
        "r.visible_keys(p, torch.ones(1, 3), torch.tensor([[0, 1, 2]]), (4, 4))\n"
        "assert 'warp' in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == ""
    assert result.stderr == ""
