"""A person under single lamps: what the photos agree on is the albedo that each of them is asked for."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from facelume.data.split import LABORATORY_STRIDE
from facelume.detection import NetworkLocator
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.fitting import landmark_basis
from facelume.illumination import Lamps
from facelume.networks.builders import PRIOR_BUILDERS, TONE_BUILDERS
from facelume.pipeline import Reconstruction, Reconstructor
from facelume.pipeline.finding import FaceFinder
from facelume.refinement.refine import RefinerOutput, map_shading
from facelume.reflectance import linear_from_srgb, luminance
from facelume.training.refiner.batches import to_batch
from facelume.training.refiner.config import LossWeights, RefinerDataConfig
from facelume.training.refiner.laboratory import encoded, laboratory_people
from facelume.training.refiner.losses import loss_terms, render_in_atlas
from facelume.training.refiner.prepare import PreparationTools, preparation_tools, prepare_laboratory
from facelume.training.refiner.prepared import PreparedFace, PreparedFaces
from facelume.uv import masked_low_pass, resize_map
from facelume.weights import build_and_load

LAMPS = ((0, 0), (35, 40), (-35, 40), (50, 0), (-50, 0), (0, 45), (25, 0), (-25, 0), (0, -20))
MAP_SIZE = 128


def write_names(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.new("L", (4, 4)).save(folder / name)


def test_the_frontal_lamp_comes_first_and_some_people_are_held_out(tmp_path: Path) -> None:
    names = [f"person{k}" for k in range(2 * LABORATORY_STRIDE)]
    for name in names:
        write_names(tmp_path / name, "az-050_el+00.jpg", "az+000_el+00.jpg", "az+000_el+45.jpg")
    people = laboratory_people(tmp_path)
    assert [p.person for p in people] == [n for k, n in enumerate(names) if k % LABORATORY_STRIDE]
    assert [path.stem for path in people[0].paths] == ["az+000_el+00", "az+000_el+45", "az-050_el+00"]
    half = math.sqrt(0.5)
    np.testing.assert_allclose(people[0].directions[:2], [[0, 0, 1], [0, half, half]], atol=1e-6)
    assert people[0].directions[2, 0] < 0
    assert len({p.number for p in people}) == len(people)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder of a person"):
        laboratory_people(tmp_path)
    write_names(tmp_path / "a", "az+000_el+00.jpg")
    write_names(tmp_path / "b", "portrait.jpg")
    with pytest.raises(UsageError, match=r"portrait\.jpg"):
        laboratory_people(tmp_path)


def test_a_power_stores_values_as_a_camera_does() -> None:
    grey = np.array([[0.0, 0.25, 1.0]], np.float32)
    assert encoded(grey, 1.0)[0, :, 0].tolist() == [0, 64, 255]
    assert encoded(grey, 0.5)[0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


@pytest.fixture(scope="module")
def tools() -> PreparationTools:
    prior, tone = build_and_load("prior", PRIOR_BUILDERS)[0], build_and_load("tone", TONE_BUILDERS)[0]
    return preparation_tools(load_open_face_model(), MAP_SIZE, tone, prior)


@pytest.fixture(scope="module")
def face() -> Reconstruction:
    """A real face whose reconstruction is put under lamps."""
    path = Path(__file__).parents[3] / "examples" / "astronaut.png"
    return Reconstructor(device="cpu").reconstruct(path)


@pytest.fixture(scope="module")
def prepared(
    face: Reconstruction, tools: PreparationTools, tmp_path_factory: pytest.TempPathFactory
) -> list[PreparedFace]:
    folder = tmp_path_factory.mktemp("laboratory")
    (folder / "held_out").mkdir()
    (folder / "person").mkdir()
    for azimuth, elevation in LAMPS:
        a, e = math.radians(azimuth), math.radians(elevation)
        direction = torch.tensor([[math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]])
        picture = face.posed.render(face.maps.albedo, Lamps(direction, torch.ones(1, 3)), size_px=448)
        grey = 1.6 * luminance(torch.from_numpy(picture)).numpy()
        image = Image.fromarray(encoded(grey.clip(0, 1), 1.0))
        image.save(folder / "person" / f"az{azimuth:+04d}_el{elevation:+03d}.jpg", quality=98)
    (photos,) = laboratory_people(folder)
    assert tools.prior is not None
    basis = landmark_basis(load_open_face_model())
    finder = FaceFinder(NetworkLocator.load(), tools.prior, basis, with_coefficients=True)
    return prepare_laboratory(photos, finder, (1.0, 0.45), tools)


def fine(map_srgb: np.ndarray, known: Tensor) -> Tensor:
    """Fine structure of a kept map, log luminance of its known texels."""
    linear = linear_from_srgb(torch.from_numpy(map_srgb.astype(np.float32) / 255.0))
    return fine_of(linear[None], known)


def fine_of(linear: Tensor, known: Tensor) -> Tensor:
    log = torch.log(luminance(linear.movedim(1, -1))[:, None].clamp(min=1e-3))
    return (log - masked_low_pass(log, known, 33))[known > 0.5]


def test_the_truth_of_every_lamp_is_the_albedo_without_its_shadows(
    face: Reconstruction, prepared: list[PreparedFace]
) -> None:
    assert len(prepared) > len(LAMPS)
    assert {p.person for p in prepared} == {prepared[0].person}
    assert all(p.has_truth for p in prepared)
    albedo = resize_map(torch.tensor(face.maps.albedo).movedim(-1, 0)[None], MAP_SIZE)
    of_truth, of_photo = [], []
    for p in prepared:
        known = torch.from_numpy(p.truth.max(axis=0) > 0).float()[None, None]
        assert 0.05 < float(known.mean()) < 0.5
        wanted = fine_of(albedo, known)
        for found, values in ((of_truth, p.truth), (of_photo, p.maps["texture"])):
            found.append(float(torch.corrcoef(torch.stack([fine(values, known), wanted]))[0, 1]))
    assert np.mean(of_truth) > 0.8
    assert np.mean(of_truth) > np.mean(of_photo) + 0.3


def test_where_the_truth_is_not_known_no_albedo_is_asked_for(
    shard_of: Callable[[Sequence[PreparedFace]], PreparedFaces], face_of: Callable[..., PreparedFace]
) -> None:
    size = 16
    truth = np.full((3, size, size), 150)
    truth[:, :, size // 2 :] = 0
    batch = to_batch([(shard_of([face_of(np.full((3, size, size), 128), truth)]), 0)])
    everywhere, weights = torch.ones(1, 1, size, size), LossWeights(albedo_truth=1.0, albedo_shape=1.0)

    def terms(albedo: Tensor) -> dict[str, float]:
        light, unknown = resize_map(batch.maps.coarse_map, size), torch.zeros(1, 1, size, size)
        shading = map_shading(light, batch.maps.normals_light)
        output = RefinerOutput(albedo, light, unknown, unknown, albedo, unknown, shading)
        found = loss_terms(batch, output, render_in_atlas(batch, output, everywhere), everywhere, weights)
        return {name: float(found[name]) for name in ("albedo_truth", "albedo_shape")}

    right = batch.truth.clone()
    right[..., size // 2 :] = 0.9
    assert max(terms(right).values()) < 1e-6
    right[..., 0] = 0.9
    assert min(terms(right).values()) > 0.01


def test_a_laboratory_needs_the_network_that_aligns_its_faces(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prior_weights"):
        RefinerDataConfig(tmp_path, laboratory=tmp_path, prior_weights=None)
