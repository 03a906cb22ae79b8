"""What all licensed models share: assembly, colours, mirror pairs; and that the renderer takes them."""

import math

import numpy as np
import pytest
import torch

from facelume.camera import CROP_CAMERA, cam_from_model
from facelume.errors import AssetError
from facelume.face_model.licensed.assemble import (
    STRENGTH,
    MissingPartWarning,
    ModelParts,
    SurfaceColours,
    assemble,
    landmarks_at_vertices,
    linear_colours,
    mirror_pairs,
    outward,
    rows_of_3,
)
from facelume.face_model.licensed.disk_atlas import disk_atlas
from facelume.face_model.licensed.source import FaceModelSource
from facelume.raster import geometry_buffers, render
from facelume.reflectance import linear_from_srgb

SOURCE = FaceModelSource("mini", "", "free", "https://example.org", (("a",),))


@pytest.fixture
def parts(dome):
    """Linear colours that tell the place: red grows to the subject's left, green upwards."""
    x, y, _ = dome.vertices.T
    colour = np.stack([0.5 + 5 * x, 0.5 + 4 * y, np.full_like(x, 0.3)], 1)
    return ModelParts(
        mean=dome.vertices,
        identity=np.full((1, dome.count, 3), 0.01),
        expression=np.full((1, dome.count, 3), 0.02),
        expression_names=("jawOpen",),
        expression_limits=(STRENGTH,),
        eyes_middle=np.array([0.0, 0.03, 0.02]),
        faces=dome.faces,
        uvs=disk_atlas(dome.vertices, dome.faces)[0],
        uv_faces=dome.faces,
        face_part=np.zeros(len(dome.faces), np.uint8),
        face_front=np.ones(len(dome.faces), bool),
        landmarks68=None,
        colours=SurfaceColours(colour, np.zeros((1, dome.count, 3)), is_linear=True),
    )


def test_a_licensed_model_renders_upright_with_its_colours_in_place(tmp_path, parts):
    (tmp_path / "a").write_bytes(b"official")
    with pytest.warns(MissingPartWarning, match="'mini' lacks the 478 dense landmarks.*iBUG-68"):
        model = assemble(SOURCE, [tmp_path / "a"], parts)
    pose = cam_from_model(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))
    buffers = geometry_buffers(model.topology, model.mean_shape[None], pose, CROP_CAMERA)
    white = torch.zeros(1, 9, 3)
    white[:, 0] = math.sqrt(4 * math.pi)
    image = render(buffers, model.mean_albedo[None], white)[0]
    rows, columns = torch.nonzero(buffers.mask[0]).T
    depth = buffers.depth[0, rows, columns]
    x = (columns + 0.5 - 112) / 1015 * depth
    y = -(rows + 0.5 - 112) / 1015 * depth + 0.03
    inner = ((x / 0.06).abs() < 1) & (((y + 0.01) / 0.08).abs() < 1)
    assert inner.sum() > 5000
    red, green, blue = image[:, rows, columns]
    torch.testing.assert_close(red[inner], (0.5 + 5 * x)[inner], atol=0.02, rtol=0)
    torch.testing.assert_close(green[inner], (0.5 + 4 * y)[inner], atol=0.02, rtol=0)
    torch.testing.assert_close(blue[inner], torch.full_like(blue[inner], 0.3), atol=0.002, rtol=0)


def test_the_model_moves_to_another_type_with_its_gaps(tmp_path, parts):
    (tmp_path / "a").write_bytes(b"official")
    with pytest.warns(MissingPartWarning):
        model = assemble(SOURCE, [tmp_path / "a"], parts).to("cpu", torch.float64)
    assert model.landmarks478 is None
    assert model.expression_limits.dtype == torch.float64
    moved = model.shape(torch.ones(1).double(), torch.ones(1).double()) - model.mean_shape
    torch.testing.assert_close(moved, torch.full_like(moved, 0.03), atol=1e-8, rtol=0)
    assert model.albedo.to("cpu").num_components == model.num_albedo == 1


@pytest.mark.parametrize(("size", "batch"), [(256, ()), (64, (2,)), (512, (2, 3))])
def test_albedo_of_any_size_and_batch(tmp_path, parts, size, batch):
    (tmp_path / "a").write_bytes(b"official")
    with pytest.warns(MissingPartWarning):
        model = assemble(SOURCE, [tmp_path / "a"], parts)
    albedo = model.albedo_map(torch.zeros(*batch, 1), size)
    assert albedo.shape == (*batch, 3, size, size)
    middle = albedo[..., :, size // 2, size // 2]
    torch.testing.assert_close(middle, model.mean_albedo[:, 128, 128].expand_as(middle), atol=0.02, rtol=0)


def test_an_srgb_basis_is_exact_at_the_mean_and_tangent_to_it():
    mean, step = np.array([[0.7, 0.5, 0.02]]), 1e-4
    basis = np.array([[[0.1, -0.2, 0.3]]])
    linear = linear_colours(SurfaceColours(mean, basis, is_linear=False))

    def decode(srgb):
        return linear_from_srgb(torch.tensor(srgb)).numpy()

    np.testing.assert_allclose(linear.mean, decode(mean))
    exact = (decode(mean + step * basis[0]) - decode(mean - step * basis[0])) / (2 * step)
    np.testing.assert_allclose(linear.basis[0], exact, rtol=1e-5)
    assert linear_colours(linear) is linear


def test_mirror_pairs_swap_sides_and_always_return(dome, rng):
    mirror = mirror_pairs(dome.vertices)
    np.testing.assert_allclose(dome.vertices[mirror], dome.vertices * (-1, 1, 1), atol=1e-12)
    shaken = mirror_pairs(dome.vertices + rng.normal(0, 0.01, dome.vertices.shape))
    assert np.array_equal(shaken[shaken], np.arange(dome.count))
    assert (shaken != np.arange(dome.count)).any()


def test_only_inward_triangles_are_turned(dome):
    assert outward(dome.vertices, dome.faces) is dome.faces
    assert np.array_equal(outward(dome.vertices, dome.faces[:, ::-1]), dome.faces)


def test_indices_outside_the_mesh_are_refused(tmp_path, parts, dome):
    (tmp_path / "a").touch()
    wrong = ModelParts(**(vars(parts) | {"faces": dome.faces + 1}))
    with pytest.raises(AssetError, match="a triangle index is outside its 81 points"):
        assemble(SOURCE, [tmp_path / "a"], wrong)
    with pytest.raises(AssetError, match="belongs to no triangle"):
        landmarks_at_vertices(np.array([0, 80]), dome.faces[:4], owner="mini")


@pytest.mark.parametrize("shape", [(7, 2), (6, 2, 2), (0, 3)])
def test_rows_that_are_no_points_are_refused(shape):
    with pytest.raises(AssetError, match="its rows must be"):
        rows_of_3(np.zeros(shape), None, what="shapePC")
    with pytest.raises(AssetError, match="3 x 4"):
        rows_of_3(np.zeros((9, 2)), 4, what="shapePC")
