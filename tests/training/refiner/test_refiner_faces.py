"""The run file decides what the synthetic faces of the refiner's training look like."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import export_best_refiner
import facelume.training
from facelume.data.synthetic import SkinConfig, SyntheticConfig, SyntheticFaces
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.networks.builders import REFINER_BUILDERS
from facelume.networks.refiner import RefinerConfig
from facelume.refinement.usual_tone import USUAL_LUMINANCE
from facelume.reflectance import linear_from_srgb, luminance
from facelume.training.config import LoopConfig, read_run_file, run_document
from facelume.training.loop import StepReport
from facelume.training.refiner.batches import to_batch
from facelume.training.refiner.config import LossWeights, RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.shards import prepare_all, prepare_part
from facelume.training.refiner.train import train
from facelume.uv import resize_map
from facelume.weights import build_and_load

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
def test_shipped_run_files_draw_the_default_faces(name):
    assert read_run_file(CONFIGS / name, RefinerTrainingConfig).data.synthetic == SyntheticConfig()


@pytest.mark.parametrize("part", [{}, {"skin": {"num_mixed": 2}}, {"occluders": {"glasses_fraction": 0.3}}])
def test_every_skin_has_a_measured_colour_whatever_part_a_run_file_sets(tmp_path, part):
    skin = read_with(tmp_path / "run.json", part).data.synthetic.skin
    assert skin.colour.measured_fraction == 1.0


def test_a_run_file_sets_any_of_it_and_its_document_quotes_all(tmp_path):
    skin = {"likeness_sigma": 0.25, "detail": {"marks": {"freckle_fraction": 1.0}}}
    config = read_with(tmp_path / "run.json", {"skin": skin})
    synthetic = config.data.synthetic
    assert synthetic.skin.likeness_sigma == 0.25
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
    synthetic = SyntheticConfig(skin=SkinConfig(has_detail=False), is_plain=True)
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
    expected = SyntheticFaces(model, [], synthetic).draw_group(np.random.default_rng([0, 0]))[0]
    blocks = expected.albedo_srgb.reshape(32, 8, 32, 8, 3).mean(axis=(1, 3))
    # The albedo that was drawn, times one colour that gives its skin the usual luminance.
    kept, drawn = (
        linear_from_srgb(torch.from_numpy(srgb).float() / 255.0)
        for srgb in (np.moveaxis(prepared[0].truth, 0, -1), blocks)
    )
    is_skin = resize_map(model.uv_mask("face", 256)[None, None], 32)[0, 0] > 0.9
    ratio = (kept / drawn)[is_skin]
    middle = ratio.median(dim=0).values
    assert float((ratio / middle - 1.0).abs().quantile(0.8)) < 0.02
    assert abs(float(luminance(kept[is_skin].median(dim=0).values)) / USUAL_LUMINANCE - 1.0) < 0.1
    other = replace(config, data=replace(data, synthetic=SyntheticConfig()))
    with pytest.raises(UsageError, match=r"drawn\.config\.is_plain true, now false"):
        prepare_all(other, model)


@pytest.fixture
def small(tmp_path) -> RefinerTrainingConfig:
    """A run with six plain faces in three files."""
    data = RefinerDataConfig(
        prepared=tmp_path / "prepared",
        num_synthetic=4,
        num_synthetic_validation=2,
        synthetic=SyntheticConfig(is_plain=True),
        prior_weights=None,
    )
    return RefinerTrainingConfig(
        data=data,
        output=tmp_path / "run",
        loop=LoopConfig(num_steps=1),
        network=RefinerConfig(width=2, map_size=32),
        losses=LossWeights(cross_perceptual=0.0),
    )


def test_parts_prepare_what_a_run_needs_and_drawn_faces_are_prepared_again_without_drawing(small):
    model = load_open_face_model()
    assert [prepare_part(small, model, part, 2, shard_faces=2) for part in (0, 1)] == [2, 1]
    folder = small.data.prepared
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file()}
    assert sum(path.suffix == ".prepared" for path in written) == 3
    training, validation = prepare_all(small, model, shard_faces=2)
    assert (sum(map(len, training)), sum(map(len, validation))) == (4, 2)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    for path in folder.rglob("*.prepared"):
        path.unlink()
    prepare_all(small, model, shard_faces=2)
    drawn = [path for path in written if path.suffix == ".faces"]
    assert len(drawn) == 3
    assert all(path.stat().st_mtime_ns == written[path] for path in drawn)


def test_a_training_may_go_on_behind_the_faces_that_another_has_seen(small):
    def learned(first: int, count: int) -> list[np.ndarray]:
        data = replace(small.data, first_synthetic=first, num_synthetic=count)
        training, _ = prepare_all(replace(small, data=data), load_open_face_model(), shard_faces=2)
        return [shard[row].truth for shard in training for row in range(len(shard))]

    whole, behind = learned(0, 4), learned(2, 2)
    for one, other in zip(behind, whole[2:], strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UsageError, match="first_synthetic must be a multiple of 2, not 3"):
        learned(3, 2)


def test_the_light_of_a_prepared_face_is_that_of_its_photo(small):
    """Where the face is seen: albedo times true shading plus true highlight is what the texture shows."""
    (shard,), _ = prepare_all(small, load_open_face_model())
    batch = to_batch([(shard, row) for row in range(len(shard))])
    made = (batch.truth * batch.truth_shading + batch.truth_highlight).clamp(0, 1)
    weight = (batch.maps.visibility > 0.9)[:, None].float()
    # Edges of shadows and of parts move by what the labels are wrong; the rest agrees.
    error = ((made - batch.maps.texture).abs() * weight).sum((1, 2, 3)) / (3 * weight.sum((1, 2, 3)))
    shown = (batch.maps.texture * weight).sum((1, 2, 3)) / (3 * weight.sum((1, 2, 3)))
    assert float((error / shown).median()) < 0.08
    assert batch.person.tolist() == [0, 0, 1, 1]


def test_the_best_refiner_so_far_is_exported_with_its_record(small, tmp_path, monkeypatch, capsys):
    loop = replace(small.loop, num_steps=4, validate_every_steps=2, checkpoint_every_steps=2)
    config = replace(
        small,
        data=replace(small.data, augment=None),
        loop=replace(loop, best_by="synthetic/albedo_error"),
        losses=LossWeights(cross_perceptual=0.0, adversarial=0.0),
    )
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run_document(config)))

    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, on_step=stop)
    out = tmp_path / "weights"
    arguments = ["export_best_refiner.py", str(path), "--out", str(out), "--id", "refiner-so-far"]
    monkeypatch.setattr(sys, "argv", arguments)
    export_best_refiner.main()
    assert "refiner-so-far" in capsys.readouterr().out
    _, record = build_and_load("refiner", REFINER_BUILDERS, folder=out)
    assert (record.id, record.metrics["steps"]) == ("refiner-so-far", 2.0)
