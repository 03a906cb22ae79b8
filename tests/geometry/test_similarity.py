import pytest
import torch

from facelume.errors import UsageError
from facelume.geometry import rotation_from_rotvec, similarity_from_points


def points(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_known_similarities_are_recovered_in_batches():
    source = points(2, 3, 20, 3)
    rotation = rotation_from_rotvec(points(2, 3, 3, seed=1))
    scale, shift = 0.5 + points(2, 3, seed=2).abs(), points(2, 3, 3, seed=3)
    target = scale[..., None, None] * source @ rotation.mT + shift[..., None, :]
    found = similarity_from_points(source, target)
    torch.testing.assert_close(found.rotation, rotation)
    torch.testing.assert_close(found.scale, scale)
    torch.testing.assert_close(found.translation, shift)
    torch.testing.assert_close(found.apply(source), target)
    homogeneous = torch.cat((source, torch.ones_like(source[..., :1])), dim=-1)
    torch.testing.assert_close(homogeneous @ found.matrix.mT, target)


def test_mirrored_points_give_a_rotation_not_a_reflection():
    source = points(10, 3)
    found = similarity_from_points(source, source * torch.tensor([-1.0, 1, 1], dtype=torch.float64))
    assert torch.linalg.det(found.rotation).item() == pytest.approx(1.0)


def test_two_points_are_enough_in_the_plane():
    source = torch.tensor([[0.0, 0], [1, 0]])
    target = torch.tensor([[5.0, 5], [5, 7]])
    found = similarity_from_points(source, target)
    torch.testing.assert_close(found.apply(source), target)
    assert found.scale.item() == pytest.approx(2.0)


def test_pairs_without_weight_do_not_count():
    source = points(8, 2)
    target = 2.0 * source + 1.0
    broken = torch.cat((target[:6], target[6:] + 100.0))
    weights = torch.tensor([1.0] * 6 + [0.0] * 2, dtype=torch.float64)
    torch.testing.assert_close(similarity_from_points(source, broken, weights).apply(source), target)


def test_the_fit_is_a_least_squares_optimum():
    source, target = points(12, 3), points(12, 3, seed=5)
    found = similarity_from_points(source, target)
    error = ((found.apply(source) - target) ** 2).sum()
    for seed in range(20):
        turned = found.rotation @ rotation_from_rotvec(0.01 * points(3, seed=seed))
        other = found.scale * source @ turned.mT + found.translation + 0.01 * points(3, seed=seed + 50)
        assert ((other - target) ** 2).sum() > error


def test_coinciding_or_single_points_are_refused():
    with pytest.raises(UsageError, match="coincide"):
        similarity_from_points(torch.ones(5, 2), points(5, 2).float())
    with pytest.raises(UsageError, match="at least 2"):
        similarity_from_points(torch.ones(1, 2), torch.ones(1, 2))
