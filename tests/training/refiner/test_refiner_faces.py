"""The run file decides what the synthetic faces of the refiner's training look like."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import facelume.training
from facelume.data.synthetic import SkinConfig, SyntheticConfig, SyntheticFaces
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.networks.refiner import RefinerConfig
from facelume.training.config import LoopConfig, read_run_file, run_document
from facelume.training.refiner.config import LossWeights, RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.shards import prepare_all

CONFIGS = Path(facelume.training.__file__).parent / "configs"


def read_with(path: Path, synthetic: object) -> RefinerTrainingConfig:
    """A run file with the given ``data.synthetic``, read."""
    run_file = {
        "data": {"prepared": "p", "synthetic": synthetic},
        "output": "o",
        "loop": {"num_steps": 1},
        "losses": {"cross_perceptual": 0.0},
    }
    path.write_text(json.dumps(run_file))
    return read_run_file(path, RefinerTrainingConfig)


@pytest.mark.parametrize("name", ["refiner_cpu.json", "refiner_clean.json", "refiner_paper.json"])
def test_shipped_run_files_state_the_pigment_beyond_the_basis_that_is_also_the_default(name):
    stated = json.loads((CONFIGS / name).read_text())["data"]["synthetic"]
    assert stated == {"skin": {"pigment_fraction": 0.5}}
    config = read_run_file(CONFIGS / name, RefinerTrainingConfig)
    assert config.data.synthetic == RefinerDataConfig(prepared=Path("p")).synthetic


def test_a_run_file_sets_any_of_it_and_its_document_quotes_all(tmp_path):
    skin = {"pigment_fraction": 0.25, "detail": {"marks": {"freckle_fraction": 1.0}}}
    config = read_with(tmp_path / "run.json", {"skin": skin})
    synthetic = config.data.synthetic
    assert synthetic.skin.pigment_fraction == 0.25
    assert synthetic.skin.detail.marks.freckle_fraction == 1.0
    assert synthetic.occluders == SyntheticConfig().occluders
    quoted = run_document(config)["data"]["synthetic"]
    assert quoted["skin"]["detail"]["marks"]["freckle_fraction"] == 1.0
    assert quoted["camera"]["jpeg_quality_range"] == [35, 95]


@pytest.mark.parametrize(
    ("synthetic", "reason"),
    [
        ({"skin": {"freckles": 1.0}}, "freckles"),
        ({"occluders": {"hair_fraction": 2.0}}, "OccluderConfig.hair_fraction must be a probability"),
        ({"skin": {"detail": {"adornments": {"beard": 1.0}}}}, "shares of Adornments .* sum to 1.65"),
        ({"camera": {"blur_range_px": [0.6]}}, "blur_range_px"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(tmp_path, synthetic, reason):
    with pytest.raises(UsageError, match=reason):
        read_with(tmp_path / "run.json", synthetic)


def test_faces_are_prepared_as_the_run_file_says_and_not_reused_for_another(tmp_path):
    synthetic = SyntheticConfig(skin=SkinConfig(pigment_fraction=1.0), is_plain=True)
    data = RefinerDataConfig(
        prepared=tmp_path / "prepared",
        num_synthetic=1,
        num_synthetic_validation=0,
        synthetic=synthetic,
        prior_weights=None,
    )
    config = RefinerTrainingConfig(
        data=data,
        output=tmp_path / "run",
        loop=LoopConfig(num_steps=1),
        network=RefinerConfig(width=2, map_size=32),
        losses=LossWeights(cross_perceptual=0.0),
    )
    model = load_open_face_model()
    ((prepared,), _) = prepare_all(config, model)
    expected = SyntheticFaces(model, [], synthetic).draw(np.random.default_rng([0, 0])).albedo_srgb
    blocks = expected.reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(np.moveaxis(prepared.truth[0], 0, -1), blocks, atol=1.0)
    other = replace(config, data=replace(data, synthetic=SyntheticConfig()))
    with pytest.raises(UsageError, match="synthetic"):
        prepare_all(other, model)
