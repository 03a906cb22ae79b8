"""Shadows that a head casts on itself under a new light."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from raster import RADIUS_M, ball

from facelume.camera import CROP_CAMERA
from facelume.face_model import load_open_face_model
from facelume.geometry.face_mesh import CHIN, NOSE_BRIDGE, NOSE_TIP
from facelume.illumination import Lamps, resolve_lamps, turn_light
from facelume.pipeline.head_shadows import HeadShadows
from facelume.pipeline.posed_face import PosedFace
from facelume.raster import geometry_buffers
from facelume.types import MOUTH_PARTS, is_part

WHITE = np.ones((8, 8, 3), np.float32)
LAMP = (-0.8, 0.15, 0.6)
"""Towards a lamp on picture left, so that the nose's shadow falls on picture right."""


@pytest.fixture(scope="module")
def posed(device: torch.device) -> Callable[..., PosedFace]:
    """Builder: yaw of the head and how far the jaw is open -> the mean face, in a cache."""
    model = load_open_face_model().to(device)
    made: dict[tuple[float, float], PosedFace] = {}

    def build(yaw_rad: float = 0.0, jaw: float = 0.0) -> PosedFace:
        if (yaw_rad, jaw) not in made:
            expression = torch.zeros(model.num_expression, device=device)
            expression[model.expression_names.index("jawOpen")] = jaw
            pose = torch.tensor([0.0, yaw_rad, 0.0, 0.0, 0.01, 1.3], device=device)
            made[yaw_rad, jaw] = PosedFace(
                model, torch.zeros(model.num_identity, device=device), expression, pose
            )
        return made[yaw_rad, jaw]

    return build


def one_lamp(direction: tuple[float, float, float]) -> Lamps:
    return Lamps(torch.nn.functional.normalize(torch.tensor([direction]), dim=1), torch.ones(1, 3))


def unshadowed(face: PosedFace, lamps: Lamps) -> np.ndarray:
    """Shading of the same lamps if the head hid none."""
    normals = face.crop_buffers.normal_light[0].movedim(0, -1).cpu()
    shading = (normals @ lamps.directions.T).clamp(min=0) @ lamps.strengths
    return shading.numpy() * face.face_front()[..., None]


def cheeks(face: PosedFace) -> dict[str, np.ndarray]:
    """Pixels beside the nose, between its bridge and the mouth, on each side of the picture."""
    landmarks = face.landmarks_crop_px()
    column, row = np.meshgrid(np.arange(224) + 0.5, np.arange(224) + 0.5)
    between = (row > landmarks[NOSE_BRIDGE, 1]) & (row < landmarks[NOSE_TIP, 1])
    between &= is_part(face.crop_buffers.part[0].cpu(), MOUTH_PARTS).logical_not().numpy() & face.face_front()
    width_px = landmarks[CHIN, 1] - landmarks[NOSE_TIP, 1]
    side = (column - landmarks[NOSE_TIP, 0]) / width_px
    return {"left": between & (side < -0.3) & (side > -0.9), "right": between & (side > 0.3) & (side < 0.9)}


def test_the_nose_throws_its_shadow_on_the_far_cheek_and_none_on_the_near_one(posed) -> None:
    face, cheek = posed(), cheeks(posed())
    for lamp, far, near in (
        (LAMP, "right", "left"),
        ((-LAMP[0], *LAMP[1:]), "left", "right"),
    ):
        expected = unshadowed(face, one_lamp(lamp))[..., 0]
        shown = face.render(WHITE, one_lamp(lamp))[..., 0]
        lit = expected > 0.15
        hidden = lit & (shown < 0.1 * expected)
        assert hidden[cheek[far]].sum() > 60
        assert not hidden[cheek[near]].any()
        assert shown[cheek[near]].sum() > 0.99 * expected[cheek[near]].sum()


def test_the_shadow_stays_on_the_cheek_when_head_and_light_turn_together(posed) -> None:
    turn = 0.4
    straight, turned = posed(), posed(turn)
    lamp = one_lamp(LAMP)
    hidden = (unshadowed(straight, lamp) > 0.15) & (straight.render(WHITE, lamp) < 0.05)
    triangles = straight.crop_buffers.pix_to_face[0].cpu().numpy()[hidden[..., 0] & cheeks(straight)["right"]]
    assert len(triangles) > 60
    # The pose turns the head about the camera's down axis, the light is turned about its up axis.
    together = turned.render(WHITE, turn_light(lamp, -turn))[..., 0]
    alone = turned.render(WHITE, lamp)[..., 0]
    seen = np.isin(turned.crop_buffers.pix_to_face[0].cpu().numpy(), triangles)
    assert seen.sum() > 20
    assert together[seen].mean() < 0.05
    assert abs(alone[seen].mean() - together[seen].mean()) > 0.02


