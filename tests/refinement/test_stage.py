"""The stage from an unwrapped face to its albedo and light, with the package's own network."""

import dataclasses

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, CropTransform, cam_from_model
from facelume.face_model import load_open_face_model
from facelume.fitting.tone_cues import ToneRegions
from facelume.illumination import light_map_from_lamps
from facelume.networks.builders import REFINER_BUILDERS
from facelume.networks.refiner import Refiner
from facelume.networks.tone import ToneNetwork
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
from facelume.refinement.stage import RefinedFace, refine_face, tone_gain
from facelume.refinement.usual_tone import USUAL_LUMINANCE, refine_in_usual_tone
from facelume.reflectance import luminance, srgb_from_linear
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
def tone_network(tone_saying) -> ToneNetwork:
    """Says that the skin is of medium tone, and is sure of it."""
    return tone_saying(tone=0.3, sigma=-20.0)


def photographed(basis: InputBasis, light: torch.Tensor, *, shade: float = 1.0) -> FaceInPhoto:
    """The mean face with an open mouth, half of the picture dimmed.

    Args:
        basis: Its model.
        light: SH radiance, for the whole face or per texel.
        shade: Factor on the right half of the picture.
    """
    model = basis.model
    expression = torch.zeros(1, model.num_expression)
    expression[0, model.expression_names.index("jawOpen")] = 0.6
    vertices = model.shape(torch.zeros(1, model.num_identity), expression)
    matrix = cam_from_model(torch.tensor([[0.0, 0.2, 0.0]]), torch.tensor([[0.0, 0.0, 1.05]]))
    buffers = geometry_buffers(model.topology, vertices, matrix, CROP_CAMERA)
    picture = render(buffers, model.albedo_map(torch.zeros(1, model.num_albedo)), light)
    picture[..., :, 112:] *= shade
    crop_srgb = srgb_from_linear(picture)[0].movedim(0, -1).numpy()
    crop = CropTransform(np.eye(2, 3))
    return FaceInPhoto(crop_srgb, crop, crop_srgb, torch.ones(1, 224, 224), vertices, matrix, buffers)


def soft_light(strength: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> torch.Tensor:
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 2] = 2.0, 0.6
    return light * torch.tensor(strength)


@pytest.fixture(scope="module")
def face(basis: InputBasis) -> FaceInPhoto:
    """Under a soft light, half of the picture in a shadow that no head casts."""
    return photographed(basis, soft_light(), shade=0.5)


@pytest.fixture(scope="module")
def prepared(face: FaceInPhoto, basis: InputBasis, tone_network: ToneNetwork) -> PreparedInput:
    return prepare_input(unwrap_face(face, basis), basis, tone_network)


@pytest.fixture(scope="module")
def refined(refiner: Refiner, face: FaceInPhoto, prepared: PreparedInput, basis: InputBasis) -> RefinedFace:
    return refine_face(refiner, face, prepared, basis)


def skin_colour(albedo: torch.Tensor, regions: ToneRegions) -> torch.Tensor:
    return albedo.flatten(2)[..., regions.skin].median(dim=-1).values


def distance_to_photo(prepared: PreparedInput, lit_albedo: torch.Tensor) -> float:
    """Mean difference to the unwrapped photo where it is seen."""
    maps = prepared.maps
    difference = (resize_map(lit_albedo, maps.texture.shape[-1]) - maps.texture).abs().mean(1)
    return float((difference * maps.visibility).sum() / maps.visibility.sum())


def squared_error(prepared: PreparedInput, picture: torch.Tensor, basis: InputBasis) -> float:
    """Mean squared difference to the unwrapped photo on the seen face: what the fits of a light minimise."""
    size = picture.shape[-1]
    seen = resize_map(prepared.maps.visibility[:, None], size)
    mask = seen * resize_map(basis.albedo.mask[None, None], size)
    error = (picture - resize_map(prepared.maps.texture, size)).square().mean(1, keepdim=True)
    return float((error * mask).sum() / mask.sum())


def lit(albedo: torch.Tensor, light: torch.Tensor, prepared: PreparedInput) -> torch.Tensor:
    return resize_map(albedo, light.shape[-1]) * map_shading(light, prepared.maps.normals_light)


def test_the_skin_has_the_tone_that_was_judged(
    prepared: PreparedInput, refined: RefinedFace, basis: InputBasis
) -> None:
    tone = prepared.tone.log_albedo.exp()
    torch.testing.assert_close(skin_colour(refined.albedo, basis.tone_regions), tone, rtol=1e-3, atol=0.0)
    texels = basis.tone_regions.skin
    prior = prepared.maps.prior_albedo.flatten(2)[..., texels].mean(dim=-1)
    torch.testing.assert_close(prior, tone, rtol=0.05, atol=0.0)


