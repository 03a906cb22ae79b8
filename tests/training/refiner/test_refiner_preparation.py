"""Training prepares a face as it is prepared for use."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from facelume.camera import sample_crop
from facelume.errors import UsageError
from facelume.face_model import FaceModel, load_open_face_model
from facelume.fitting.tone_cues import CUE_MAP_SIZE, CUE_PICTURE_SIZE, NUM_CUES
from facelume.illumination import irradiance_image
from facelume.io.photo import read_photo
from facelume.networks.builders import PRIOR_BUILDERS, TONE_BUILDERS
from facelume.networks.prior import PriorConfig, PriorNetwork
from facelume.networks.tone import ToneNetwork
from facelume.pipeline import Reconstruction, Reconstructor, reconstructor
from facelume.pipeline.alignment import read_prior
from facelume.pipeline.posed_face import PosedFace
from facelume.raster import render
from facelume.refinement import usual_tone
from facelume.refinement.inputs import FaceInPhoto, InputBasis, PreparedInput, UnwrappedFace
from facelume.refinement.refine import RefinerInput, RefinerOutput, map_shading, refine, resize_input
from facelume.refinement.usual_tone import USUAL_LUMINANCE
from facelume.reflectance import luminance, shading_from_irradiance, srgb_from_linear
from facelume.training.config import LoopConfig
from facelume.training.refiner.batches import to_batch
from facelume.training.refiner.config import LossWeights, RefinerDataConfig, RefinerTrainingConfig
from facelume.training.refiner.losses import render_in_atlas, render_in_crop
from facelume.training.refiner.prepare import (
    FaceTruth,
    LabelledFace,
    PreparationTools,
    preparation_tools,
    prepare,
    prepare_posed,
)
from facelume.training.refiner.prepared import COARSE_MAP_SIZE, PreparedFace, PreparedFaces
from facelume.training.refiner.shards import prepare_all
from facelume.uv import resize_map
from facelume.weights import WeightRecord, build_and_load, save_weights

MAP_SIZE = 128
ShardOf = Callable[[Sequence[PreparedFace]], PreparedFaces]
ROLL_DEG = 25


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="module")
def prior() -> PriorNetwork:
    return build_and_load("prior", PRIOR_BUILDERS)[0]


@pytest.fixture(scope="module")
def tone() -> ToneNetwork:
    return build_and_load("tone", TONE_BUILDERS)[0]


@pytest.fixture(scope="module")
def tools(model: FaceModel, prior: PriorNetwork, tone: ToneNetwork) -> PreparationTools:
    return preparation_tools(model, MAP_SIZE, tone, prior)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A real face on a tilted head."""
    path = Path(__file__).parents[3] / "examples" / "astronaut.png"
    tilted = Image.open(path).convert("RGB").rotate(ROLL_DEG, Image.Resampling.BICUBIC, center=(225, 122))
    return read_photo(np.asarray(tilted)).srgb


class Served:
    """What use makes of a photo: the result, and what passed through the shared preparation."""

    def __init__(self, photo: np.ndarray) -> None:
        unwrap_face, prepare_input = reconstructor.unwrap_face, reconstructor.prepare_input

        def note_face(face: FaceInPhoto, basis: InputBasis) -> UnwrappedFace:
            self.face = face
            return unwrap_face(face, basis)

        def note_input(unwrapped: UnwrappedFace, basis: InputBasis, tone: ToneNetwork) -> PreparedInput:
            self.prepared = prepare_input(unwrapped, basis, tone)
            return self.prepared

        def note_maps(refiner: nn.Module, maps: RefinerInput) -> RefinerOutput:
            self.refined = maps
            return refine(refiner, maps)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reconstructor, "unwrap_face", note_face)
            patch.setattr(reconstructor, "prepare_input", note_input)
            patch.setattr(usual_tone, "refine", note_maps)
            self.result: Reconstruction = Reconstructor(device="cpu").reconstruct(photo)

    def maps(self) -> RefinerInput:
        """The maps at the size of the training's, as the network sees them."""
        with torch.inference_mode():
            return resize_input(self.refined, MAP_SIZE)


