"""The heads of the albedo benchmark: scanned shapes, measured colours, two meters, a readable set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from benchmark_heads.pictures import METERS, photograph, scene_config
from benchmark_heads.scan_shapes import ScanModel, WrappedScan, scanned_heads, wrap
from benchmark_heads.skins import BenchmarkSkins, random_skin_colour
from face_model_build.albedo_samples import SIZE, AlbedoSample
from facelume.data.synthetic import SyntheticScene, load_environment_maps
from facelume.data.synthetic.scene import SyntheticScenes
from facelume.evaluation.references import read_references
from facelume.face_model import FaceModel, load_open_face_model
from facelume.reflectance import ITA_CLASSES, human_skin, ita_class, ita_degrees, linear_from_srgb
from facelume.types import EYE_PARTS, FacePart
from make_albedo_benchmark import BenchmarkHeads, benchmark_heads, write_benchmark


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def skins(model: FaceModel) -> BenchmarkSkins:
    """One held-out skin of a middle tone: the mean of the albedo basis, known where it is skin."""
    colour = model.mean_albedo.permute(1, 2, 0).numpy()
    known = model.uv_mask("face", SIZE).numpy() > 0.5
    return BenchmarkSkins(model, [AlbedoSample("plain_diffuse", colour, known, np.zeros_like(colour))])


@pytest.fixture(scope="module")
def heads(model: FaceModel, skins: BenchmarkSkins, environment_maps: Path) -> BenchmarkHeads:
    lights = list(load_environment_maps(environment_maps, held_out=True).values())
    return benchmark_heads(model, lights, skins)


def test_colours_of_a_class_are_human_and_spread_in_tone_and_hue() -> None:
    rng, skin = np.random.default_rng(0), human_skin()
    for _, name in ITA_CLASSES:
        colours = torch.from_numpy(np.stack([random_skin_colour(name, rng) for _ in range(60)]))
        assert {ita_class(float(angle)) for angle in ita_degrees(colours)} == {name}
        distance = skin.hue_distance(colours)
        # The distance of a plane Gaussian has mean 1.25 and exceeds 3.5 once in 450.
        assert 0.9 < float(distance.mean()) < 1.6
        assert float(distance.max()) < 4.5


def test_skins_take_the_classes_in_turn_and_keep_the_pattern(model: FaceModel, skins: BenchmarkSkins) -> None:
    rng = np.random.default_rng(1)
    bare = (model.uv_mask("skin", SIZE).numpy() > 0.5) & (model.uv_mask("face", SIZE).numpy() > 0.5)
    pattern = np.log(model.mean_albedo.numpy()[1, bare])
    for number, (_, name) in enumerate(ITA_CLASSES):
        albedo, texture = skins.draw(number, rng)
        assert texture.name == "plain_diffuse"
        median = torch.from_numpy(np.median(albedo.numpy()[:, bare].astype(np.float64), axis=1))
        angle = float(ita_degrees(median))
        bounds = [-90.0, *(bound for bound, _ in ITA_CLASSES[:-1]), 90.0]
        assert bounds[number] - 2 < angle < bounds[number + 1] + 2, name
        assert np.corrcoef(np.log(albedo.numpy()[1, bare]), pattern)[0, 1] > 0.8


def _brightness(scene: SyntheticScene, albedo: torch.Tensor, meter: str) -> float:
    rng = np.random.default_rng(5)
    picture = photograph(scene, albedo, "surroundings", meter, rng).image_srgb
    return float(linear_from_srgb(torch.from_numpy(picture[scene.is_skin] / 255.0)).mean())


def test_a_meter_on_the_face_hides_the_skin_and_one_on_the_picture_does_not(heads: BenchmarkHeads) -> None:
    scene = heads.scenes["surroundings"].draw(np.random.default_rng(2))
    dim, bright = (torch.full((3, 64, 64), value) for value in (0.15, 0.3))
    on_face, on_picture = (
        _brightness(scene, bright, meter) / _brightness(scene, dim, meter) for meter in METERS
    )
    # Highlights are the same on both, and count more on the dim one.
    assert 0.9 < on_face < 1.05
    assert 1.3 < on_picture < 2.05


def test_a_hard_lamp_has_deeper_shadows_than_surroundings(model: FaceModel) -> None:
    sky = np.ones((16, 32, 3), np.float32)
    contrasts = {}
    for light in ("surroundings", "hard lamp"):
        scenes, rng = SyntheticScenes(model, [sky], scene_config(light)), np.random.default_rng(3)
        shadings = [(s := scenes.draw(rng)).shading[s.is_skin].mean(axis=-1) for _ in range(3)]
        contrasts[light] = np.mean([np.log(np.divide(*np.percentile(s, (90, 10)))) for s in shadings])
    assert contrasts["hard lamp"] > contrasts["surroundings"] + 0.5


def test_the_set_is_one_that_evaluate_reads(heads: BenchmarkHeads, tmp_path: Path) -> None:
    write_benchmark(tmp_path, heads, count=2, seed=3)
    first, second = read_references(tmp_path)
    assert [first.photo.name, second.photo.name] == ["000_plain.png", "001_plain.png"]
    assert first.landmarks_px is not None
    truth = first.albedo_truth()
    assert truth is not None
    assert truth.albedo_linear.shape == (224, 224, 3)
    assert truth.mask.mean() > 0.1
    assert truth.albedo_linear[truth.mask].min() > 0
    mean = torch.from_numpy(truth.albedo_linear[truth.mask].mean(axis=0).astype(np.float64))
    assert ita_class(float(ita_degrees(mean))) == "dark"
    assert np.asarray(Image.open(first.photo))[truth.mask].mean() > 5
    document = json.loads((tmp_path / "set.json").read_text())
    assert (document["seed"], document["count"], document["shapes"]) == (3, 2, "open")
    assert [head["name"] for head in document["heads"]] == [first.photo.name, second.photo.name]
    assert {head["meter"] for head in document["heads"]} <= set(METERS)


@pytest.fixture(scope="module")
def scan(model: FaceModel) -> ScanModel:
    """One open head, turned, enlarged, with a ridge over the brows; one component lifts a cheek."""
    rng = np.random.default_rng(4)
    identity = torch.from_numpy((0.7 * rng.normal(size=model.num_identity)).astype(np.float32))
    vertices = model.neutral(identity).numpy().astype(np.float64)
    topology = model.topology
    front = (topology.face_front & (topology.face_part == FacePart.SKIN)).numpy()
    kept, triangles = np.unique(topology.faces.numpy()[front], return_inverse=True)
    marks = model.points_on_surface(model.neutral(identity), model.landmarks68).numpy()
    nearest = np.linalg.norm(vertices[kept][None] - marks[:, None], axis=2).argmin(1)
    place = vertices[kept]
    ridge = 0.002 * np.exp(-(((place[:, 1] - 0.03) / 0.012) ** 2))
    cheek = np.exp(-((np.linalg.norm(place - place[nearest[1]] * [0.7, 1.0, 1.3], axis=1) / 0.02) ** 2))
    turn = Rotation.from_rotvec([0.05, -0.1, 0.02]).as_matrix()
    along = np.array([0.0, 0.0, 1.0])
    moved = 1.1 * (place + ridge[:, None] * along) @ turn.T + [0.0, 0.3, 0.1]
    component = 1.1 * 0.003 * cheek[:, None] * (along @ turn.T)
    return ScanModel(moved, component[None], triangles.reshape(-1, 3), nearest)


@pytest.fixture(scope="module")
def wrapped(model: FaceModel, scan: ScanModel) -> WrappedScan:
    return wrap(model, scan)


def test_a_scan_is_wrapped_closely(wrapped: WrappedScan) -> None:
    assert wrapped.distance_mm < 0.5
    assert wrapped.scale == pytest.approx(1 / 1.1, rel=0.03)
    assert len(wrapped.vertices) > 4000


def test_scanned_heads_reach_what_the_open_model_cannot(model: FaceModel, wrapped: WrappedScan) -> None:
    people = scanned_heads(model, wrapped)
    assert (people.num_identity, people.expression_names) == (1, model.expression_names)
    neutral, lifted = (people.neutral(torch.tensor([value])).double().numpy() for value in (0.0, 1.0))
    error_mm = 1000 * np.linalg.norm(neutral[wrapped.vertices] - wrapped.neutral, axis=1)
    assert np.average(error_mm, weights=wrapped.weight) < 0.2
    change = lifted - neutral
    wanted = wrapped.identity[0]
    assert 1000 * np.linalg.norm(change[wrapped.vertices] - wanted, axis=1).mean() < 0.1
    assert 1000 * np.linalg.norm(wanted, axis=1).max() > 0.8
    # The back of the head stays, and an eyeball moves as one.
    back = model.mean_shape[:, 2].numpy() < -0.05
    assert 1000 * np.linalg.norm(change[back], axis=1).max() < 0.5
    for part in EYE_PARTS:
        eye = model.topology.faces[model.topology.face_part == part].unique().numpy()
        assert 1000 * np.ptp(change[eye], axis=0).max() < 0.3
