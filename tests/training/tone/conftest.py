import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelume.data.synthetic import SyntheticConfig, SyntheticFaces
from facelume.face_model import FaceModel, load_open_face_model
from facelume.fitting.tone_cues import ToneRegions
from facelume.refinement.inputs import model_tone_regions
from facelume.training.tone.faces import UnwrappedFaces
from facelume.training.tone.shards import SYNTHETIC, FaceShard


@pytest.fixture(scope="session")
def open_model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture
def model_shard(tmp_path: Path, open_model: FaceModel) -> tuple[FaceShard, ToneRegions]:
    """A shard whose faces nobody makes, and the regions of the open model."""

    def refuse() -> UnwrappedFaces:
        raise AssertionError("nothing is to be made")

    path = tmp_path / "synthetic_00000.npz"
    return FaceShard(SYNTHETIC, False, path, {"made": "so"}, refuse), model_tone_regions(open_model)


@pytest.fixture(scope="session")
def drawn_people(tmp_path_factory: pytest.TempPathFactory, open_model: FaceModel) -> Path:
    """Photos of four synthetic people, two each, as a studio set, and a table that groups them."""
    root = tmp_path_factory.mktemp("people")
    faces, rng = SyntheticFaces(open_model, [], SyntheticConfig(is_plain=True)), np.random.default_rng(3)
    for photo_set, names in {
        "london": [f"{person:03d}_{look}" for person in (1, 4, 6, 16) for look in ("neutral", "smile")],
        "celebahq": ["a1", "a2", "b1", "b2"],
    }.items():
        (root / "faces" / photo_set / "images").mkdir(parents=True)
        points = []
        for name in names:
            face = faces.draw(rng)
            Image.fromarray(face.image_srgb).save(root / "faces" / photo_set / "images" / f"{name}.png")
            points.append(np.concatenate([face.landmarks_px, np.zeros((478, 1))], axis=1))
        np.savez(
            root / "faces" / photo_set / "landmarks.npz",
            names=np.array([f"{name}.png" for name in names]),
            points=(np.stack(points) * 16).astype(np.int16),
        )
    with (root / "groups.csv").open("w", newline="") as file:
        rows = [("celebahq", f"celebahq-{name[0]}", f"{name}.png") for name in ("a1", "a2", "b1", "b2")]
        csv.writer(file).writerows([("set", "group", "name"), *rows])
    return root


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many shards of faces were made since the test began."""
    made: list[Path] = []
    save = UnwrappedFaces.save
    monkeypatch.setattr(UnwrappedFaces, "save", lambda s, path, f: (made.append(path), save(s, path, f)))
    return lambda: len(made)
