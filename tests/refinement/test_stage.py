"""The stage from an unwrapped face to its albedo and light, with the package's own network."""

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, CropTransform, cam_from_model
from facelume.face_model import load_open_face_model
from facelume.networks.builders import REFINER_BUILDERS
from facelume.networks.refiner import Refiner
from facelume.raster import geometry_buffers, render
from facelume.refinement.inputs import (
    FaceInPhoto,
    InputBasis,
    PreparedInput,
    input_basis,
    prepare_input,
    unwrap_face,
)
from facelume.refinement.refine import map_shading, refine
from facelume.refinement.stage import RefinedFace, refine_face
from facelume.reflectance import srgb_from_linear
from facelume.types import MOUTH_PARTS, is_part
from facelume.uv import resize_map
from facelume.weights import build_and_load


@pytest.fixture(scope="module")
def basis() -> InputBasis:
    return input_basis(load_open_face_model())


@pytest.fixture(scope="module")
def refiner() -> Refiner:
    return build_and_load("refiner", REFINER_BUILDERS)[0]


@pytest.fixture(scope="module")
def face(basis: InputBasis) -> FaceInPhoto:
    """The mean face with an open mouth under a soft light, half of the picture in a shadow."""
    model = basis.model
    expression = torch.zeros(1, model.num_expression)
    expression[0, model.expression_names.index("jawOpen")] = 0.6
    vertices = model.shape(torch.zeros(1, model.num_identity), expression)
    matrix = cam_from_model(torch.tensor([[0.0, 0.2, 0.0]]), torch.tensor([[0.0, 0.0, 1.05]]))
    buffers = geometry_buffers(model.topology, vertices, matrix, CROP_CAMERA)
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 2] = 2.0, 0.6
    picture = render(buffers, model.albedo_map(torch.zeros(1, model.num_albedo)), light)
    picture[..., :, 112:] *= 0.5
    crop_srgb = srgb_from_linear(picture)[0].movedim(0, -1).numpy()
    crop = CropTransform(np.eye(2, 3))
    return FaceInPhoto(crop_srgb, crop, crop_srgb, torch.ones(1, 224, 224), vertices, matrix, buffers)


@pytest.fixture(scope="module")
def prepared(face: FaceInPhoto, basis: InputBasis) -> PreparedInput:
    return prepare_input(unwrap_face(face, basis), basis)


@pytest.fixture(scope="module")
def refined(refiner: Refiner, face: FaceInPhoto, prepared: PreparedInput, basis: InputBasis) -> RefinedFace:
    return refine_face(refiner, face, prepared, basis.albedo)


def distance_to_photo(prepared: PreparedInput, lit_albedo: torch.Tensor) -> float:
    """Mean difference to the unwrapped photo where it is seen."""
    maps = prepared.maps
    difference = (resize_map(lit_albedo, maps.texture.shape[-1]) - maps.texture).abs().mean(1)
    return float((difference * maps.visibility).sum() / maps.visibility.sum())


def test_the_settled_light_renders_the_photo_better_than_the_one_of_the_network(
    refiner: Refiner, prepared: PreparedInput, refined: RefinedFace
) -> None:
    raw = refine(refiner, prepared.maps)
    torch.testing.assert_close(refined.albedo, raw.albedo)
    size, normals = raw.shading.shape[-1], prepared.maps.normals_light
    before = distance_to_photo(prepared, resize_map(raw.albedo, size) * raw.shading)
    lit = resize_map(refined.albedo, size) * map_shading(refined.light, normals)
    assert distance_to_photo(prepared, lit) < 0.7 * before


def test_the_light_of_the_whole_face_fits_the_refined_albedo_better_than_before(
    face: FaceInPhoto, prepared: PreparedInput, refined: RefinedFace
) -> None:
    photo = render(face.buffers, refined.albedo, refined.coarse_light)
    before = render(face.buffers, refined.albedo, prepared.maps.coarse_light)
    target = torch.from_numpy(face.crop_srgb).movedim(-1, 0)[None]
    seen = face.buffers.face_mask[:, None]
    errors = [
        float(((srgb_from_linear(image) - target).abs() * seen).sum() / seen.sum())
        for image in (photo, before)
    ]
    assert errors[0] < errors[1]


def test_the_inner_mouth_takes_a_share_of_the_light_of_the_whole_face(
    prepared: PreparedInput, refined: RefinedFace
) -> None:
    size = refined.light.shape[-1]
    step = prepared.texels.part.shape[-1] // size
    is_mouth = is_part(prepared.texels.part, MOUTH_PARTS)[step // 2 :: step, step // 2 :: step]
    share = refined.light[0][:, is_mouth] / refined.coarse_light.flatten(1).T
    large = refined.coarse_light.flatten().abs() > 0.1
    assert int(is_mouth.sum()) > 50
    assert float(share[large].std()) < 1e-4
    assert 0.15 <= float(share[large].mean()) <= 1.2
