import torch

from facelume.geometry import triangle_normals, vertex_normals

OCTAHEDRON = torch.tensor(
    [[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=torch.float64
)
OCTAHEDRON_FACES = torch.tensor(
    [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
)


def test_counter_clockwise_triangles_point_outwards_with_twice_their_area():
    triangle = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 3, 0]])
    torch.testing.assert_close(
        triangle_normals(triangle, torch.tensor([[0, 1, 2]])), torch.tensor([[0.0, 0, 6]])
    )


def test_octahedron_normals_are_its_vertices_at_any_size():
    for size in (1.0, 1e-4):
        normals = vertex_normals(size * OCTAHEDRON, OCTAHEDRON_FACES)
        torch.testing.assert_close(normals, OCTAHEDRON)


def test_weights_are_areas():
    # Two triangles at a right angle share vertex 0; the one along z = 0 is four times larger.
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 1, 0], [0, 0, 1]])
    normal = vertex_normals(vertices, torch.tensor([[0, 1, 2], [0, 3, 4]]))[0]
    torch.testing.assert_close(normal, torch.tensor([1.0, 0, 4]) / 17**0.5)


def test_a_vertex_without_triangles_gets_zero_and_finite_gradients():
    vertices = torch.cat((OCTAHEDRON, torch.ones(1, 3, dtype=torch.float64))).requires_grad_()
    normals = vertex_normals(vertices, OCTAHEDRON_FACES)
    assert normals[-1].abs().max() == 0
    (gradient,) = torch.autograd.grad(normals[..., 0].sum(), vertices)
    assert gradient.isfinite().all()


def test_batches_agree_and_gradients_are_right():
    generator = torch.Generator().manual_seed(0)
    vertices = OCTAHEDRON + 0.2 * torch.randn(2, 3, 6, 3, generator=generator, dtype=torch.float64)
    single = torch.stack([vertex_normals(v, OCTAHEDRON_FACES) for v in vertices.reshape(-1, 6, 3)])
    torch.testing.assert_close(vertex_normals(vertices, OCTAHEDRON_FACES).reshape(-1, 6, 3), single)
    leaf = vertices[0, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, OCTAHEDRON_FACES), (leaf,))
