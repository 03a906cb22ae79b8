import os
from pathlib import Path

import pytest
import torch

from facelume.errors import AssetError
from facelume.networks.recognition import (
    TEMPLATE_POINTS_PX,
    MobileFaceNet,
    align_faces,
    load_mobilefacenet,
    template_from_points,
)

WEIGHTS = Path(os.environ.get("FACELUME_DATA", Path(__file__).parents[2] / "data")) / "weights"


def test_missing_weights_raise(tmp_path):
    with pytest.raises(AssetError, match="no MobileFaceNet"):
        load_mobilefacenet(tmp_path / "none.safetensors")


def test_embedding_has_128_numbers():
    assert MobileFaceNet().eval()(torch.rand(2, 3, 112, 96)).shape == (2, 128)


def test_template_similarity_recovers_a_known_one():
    template = torch.tensor(TEMPLATE_POINTS_PX, dtype=torch.float64)
    rotation = 1.7 * torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    shift = torch.tensor([12.0, -3.0], dtype=torch.float64)
    matrix = template_from_points((template @ rotation.T + shift)[None])
    torch.testing.assert_close(matrix[0, :, :2], rotation)
    torch.testing.assert_close(matrix[0, :, 2], shift)


def test_alignment_to_template_points_is_the_identity():
    image = torch.rand(1, 3, 112, 96)
    aligned = align_faces(image, torch.tensor(TEMPLATE_POINTS_PX)[None])
    torch.testing.assert_close(aligned, image, atol=1e-4, rtol=0)


def test_alignment_is_differentiable_in_the_image():
    image = torch.rand(1, 3, 20, 20, dtype=torch.float64, requires_grad=True)
    points = torch.tensor(TEMPLATE_POINTS_PX, dtype=torch.float64)[None] / 6.0
    align_faces(image, points).sum().backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0


@pytest.mark.skipif(not WEIGHTS.exists(), reason="recognition weights are not distributed")
def test_public_weights_agree_with_their_onnx_twin():
    onnxruntime = pytest.importorskip("onnxruntime")
    network = load_mobilefacenet(WEIGHTS / "mobilefacenet_casia.safetensors")
    faces = torch.rand(2, 3, 112, 96)
    session = onnxruntime.InferenceSession(str(WEIGHTS / "mobilefacenet_casia.onnx"))
    name = session.get_inputs()[0].name
    (expected,) = session.run(None, {name: ((faces * 255 - 127.5) / 128).numpy()})
    torch.testing.assert_close(
        network(faces), torch.from_numpy(expected).reshape(2, 128), atol=1e-3, rtol=1e-3
    )