@pytest.fixture(scope="module")
def served(photo: np.ndarray) -> Served:
    return Served(photo)


def test_the_same_face_gives_training_and_use_the_same_maps(
    photo: np.ndarray, served: Served, tools: PreparationTools, shard_of: ShardOf
) -> None:
    labelled = LabelledFace(photo, served.result.landmarks_px["mediapipe478"])
    prepared = prepare_posed(labelled, served.result.crop, served.result.posed, served.face.parsing, tools)
    trained, expected = to_batch([(shard_of([prepared]), 0)]).maps, served.maps()
    step = 0.5 / 255 + 1e-5
    for name in ("texture", "prior_albedo"):
        values, others = srgb_from_linear(getattr(trained, name)), srgb_from_linear(getattr(expected, name))
        assert float((values - others).abs().max()) < step, name
    assert float((trained.visibility - expected.visibility).abs().max()) < step
    assert float((trained.normals_light - expected.normals_light).abs().max()) < 0.5 / 127 + 1e-5
    for name in ("coarse_light", "exposure"):
        torch.testing.assert_close(getattr(trained, name), getattr(expected, name).clone())
    light_map = resize_map(expected.coarse_map.clone(), COARSE_MAP_SIZE)
    torch.testing.assert_close(trained.coarse_map, light_map, atol=2e-3, rtol=2e-3)
    # Kept as a JPEG of high quality.
    assert np.abs(prepared.image_srgb.astype(int) - served.result.photo.input_crop).mean() < 1.0
    np.testing.assert_array_equal(prepared.face_mask, served.result.face_mask)


def test_labels_that_agree_with_the_network_place_the_face_as_in_use(
    photo: np.ndarray,
    served: Served,
    tools: PreparationTools,
    prior: PriorNetwork,
    shard_of: ShardOf,
) -> None:
    crop = served.result.crop
    with torch.no_grad():
        seen = read_prior(sample_crop(photo, crop), prior)
    points_px = crop.to_photo(seen.landmarks_px[0].numpy().astype(np.float64)).astype(np.float32)
    (prepared,) = prepare([LabelledFace(photo, points_px)], tools)
    image = prepared.image_srgb.astype(np.float32)
    assert np.abs(image - served.result.photo.input_crop).mean() < 3.0
    assert np.abs(prepared.identity - served.result.posed.identity.numpy()).max() < 0.3
    trained, expected = to_batch([(shard_of([prepared]), 0)]).maps, served.maps()
    weight = torch.minimum(trained.visibility, expected.visibility)
    assert float((trained.visibility - expected.visibility).abs().mean()) < 0.02
    difference = (srgb_from_linear(trained.texture) - srgb_from_linear(expected.texture)).abs().mean(1)
    assert float((difference * weight).sum() / weight.sum()) < 0.015
    first, second = (
        map_shading(resize_map(maps.coarse_map.clone(), 32), trained.normals_light)
        for maps in (trained, expected)
    )
    weight = resize_map(weight[:, None], 32)
    assert float(((first - second).abs() * weight).sum() / (second * weight).sum()) < 0.03
    torch.testing.assert_close(trained.exposure, expected.exposure.clone(), atol=0.0, rtol=0.03)


def test_a_mask_that_was_drawn_comes_before_the_one_of_the_network(
    photo: np.ndarray, served: Served, tools: PreparationTools
) -> None:
    points_px = served.result.landmarks_px["mediapipe478"].astype(np.float32)
    covered = np.zeros(photo.shape[:2], np.float32)
    prepared = prepare([LabelledFace(photo, points_px, covered), LabelledFace(photo, points_px)], tools)
    assert prepared[0].maps["visibility"].max() == 0
    assert prepared[1].maps["visibility"].max() == 255


