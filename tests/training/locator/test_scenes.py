"""Every number of the configuration of scenes has its effect, and a run file sets and quotes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facelume.errors import UsageError
from facelume.training.config import read_run_file, run_document
from facelume.training.locator.backgrounds import BackgroundPainter
from facelume.training.locator.batches import load_sources
from facelume.training.locator.config import LocatorDataConfig, LocatorTrainingConfig
from facelume.training.locator.flaws import spoil
from facelume.training.locator.scene_config import (
    BackgroundConfig,
    BackgroundKinds,
    CoverConfig,
    CoverKinds,
    ErasureConfig,
    ErasureKinds,
    FlawConfig,
    PlacementConfig,
    SceneConfig,
    SceneKinds,
)
from facelume.training.locator.scenes import Scene, SceneComposer, ScenePhoto

SIDE = 64
FACE_COLOUR = (250, 20, 20)
CLEAN = FlawConfig(
    brightness_sigma=0.0,
    tint_sigma=0.0,
    gamma_sigma=0.0,
    contrast_sigma=0.0,
    offset_sigma=0.0,
    grey_fraction=0.0,
    blur_fraction=0.0,
    coarse_fraction=0.0,
    noise_fraction=0.0,
    jpeg_fraction=0.0,
)
BARE = CoverConfig(kinds=CoverKinds(0.0, 0.0, 0.0, 1.0))
WINDOWS = BackgroundConfig(kinds=BackgroundKinds(1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""No flaws, no covers, no drawn shapes or noise: scenes show what was composed, and only faces are red."""


@cache
def photos() -> list[ScenePhoto]:
    """Two noisy pictures with a red disc for a face, as stacks of halved pictures."""
    found = []
    for seed, radius in ((0, 40), (1, 25)):
        pixels = np.random.default_rng(seed).integers(0, 120, (128, 112, 3), dtype=np.uint8)
        y, x = np.mgrid[:128, :112] + 0.5
        pixels[np.hypot(x - 56, y - 60) < radius] = FACE_COLOUR
        mips = [Image.fromarray(pixels)]
        while min(mips[-1].size) >= 16:
            mips.append(mips[-1].reduce(2))
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = np.stack([56 + radius * np.cos(turn), 60 + radius * np.sin(turn)], axis=-1)
        five = np.array([(-0.4, -0.3), (0.4, -0.3), (0.0, 0.1), (-0.3, 0.5), (0.3, 0.5)])
        found.append(ScenePhoto(tuple(mips), outline, (56, 60) + radius * five, 2.0 * radius))
    return found


@cache
def backgrounds() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, 120, (height, 90, 3), dtype=np.uint8) for height in (60, 90, 140)]


