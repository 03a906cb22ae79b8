"""A face model on the open head, judged against a model whose vertices are known to be the open head's."""

import numpy as np
import pytest
import torch

from facelume.errors import AssetError
from facelume.face_model import FaceModel
from facelume.geometry import TriangleSurface
from facelume.networks.builders import PRIOR_BUILDERS
from facelume.registration import load_original, register
from facelume.types import EYE_PARTS, FacePart, is_part
from facelume.uv import resize_map, texel_map
from facelume.weights import build_and_load

MM_PER_M = 1000


def original_of(fixture) -> FaceModel:
    folder, _, model = fixture
    return load_original(model.name, folder)


@pytest.fixture(params=["bfm", "flame"])
def known(request):
    """Folder, truth and registration of each model in miniature."""
    return request.getfixturevalue(request.param)


def bare_front(model: FaceModel) -> np.ndarray:
    """Vertices of the face front that a viewer sees: no inner lips, lid strips or nostrils."""
    topology = model.topology
    front = topology.faces[topology.face_front & (topology.face_part == FacePart.SKIN)].unique()
    inner = topology.faces[topology.face_part != FacePart.SKIN].unique()
    mean = model.mean_shape
    away = torch.cdist(mean[front], mean[inner]).amin(dim=1)
    corner = torch.zeros(model.num_vertices, dtype=torch.long)
    corner[topology.faces.flatten()] = topology.uv_faces.flatten()
    column, row = (topology.uvs[corner[front]] * 256).long().clamp(0, 255).unbind(-1)
    return front[(away > 0.006) & (model.uv_mask("nostrils")[row, column] < 0.1)].numpy()


def test_people_of_a_model_keep_their_faces(known, open_head):
    """Distances to the true surface, and to where the same place of the face truly is, millimetres."""
    _, head, model = known
    original, seen = original_of(known), bare_front(open_head)
    behind = np.full(open_head.num_vertices, -1)
    behind[head.origin] = np.arange(len(head.origin))
    seen = seen[behind[seen] >= 0]
    rng = np.random.default_rng(3)
    off_surface, off_place = [], []
    for _ in range(3):
        identity, expression = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
        identity[: len(head.identity)] = torch.from_numpy(rng.normal(size=len(head.identity)))
        expression[: len(head.expression)] = torch.from_numpy(rng.uniform(0, 1, len(head.expression)))
        theirs = original.shape(identity, expression).double().numpy()
        ours = model.shape(identity, expression).double().numpy()[seen]
        surface = TriangleSurface(theirs[original.topology.faces.numpy()])
        off_surface.append(np.linalg.norm(surface.at(*surface.closest(ours)) - ours, axis=1))
        off_place.append(np.linalg.norm(theirs[behind[seen]] - ours, axis=1))
    assert MM_PER_M * np.mean(off_surface) < 0.05
    assert MM_PER_M * np.quantile(off_surface, 0.99) < 1.0
    assert MM_PER_M * np.median(off_place) < 1.5


def test_the_dense_landmarks_lie_where_they_belong(known, open_head):
    _, head, model = known
    from_file = original_of(known).mean_shape.numpy()
    shift = (from_file - head.mean).mean(axis=0)
    embedding = open_head.landmarks478
    behind = np.full(open_head.num_vertices, -1)
    behind[head.origin] = np.arange(len(head.origin))
    corners = behind[open_head.topology.faces[embedding.face_index].numpy()]
    has_them = (corners >= 0).all(axis=1)
    truth = np.einsum("lkd,lk->ld", head.mean[corners], embedding.bary_coords.numpy()) + shift
    zeros = torch.zeros(model.num_identity), torch.zeros(model.num_expression)
    apart = np.linalg.norm(model.landmarks(*zeros).numpy() - truth, axis=1)[has_them]
    assert has_them.sum() > 400
    assert MM_PER_M * np.mean(apart) < 1.5


def test_topology_and_atlas_are_the_open_models(known, open_head):
    _, _, model = known
    assert model.atlas_id == open_head.atlas_id
    assert model.topology is open_head.topology
    assert model.symmetry is None
    assert model.asset_sha256 != open_head.asset_sha256
    assert model.name in {"bfm2019", "flame2020"}
    assert "Basel" in model.licence or "FLAME" in model.licence


def test_statistical_expressions_have_no_limits_and_joints_have(bfm, flame):
    assert bool(torch.isinf(bfm[2].expression_limits).all())
    limits = dict(zip(flame[2].expression_names, flame[2].expression_limits.tolist(), strict=True))
    assert limits["jawOpen"] == [0.0, 1.0]
    assert limits["expression_000"] == [-np.inf, np.inf]


def test_colours_come_along_and_the_open_model_fills_the_rest(bfm, flame, open_head):
    _, head, model = bfm
    assert model.num_albedo == len(head.colour_basis)
    mask = (open_head.uv_mask("skin") > 0.99) & (
        resize_map(open_head.uv_mask("face")[None, None], 256)[0, 0] > 0.99
    )
    coefficients = torch.tensor([[0.0, 0, 0, 0], [1.0, -1.0, 0.5, 0.0]])
    theirs = torch.zeros(2, open_head.num_albedo)
    theirs[1, :3] = coefficients[1, :3]
    error = (model.albedo_map(coefficients) - open_head.albedo_map(theirs)).abs().mean(dim=1)
    assert float(error[0][mask].mean()) < 0.01
    assert float(error[1][mask].mean()) < 0.015
    eyes = is_part(texel_map(open_head.topology, 256).part, EYE_PARTS)
    assert torch.equal(model.mean_albedo[:, eyes], open_head.mean_albedo[:, eyes])
    assert flame[2].albedo is open_head.albedo


def test_eyeballs_are_the_models_own_and_turn_with_its_gaze(flame, open_head):
    _, head, model = flame
    gaze = torch.zeros(model.num_expression)
    gaze[model.expression_names.index("eyeLookOutLeft")] = 1
    zeros = torch.zeros(model.num_identity)
    moved = (model.shape(zeros, gaze) - model.neutral(zeros)).norm(dim=1)
    balls = [open_head.topology.faces[open_head.topology.face_part == part].unique() for part in EYE_PARTS]
    assert MM_PER_M * float(moved[balls[0]].max()) > 2
    assert MM_PER_M * float(moved[balls[1]].max()) < 0.01
    truth = head.mean[np.unique(head.faces[head.parts == EYE_PARTS[0]])]
    shift = (original_of(flame).mean_shape.numpy() - head.mean).mean(axis=0)
    centre = model.mean_shape.numpy()[balls[0].numpy()].mean(axis=0)
    assert MM_PER_M * np.linalg.norm(centre - truth.mean(axis=0) - shift) < 0.5


def test_no_face_in_the_mean_is_an_asset_error(flame, open_head):
    upside_down = original_of(flame)
    turned = torch.tensor([1.0, -1.0, -1.0])
    linear = upside_down.linear
    object.__setattr__(linear, "mean", linear.mean * turned)
    network, _ = build_and_load("prior", PRIOR_BUILDERS)
    with torch.inference_mode(), pytest.raises(AssetError, match="landmarks were found on the mean"):
        register(upside_down, open_head, network, asset_sha256="")