def test_without_a_prior_network_every_face_starts_at_the_mean_and_counts_as_bare(
    photo: np.ndarray, served: Served, model: FaceModel, tone: ToneNetwork
) -> None:
    points_px = served.result.landmarks_px["mediapipe478"].astype(np.float32)
    (prepared,) = prepare([LabelledFace(photo, points_px)], preparation_tools(model, 32, tone))
    assert prepared.maps["texture"].shape == (3, 32, 32)
    assert not prepared.has_truth
    assert prepared.maps["visibility"].mean() > served.maps().visibility.mean() * 255


def test_what_lies_beyond_the_photo_is_not_compared_with_it(
    photo: np.ndarray, served: Served, tools: PreparationTools
) -> None:
    points_px = served.result.landmarks_px["mediapipe478"].astype(np.float32)
    middle = round(float(points_px[1, 0]))
    (cut,) = prepare([LabelledFace(np.ascontiguousarray(photo[:, :middle]), points_px)], tools)
    (whole,) = prepare([LabelledFace(photo, points_px)], tools)
    assert 0.2 * whole.face_mask.sum() < cut.face_mask.sum() < 0.8 * whole.face_mask.sum()


def test_true_albedo_and_light_render_the_photo_in_the_crop_and_in_the_atlas(
    model: FaceModel, shard_of: ShardOf, tone_saying: Callable[..., ToneNetwork]
) -> None:
    """In the tone that was taken for the skin's, which here is wrong, under as much more light."""
    identity, expression = torch.zeros(80), torch.zeros(52)
    posed = PosedFace(model, identity, expression, torch.tensor([0.0, 0.3, 0.0, 0.0, 0.0, 1.05]))
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 2], light[:, 3] = 2.0, 0.7, 0.5
    albedo = model.albedo_map(torch.zeros(1, model.num_albedo), 256)
    picture = srgb_from_linear(render(posed.crop_buffers, albedo, light))[0].movedim(0, -1)
    photo_srgb = (picture * 255 + 0.5).to(torch.uint8).numpy()
    albedo_srgb = (srgb_from_linear(albedo)[0].movedim(0, -1) * 255 + 0.5).to(torch.uint8).numpy()
    received = irradiance_image(light, posed.crop_buffers.normal_light)
    shading = (
        shading_from_irradiance(received)[0].movedim(0, -1).numpy()
        * posed.crop_buffers.mask[0, ..., None].numpy()
    )
    truth = FaceTruth(albedo_srgb, shading, 0 * shading)
    face = LabelledFace(photo_srgb, posed.landmarks_crop_px().astype(np.float32), truth=truth)
    tools = preparation_tools(model, 128, tone_saying(tone=0.2, hue=(0.3, 0.3), sigma=-20.0))
    (prepared,) = prepare([face], tools)
    batch = to_batch([(shard_of([prepared]), 0)])
    taken = middle_of_skin(batch.truth, tools.basis) / middle_of_skin(albedo, tools.basis)
    assert float(torch.log(taken).abs().max()) > 0.2
    light = light / taken
    lit, weight = batch.truth * batch.truth_shading, (batch.maps.visibility > 0.9)[:, None]
    error = ((lit - batch.maps.texture).abs() * weight).sum() / (3 * weight.sum())
    assert float(error) < 0.02
    assert not batch.truth_highlight.any()
    light_map = light.flatten(1)[..., None, None].expand(-1, -1, 128, 128)
    unknown = torch.zeros(1, 1, 128, 128)
    shading = map_shading(light_map, batch.maps.normals_light)
    output = RefinerOutput(batch.truth, light_map, unknown, unknown, batch.truth, unknown, shading)
    face_map = model.uv_mask("face", 128)[None, None]
    in_atlas = render_in_atlas(batch, output, face_map)
    error = ((in_atlas.detail - in_atlas.target).abs() * in_atlas.mask).sum() / (3 * in_atlas.mask.sum())
    assert float(error) < 0.02
    buffers = PosedFace(model, batch.identity[0], batch.expression[0], batch.pose[0]).crop_buffers
    in_crop = render_in_crop(batch, output, buffers)
    error = ((in_crop.detail - in_crop.target).abs() * in_crop.mask).sum() / (3 * in_crop.mask.sum())
    assert float(error) < 0.02


