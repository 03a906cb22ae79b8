"""Run files of the package and of a user: one strict reader, one vocabulary, true records."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from facelume.data.provenance import licence_of
from facelume.errors import UsageError
from facelume.networks.locator import LocatorConfig
from facelume.networks.tone import ToneNetwork
from facelume.training.config import LoopConfig, read_run_file, run_document
from facelume.training.locator.config import LocatorTrainingConfig
from facelume.training.locator.export import sources_of as locator_sources
from facelume.training.prior.config import PriorTrainingConfig
from facelume.training.prior.export import sources_of as prior_sources
from facelume.training.refiner.config import RefinerTrainingConfig
from facelume.training.refiner.export import sources_of as refiner_sources
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.export import sources_of as tone_sources
from facelume.weights import WeightRecord, architecture_of, save_weights

CONFIGS = Path(str(files("facelume.training").joinpath("configs")))
KINDS = {
    "locator": LocatorTrainingConfig,
    "prior": PriorTrainingConfig,
    "refiner": RefinerTrainingConfig,
    "tone": ToneTrainingConfig,
}
SHIPPED = sorted(path.name for path in CONFIGS.glob("*.json"))


def read(name: str):
    return read_run_file(CONFIGS / name, KINDS[name.split(".", maxsplit=1)[0].split("_", maxsplit=1)[0]])


@pytest.mark.parametrize("name", SHIPPED)
def test_run_files_of_the_package_are_valid_and_come_back_from_their_document(name, tmp_path):
    config = read(name)
    assert config.loop.length(10_000) > 0
    path = tmp_path / "again.json"
    path.write_text(json.dumps(run_document(config)))
    assert read_run_file(path, type(config)) == config


@pytest.mark.parametrize("name", SHIPPED)
def test_data_of_the_shipped_run_files_lies_where_the_variable_says_and_records_do_not_tell(
    name, tmp_path, monkeypatch
):
    monkeypatch.delenv("FACELUME_DATA", raising=False)
    document = run_document(read(name))
    assert read(name).data.photos == Path("data/faces")
    monkeypatch.setenv("FACELUME_DATA", str(tmp_path))
    config = read(name)
    assert config.data.photos == tmp_path / "faces"
    assert not config.output.is_relative_to(tmp_path)
    assert run_document(config) == document
    assert str(tmp_path) not in json.dumps(document)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_run_file_has_the_same_outline(name):
    document = run_document(read(name))
    assert {"data", "output", "loop", "network", "losses", "weights_id"} <= document.keys()
    assert LoopConfig(**{**document["loop"], "betas": tuple(document["loop"]["betas"])}) == read(name).loop


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize("place", [(), ("data",), ("loop",), ("network",), ("losses",)])
def test_a_misspelt_name_is_refused_wherever_it_stands(kind, place, tmp_path):
    name = next(n for n in SHIPPED if KINDS[n.split(".")[0].split("_")[0]] is kind)
    document = run_document(read(name))
    inner = document
    for key in place:
        inner = inner[key]
    inner["lerning_rate"] = 1.0
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="lerning_rate"):
        read_run_file(path, kind)


@pytest.mark.parametrize("content", [None, "no json", "[]", "{}"])
def test_a_file_that_is_no_run_file_is_one_clear_error(content, tmp_path):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"run\.json") as error:
        read_run_file(path, RefinerTrainingConfig)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "document", "words"),
    [
        (
            RefinerTrainingConfig,
            {"data": {"prepared": "x"}, "output": "y", "loop": {"num_steps": 1}},
            "losses.cross_perceptual needs recognition_weights",
        ),
        (
            RefinerTrainingConfig,
            {
                "data": {"prepared": "x", "augment": {}},
                "output": "y",
                "loop": {"num_steps": 1},
                "losses": {"cross_perceptual": 0},
            },
            "augment works with space",
        ),
        (
            PriorTrainingConfig,
            {"data": {"photos": "x", "crops": "c"}, "output": "y", "loop": {}, "has_coefficients": True},
            "has_coefficients needs initial_weights",
        ),
        (
            LocatorTrainingConfig,
            {"data": {"photos": "x", "environment_maps": "m", "side_px": 30}, "output": "y", "loop": {}},
            "multiple of 8",
        ),
    ],
)
def test_contradictions_are_refused_in_words(kind, document, words, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=words):
        read_run_file(path, kind)


def test_the_clean_run_files_learn_from_nothing_that_is_for_research_only(tmp_path, monkeypatch):
    tone = read("tone_clean.json")
    licence, terms = licence_of(tone_sources(tone))
    assert terms == "credit"
    record = WeightRecord(
        id=tone.weights_id or f"tone-{tone.output.name}",
        kind="tone",
        architecture=architecture_of(ToneNetwork),
        config={},
        input="",
        training_data="",
        licence=licence,
        terms=terms,
    )
    save_weights({}, record, folder=tmp_path)
    monkeypatch.setenv("FACELUME_WEIGHTS", str(tmp_path))
    licence, terms = licence_of(refiner_sources(read("refiner_clean.json")))
    assert terms == "credit"
    assert licence.startswith("Apache-2.0, with credit for: ")
    assert "research" not in licence
    assert "Face Research Lab London Set" in licence
    assert "answers of the network tone-clean" in licence


CLEAN = {"refiner_clean.json", "tone_clean.json"}


@pytest.mark.parametrize("name", [n for n in SHIPPED if n not in CLEAN | {"prior.json"}])
def test_every_other_run_file_says_what_makes_it_research_only(name):
    config = read(name)
    sources = {
        "locator": lambda c: locator_sources(c.data),
        "prior": prior_sources,
        "refiner": refiner_sources,
        "tone": tone_sources,
    }
    licence, terms = licence_of(sources[name.split(".")[0].split("_")[0]](config))
    assert terms == "research"
    assert "CelebAMask-HQ" in licence


def test_run_files_keep_training_and_validation_pictures_apart():
    data = read("locator.json").data
    assert read("locator.json").network == LocatorConfig()
    assert not set(data.environment_names) & set(data.validation_environment_names)


def test_the_paper_run_file_is_the_paper():
    config = read("refiner_paper.json")
    assert (config.network.width, config.network.map_size, config.network.head) == (64, 256, "absolute")
    loop = config.loop
    assert (loop.batch_size, loop.num_epochs, loop.decay, loop.epoch_factor) == (16, 10, "epoch", 0.98)
    assert (loop.learning_rate, loop.learning_rate * loop.final_fraction) == (1e-4, pytest.approx(1e-5))
    assert (loop.betas[0], loop.weight_decay, loop.average_decay, loop.precision) == (0.9, 0, 0, "float32")
    weights = config.losses
    assert (weights.symmetry, weights.albedo_smoothness, weights.image) == (5.0, 5.0, 5.0)
    assert (weights.cross_perceptual, weights.adversarial) == (0.5, 0.001)
    assert weights.albedo_truth == weights.confidence == 0.0
    assert (config.prior_l1_epochs, config.costly_every, config.space) == (1, 1, "crop")
