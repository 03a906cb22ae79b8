"""Official files in miniature of a real head: parts of the open model in another vertex order."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from facelume.face_model import FaceModel, load_open_face_model
from facelume.reflectance import srgb_from_linear
from facelume.registration import registered_face_model
from facelume.types import EYE_PARTS, FacePart

NUM_IDENTITY, NUM_EXPRESSION, NUM_ALBEDO = 8, 5, 4


@dataclass(frozen=True)
class Head:
    """A part of the open model that pretends to be another model: other mean, vertices in another order.

    Attributes:
        origin: Vertex of the open model behind each vertex.
        faces: Triangles.
        parts: Part of each triangle.
        mean: Positions, metres, the open model's axes.
        identity: Change per standard deviation.
        expression: Change per standard deviation.
        colour: Linear albedo of each vertex.
        colour_basis: Change per standard deviation.
    """

    origin: np.ndarray
    faces: np.ndarray
    parts: np.ndarray
    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    colour: np.ndarray
    colour_basis: np.ndarray


def cut(model: FaceModel, kept: np.ndarray, seed: int) -> Head:
    """The kept triangles of the open model, of a person of its own."""
    rng = np.random.default_rng(seed)
    faces = model.topology.faces.numpy()[kept]
    origin = rng.permutation(np.unique(faces))
    place = np.full(model.num_vertices, -1)
    place[origin] = np.arange(len(origin))
    own = torch.from_numpy(rng.normal(0, 0.7, model.num_identity)).float()
    zeros = torch.zeros(model.num_expression)
    mean = model.shape(own, zeros)
    some = torch.randn(NUM_IDENTITY, model.num_identity, generator=torch.Generator().manual_seed(seed)) * 0.6
    identity = model.shape(own + some, zeros.expand(NUM_IDENTITY, -1)) - mean
    names = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp", "mouthPucker")
    moved = torch.zeros(NUM_EXPRESSION, model.num_expression)
    for row, name in zip(moved, names, strict=True):
        row[model.expression_names.index(name)] = 0.4
    expression = model.shape(own.expand(NUM_EXPRESSION, -1), moved) - mean
    maps = model.albedo_map(torch.eye(model.num_albedo)[:NUM_ALBEDO]).numpy()
    usual = model.mean_albedo.numpy()
    corner = np.zeros(model.num_vertices, int)
    corner[model.topology.faces.numpy().reshape(-1)] = model.topology.uv_faces.numpy().reshape(-1)
    uv = model.topology.uvs.numpy()[corner[origin]]
    column, row_index = (uv * 256).astype(int).clip(0, 255).T
    colour = usual[:, row_index, column].T
    return Head(
        origin=origin,
        faces=place[faces],
        parts=model.topology.face_part.numpy()[kept],
        mean=mean.double().numpy()[origin],
        identity=identity.double().numpy()[:, origin],
        expression=expression.double().numpy()[:, origin],
        colour=colour,
        colour_basis=maps[:, :, row_index, column].transpose(0, 2, 1) - colour,
    )


def face_mask(model: FaceModel) -> Head:
    """The face front alone, without eyeballs and inner mouth."""
    topology = model.topology
    return cut(model, (topology.face_front & (topology.face_part == FacePart.SKIN)).numpy(), seed=1)


def whole_head(model: FaceModel) -> Head:
    """Skin and eyeballs."""
    part = model.topology.face_part
    return cut(model, ((part == FacePart.SKIN) | torch.isin(part, torch.tensor(EYE_PARTS))).numpy(), seed=2)


def encoded(head: Head) -> tuple[np.ndarray, np.ndarray]:
    """sRGB-encoded mean colour and its change per standard deviation to first order."""
    mean, step = torch.from_numpy(head.colour), 1e-3
    moved = torch.from_numpy(head.colour + step * head.colour_basis)
    encoded_mean = srgb_from_linear(mean).numpy()
    return encoded_mean, (srgb_from_linear(moved).numpy() - encoded_mean) / step


def write_bfm2019(folder: Path, head: Head, model: FaceModel) -> None:
    """Statismo's HDF5 file; millimetres, another origin."""
    h5py = pytest.importorskip("h5py")
    folder.mkdir(parents=True)
    shift = np.array([3.0, -20.0, 40.0])
    colour, colour_basis = encoded(head)
    content = {
        "shape": (head.mean * 1000 + shift, head.identity * 1000),
        "expression": (np.zeros_like(head.mean), head.expression * 1000),
        "color": (colour, colour_basis),
    }
    corners = {"right.eye.corner_outer": 33, "right.eye.corner_inner": 133}
    corners |= {"left.eye.corner_inner": 362, "left.eye.corner_outer": 263}
    points = landmarks_of(head, model) * 1000 + shift
    with h5py.File(folder / "model2019_face12.h5", "w") as archive:
        for name, (mean, basis) in content.items():
            archive[f"{name}/model/mean"] = mean.reshape(-1).astype(np.float32)
            archive[f"{name}/model/pcaBasis"] = basis.reshape(len(basis), -1).T.astype(np.float32)
            archive[f"{name}/model/pcaVariance"] = np.ones(len(basis))
        archive["shape/representer/cells"] = head.faces.T.astype(np.int32)
        archive["metadata/landmarks/json"] = json.dumps(
            [{"id": name, "coordinates": points[number].tolist()} for name, number in corners.items()]
        )


