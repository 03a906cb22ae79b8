"""The training of the tone network from drawn and photographed faces to weights."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facelume.data.synthetic.config import GroupConfig, SyntheticConfig
from facelume.data.synthetic.head import random_expression
from facelume.errors import UsageError
from facelume.face_model import FaceModel
from facelume.fitting.tone_cues import CUE_PICTURE_SIZE, NUM_CUES
from facelume.networks.builders import TONE_BUILDERS
from facelume.networks.tone import ToneConfig
from facelume.refinement.inputs import model_tone_regions
from facelume.training.config import LoopConfig, read_run_file, run_document
from facelume.training.log import METRICS_NAME
from facelume.training.loop import StepReport
from facelume.training.tone.config import ToneDataConfig, ToneLossWeights, ToneTrainingConfig
from facelume.training.tone.export import export_weights, sources_of
from facelume.training.tone.shards import GROUPS, STUDIO, SYNTHETIC, FaceShards, with_closed_eyes
from facelume.training.tone.split import load_rows
from facelume.training.tone.train import train
from facelume.weights import build_and_load

ALONE = ToneLossWeights(studio=0.0, groups=0.0, laboratory=0.0, judged=0.0, brightness=0.0)
ONE_EACH = SyntheticConfig(group=GroupConfig(num_scenes=1, num_skins=2))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


def config_of(prepared: Path, output: Path, **data: Any) -> ToneTrainingConfig:
    values = {"num_heads": 2, "num_heads_validation": 1, "prior_weights": None, "synthetic": ONE_EACH}
    return ToneTrainingConfig(
        data=ToneDataConfig(prepared=prepared, **{**values, **data}),
        output=output,
        loop=LoopConfig(
            num_steps=3, batch_size=8, log_every_steps=1, checkpoint_every_steps=2, precision="float32"
        ),
        network=ToneConfig(NUM_CUES, width=8, picture_width=4),
        losses=ALONE,
    )


def with_people(config: ToneTrainingConfig, people: Path) -> ToneTrainingConfig:
    data = replace(
        config.data,
        photos=people / "faces",
        studio_set="london",
        groups=people / "groups.csv",
        group_sets=("celebahq",),
    )
    losses = replace(ALONE, studio=1.0, groups=1.0, brightness=0.5, class_bias=1.0)
    return replace(config, data=data, losses=losses)


def lines(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / METRICS_NAME).read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


def test_it_learns_from_every_source_and_says_so(
    prepared: Path, drawn_people: Path, tmp_path: Path, open_model: FaceModel
):
    config = with_people(config_of(prepared, tmp_path / "run"), drawn_people)
    trained = train(config)
    training, (validation,) = lines(config.output, "training"), lines(config.output, "validation")
    terms = {SYNTHETIC, STUDIO, GROUPS, "groups_brightness", "groups_certainty", "studio_class_bias"}
    assert terms <= set(training[0])
    assert all(math.isfinite(v) for line in training for k, v in line.items() if k != "kind")
    assert validation["studio/ita_error"] > 0
    assert "laboratory/within" not in validation

    record = export_weights(trained, config, open_model)
    assert (record.kind, record.atlas_id, record.terms) == ("tone", open_model.atlas_id, "research")
    assert "Face Research Lab London Set" in record.training_data
    assert "CelebAMask-HQ" in record.licence
    assert record.training[-1]["run"]["data"]["synthetic"]["group"] == {"num_scenes": 1, "num_skins": 2}
    network, _ = build_and_load("tone", TONE_BUILDERS, folder=config.output / "weights")
    cues = torch.randn(3, NUM_CUES), torch.randn(3, 5, CUE_PICTURE_SIZE, CUE_PICTURE_SIZE)
    with torch.no_grad():
        found, wanted = network(*cues).log_luminance, trained.network(*cues).log_luminance
    torch.testing.assert_close(found, wanted, atol=0.01, rtol=0)


def test_synthetic_faces_and_the_studio_alone_are_free_to_use(prepared: Path, drawn_people: Path):
    config = with_people(config_of(prepared, prepared), drawn_people)
    clean = replace(config, losses=replace(config.losses, groups=0.0, brightness=0.0))
    assert {source.terms for source in sources_of(clean)} <= {"credit", "free"}
    assert "research" in {source.terms for source in sources_of(config)}


def test_faces_are_made_once_and_again_where_one_is_missing(
    prepared: Path, tmp_path: Path, open_model: FaceModel, counting: Callable[[], int]
):
    data = config_of(tmp_path / "own", tmp_path).data
    first = load_rows(data, open_model, model_tone_regions(open_model))[SYNTHETIC]
    assert counting() == 2
    again = load_rows(data, open_model, model_tone_regions(open_model))[SYNTHETIC]
    assert counting() == 2
    torch.testing.assert_close(again.training.values, first.training.values)
    for path in (tmp_path / "own").rglob("synthetic_00000.npz"):
        path.unlink()
    redrawn = load_rows(data, open_model, model_tone_regions(open_model))[SYNTHETIC]
    assert counting() == 3
    torch.testing.assert_close(redrawn.training.values, first.training.values)
    torch.testing.assert_close(redrawn.held_out.values, first.held_out.values)


def test_faces_of_other_settings_are_refused_not_reused(prepared: Path, open_model: FaceModel):
    data = config_of(prepared, prepared).data
    regions = model_tone_regions(open_model)
    load_rows(data, open_model, regions)
    other = replace(data, synthetic=replace(ONE_EACH, is_plain=True))
    with pytest.raises(UsageError, match=r"synthetic.is_plain false, now true"):
        load_rows(other, open_model, regions)


def test_the_truth_of_a_drawn_face_is_its_skin(prepared: Path, open_model: FaceModel):
    rows = load_rows(config_of(prepared, prepared).data, open_model, model_tone_regions(open_model))
    drawn = rows[SYNTHETIC].training
    assert len(drawn) == 4
    assert torch.isfinite(drawn.true_tone).all()
    assert (drawn.true_tone[:, 0] > drawn.true_tone[:, 2]).all()  # skin is redder than blue
    assert len(set(drawn.person)) == 4


def test_plain_heads_keep_the_parts_of_the_albedo_basis(prepared: Path, open_model: FaceModel):
    data = replace(config_of(prepared, prepared).data, num_plain_heads=1)
    shards = {shard.path.name: shard for shard in FaceShards(data, open_model)}
    plain = shards["plain_00000.npz"].fingerprint["synthetic"]["skin"]["parts_fraction"]
    usual = shards["synthetic_00000.npz"].fingerprint["synthetic"]["skin"]["parts_fraction"]
    assert (plain, usual) == (0.0, 1.0)


def test_nobody_is_on_both_sides(prepared: Path, drawn_people: Path, open_model: FaceModel):
    data = with_people(config_of(prepared, prepared), drawn_people).data
    regions = model_tone_regions(open_model)
    held: set[str] = set()
    for fold in range(2):
        rows = load_rows(replace(data, num_folds=2, fold=fold), open_model, regions)
        for kind in (STUDIO, GROUPS):
            assert not set(rows[kind].training.person) & set(rows[kind].held_out.person)
        held |= set(rows[STUDIO].held_out.person)
    assert held == {"london/001", "london/004", "london/006", "london/016"}
    # 016 is of the validation split
    assert "london/016" in load_rows(data, open_model, regions)[STUDIO].held_out.person


def test_an_interrupted_training_equals_a_straight_one(prepared: Path, tmp_path: Path):
    class PowerCutError(Exception):
        pass

    def die(report: StepReport) -> None:
        if report.step == 2:
            raise PowerCutError

    straight = train(config_of(prepared, tmp_path / "straight"))
    with pytest.raises(PowerCutError):
        train(config_of(prepared, tmp_path / "broken"), on_step=die)
    resumed = train(config_of(prepared, tmp_path / "broken"))
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_networks_see_the_faces_as_in_use(tmp_path: Path, open_model: FaceModel):
    data = config_of(tmp_path, tmp_path, num_heads=1, num_heads_validation=0, prior_weights="prior").data
    (shard,) = FaceShards(data, open_model)
    faces = shard.faces()
    assert len(faces) == 2
    assert np.isfinite(faces.true_tone).all()
    assert faces.visibility.max() == 255
    assert "label_errors" not in shard.fingerprint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": {"cues": ["nose"]}}, "no region nose"),
        ({"data": {"num_folds": 3, "fold": 3}}, "data.fold must be from 0"),
        ({"losses": {"studio": 1.0}}, "losses.studio needs its photos"),
        ({"network": {"num_cues": 7}}, "num_cues must be"),
        ({"network": {"num_cues": NUM_CUES, "picture_size": 32}}, "picture_size must be"),
        ({"data": {"laboratory": "x"}}, "data.laboratory needs prior_weights"),
    ],
)
def test_contradictions_are_refused_in_words(change: dict[str, dict[str, Any]], words: str, tmp_path: Path):
    document = run_document(config_of(tmp_path, tmp_path))
    for name, values in change.items():
        document[name] |= values
    path = tmp_path / "run.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=words):
        read_run_file(path, ToneTrainingConfig)


def test_a_studio_without_photos_is_one_clear_error(tmp_path: Path, open_model: FaceModel):
    data = replace(config_of(tmp_path, tmp_path).data, studio_set="london")
    with pytest.raises(UsageError, match=r"data\.studio_set needs data\.photos"):
        list(FaceShards(data, open_model))


def test_each_member_learns(prepared: Path, tmp_path: Path):
    def biases(num_steps: int) -> list[Any]:
        config = config_of(prepared, tmp_path / str(num_steps))
        network = replace(config.network, num_members=2)
        config = replace(config, network=network, loop=replace(config.loop, num_steps=num_steps))
        return [member.answer.bias for member in train(config).network.members]

    # The same start: only what is learned differs, and biases do not decay.
    for before, after in zip(biases(1), biases(4), strict=True):
        assert float((before - after).abs().max()) > 0


def test_closed_eyes_are_closed_and_nothing_else_is_changed(open_model: FaceModel):
    closed = with_closed_eyes(ONE_EACH)
    names = open_model.expression_names
    lids = [names.index("eyeBlinkLeft"), names.index("eyeBlinkRight")]
    rng = np.random.default_rng(0)
    drawn = np.array([random_expression(names, closed.head, rng)[lids] for _ in range(300)])
    assert np.quantile(drawn, 0.1) > 0.6
    usual = np.array([random_expression(names, ONE_EACH.head, rng)[lids] for _ in range(300)])
    assert (usual > 0.6).all(axis=1).mean() < 0.1
    head = {"group_beta", "groups", "neutral_fraction"}
    assert {k for k, v in vars(closed.head).items() if v != getattr(ONE_EACH.head, k)} == head
    assert replace(closed, head=ONE_EACH.head) == ONE_EACH
