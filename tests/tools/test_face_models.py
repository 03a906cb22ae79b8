"""The benchmark of registered face models, and on ICT-FaceKit's people, where they are there."""

from __future__ import annotations

import os
from pathlib import Path

import face_models
import numpy as np
import pytest

from facelume.face_model import load_open_face_model
from facelume.registration import load_original

SCANS = Path(os.environ.get("FACELUME_DATA", Path(__file__).parents[2] / "data")) / "ict_facekit/identity.npz"


def test_a_head_is_at_no_distance_to_itself_and_its_back_is_not_seen() -> None:
    model = load_open_face_model()
    seen = face_models.seen_front(model.topology, model.mean_shape)
    mean = model.mean_shape.double().numpy()
    assert 3000 < len(seen) < model.num_vertices / 2
    assert float(mean[seen, 2].min()) > -0.02
    assert float(face_models.distances_mm(mean[seen], mean, model.topology).max()) < 1e-6
    moved = mean[seen] + (0.0, 0.0, 0.001)
    assert 0.3 < np.median(face_models.distances_mm(moved, mean, model.topology)) < 1.0


@pytest.mark.skipif(not SCANS.is_file(), reason=f"needs {SCANS}, see docs/data.md")
def test_people_of_a_scan_model_lose_no_more_than_a_few_tenths_of_a_millimetre(tmp_path: Path) -> None:
    face_models.write_ict_shapes(SCANS, tmp_path)
    figures = face_models.measure(load_original(str(tmp_path)), num_people=4)
    assert figures["to_model_mean_mm"] < 0.1
    assert figures["from_model_mean_mm"] < 0.2
    assert figures["matched_share"] > 0.95
    assert 0.95 < figures["scale"] < 1.05