def write_flame(folder: Path, head: Head, model: FaceModel) -> None:
    """The archive of plain arrays; joints in the neck and the eyeballs, no colours."""
    folder.mkdir(parents=True)
    count = len(head.mean)
    weights = np.zeros((count, 5))
    weights[:, 1] = 1
    regressor = np.zeros((5, count))
    regressor[:3] = 1 / count
    for joint, part in zip((3, 4), EYE_PARTS, strict=True):
        ball = np.unique(head.faces[head.parts == part])
        weights[ball] = np.eye(5)[joint]
        regressor[joint, ball] = 1 / len(ball)
    directions = np.zeros((count, 3, 400))
    directions[..., :NUM_IDENTITY] = head.identity.transpose(1, 2, 0)
    directions[..., 300 : 300 + NUM_EXPRESSION] = head.expression.transpose(1, 2, 0)
    uv = (head.mean[:, :2] - head.mean[:, :2].min(axis=0)) / np.ptp(head.mean[:, :2], axis=0)
    np.savez(
        folder / "generic_model.npz",
        v_template=head.mean,
        f=head.faces,
        shapedirs=directions,
        posedirs=np.zeros((count, 3, 36)),
        weights=weights,
        J_regressor=regressor,
        vt=uv,
        ft=head.faces,
    )
    (folder / "head_template.obj").write_text("# the atlas is in the model file\n")


def landmarks_of(head: Head, model: FaceModel) -> np.ndarray:
    """The 478 landmarks of its mean; NaN where the head lacks the triangle."""
    embedding = model.landmarks478
    place = np.full(model.num_vertices, -1)
    place[head.origin] = np.arange(len(head.origin))
    corners = place[model.topology.faces[embedding.face_index].numpy()]
    points = np.einsum("lkd,lk->ld", head.mean[corners], embedding.bary_coords.numpy())
    return np.where((corners >= 0).all(axis=1)[:, None], points, np.nan)


@pytest.fixture(scope="session")
def open_head() -> FaceModel:
    return load_open_face_model()


@pytest.fixture(scope="session")
def bfm(open_head, tmp_path_factory) -> tuple[Path, Head, FaceModel]:
    """Folder, truth and registration of a face mask with colours and statistical expressions."""
    folder, head = tmp_path_factory.mktemp("models") / "bfm2019", face_mask(open_head)
    write_bfm2019(folder, head, open_head)
    return folder, head, registered_face_model("bfm2019", folder)


@pytest.fixture(scope="session")
def flame(open_head, tmp_path_factory) -> tuple[Path, Head, FaceModel]:
    """Folder, truth and registration of a whole head with eyeballs, without colours."""
    folder, head = tmp_path_factory.mktemp("models") / "flame2020", whole_head(open_head)
    write_flame(folder, head, open_head)
    return folder, head, registered_face_model("flame2020", folder)