def test_the_gain_to_a_tone_leads_there_and_back(basis: InputBasis) -> None:
    albedo = 0.1 + 0.3 * torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    tone = torch.log(torch.tensor([[0.3, 0.2, 0.1], [0.2, 0.1, 0.05]]))
    gain = tone_gain(albedo, tone, basis.tone_regions)
    pinned = albedo * gain[..., None, None]
    torch.testing.assert_close(tone_gain(pinned, tone, basis.tone_regions), torch.ones(2, 3))
    torch.testing.assert_close(skin_colour(resize_map(pinned, 256), basis.tone_regions), tone.exp())
    assert bool(torch.isfinite(tone_gain(torch.zeros_like(albedo), tone, basis.tone_regions)).all())


def judged_darker(prepared: PreparedInput, factor: float, basis: InputBasis) -> PreparedInput:
    """The same photo of a skin of ``factor`` times the albedo under as much more light; eyes stay."""
    maps, gain = prepared.maps, (factor**basis.toned)[None, None]
    return dataclasses.replace(
        prepared,
        tone=dataclasses.replace(prepared.tone, log_albedo=prepared.tone.log_albedo + np.log(factor)),
        maps=dataclasses.replace(
            maps,
            prior_albedo=maps.prior_albedo * gain,
            coarse_light=maps.coarse_light / factor,
            coarse_map=maps.coarse_map / resize_map(gain, maps.coarse_map.shape[-1]),
            exposure=maps.exposure / factor,
        ),
    )


def test_the_tone_moves_between_albedo_and_light_and_never_into_the_picture(
    refiner: Refiner, face: FaceInPhoto, basis: InputBasis, prepared: PreparedInput, refined: RefinedFace
) -> None:
    """The same face judged to be half as light: half the albedo, twice the light, one picture."""
    other = refine_face(refiner, face, judged_darker(prepared, 0.5, basis), basis)
    skin = basis.tone_regions.skin
    albedos = [given.albedo.flatten(2)[..., skin] for given in (refined, other)]
    torch.testing.assert_close(albedos[1], 0.5 * albedos[0], atol=1e-3, rtol=2e-2)
    size = refined.light.shape[-1]
    seen = resize_map(prepared.maps.visibility[:, None], size)
    is_seen = (seen * resize_map(basis.albedo.mask[None, None], size))[0, 0] > 0.9
    first, second = (lit(given.albedo, given.light, prepared)[..., is_seen] for given in (refined, other))
    assert float((second - first).abs().mean() / first.mean()) < 5e-3
    torch.testing.assert_close(second, first, atol=0.02, rtol=0)


@pytest.mark.parametrize("factor", [0.3, 0.6, 1.5])
def test_the_network_is_asked_about_one_skin_however_dark_it_was_judged(
    refiner: Refiner, basis: InputBasis, prepared: PreparedInput, factor: float
) -> None:
    plain, other = (
        refine_in_usual_tone(refiner, given.maps, given.tone, basis.toned)
        for given in (prepared, judged_darker(prepared, factor, basis))
    )
    skin = basis.tone_regions.skin
    albedos = [output.albedo.flatten(2)[..., skin] for output in (plain, other)]
    torch.testing.assert_close(albedos[1], factor * albedos[0], atol=1e-3, rtol=2e-2)
    eyes = torch.cat(basis.tone_regions.eye)
    albedos = [output.albedo.flatten(2)[..., eyes] for output in (plain, other)]
    assert float((albedos[1] - albedos[0]).abs().mean()) < 0.02
    pictures = [
        resize_map(output.albedo, output.shading.shape[-1]) * output.shading for output in (plain, other)
    ]
    assert float((pictures[1] - pictures[0]).abs().mean() / pictures[0].mean()) < 0.01


def test_a_skin_of_usual_luminance_is_refined_as_it_is(
    refiner: Refiner, basis: InputBasis, prepared: PreparedInput
) -> None:
    factor = USUAL_LUMINANCE / float(luminance(prepared.tone.log_albedo.exp()))
    usual = judged_darker(prepared, factor, basis)
    found = refine_in_usual_tone(refiner, usual.maps, usual.tone, basis.toned)
    expected = refine(refiner, usual.maps)
    torch.testing.assert_close(found.albedo, expected.albedo, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.light, expected.light, atol=1e-4, rtol=1e-4)


