"""The atlas of the embedded face model, as the pipeline uses it."""

import pytest
import torch

from facelume.camera import CROP_CAMERA, cam_from_model
from facelume.face_model import load_open_face_model
from facelume.raster import geometry_buffers, sample_map
from facelume.uv import facing_cosine, interpolate_texels, pose_texels, texel_map, unwrap_crop


@pytest.fixture(scope="module")
def model(device):
    return load_open_face_model().to(device)


@pytest.fixture(scope="module")
def texels(model):
    return texel_map(model.topology, 256)


def posed(model, texels, yaw_rad, *, device):
    matrix = cam_from_model(
        torch.tensor([[0.0, yaw_rad, 0.0]], device=device), torch.tensor([[0.0, 0.0, 1.05]], device=device)
    )
    vertices = model.mean_shape[None]
    buffers = geometry_buffers(model.topology, vertices, matrix, CROP_CAMERA)
    return buffers, pose_texels(texels, model.topology, vertices, matrix)


def seen(model, texels, yaw_rad, *, device):
    buffers, texels_posed = posed(model, texels, yaw_rad, device=device)
    image, parsing = torch.ones(1, 3, 224, 224, device=device), torch.ones(1, 224, 224, device=device)
    return unwrap_crop(image, texels_posed, buffers, CROP_CAMERA, parsing).visibility[0]


def test_every_visible_pixel_looks_up_painted_texels(model, texels, device):
    painted = interpolate_texels(texels, torch.ones(1, model.num_vertices, 1, device=device))
    for yaw_rad in (0.0, 0.9):
        buffers, _ = posed(model, texels, yaw_rad, device=device)
        looked_up = sample_map(painted, buffers.uv)[0, 0][buffers.mask[0]]
        assert looked_up.min() > 0.999


def test_texels_mirror_each_other(model, texels, device):
    # A chart border may run exactly through texel centres; the tie rule takes those of one side only.
    differing = texels.inside != texels.inside.flip(-1)
    assert differing.float().mean() < 0.003
    assert (texels.face_index[differing] >= 0).all()
    position = interpolate_texels(texels, model.mean_shape[None])[0]
    mirrored = position.flip(-1) * torch.tensor([-1.0, 1.0, 1.0], device=device)[:, None, None]
    skin = texels.inside & texels.inside.flip(-1) & (texels.part == 0)
    assert (position - mirrored)[:, skin].norm(dim=0).quantile(0.999) < 1e-3


def test_opposite_turns_see_mirrored_texels(model, texels, device):
    left, right = seen(model, texels, 0.6, device=device), seen(model, texels, -0.6, device=device)
    assert (left - right.flip(-1)).abs().mean() < 0.005
    assert (left - right).abs().mean() > 0.1


def test_a_frontal_face_shows_what_faces_the_camera(model, texels, device):
    buffers, texels_posed = posed(model, texels, 0.0, device=device)
    front = model.topology.face_front[texels.face_index.clamp(min=0)] & texels.inside & (texels.part == 0)
    facing = facing_cosine(texels_posed)[0] > 0.35
    visibility = seen(model, texels, 0.0, device=device)
    # The rest lies behind the lower lip, the chin and the eyelids.
    assert visibility[front & facing].mean() > 0.97
    inside_mouth = texels.inside & (texels.part >= 3)
    assert visibility[inside_mouth].mean() < 0.1
    assert buffers.face_mask.float().mean() > 0.2


def test_skin_within_three_pixels_of_the_parsing_mask_border_is_not_seen(model, texels, assert_close, device):
    buffers, texels_posed = posed(model, texels, 0.0, device=device)
    image, parsing = torch.ones(1, 3, 224, 224, device=device), torch.ones(1, 224, 224, device=device)
    parsing[:, 100:, :] = 0.0
    visibility = unwrap_crop(image, texels_posed, buffers, CROP_CAMERA, parsing).visibility[0]
    y_px = CROP_CAMERA.project(texels_posed.position_cam[0].movedim(0, -1))[..., 1]
    bare = unwrap_crop(image, texels_posed, buffers, CROP_CAMERA, torch.ones_like(parsing)).visibility[0]
    assert float(visibility[y_px > 97.0].max()) == 0.0
    above = (y_px < 96.0) & (bare > 0) & (texels.part >= 0)
    assert_close(visibility[above], bare[above])