def scenes(config: SceneConfig, seed: int, count: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    composer = SceneComposer(photos(), backgrounds(), config, side_px=SIDE, rng=rng)
    return [composer.draw() for _ in range(count)]


def red_share(scene: Scene) -> float:
    return float(((scene.picture[..., 0] > 200) & (scene.picture[..., 1] < 60)).mean())


def test_every_value_changes_the_scenes(every_change: Callable[[Any], Iterator[tuple[str, Any]]]) -> None:
    def draw(config: SceneConfig, seed: int) -> np.ndarray:
        return np.stack([scene.picture for scene in scenes(config, seed, 6)])

    expected = cache(lambda seed: draw(SceneConfig(), seed))
    idle = [
        name
        for name, changed in every_change(SceneConfig())
        if not name.endswith("per_strip")
        and all(np.array_equal(draw(changed, seed), expected(seed)) for seed in range(40))
    ]
    assert idle == []


def test_scenes_of_one_kind_hold_what_it_says() -> None:
    kept = ErasureConfig(kept_fraction=1.0, whole_fraction=0.0)
    plain = SceneConfig(flaws=CLEAN, covers=BARE, erasures=kept, backgrounds=WINDOWS)
    empty = scenes(replace(plain, kinds=SceneKinds(1.0, 0.0, 0.0, 0.0)), 0, 20)
    assert all(scene.faces == [] and red_share(scene) == 0.0 for scene in empty)
    large = scenes(replace(plain, kinds=SceneKinds(0.0, 1.0, 0.0, 0.0)), 0, 20)
    assert all(len(scene.faces) == 1 and scene.faces[0].size_px > 100 for scene in large)
    whole = replace(plain, kinds=SceneKinds(0.0, 0.0, 1.0, 0.0), extra_fraction=0.0)
    assert all(len(scene.faces) == 1 for scene in scenes(whole, 0, 20))
    with_extra = replace(whole, extra_fraction=1.0, num_extra_range=(2, 2))
    assert {len(scene.faces) for scene in scenes(with_extra, 0, 20)} == {3}
    crowd = replace(plain, kinds=SceneKinds(0.0, 0.0, 0.0, 1.0), num_pasted_range=(5, 5))
    assert {len(scene.faces) for scene in scenes(crowd, 0, 20)} == {5}
    level = PlacementConfig(usual_fraction=1.0, tilt_sigma_rad=0.0, narrowed_fraction=0.0)
    sized = replace(crowd, crowd_range_px=(30.0, 30.0), placement=level)
    assert all(f.size_px == pytest.approx(30.0, rel=0.02) for s in scenes(sized, 0, 5) for f in s.faces)


@pytest.mark.parametrize("kind", ["blurred", "shuffled", "replaced"])
def test_an_erased_face_is_no_face_of_the_scene(kind: str) -> None:
    kinds = ErasureKinds(**{name: float(name == kind) for name in ("blurred", "shuffled", "replaced")})
    erased = ErasureConfig(kept_fraction=0.0, whole_fraction=1.0, kinds=kinds)
    found = scenes(SceneConfig(erasures=erased), 0, 30)
    assert all(scene.faces == [] for scene in found)
    if kind == "replaced":
        hard = SceneConfig(erasures=erased, flaws=CLEAN, covers=BARE, backgrounds=WINDOWS)
        assert all(red_share(scene) < 0.01 for scene in scenes(hard, 0, 30))


def test_covers_of_share_one_cover_every_face_and_of_share_zero_none() -> None:
    bare = SceneConfig(
        kinds=SceneKinds(0.0, 0.0, 1.0, 0.0),
        whole_range_px=(40.0, 40.0),
        extra_fraction=0.0,
        flaws=CLEAN,
        covers=BARE,
        erasures=ErasureConfig(whole_fraction=0.0),
    )
    for name in ("rectangle", "glasses", "cloth"):
        shares = {kind: float(kind == name) for kind in ("rectangle", "glasses", "cloth", "nothing")}
        for seed in range(8):
            (uncovered,) = scenes(bare, seed, 1)
            (covered,) = scenes(replace(bare, covers=CoverConfig(kinds=CoverKinds(**shares))), seed, 1)
            assert not np.array_equal(uncovered.picture, covered.picture), (name, seed)


def test_backgrounds_of_one_kind_are_all_of_that_kind() -> None:
    grey = [np.full((80, 80, 3), 77, np.uint8)]

    def painted(**shares: float) -> list[np.ndarray]:
        names = [field.name for field in fields(BackgroundKinds)]
        kinds = BackgroundKinds(**{name: shares.get(name, 0.0) for name in names})
        painter = BackgroundPainter(
            grey, BackgroundConfig(kinds=kinds), side_px=SIDE, rng=np.random.default_rng(0)
        )
        return [painter.draw() for _ in range(10)]

    for kind in ("window", "thumbnail", "window_with_ovals"):
        assert all((np.abs(picture.astype(int) - 77) <= 1).all() for picture in painted(**{kind: 1.0}))
    for kind in ("noise", "shapes"):
        assert all(picture.std() > 5 for picture in painted(**{kind: 1.0}))
    assert all((picture == 77).all(axis=-1).any() for picture in painted(shapes_with_ovals=1.0))


def test_a_scene_without_flaws_stays_as_it_is_and_each_flaw_shows() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    # The table of the tone curve rounds down.
    assert np.abs(spoil(picture, CLEAN, np.random.default_rng(1)).astype(int) - picture).max() <= 1
    for name in ("grey_fraction", "blur_fraction", "coarse_fraction", "noise_fraction", "jpeg_fraction"):
        spoilt = spoil(picture, replace(CLEAN, **{name: 1.0}), np.random.default_rng(1))
        assert np.abs(spoilt.astype(int) - picture).mean() > 1
    grey = spoil(picture, replace(CLEAN, grey_fraction=1.0), np.random.default_rng(1))
    assert (grey == grey[..., :1]).all()


def test_pictures_and_environments_are_repeated_against_the_strips_as_asked(tmp_path: Path) -> None:
    """Photos are black around a face in the middle, the environment is grey, further pictures are white."""
    (tmp_path / "london" / "images").mkdir(parents=True)
    (tmp_path / "white").mkdir()
    names = [f"{person:03d}.png" for person in range(8)]
    for name in names:
        Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(tmp_path / "london" / "images" / name)
    turn = np.linspace(0, 2 * np.pi, 478)
    circle = np.stack([150 + 40 * np.cos(turn), 150 + 40 * np.sin(turn), 0 * turn], axis=-1)
    np.savez(
        tmp_path / "london" / "landmarks.npz",
        names=np.array(names),
        points=np.round(np.stack([circle] * len(names)) * 16).astype(np.int16),
    )
    np.savez(tmp_path / "maps.npz", room=np.ones((16, 32, 3), np.float16))
    Image.fromarray(np.full((90, 90, 3), 255, np.uint8)).save(tmp_path / "white" / "wall.png")

    def counts(kinds: BackgroundConfig) -> tuple[int, int, int]:
        data = LocatorDataConfig(
            photos=tmp_path,
            environment_maps=tmp_path / "maps.npz",
            photo_sets=("london",),
            environment_names=("room",),
            background_folders=(tmp_path / "white",),
            scenes=SceneConfig(backgrounds=kinds),
        )
        means = [float(found.mean()) for found in load_sources(data)[1]]
        return means.count(0.0), means.count(255.0), sum(0.0 < mean < 255.0 for mean in means)

    strips, pictures, environments = counts(BackgroundConfig())
    assert strips >= 4 * (len(names) - 2)
    assert (pictures, environments) == (strips // 2, 2 * (strips // 8))
    more = BackgroundConfig(pictures_per_strip=2.0, environments_per_strip=1.0)
    assert counts(more) == (strips, 2 * strips, strips)


def read_with(path: Path, value: object) -> LocatorTrainingConfig:
    run_file = {
        "data": {"photos": "p", "environment_maps": "m", "scenes": value},
        "output": "o",
        "loop": {"num_steps": 1},
    }
    path.write_text(json.dumps(run_file))
    return read_run_file(path, LocatorTrainingConfig)


def test_a_run_file_sets_any_value_and_its_document_quotes_all(
    all_changed: Callable[[Any], Any], tmp_path: Path
) -> None:
    for config in (SceneConfig(), all_changed(SceneConfig())):
        found = read_with(tmp_path / "run.json", run_document(config))
        assert found.data.scenes == config
        assert run_document(found)["data"]["scenes"] == run_document(config)
    found = read_with(tmp_path / "run.json", {"kinds": {"background": 0.2, "pasted": 0.45}})
    assert found.data.scenes == SceneConfig(kinds=SceneKinds(background=0.2, pasted=0.45))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"kinds": {"background": 0.2}}, "shares of SceneKinds .* sum to 1.1"),
        ({"covers": {"noisy_fraction": 2}}, "CoverConfig.noisy_fraction"),
        ({"whole_range_px": [0, 120]}, "SceneConfig.whole_range_px must start above 0"),
        ({"backgrounds": {"least_window_px": 0}}, "BackgroundConfig.least_window_px must be above 0"),
        ({"backgrounds": {"kinds": {"windows": 1}}}, "windows"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(tmp_path: Path, value: object, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_with(tmp_path / "run.json", value)


def parts(config: Any, path: str = "") -> Iterator[str]:
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield f"{path}{field.name}"
            yield from parts(value, f"{path}{field.name}.")


def test_the_documentation_names_every_part() -> None:
    page = (Path(__file__).parents[3] / "docs" / "synthetic_faces.md").read_text(encoding="utf-8")
    found = list(parts(SceneConfig()))
    assert len(found) > 8
    assert [part for part in found if f"`{part}`" not in page] == []
