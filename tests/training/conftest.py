from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def face_photos(tmp_path: Path) -> Path:
    """A photo set of twelve noise pictures with symmetric landmarks; some are in the validation split."""
    folder = tmp_path / "faces" / "celebahq"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    right = np.stack([rng.uniform(10, 48, 234), rng.uniform(10, 90, 234), rng.uniform(0, 9, 234)], 1)
    left = right * [-1, 1, 1] + [100, 0, 0]
    irises = np.concatenate([right[:5] * [1, 0.5, 1], left[:5] * [1, 0.5, 1]])
    points = np.concatenate([right, left, irises])
    names = [f"{number}.jpg" for number in range(12)]
    for name in names:
        picture = rng.integers(0, 255, (120, 110, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "images" / name)
        Image.fromarray(np.ones((120, 110), np.uint8), "P").save(
            folder / "masks" / name.replace("jpg", "png")
        )
    stacked = np.stack([points + rng.normal(0, 0.3, points.shape) for _ in names]) * 16
    np.savez(folder / "landmarks.npz", names=np.array(names), points=stacked.astype(np.int16))
    return tmp_path / "faces"