def middle_of_skin(albedo: Tensor, basis: InputBasis) -> Tensor:
    """Middle colour of the skin, linear, (b, 3)."""
    skin = resize_map(albedo, CUE_MAP_SIZE).flatten(2)[..., basis.tone_regions.skin]
    return skin.median(dim=-1).values


def test_a_wrong_tone_is_no_fault_of_the_refinement(
    model: FaceModel, tone_saying: Callable[..., ToneNetwork], shard_of: ShardOf
) -> None:
    """Truth and maps have the tone that was judged, whose luminance is the usual one."""
    posed = PosedFace(model, torch.zeros(80), torch.zeros(52), torch.tensor([0.0, 0.3, 0.0, 0.0, 0.0, 1.05]))
    albedo = model.albedo_map(torch.zeros(1, model.num_albedo), 256)
    light = torch.zeros(1, 9, 3)
    light[:, 0] = 2.5
    photo_srgb, albedo_srgb = (
        (srgb_from_linear(picture)[0].movedim(0, -1) * 255 + 0.5).to(torch.uint8).numpy()
        for picture in (render(posed.crop_buffers, albedo, light), albedo)
    )
    nothing = np.zeros((224, 224, 3), np.float32)
    face = LabelledFace(
        photo_srgb,
        posed.landmarks_crop_px().astype(np.float32),
        truth=FaceTruth(albedo_srgb, nothing, nothing),
    )
    for level in (-0.2, 0.3):
        network = tone_saying(tone=level, hue=(0.3, 0.3), sigma=-20.0)
        tools = preparation_tools(model, 256, network)
        (prepared,) = prepare([face], tools)
        batch = to_batch([(shard_of([prepared]), 0)])
        picture = torch.zeros(1, 5, CUE_PICTURE_SIZE, CUE_PICTURE_SIZE)
        judged = network(torch.zeros(1, NUM_CUES), picture).log_colour.exp()
        expected = judged * USUAL_LUMINANCE / luminance(judged)
        torch.testing.assert_close(middle_of_skin(batch.truth, tools.basis), expected, atol=0.0, rtol=0.03)
        eyes = torch.cat(tools.basis.tone_regions.eye)
        kept, drawn = (maps.flatten(2)[0, :, eyes].mean() for maps in (batch.truth, albedo))
        assert abs(float(kept / drawn) - 1.0) < 0.05


def test_a_prior_that_knows_no_face_model_is_refused(
    model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = PriorNetwork(PriorConfig(input_px=64, stage_widths=(4, 4, 4, 4)))
    record = WeightRecord(
        id="landmarks-only",
        kind="prior",
        architecture="facelume.networks.prior.PriorNetwork",
        config={"input_px": 64, "stage_widths": [4, 4, 4, 4]},
        input="",
        training_data="",
        licence="",
    )
    save_weights(network.state_dict(), record, folder=tmp_path)
    monkeypatch.setenv("FACELUME_WEIGHTS", str(tmp_path))
    data = RefinerDataConfig(prepared=tmp_path / "p", num_synthetic=1, prior_weights="landmarks-only")
    losses = LossWeights(cross_perceptual=0.0)
    config = RefinerTrainingConfig(
        data=data, output=tmp_path / "run", loop=LoopConfig(num_steps=1), losses=losses
    )
    with pytest.raises(UsageError, match="know no face model"):
        prepare_all(config, model)
