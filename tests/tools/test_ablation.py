"""The rows of the ablation leave out what they say, and nothing once they are over."""

from pathlib import Path

import ablate_pipeline
import numpy as np
import pytest

from facelume.pipeline import Reconstruction, Reconstructor

PHOTO = Path(__file__).parents[2] / "examples" / "astronaut.png"
CHANGED = {
    "tone_of_photo": "albedo",
    "brightness_of_photo": "albedo",
    "no_cast_shadows": "light_coarse",
    "own_shadows": "light_coarse",
    "own_tone": "albedo",
    "no_refiner": "albedo",
    "no_settled_light": "illumination",
}


def reconstruct(row: str) -> Reconstruction:
    with ablate_pipeline.without(row):
        return Reconstructor(device="cpu").reconstruct(PHOTO)


@pytest.fixture(scope="module")
def everything() -> Reconstruction:
    return reconstruct("everything")


def test_every_row_has_a_test() -> None:
    assert {"everything", *CHANGED} == set(ablate_pipeline.ROWS)


@pytest.mark.parametrize("row", CHANGED)
def test_a_row_changes_what_it_leaves_out(row: str, everything: Reconstruction) -> None:
    changed, name = reconstruct(row), CHANGED[row]
    first, second = getattr(everything, name), getattr(changed, name)
    assert float(np.abs(first - second).mean()) > 1e-3 * float(np.abs(first).mean())
    np.testing.assert_array_equal(everything.maps.texture, changed.maps.texture)


def test_without_the_refiner_the_albedo_is_the_fit_in_the_judged_tone() -> None:
    face = reconstruct("no_refiner")
    ratio = face.maps.albedo[face.maps.visibility > 0.9] / face.maps.albedo_prior[face.maps.visibility > 0.9]
    np.testing.assert_allclose(ratio, np.median(ratio, axis=0)[None].repeat(len(ratio), 0), rtol=0.02)


def test_the_photos_own_tone_is_the_photos_colour() -> None:
    face = reconstruct("tone_of_photo")
    seen = face.maps.visibility > 0.9
    ours, photo = (np.median(m[seen], axis=0) for m in (face.maps.albedo, face.maps.texture))
    hues = [np.log(colour[:-1] / colour[1:]) for colour in (ours, photo)]
    np.testing.assert_allclose(hues[0], hues[1], atol=0.12)
