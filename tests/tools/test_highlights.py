from __future__ import annotations

import highlights
import numpy as np
import pytest

from facelume.data.synthetic import SyntheticConfig, SyntheticFaces
from facelume.face_model import load_open_face_model


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(load_open_face_model(), [], SyntheticConfig())


def test_only_the_highlights_of_the_two_photos_differ(faces: SyntheticFaces) -> None:
    pairs = [highlights.photograph_twice(faces, (5, index)) for index in range(4)]
    for shiny, matte in pairs:
        assert float(np.abs(matte.highlight).max()) == 0
        for name in ("albedo_srgb", "landmarks_px", "shading", "parsing", "identity"):
            assert np.array_equal(getattr(shiny, name), getattr(matte, name))
    assert any(not np.array_equal(shiny.image_srgb, matte.image_srgb) for shiny, matte in pairs)
    assert highlights.highlight_share(pairs[0][1]) == 0
    assert max(highlights.highlight_share(shiny) for shiny, _ in pairs) > 0.01