def test_the_settled_light_renders_the_photo_better_than_the_one_of_the_network(
    refiner: Refiner, prepared: PreparedInput, refined: RefinedFace
) -> None:
    raw = refine(refiner, prepared.maps)
    before = distance_to_photo(prepared, lit(raw.albedo, raw.light, prepared))
    after = distance_to_photo(prepared, lit(refined.albedo, refined.light, prepared))
    assert after < 0.7 * before


def test_the_lights_of_the_whole_face_fit_the_refined_albedo_better_than_before(
    basis: InputBasis, prepared: PreparedInput, refined: RefinedFace
) -> None:
    maps = prepared.maps
    everywhere = [light.flatten(1)[..., None, None] for light in (maps.coarse_light, refined.coarse_light)]
    size = maps.coarse_map.shape[-1]
    before, after = (
        squared_error(prepared, lit(refined.albedo, light.expand(-1, -1, size, size), prepared), basis)
        for light in everywhere
    )
    assert after < before
    before, after = (
        squared_error(prepared, lit(refined.albedo, light_map, prepared), basis)
        for light_map in (maps.coarse_map, refined.coarse_map)
    )
    assert after < before


def test_shadows_of_the_coarse_light_explain_a_hard_lamp(
    basis: InputBasis, refiner: Refiner, prepared: PreparedInput, tone_network: ToneNetwork
) -> None:
    """A lamp beside the head, which puts half of it in shadow: one order-2 light cannot say that."""
    lamps = prepared.lamps
    beside = (lamps.directions[0] @ torch.tensor([0.9, 0.1, 0.3])).argmax()
    strengths = torch.full((1, len(basis.lamps), 3), 0.3 * 4 / len(basis.lamps))
    strengths[:, beside] = 1.0
    hard = light_map_from_lamps(strengths, lamps, prepared.coarse_normals)
    face = photographed(basis, hard)
    prepared = prepare_input(unwrap_face(face, basis), basis, tone_network)
    refined = refine_face(refiner, face, prepared, basis)
    for albedo, light, light_map in (
        (prepared.maps.prior_albedo, prepared.maps.coarse_light, prepared.maps.coarse_map),
        (refined.albedo, refined.coarse_light, refined.coarse_map),
    ):
        everywhere = light.flatten(1)[..., None, None].expand_as(light_map)
        shadowed, open_light = (
            distance_to_photo(prepared, lit(albedo, given, prepared)) for given in (light_map, everywhere)
        )
        assert shadowed < 0.7 * open_light


@pytest.mark.parametrize("colour", [(0.5, 0.5, 0.5), (1.0, 0.8, 0.55), (0.6, 0.7, 0.9)])
def test_a_photo_under_a_light_of_another_colour_has_the_same_albedo(
    basis: InputBasis, refiner: Refiner, tone_network: ToneNetwork, colour: tuple[float, float, float]
) -> None:
    faces = [photographed(basis, soft_light(light), shade=0.5) for light in ((1.0, 1.0, 1.0), colour)]
    given = [prepare_input(unwrap_face(face, basis), basis, tone_network) for face in faces]
    plain, coloured = (
        refine_face(refiner, face, prepared, basis) for face, prepared in zip(faces, given, strict=True)
    )
    difference = (torch.log(coloured.albedo) - torch.log(plain.albedo)).abs()
    # The photo's brightness counts a little for the tone, and dark offsets count a little everywhere.
    assert float(difference.mean()) < 0.015
    assert float(difference.quantile(0.99)) < 0.03
    is_seen = resize_map(given[0].maps.visibility[:, None], plain.light.shape[-1])[0, 0] > 0.5
    first, second = (
        map_shading(face.light, given[0].maps.normals_light)[0][:, is_seen] for face in (plain, coloured)
    )
    expected = first * torch.tensor(colour)[:, None]
    assert float((second - expected).abs().mean() / expected.mean()) < 0.025


def test_the_inner_mouth_takes_a_share_of_the_light_of_the_whole_face(
    prepared: PreparedInput, refined: RefinedFace
) -> None:
    size = refined.light.shape[-1]
    step = prepared.texels.part.shape[-1] // size
    is_mouth = is_part(prepared.texels.part, MOUTH_PARTS)[step // 2 :: step, step // 2 :: step]
    assert int(is_mouth.sum()) > 50
    large = refined.coarse_light.flatten().abs() > 0.1
    for light in (refined.light, refined.coarse_map):
        share = light[0][:, is_mouth] / refined.coarse_light.flatten(1).T
        assert float(share[large].std()) < 1e-4
        assert 0.15 <= float(share[large].mean()) <= 1.2