def test_a_light_turned_once_around_is_the_light(posed) -> None:
    face = posed()
    for name in ("sky", "hall"):
        lamps = resolve_lamps(name)
        once = face.render(WHITE, lamps, yaw_rad=2 * math.pi)
        np.testing.assert_allclose(once, face.render(WHITE, lamps), atol=2e-3)
        assert np.abs(face.render(WHITE, lamps, yaw_rad=math.pi) - once).max() > 0.1


def test_shadows_only_take_light_away(posed) -> None:
    face = posed()
    skin = face.face_front() & ~is_part(face.crop_buffers.part[0].cpu(), MOUTH_PARTS).numpy()
    for name in ("sky", "city", "hall", "sunrise", "left"):
        lamps = resolve_lamps(name)
        open_air = unshadowed(face, lamps)[skin]
        shown = face.render(WHITE, lamps)[skin]
        assert (shown >= 0).all()
        # Weak lamps are shared among the nearest of the lattice, which moves their light a little.
        assert (shown - open_air).max() < 0.03 * open_air.max(), name
        assert shown.mean() < open_air.mean()


def test_a_ball_hides_no_lamp_from_the_side_that_faces_it(device) -> None:
    vertices, topology = ball(48)
    vertices, topology = vertices.to(device), topology.to(device)
    cam_from_model = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], device=device))
    cam_from_model[2, 3] = 1.0
    buffers = geometry_buffers(topology, vertices[None], cam_from_model[None], CROP_CAMERA)
    normals = buffers.normal_light[0].movedim(0, -1)
    # Away from the silhouette, where a pixel holds much of the ball.
    centre = buffers.depth[0] - (1.0 - RADIUS_M) < 0.6 * RADIUS_M
    for name in ("sky", "hall", "ambient"):
        lamps = resolve_lamps(name)
        shading = HeadShadows(topology, vertices, cam_from_model).shading(buffers, CROP_CAMERA, lamps)
        cosine = (normals @ lamps.directions.to(device).T).clamp(min=0)
        expected = cosine @ lamps.strengths.to(device)
        error = (shading[0].movedim(0, -1) - expected)[centre & buffers.mask[0]].abs()
        assert error.max() < 0.04 * expected.max(), name


def test_weak_lamps_lose_as_much_light_as_strong_ones_in_the_same_place(posed) -> None:
    face = posed()
    # Two hundred lamps within a few degrees, none of them a spot, against one.
    generator = torch.Generator().manual_seed(0)
    scatter = torch.randn(200, 3, generator=generator) * 0.03
    around = torch.nn.functional.normalize(one_lamp(LAMP).directions + scatter, dim=1)
    weak = face.render(WHITE, Lamps(around, torch.full((200, 3), 1 / 200)))
    strong = face.render(WHITE, one_lamp(LAMP))
    for side, cheek in cheeks(face).items():
        assert weak[cheek].mean() == pytest.approx(strong[cheek].mean(), abs=0.06), side


def test_an_open_mouth_is_lit_as_its_opening_is(posed) -> None:
    face = posed(jaw=0.6)
    inside = face.face_front() & is_part(face.crop_buffers.part[0].cpu(), MOUTH_PARTS).numpy()
    assert inside.sum() > 50
    for lamp in ((0.0, 0.3, 1.0), (0.7, 0.0, 0.7), (0.0, 1.0, 0.0), (0.2, 0.0, -1.0)):
        towards = one_lamp(lamp).directions[0, 2].item()
        np.testing.assert_allclose(face.render(WHITE, one_lamp(lamp))[inside], max(towards, 0.0), atol=0.01)


def test_lamps_that_are_off_are_darkness(posed) -> None:
    lamps = resolve_lamps("sky")
    assert not posed().render(WHITE, Lamps(lamps.directions, torch.zeros_like(lamps.strengths))).any()
