from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from facelume.training.refiner.prepared import PreparedFace, PreparedFaces, picture_file


@pytest.fixture
def shard_of(tmp_path: Path) -> Callable[[Sequence[PreparedFace]], PreparedFaces]:
    """Writes faces to a shard of their own and reads it back."""
    written: list[Path] = []

    def save(faces: Sequence[PreparedFace]) -> PreparedFaces:
        written.append(tmp_path / "shards" / f"{len(written)}.prepared")
        PreparedFaces.save(written[-1], faces, {})
        return PreparedFaces(written[-1], {})

    return save


@pytest.fixture
def face_of() -> Callable[..., PreparedFace]:
    """A prepared face of given maps under even light, ahead in a grey crop; any field can be set."""

    def build(texture: np.ndarray, truth: np.ndarray, **fields: object) -> PreparedFace:
        size = texture.shape[-1]
        ahead = np.zeros((3, size, size), np.int8)
        ahead[2] = 127
        light = np.zeros((9, 3), np.float32)
        light[0] = 2 * np.sqrt(np.pi)
        maps = {
            "texture": texture.astype(np.uint8),
            "visibility": np.full((size, size), 255, np.uint8),
            "normals_light": ahead,
            "prior_albedo": truth.astype(np.uint8),
            "coarse_light": light,
            "exposure": np.ones(3, np.float32),
        }
        maps |= fields.pop("maps", {})
        if "coarse_map" not in maps:  # nothing is in shadow
            maps["coarse_map"] = np.tile(maps["coarse_light"].reshape(27, 1, 1), (1, 8, 8)).astype(np.float16)
        known = {
            "maps": maps,
            "truth": truth.astype(np.uint8),
            "truth_shading": np.ones((3, size, size), np.float16),
            "truth_highlight": np.zeros((3, size, size), np.float16),
            "has_truth": True,
            "person": 0,
            "picture_file": picture_file(np.full((224, 224, 3), 0.5, np.float32)),
            "face_mask": np.ones((224, 224), bool),
            "identity": np.zeros(80, np.float32),
            "expression": np.zeros(52, np.float32),
            "pose": np.array([0, 0, 0, 0, 0, 1.05], np.float32),
        }
        return PreparedFace(**(known | fields))

    return build
