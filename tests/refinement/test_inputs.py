"""What the refinement is given: lamps that turn with the head, an albedo in the tone of the skin."""

import math

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, CropTransform, cam_from_model
from facelume.face_model import load_open_face_model
from facelume.fitting.appearance import Appearance
from facelume.illumination import NUM_LAMPS, lamp_directions
from facelume.raster import geometry_buffers
from facelume.refinement.inputs import (
    FaceInPhoto,
    InputBasis,
    input_basis,
    prepare_input,
    toned_albedo,
    unwrap_face,
)
from facelume.types import EYE_PARTS, is_part
from facelume.uv import texel_map

AHEAD = torch.tensor([[0.0, 0.0, 1.05]])


@pytest.fixture(scope="module")
def basis(device) -> InputBasis:
    return input_basis(load_open_face_model()).to(device)


def posed_as(*rotvec: float, device) -> torch.Tensor:
    return cam_from_model(torch.tensor([rotvec]), AHEAD).to(device)


def test_lamps_of_a_frontal_face_are_those_of_the_model(basis, assert_close, device):
    view = basis.lamps_of(posed_as(0.0, 0.0, 0.0, device=device))
    assert_close(view.directions[0], lamp_directions().to(device))
    assert view.seen is basis.lamp_visibility


def test_lamps_turn_with_the_head(basis, device):
    """The lamp before the face of the model is where the face looks."""
    matrix = posed_as(0.2, 0.7, -0.1, device=device)
    in_front = int((basis.lamps @ basis.lamps.new_tensor([0.0, 0.0, 1.0])).argmax())
    nose_cam = matrix[0, :3, :3] @ basis.lamps[in_front]
    expected = nose_cam * nose_cam.new_tensor(
        [1.0, -1.0, -1.0]
    )  # light axes are camera axes, y and z flipped
    view = basis.lamps_of(matrix)
    torch.testing.assert_close(view.directions[0, in_front], expected)
    angles = view.directions[0] @ view.directions[0].T
    torch.testing.assert_close(angles, basis.lamps @ basis.lamps.T, atol=1e-5, rtol=0)


def test_the_tone_changes_skin_lips_and_brows_but_not_eyes_and_teeth(basis, device):
    coeffs = torch.zeros(1, len(basis.albedo.rows), device=device)
    gain = torch.tensor([[0.5, 0.4, 0.3]], device=device)
    lamps = torch.zeros(1, NUM_LAMPS, 3, device=device)
    plain, toned = (
        toned_albedo(basis, Appearance(coeffs, factor, lamps))[0].flatten(1)
        for factor in (torch.ones_like(gain), gain)
    )
    regions = basis.tone_regions
    for texels in (regions.skin, regions.lips, torch.cat(regions.brow)):
        torch.testing.assert_close(toned[:, texels], plain[:, texels] * gain[0, :, None])
    part = texel_map(basis.model.topology, plain.shape[-1] // 256).part.flatten()
    is_eye = is_part(part, EYE_PARTS)
    assert int(is_eye.sum()) > 1000
    torch.testing.assert_close(toned[:, is_eye], plain[:, is_eye])


def face_in(picture: np.ndarray, parsing: torch.Tensor, basis: InputBasis, *, device) -> FaceInPhoto:
    """The mean face from the front in any picture."""
    matrix = posed_as(0.0, 0.0, 0.0, device=device)
    vertices = basis.model.mean_shape[None]
    buffers = geometry_buffers(basis.model.topology, vertices, matrix, CROP_CAMERA)
    crop = CropTransform(np.eye(2, 3))
    return FaceInPhoto(picture, crop, picture, parsing.to(device), vertices, matrix, buffers)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_white_and_hidden_faces_give_finite_maps(basis, tone_saying, level, device):
    picture = np.full((224, 224, 3), level, np.float32)
    network = tone_saying().to(device)
    for share in (0.0, 1.0):
        face = face_in(picture, torch.full((1, 224, 224), share), basis, device=device)
        prepared = prepare_input(unwrap_face(face, basis), basis, network)
        for name, value in vars(prepared.maps).items():
            assert bool(torch.isfinite(value).all()), (name, share)
        assert float(prepared.maps.exposure.min()) > 0


def test_a_face_of_which_nothing_is_seen_is_lit_white(basis, tone_saying, device):
    picture = np.full((224, 224, 3), 0.5, np.float32)
    face = face_in(picture, torch.zeros(1, 224, 224), basis, device=device)
    prepared = prepare_input(unwrap_face(face, basis), basis, tone_saying().to(device))
    light = prepared.maps.coarse_light[0]
    torch.testing.assert_close(light[0], torch.full_like(light[0], 2 * math.sqrt(math.pi)), rtol=0.01, atol=0)
    assert float(light[1:].abs().max()) < 0.05
