from dataclasses import replace

import pytest
import torch

from facelume.face_model import load_open_face_model
from facelume.networks.builders import REFINER_BUILDERS
from facelume.networks.refiner import Refiner, RefinerConfig
from facelume.training.config import LoopConfig, run_document
from facelume.training.loop import Trained
from facelume.training.refiner.config import LossWeights, RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.export import export_weights
from facelume.weights import build_and_load

NETWORK = RefinerConfig(width=4, map_size=32, head="residual", with_context=True, with_gate=True)


@pytest.fixture
def config(tmp_path, own_tone) -> RefinerTrainingConfig:
    """A run whose skins are judged by a tone network of its own, which learned from nobody's photos."""
    return RefinerTrainingConfig(
        data=RefinerDataConfig(prepared=tmp_path / "p", prior_weights=None, tone_weights=own_tone.id),
        output=tmp_path / "mine",
        loop=LoopConfig(num_steps=1),
        network=NETWORK,
        losses=LossWeights(cross_perceptual=0.0),
    )


def export(config: RefinerTrainingConfig):
    refiner = Refiner(NETWORK)
    history = [{"first_step": 0, "run": run_document(config)}]
    return refiner, export_weights(
        Trained(refiner, {"synthetic/albedo_error": 0.1}, history), config, load_open_face_model()
    )


def test_exported_weights_load_into_the_same_network(config):
    model = load_open_face_model()
    refiner, _ = export(config)
    loaded, record = build_and_load(
        "refiner",
        REFINER_BUILDERS,
        face_model_sha256=model.asset_sha256,
        atlas_id=model.atlas_id,
        folder=config.output / "weights",
    )
    assert loaded.config == refiner.config
    assert record.id == "refiner-mine"
    assert record.metrics == {"synthetic/albedo_error": 0.1}
    assert record.training[0]["run"]["loop"]["num_steps"] == 1
    torch.testing.assert_close(
        loaded.encoder[0].weight.detach(), refiner.encoder[0].weight.detach(), atol=1e-3, rtol=1e-3
    )


def test_a_record_names_what_this_run_learned_from_and_nothing_else(config, tmp_path):
    def record_of(**data):
        return export(replace(config, data=replace(config.data, **data)))[1]

    synthetic = record_of()
    assert synthetic.terms == "credit"
    assert "answers of the network tone-own (CC0)" in synthetic.training_data
    assert "CelebA" not in synthetic.training_data
    assert "Poly Haven" not in synthetic.training_data
    london = record_of(photos=tmp_path, photo_sets=("london",))
    assert london.terms == "credit"
    assert "London" in london.training_data
    assert "CelebA" not in london.training_data + london.licence
    celeba = record_of(photos=tmp_path, photo_sets=("celebahq", "london"))
    assert celeba.terms == "research"
    assert "CelebAMask-HQ" in celeba.licence
    mine = record_of(photos=tmp_path, photo_sets=("mine",))
    assert mine.terms == "unstated"
    assert "'mine'" in mine.licence
    assert record_of(num_synthetic=0, photos=tmp_path, photo_sets=("london",)).training_data.startswith(
        "photos of the Face Research Lab London Set (CC BY 4.0)"
    )


def test_the_tone_network_that_judged_the_skins_hands_its_terms_on(config, shipped_tone):
    _, record = export(replace(config, data=replace(config.data, tone_weights=shipped_tone.id)))
    assert record.terms == shipped_tone.terms == "research"
    assert f"answers of the network {shipped_tone.id}" in record.training_data


def test_a_prior_network_that_starts_the_fits_hands_its_terms_on(config):
    _, record = export(replace(config, data=replace(config.data, prior_weights="prior")))
    assert record.terms == "research"
    assert "answers of the network prior-small-1" in record.training_data


def test_a_set_may_state_its_own_terms(config, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "source.json").write_text(
        '{"name": "photos of our volunteers", "licence": "CC0", "terms": "free"}'
    )
    data = replace(config.data, num_synthetic=0, photos=tmp_path, photo_sets=("mine",))
    _, record = export(replace(config, data=data))
    assert record.terms == "free"
    assert record.licence == "Apache-2.0"
    assert record.training_data.startswith("photos of our volunteers (CC0)")
