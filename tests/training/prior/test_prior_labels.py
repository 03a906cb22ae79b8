import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, cam_from_model
from facelume.data.crops import CropCache
from facelume.errors import UsageError
from facelume.face_model import load_open_face_model
from facelume.fitting import landmark_basis, project_landmarks
from facelume.illumination import irradiance_basis
from facelume.networks.prior import PriorConfig, PriorNetwork
from facelume.raster import geometry_buffers, render
from facelume.reflectance import srgb_from_linear
from facelume.training.prior.labels import albedo_probe, label_fingerprint, load_labels, make_labels
from facelume.training.prior.losses import front_normals

NUM_FACES = 3


@pytest.fixture(scope="module")
def scene() -> dict[str, torch.Tensor]:
    """Known faces of the open model under a known side light, in their crops."""
    model = load_open_face_model()
    generator = torch.Generator().manual_seed(4)
    identity = 0.6 * torch.randn(NUM_FACES, model.num_identity, generator=generator)
    expression = torch.zeros(NUM_FACES, model.num_expression)
    expression[:, :6] = 0.3 * torch.rand(NUM_FACES, 6, generator=generator)
    rotvec = 0.3 * (torch.rand(NUM_FACES, 3, generator=generator) - 0.5)
    translation = torch.tensor([[0.0, 0.0, 1.07]]).repeat(NUM_FACES, 1)
    albedo = torch.zeros(NUM_FACES, model.num_albedo)
    albedo[:, :3] = torch.tensor([[0.5, 0.3, 0.0], [-0.5, 0.0, 0.4], [0.0, -0.4, 0.3]])
    light = torch.zeros(NUM_FACES, 9, 3)
    light[:, 0], light[:, 2], light[:, 3] = 2.2, 0.5, 0.4
    pose = cam_from_model(rotvec, translation)
    buffers = geometry_buffers(model.topology, model.shape(identity, expression), pose, CROP_CAMERA)
    image = srgb_from_linear(render(buffers, model.albedo_map(albedo), light))
    landmarks = project_landmarks(landmark_basis(model), identity, expression, rotvec, translation)
    return {"image": image, "landmarks": landmarks, "albedo": albedo, "light": light}


def cache_of(scene: dict[str, torch.Tensor]) -> CropCache:
    landmarks = torch.cat([scene["landmarks"], torch.zeros(NUM_FACES, 478, 1)], -1)
    pictures = (scene["image"].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    return CropCache(
        pictures=pictures,
        masks=np.zeros(pictures.shape[:3], np.uint8),
        has_mask=np.zeros(NUM_FACES, bool),
        landmarks_px=landmarks.numpy(),
        is_validation=np.zeros(NUM_FACES, bool),
        sets=np.array(["rendered"] * NUM_FACES),
        margin_px=224.0,
        fingerprint={"photos": "rendered"},
    )


def everything_is_skin() -> PriorNetwork:
    network = PriorNetwork(PriorConfig(input_px=64, stage_widths=(8, 8, 8, 8), blocks_per_stage=1))
    torch.nn.init.zeros_(network.parsing_decoder.output.weight)
    torch.nn.init.constant_(network.parsing_decoder.output.bias, 10.0)
    return network


def test_rendered_faces_get_their_own_shape_albedo_and_light_back(scene: dict[str, torch.Tensor]):
    model = load_open_face_model()
    labels = make_labels(model, cache_of(scene), everything_is_skin())
    assert labels.has_appearance.all()
    assert labels.residual_px.max() < 0.6
    probe = albedo_probe(model)
    found, truth = probe.albedo(torch.from_numpy(labels.albedo)), probe.albedo(scene["albedo"])
    shading = irradiance_basis(front_normals()) / math.pi
    lit, truly_lit = shading @ torch.from_numpy(labels.light), shading @ scene["light"]
    assert (found - truth).abs().mean() < 0.05
    assert ((lit - truly_lit).abs() / truly_lit).mean() < 0.2
    picture_error = (found.mean(1) * lit.mean(1)) / (truth.mean(1) * truly_lit.mean(1)) - 1
    assert picture_error.abs().max() < 0.12


def test_labels_are_read_back_and_refused_when_anything_they_depend_on_changed(
    scene: dict[str, torch.Tensor], tmp_path
):
    model, cache, path = load_open_face_model(), cache_of(scene), tmp_path / "labels.npz"
    labels = make_labels(model, cache, everything_is_skin(), appearance_stride=2)
    assert labels.has_appearance.tolist() == [True, False, True]
    assert (labels.albedo[1] == 0).all()
    known = label_fingerprint(model, cache, network_sha256="abc", appearance_stride=2)
    labels.save(path, known)
    np.testing.assert_array_equal(load_labels(path, known).light, labels.light)

    def changed(**other):
        values = {"model": model, "cache": cache, "network_sha256": "abc", "appearance_stride": 2} | other
        return label_fingerprint(values.pop("model"), values.pop("cache"), **values)

    others = (
        changed(model=replace(model, asset_sha256="def")),
        changed(cache=replace(cache, fingerprint={"photos": "x"})),
        changed(network_sha256="def"),
        changed(appearance_stride=1),
    )
    for other, name in zip(others, ("face_model", "crops", "network", "appearance_stride"), strict=True):
        with pytest.raises(UsageError, match=rf"other settings \({name}.*delete them"):
            load_labels(path, other)


def test_probe_mirror_pairs_texels_and_mean_albedo_is_symmetric():
    probe = albedo_probe(load_open_face_model())
    assert torch.equal(probe.mirror[probe.mirror], torch.arange(len(probe.mirror)))
    assert len(probe.mirror) > 300
    torch.testing.assert_close(probe.mean, probe.mean[probe.mirror], atol=0.02, rtol=0)
