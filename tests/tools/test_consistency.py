"""A difference of two albedos is counted at the scale that it has."""

import consistency
import numpy as np
import pytest

from facelume.evaluation.groups import DISTANCE_SIZE
from facelume.evaluation.skin import VisibleSkin


def seen(albedo: np.ndarray) -> consistency.Seen:
    mask = np.zeros(albedo.shape[:2], bool)
    mask[10:-10, 10:-10] = True
    return consistency.Seen("a", "set", "photo", VisibleSkin(albedo, albedo, mask, 1.0))


def flat() -> np.ndarray:
    return np.full((DISTANCE_SIZE, DISTANCE_SIZE, 3), 0.4)


def waves(texels: float) -> np.ndarray:
    wave = np.sin(2 * np.pi * np.arange(DISTANCE_SIZE) / texels)
    return 0.02 * np.add.outer(wave, wave)[..., None] * np.ones(3)


@pytest.mark.parametrize(("texels", "scale"), [(100.0, "low"), (18.0, "middle"), (3.0, "high")])
def test_waves_are_counted_by_their_length(texels: float, scale: str) -> None:
    squares = consistency.scales(seen(flat()), seen(flat() + waves(texels)))
    assert squares[scale] == max(squares[name] for name in ("low", "middle", "high"))
    assert squares[scale] > 0.4 * squares["all"]
    assert squares["hue"] < 0.02 * squares["all"]


def test_one_colour_is_hue_and_a_factor_is_nothing() -> None:
    tinted = flat() * np.array([1.1, 1.0, 0.9])
    squares = consistency.scales(seen(flat()), seen(tinted))
    assert squares["hue"] == pytest.approx(squares["all"], rel=1e-3)
    assert consistency.scales(seen(flat()), seen(3 * flat()))["all"] < 1e-12
