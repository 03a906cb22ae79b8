"""Render a head whose shape, pose, albedo and light are known, reconstruct it, compare."""

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA
from facelume.face_model import load_open_face_model
from facelume.geometry import rotvec_from_rotation
from facelume.illumination import light_presets, light_tensor
from facelume.io.picture import encode_srgb
from facelume.metrics import normalised_mean_error
from facelume.pipeline import Reconstructor
from facelume.pipeline.posed_face import PosedFace
from facelume.raster import render

_SIZE_PX = 448


@pytest.fixture(scope="module", params=[0.0, 0.4, -0.4], ids=["frontal", "turned", "turned the other way"])
def known(request: pytest.FixtureRequest) -> PosedFace:
    model = load_open_face_model()
    generator = torch.Generator().manual_seed(7)
    expression = torch.zeros(model.num_expression)
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        expression[model.expression_names.index(name)] = 0.5
    identity = 0.5 * torch.randn(model.num_identity, generator=generator)
    pose = torch.tensor([0.05, request.param, 0.0, 0.0, 0.01, 1.3])
    return PosedFace(model, identity, expression, pose)


def _photograph(known: PosedFace) -> np.ndarray:
    albedo = known.model.albedo_map(torch.zeros(1, known.model.num_albedo), size=512)
    light = light_tensor(light_presets()["left"].sh_radiance.numpy(), known.pose)
    buffers = known.buffers(_SIZE_PX)
    image = render(buffers, albedo, light)
    image = torch.where(buffers.mask[:, None], image, torch.tensor([0.1, 0.12, 0.15])[:, None, None])
    return encode_srgb(image[0].permute(1, 2, 0).numpy())


def test_known_head_is_recovered(reconstructor: Reconstructor, known: PosedFace) -> None:
    face = reconstructor.reconstruct(_photograph(known))
    expected = known.landmarks_crop_px() * (_SIZE_PX / CROP_CAMERA.width_px)
    found = face.landmarks_px["mediapipe478"]
    assert normalised_mean_error(found.astype(np.float32), expected.astype(np.float32)) < 0.035
    turn = face.posed.cam_from_model[:3, :3] @ known.cam_from_model[:3, :3].T
    assert float(torch.rad2deg(rotvec_from_rotation(turn).norm())) < 6
    assert face.metrics["detail"].psnr_db > 25
    assert not face.warnings


def test_a_head_turned_far_away_is_marked(reconstructor: Reconstructor) -> None:
    model = load_open_face_model()
    pose = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.01, 1.3])
    head = PosedFace(model, torch.zeros(model.num_identity), torch.zeros(model.num_expression), pose)
    face = reconstructor.reconstruct(_photograph(head))
    assert any("turned by" in warning for warning in face.warnings)
