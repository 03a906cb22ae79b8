"""What the answers of the tone network are judged by, and how its cues are changed."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from facelume.data.fingerprint import save_stamped
from facelume.errors import UsageError
from facelume.fitting.tone_cues import (
    BANDS,
    CUE_PICTURE_SIZE,
    CUE_REGIONS,
    NUM_CUES,
    join_cues,
    join_picture,
    region_of_band,
    region_of_cue,
    split_cues,
    split_picture,
)
from facelume.networks.tone import ToneConfig, ToneNetwork, ToneOutput
from facelume.reflectance import ITA_CLASSES, hue, human_skin, luminance
from facelume.training.tone.augment import augment_cues
from facelume.training.tone.batches import members_of_people, weights_of_classes
from facelume.training.tone.config import ToneAugmentConfig
from facelume.training.tone.losses import (
    agreement_loss,
    brightness_loss,
    certainty_loss,
    class_bias_loss,
    class_of_tone,
    likelihood_loss,
)
from facelume.training.tone.rows import (
    CUES_FOLDER,
    ToneRows,
    joined,
    known_skin,
    rows_of_shard,
    with_studio_truth,
)
from facelume.training.tone.studio import measure_studio
from facelume.training.tone.train import set_statistics
from facelume.training.tone.validation import spread_of_people


def said(log_luminance, sigma=0.2) -> ToneOutput:
    tone = torch.as_tensor(log_luminance, dtype=torch.float32)
    return ToneOutput(tone, torch.zeros(len(tone), 2), torch.full((len(tone), 3), math.log(sigma)))


def skins(log_luminance) -> torch.Tensor:
    tone = torch.as_tensor(log_luminance, dtype=torch.float32)
    return human_skin().log_colour(tone, torch.zeros(len(tone), 2))


def random_rows(number: int, seed: int = 0, person: str | None = None) -> ToneRows:
    draw = torch.Generator().manual_seed(seed)
    colours = 0.1 + torch.rand(number, len(region_of_band()), 3, generator=draw)
    states = torch.ones(number, len(CUE_REGIONS), 2)
    skin = 0.1 + 0.3 * torch.rand(number, 3, generator=draw)
    source = tuple(f"{person or n}:{n}" for n in range(number))
    pixels = 0.1 + torch.rand(number, 3, CUE_PICTURE_SIZE, CUE_PICTURE_SIZE, generator=draw)
    seen = torch.stack([torch.ones_like(pixels[:, 0]), torch.zeros_like(pixels[:, 0])], dim=1)
    return ToneRows(
        join_cues(colours, states, hue(skin)),
        join_picture(pixels, seen).half(),
        skin,
        torch.full((number, 3), torch.nan),
        source,
    )


def test_cues_come_apart_and_together_again():
    rows = random_rows(5)
    colours, states, tint = split_cues(rows.values)
    torch.testing.assert_close(tint, hue(rows.skin))
    assert colours.shape[1] == sum(BANDS[name] for name in CUE_REGIONS)
    torch.testing.assert_close(join_cues(colours, states, tint), rows.values)
    states = states.clone()
    states[:, CUE_REGIONS.index("lips")] = 0.0
    values = join_cues(colours, states, tint)
    is_lips = torch.tensor([name == "lips" for name in CUE_REGIONS])[region_of_cue()]
    assert torch.all(values[:, is_lips] == 0)
    torch.testing.assert_close(values[:, ~is_lips], rows.values[:, ~is_lips])


NO_CHANGE = ToneAugmentConfig(**dict.fromkeys((f.name for f in fields(ToneAugmentConfig)), 0.0))


def test_without_any_strength_augmentation_changes_nothing_but_may_mirror():
    rows = random_rows(16)
    changed = augment_cues(rows.cues, NO_CHANGE, torch.Generator())
    torch.testing.assert_close(changed.values, rows.values)
    plain, mirrored = rows.cues.picture, rows.cues.picture.flip(-1)
    is_plain = torch.isclose(changed.picture, plain, atol=1e-4).flatten(1).all(dim=1)
    is_mirrored = torch.isclose(changed.picture, mirrored, atol=1e-4).flatten(1).all(dim=1)
    assert bool((is_plain ^ is_mirrored).all())
    assert 0 < int(is_mirrored.sum()) < 16


def test_a_face_that_loses_its_colour_has_grey_parts_as_bright_as_before():
    rows, grey = random_rows(4), replace(NO_CHANGE, region_hue_sigma=0.3, tint_sigma=0.3, grey_fraction=1.0)
    before, _, _ = split_cues(rows.values)
    changed = augment_cues(rows.cues, grey, torch.Generator())
    after, _, tint = split_cues(changed.values)
    torch.testing.assert_close(after, after[..., :1].expand_as(after))
    shown = luminance(before * rows.skin[:, None]) / luminance(rows.skin)[:, None]
    torch.testing.assert_close(after[..., 0], shown)
    assert float(tint.abs().max()) == 0.0
    pixels, _ = split_picture(changed.picture)
    torch.testing.assert_close(pixels, pixels[:, :1].expand_as(pixels))


def test_groups_never_lose_their_colour_and_the_skin_is_never_hidden():
    rows, strong = random_rows(64), replace(NO_CHANGE, grey_fraction=1.0, hidden_fraction=0.9)
    changed = augment_cues(rows.cues, strong, torch.Generator(), may_be_grey=False)
    colours, states, tint = split_cues(changed.values)
    known = states[..., 1] > 0
    assert known[:, CUE_REGIONS.index("skin")].all()
    assert 0.05 < known[:, 0].float().mean() < 0.2
    torch.testing.assert_close(colours[:, -1], split_cues(rows.values)[0][:, -1])
    torch.testing.assert_close(tint, hue(rows.skin))


def test_a_patch_hides_a_part_of_the_picture_and_shading_changes_it_smoothly():
    rows = random_rows(32)
    covered = augment_cues(rows.cues, replace(NO_CHANGE, patch_fraction=1.0), torch.Generator()).picture
    hidden = (covered[:, 3] == 0).float().mean(dim=(1, 2))
    assert 0.005 < float(hidden.min()) < float(hidden.max()) < 0.25
    assert float(covered.transpose(0, 1)[:, covered[:, 3] == 0].abs().max()) == 0.0
    shaded = augment_cues(rows.cues, replace(NO_CHANGE, shading_sigma=0.2), torch.Generator()).picture
    logs = [torch.log(split_picture(p)[0]) for p in (shaded, rows.cues.picture)]
    change = logs[0] - torch.where(
        (logs[0] - logs[1]).std(dim=(1, 2, 3), keepdim=True) < 0.3, logs[1], logs[1].flip(-1)
    )
    steps = change.diff(dim=-1).abs().mean()
    assert 0.05 < float(change.std()) < 0.4
    assert float(steps) < 0.03


def test_likelihood_is_least_at_the_truth_and_at_the_true_spread():
    truth = skins([-2.0, -1.2])
    right, wrong = (float(likelihood_loss(said(t), truth).mean()) for t in ([-2.0, -1.2], [-1.8, -1.4]))
    assert right < wrong
    errors = torch.linspace(-2, 2, 401)
    tones = skins(errors * 0.0 - 1.5)
    spread = float(errors.square().mean().sqrt()) * 0.1
    losses = {
        s: float(likelihood_loss(said(-1.5 + 0.1 * errors, s), tones).mean()) for s in (0.05, spread, 0.4)
    }
    assert min(losses, key=losses.__getitem__) == spread


def test_agreement_asks_for_people_to_differ_and_knows_no_scale():
    a, b = torch.tensor([-2.0, -1.5, -1.0]), torch.tensor([-1.9, -1.6, -1.05])
    loss = agreement_loss(said(a), said(b), is_grey=True)
    smaller = agreement_loss(said(-1.5 + 0.5 * (a + 1.5)), said(-1.5 + 0.5 * (b + 1.5)), is_grey=True)
    torch.testing.assert_close(loss, smaller, rtol=1e-3, atol=0)
    alike = agreement_loss(said([-1.5, -1.45, -1.4]), said([-1.4, -1.55, -1.45]), is_grey=True)
    assert loss < alike
    assert agreement_loss(said(a), said(a), is_grey=True) == 0


def test_certainty_teaches_the_spread_alone():
    tone = torch.tensor([-2.0, -1.5], requires_grad=True)
    sigma = torch.full((2, 3), math.log(0.05), requires_grad=True)
    first = ToneOutput(tone, torch.zeros(2, 2), sigma)
    certainty_loss(first, said([-1.5, -1.9])).backward()
    assert tone.grad is None or torch.all(tone.grad == 0)
    assert torch.all(sigma.grad[:, 0] < 0)  # the answers differ by more than they say


def test_brightness_pulls_towards_what_the_photo_shows():
    tone = torch.tensor([-2.0, -1.0], requires_grad=True)
    loss = brightness_loss(
        said([0.0, 0.0])._replace(log_luminance=tone), torch.tensor([-1.2, -1.2]), 0.3, 0.5
    )
    loss.sum().backward()
    assert tone.grad[0] < 0 < tone.grad[1]


def test_class_bias_sees_each_class_once_however_many_faces_it_has():
    truth = skins([-2.8] + [-1.17] * 9)
    dark, *others = class_of_tone(truth).tolist()
    assert dark == 0 < min(others) == max(others)
    off = torch.tensor([0.3] + [0.0] * 9)
    loss = class_bias_loss(said(torch.tensor([-2.8] + [-1.17] * 9) + off), truth)
    torch.testing.assert_close(loss, torch.tensor(0.09 / 2), rtol=1e-3, atol=1e-5)


def test_classes_are_drawn_alike():
    tones = skins([-2.8] * 10 + [-1.17] * 90)
    weights = weights_of_classes(tones)
    assert float(weights[:10].sum()) == pytest.approx(float(weights[10:].sum()))
    assert len(ITA_CLASSES) == 6


def test_people_are_told_apart_by_their_source():
    rows = joined([random_rows(3, person="a"), random_rows(1, person="b"), random_rows(2, person="c")])
    assert [m.tolist() for m in members_of_people(rows)] == [[0, 1, 2], [4, 5]]
    within, between = spread_of_people(torch.tensor([0.0, 1.0, 2.0, 9.0, 5.0, 5.0]), rows.person)
    assert within == pytest.approx((2 / 3) ** 0.5)
    assert between == pytest.approx(float(torch.tensor([1.0, 5.0]).std()))


def test_faces_that_show_no_skin_are_left_out():
    rows = random_rows(3)
    rows.skin[1] = 0.0
    assert known_skin(rows).source == (rows.source[0], rows.source[2])


def test_a_cue_that_may_not_be_looked_at_changes_no_answer():
    rows, network = random_rows(32), ToneNetwork(ToneConfig(NUM_CUES)).eval()
    set_statistics(network, rows, tuple(name for name in BANDS if name != "eye"))
    is_eye = torch.tensor([name == "eye" for name in CUE_REGIONS])[region_of_cue()]
    blind = torch.where(is_eye, torch.randn(NUM_CUES), rows.values)
    picture = rows.cues.picture
    with torch.no_grad():
        plain = network(rows.values, picture)
        torch.testing.assert_close(network(blind, picture), plain, atol=1e-4, rtol=0)
        changed = torch.where(is_eye, rows.values, rows.values.flip(0))
        assert not torch.allclose(network(changed, picture).log_luminance, plain.log_luminance)


@pytest.mark.parametrize(
    ("gain", "surface"), [((1.3, 1.2, 1.1), 0.012), ((0.8, 0.8, 0.82), 0.02), ((1.0, 1.0, 1.0), 0.005)]
)
def test_the_exposure_of_a_studio_is_found_from_the_hues_of_its_people(gain, surface):
    draw = torch.Generator().manual_seed(1)
    people = human_skin()
    tone = torch.rand(300, generator=draw) * 2.1 - 3.1
    spread = people.spread_of_tone(tone).float()
    offset = (torch.linalg.cholesky(spread) @ torch.randn(300, 2, 1, generator=draw))[..., 0] * 0.7
    albedo = torch.exp(people.log_colour(tone, offset))
    shown = (albedo + surface) / torch.tensor(gain)
    grey = 0.5 / torch.tensor(gain)
    found = measure_studio(shown, grey)
    np.testing.assert_allclose(np.log(found.gain), np.log(gain), atol=0.06)
    assert found.surface == pytest.approx(surface, abs=0.006)
    rows = with_studio_truth(
        ToneRows(torch.zeros(300, 0), torch.zeros(300, 5, 1, 1).half(), shown, albedo, ("",) * 300),
        gain,
        surface,
    )
    torch.testing.assert_close(torch.exp(rows.true_tone), albedo, atol=1e-5, rtol=1e-3)
    assert float((hue(grey[None] * torch.tensor(found.gain))).abs().max()) < 0.06


def test_cues_of_other_faces_are_refused(tmp_path, model_shard):
    shard, regions = model_shard
    save_stamped(tmp_path / CUES_FOLDER / shard.path.name, {"values": np.zeros(1)}, {"made": "otherwise"})
    with pytest.raises(UsageError, match="cues were made with other settings"):
        rows_of_shard(shard, regions)
