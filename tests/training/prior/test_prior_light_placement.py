import math

import torch

from facelume.data.augment import AugmentConfig, random_placement
from facelume.illumination import irradiance
from facelume.training.prior.batches import placed_light


def test_light_turns_and_mirrors_with_the_picture():
    generator = torch.Generator().manual_seed(0)
    placement, is_mirrored = random_placement(12, AugmentConfig(shear=0.0), generator)
    assert 0 < is_mirrored.sum() < 12
    light = torch.randn(12, 9, 3, generator=generator)
    placed = placed_light(light, placement, is_mirrored)
    normals = torch.nn.functional.normalize(torch.randn(12, 50, 3, generator=generator), dim=-1)
    scale = torch.linalg.det(placement[:, :, :2]).abs().sqrt()
    y_down = torch.tensor([1.0, -1.0])
    # A normal seen in the crop lies where the placement takes it in the picture before.
    before = (
        (normals[..., :2] * y_down) @ (placement[:, :, :2] / scale[:, None, None]).transpose(1, 2)
    ) * y_down
    before = torch.cat([before, normals[..., 2:]], -1)
    torch.testing.assert_close(
        irradiance(placed[:, None], normals), irradiance(light[:, None], before), atol=1e-4, rtol=1e-4
    )


def test_quarter_turn_moves_light_from_the_right_to_the_top():
    light = torch.zeros(1, 9, 3)
    light[:, 3] = 1.0
    quarter = torch.tensor([[[0.0, -1.0, 224.0], [1.0, 0.0, 0.0]]])
    placed = placed_light(light, quarter, torch.zeros(1))
    expected = torch.zeros(1, 9, 3)
    expected[:, 1] = math.sin(math.pi / 2)
    torch.testing.assert_close(placed, expected, atol=1e-6, rtol=0)
