"""Every number of the configuration of synthetic faces has its effect, and JSON sets and quotes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, cam_from_model, transform_points
from facelume.data.synthetic import SkinConfig, SyntheticConfig, SyntheticFaces
from facelume.data.synthetic.backdrop import backdrop
from facelume.data.synthetic.camera import exposure_gain, random_flaws
from facelume.data.synthetic.camera_config import CameraConfig, RenderingConfig
from facelume.data.synthetic.config import (
    ExpressionGroup,
    HeadConfig,
    MaterialConfig,
    PoseConfig,
    ShineKinds,
)
from facelume.data.synthetic.cover_config import BackdropConfig, GlassesConfig, HairConfig, OccluderConfig
from facelume.data.synthetic.head import (
    place_in_crop,
    random_expression,
    random_identity,
    random_place,
    random_rotvec,
)
from facelume.data.synthetic.lamps import random_lamps, random_studio_light
from facelume.data.synthetic.light import light_from_environment
from facelume.data.synthetic.light_config import FillConfig, LightConfig, StudioConfig
from facelume.data.synthetic.occluders import clothes, glasses, hair_strands, hand
from facelume.data.synthetic.random_light import random_light
from facelume.data.synthetic.scene import SyntheticScene
from facelume.data.synthetic.shade import random_material
from facelume.data.synthetic.skin import SyntheticSkins, bare_skin, random_skin
from facelume.data.synthetic.skin_config import (
    Adornments,
    HairColourConfig,
    SkinColourConfig,
    SkinDetailConfig,
    SpotConfig,
    WrinkleConfig,
)
from facelume.data.synthetic.skin_detail import SkinDetail, random_hair_colour
from facelume.data.synthetic.skin_tone import random_skin_colour
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.training.config import read_run_file, run_document

COVERS = ("hair_fraction", "strand_fraction", "glasses_fraction", "hand_fraction", "clothes_fraction")
IN_ALL_SKINS = ("measured_fraction", "parts_fraction", "has_detail", "beard_sigma", "wrinkles.width_range")
BARE = OccluderConfig(
    hair_fraction=0.0, strand_fraction=0.0, glasses_fraction=0.0, hand_fraction=0.0, clothes_fraction=0.0
)
SIZE = 64
GREY = torch.full((3, SIZE, SIZE), 0.3)
SKY = np.random.default_rng(0).uniform(0.0, 2.0, (64, 128, 3)).astype(np.float32)
SUN = np.full((64, 128, 3), 1e-3, np.float32)
SUN[20, 40] = 5e4


@cache
def drawer() -> SyntheticFaces:
    """Draws faces; what depends on the model alone is computed once for all tests."""
    return SyntheticFaces(load_open_face_model(), [SKY], SyntheticConfig())


def draw_scene(config: SyntheticConfig, seed: int) -> SyntheticScene:
    scenes = copy(drawer().scenes)
    scenes.config = config
    return scenes.draw(np.random.default_rng(seed))


@cache
def neutral_landmarks() -> torch.Tensor:
    model = load_open_face_model()
    return model.landmarks(torch.zeros(model.num_identity), torch.zeros(model.num_expression))


@cache
def small_landmarks_px() -> np.ndarray:
    """The neutral face ahead in a crop of ``SIZE`` pixels."""
    translation = place_in_crop(neutral_landmarks(), torch.zeros(3))
    points = transform_points(cam_from_model(torch.zeros(3), translation), neutral_landmarks())
    return CROP_CAMERA.project(points).double().numpy() * SIZE / CROP_CAMERA.width_px


def as_array(*values: Any) -> np.ndarray:
    return np.concatenate([np.asarray(value, dtype=np.float64).ravel() for value in values])


def draw_head(config: HeadConfig, seed: int) -> np.ndarray:
    names = load_open_face_model().expression_names
    rng = np.random.default_rng(seed)
    return as_array(random_identity(80, config, rng), random_expression(names, config, rng))


def draw_pose(config: PoseConfig, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rotvec = random_rotvec(config, rng)
    return as_array(rotvec, random_place(neutral_landmarks(), rotvec, config, rng))


def draw_light(config: LightConfig, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lights = [random_light([SUN], config, rng), random_studio_light(config.studio, config.fill, rng)]
    kinds = ("sun", "lamp", "window", "flash", "stage", "backlight")
    lights += [random_lamps(getattr(config, kind), config.fill, rng) for kind in kinds]
    parts = ("directions", "radiant_flux", "softness_m", "ambient_sh", "behind_level")
    return as_array(*(getattr(light, part) for light in lights for part in parts))


def draw_material(config: MaterialConfig, seed: int) -> np.ndarray:
    skin = random_material(config, np.random.default_rng(seed), 16)
    return as_array(skin.specular_strength, skin.roughness, skin.gloss_map, skin.bleed_px, skin.bump_map)


def draw_skin(config: SkinConfig, seed: int) -> np.ndarray:
    rng, model = np.random.default_rng(seed), load_open_face_model()
    people = model.albedo.example_coeffs.numpy()
    mixed = random_skin(people, config, rng, np.linspace(-3.0, -1.0, len(people)), -2.0)
    free = random_skin(people[:0], config, rng)
    colour = random_skin_colour(config.colour, rng)
    hair = random_hair_colour(-1.5, config.hair, rng)
    return as_array(mixed, free, colour, hair, detailed(GREY, config.detail, rng))


def detailed(albedo: torch.Tensor, config: SkinDetailConfig, rng: np.random.Generator) -> torch.Tensor:
    detail = SkinDetail(load_open_face_model(), config)
    return detail.adorned(detail.pigmented(albedo, rng), rng, np.full(3, 0.02))


def draw_occluders(config: OccluderConfig, seed: int) -> np.ndarray:
    rng, points = np.random.default_rng(seed), small_landmarks_px()
    light = np.array([0.9, 0.8, 0.7])
    layers = [
        hair_strands(points, SIZE, light, config.strands, rng),
        glasses(points, SIZE, light, config.glasses, rng),
        hand(points, SIZE, light, config.hand, rng),
        clothes(points, SIZE, light, config.clothes, rng),
    ]
    return as_array(*(value for layer in layers for value in (layer.colour_linear, layer.alpha)))


def draw_backdrop(config: BackdropConfig, seed: int) -> np.ndarray:
    light = light_from_environment(SKY, np.eye(3), 0.001)
    return backdrop(light, [SUN], 32, config, np.random.default_rng(seed))


def draw_camera(config: CameraConfig, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    picture, face = np.full((4, 4, 3), 0.2), np.ones((4, 4), bool)
    cast, skin = np.array([2.5, 1.0, 0.3]), np.array([0.2, 0.1, 0.05])
    gains = [exposure_gain(picture, face, cast, skin, config, rng) for _ in range(3)]
    flaws = random_flaws(config, rng)
    return as_array(*gains, *(number for number in numbers(flaws)))


def numbers(record: Any) -> Iterator[Any]:
    """Every number of a record, nested ones included."""
    for field in fields(record):
        value = getattr(record, field.name)
        yield from numbers(value) if is_dataclass(value) else ([] if value is None else [value])


@pytest.mark.parametrize(
    ("start", "draw", "elsewhere"),
    [
        (HeadConfig(), draw_head, ()),
        (PoseConfig(), draw_pose, ()),
        (LightConfig(), draw_light, ()),
        (MaterialConfig(), draw_material, ()),
        # What is decided where a scene is drawn or photographed, or shows on large maps, is tested below.
        (
            SkinConfig(),
            draw_skin,
            ("measured_fraction", "parts_fraction", "has_detail", "beard_sigma", "wrinkles.width_range"),
        ),
        (OccluderConfig(), draw_occluders, (*COVERS, "hair.thickness_range_m")),
        (BackdropConfig(), draw_backdrop, ()),
        (CameraConfig(rendering=RenderingConfig(grey_fraction=0.5)), draw_camera, ()),
    ],
)
def test_every_value_changes_what_is_drawn(
    every_change: Callable[[Any], Iterator[tuple[str, Any]]],
    start: Any,
    draw: Callable[[Any, int], np.ndarray],
    elsewhere: tuple[str, ...],
) -> None:
    expected = cache(lambda seed: draw(start, seed))
    idle = [
        name
        for name, changed in every_change(start)
        if not name.endswith(elsewhere or ("-",))
        and all(np.array_equal(draw(changed, seed), expected(seed)) for seed in range(30))
    ]
    assert idle == []


def covered(config: OccluderConfig, seed: int) -> float:
    return float(draw_scene(SyntheticConfig(occluders=config), seed).overlay_alpha.mean())


@pytest.mark.parametrize("name", COVERS)
def test_a_cover_of_share_one_is_always_there_and_of_share_zero_never(name: str) -> None:
    always = replace(BARE, **{name: 1.0})
    assert all(covered(BARE, seed) == 0.0 for seed in range(3))
    # A hand may miss the picture.
    shares = [covered(always, seed) for seed in range(4)]
    assert sum(share > 0.001 for share in shares) >= (2 if name == "hand_fraction" else 4)


def test_thick_hair_covers_more() -> None:
    thin, thick = (
        replace(BARE, hair_fraction=1.0, hair=HairConfig(thickness_range_m=(value, value)))
        for value in (0.001, 0.04)
    )
    assert covered(thick, 0) > 1.2 * covered(thin, 0) > 0.0


def test_skins_have_detail_and_a_measured_colour_as_the_configuration_says() -> None:
    model, basis_colour = load_open_face_model(), SkinColourConfig(measured_fraction=0.0)

    def albedo(skin: SkinConfig) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = SyntheticSkins(model, skin, 128).draw(np.random.default_rng(2))
        return drawn.albedo, model.albedo_map(drawn.coeffs, 128)

    smooth, nearest = albedo(SkinConfig(has_detail=False, colour=basis_colour, parts_fraction=0.0))
    assert float((smooth - nearest).abs().mean()) < 0.005
    detailed, nearest = albedo(SkinConfig(colour=basis_colour))
    assert float((detailed - nearest).abs().max()) > 0.05
    painted, _ = albedo(SkinConfig(has_detail=False, colour=basis_colour))
    eyes = model.uv_mask("eyes", 128) > 0.9
    assert float((painted - smooth)[:, eyes].abs().mean()) > 0.005
    bare = bare_skin(model, 128) > 0.5
    assert float((painted - smooth)[:, bare].abs().mean()) < 0.001
    coloured, _ = albedo(SkinConfig(has_detail=False))
    assert float((coloured - smooth).abs().mean()) > 0.005


def test_wrinkles_are_as_wide_as_asked() -> None:
    grey, shares = torch.full((3, 256, 256), 0.3), []
    for width in (0.5, 4.0):
        wrinkles = WrinkleConfig(fraction=1.0, num_crow_range=(3, 3), width_range=(width, width))
        detail = replace(SkinDetailConfig(), adornments=Adornments(0.0, 0.0, 1.0), wrinkles=wrinkles)
        smooth = replace(detail, wrinkles=replace(wrinkles, strength_range=(0.0, 0.0)))
        lined, plain = (detailed(grey, config, np.random.default_rng(0)) for config in (detail, smooth))
        shares.append(float(((lined - plain).abs() > 0.002).float().mean()))
    assert shares[1] > 1.5 * shares[0] > 0.0


def test_shares_of_one_draw_one_thing_only() -> None:
    rng = np.random.default_rng(0)
    names = load_open_face_model().expression_names
    open_jaw = HeadConfig(
        neutral_fraction=0.0,
        groups=(ExpressionGroup(("jawOpen", "unknownUnit"), fraction=1.0, largest=0.5),),
        num_single_range=(0, 0),
        gaze_sigma=0.0,
    )
    expressions = np.stack([random_expression(names, open_jaw, rng) for _ in range(20)])
    assert expressions[:, names.index("jawOpen")].min() > 0.0
    assert expressions[:, names.index("jawOpen")].max() <= 0.5
    assert np.count_nonzero(expressions) == 20
    still = [random_expression(names, HeadConfig(neutral_fraction=1.0), rng) for _ in range(20)]
    assert not np.any(still)
    matte = MaterialConfig(shine=ShineKinds(matte=1.0, usual=0.0, oily=0.0))
    assert {random_material(matte, rng, 16).specular_strength for _ in range(10)} == {0.0}
    lamps = StudioConfig(num_lamps_weights=(0.0, 0.0, 0.0, 1.0))
    assert {len(random_studio_light(lamps, FillConfig(), rng).directions) for _ in range(10)} == {4}
    ahead = PoseConfig(
        frontal_fraction=1.0, frontal_yaw_sigma_rad=0.0, pitch_limit_rad=0.0, roll_limit_rad=0.0
    )
    assert float(random_rotvec(ahead, rng).abs().max()) < 1e-6
    sharp = [random_flaws(CameraConfig(poor_fraction=0.0), rng) for _ in range(20)]
    assert {flaws.detail for flaws in sharp} == {1.0}
    colour = CameraConfig(rendering=RenderingConfig(grey_fraction=0.0))
    assert {random_flaws(colour, rng).rendering.grey_mix for _ in range(20)} == {None}
    grey = random_hair_colour(None, HairColourConfig(grey_fraction=1.0, grey_range=(0.4, 0.4)), rng)
    np.testing.assert_allclose(grey, [0.4, 0.392, 0.38])


@pytest.mark.parametrize(
    "build",
    [
        lambda: GlassesConfig(tint_weights=(0.5, 0.5)),
        lambda: StudioConfig(num_lamps_weights=(0.5, 0.3)),
        lambda: SyntheticConfig(pose=PoseConfig(frontal_fraction=60.0)),
        lambda: Adornments(beard=0.5),
        lambda: SkinColourConfig(measured_fraction=-0.5),
    ],
)
def test_weights_that_do_not_sum_and_shares_beyond_one_are_refused(build: Callable[[], object]) -> None:
    with pytest.raises(
        UsageError, match=r"tint_weights|num_lamps_weights|frontal_fraction|Adornments|measured"
    ):
        build()


def test_json_sets_any_value_and_quotes_all(all_changed: Callable[[Any], Any], tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    for config in (SyntheticConfig(), all_changed(SyntheticConfig())):
        path.write_text(json.dumps(run_document(config)))
        assert read_run_file(path, SyntheticConfig) == config
    path.write_text('{"skin": {"detail": {"adornments": {"beard": 0.0, "make_up": 0.7}}}, "is_plain": true}')
    config = read_run_file(path, SyntheticConfig)
    assert config.skin.detail.adornments == Adornments(0.0, 0.7, 0.3)
    assert config == replace(
        SyntheticConfig(),
        skin=SkinConfig(detail=SkinDetailConfig(adornments=Adornments(0.0, 0.7, 0.3))),
        is_plain=True,
    )


def parts(config: Any, path: str = "") -> Iterator[str]:
    """Dotted names of the configurations inside a configuration."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value) and not isinstance(value, SpotConfig):
            yield f"{path}{field.name}"
            yield from parts(value, f"{path}{field.name}.")


def test_the_documentation_names_every_part() -> None:
    page = (Path(__file__).parents[3] / "docs" / "synthetic_faces.md").read_text(encoding="utf-8")
    found = list(parts(SyntheticConfig()))
    assert len(found) > 15
    assert [part for part in found if f"`{part}`" not in page] == []


def test_the_room_has_one_face_to_the_outside() -> None:
    root = Path(__file__).parents[3]
    inside = root / "src" / "facelume" / "data" / "synthetic"
    sources = [
        path
        for folder in ("src", "tools", "examples", "benchmarks")
        for path in (root / folder).rglob("*.py")
    ]
    assert len(sources) > 100
    behind = [
        path.name
        for path in sources
        if inside not in path.parents and "from facelume.data.synthetic." in path.read_text(encoding="utf-8")
    ]
    assert behind == []
