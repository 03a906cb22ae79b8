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


def test_embedding_has_128_numbers(device):
    assert MobileFaceNet().to(device).eval()(torch.rand(2, 3, 112, 96, device=device)).shape == (2, 128)


def test_template_similarity_recovers_a_known_one(assert_close, device):
    template = torch.tensor(TEMPLATE_POINTS_PX, dtype=torch.float64, device=device)
    rotation = 1.7 * torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64, device=device)
    shift = torch.tensor([12.0, -3.0], dtype=torch.float64, device=device)
    matrix = template_from_points((template @ rotation.T + shift)[None])
    assert_close(matrix[0, :, :2], rotation)
    assert_close(matrix[0, :, 2], shift)


def test_alignment_to_template_points_is_the_identity(device):
    image = torch.rand(1, 3, 112, 96, device=device)
    aligned = align_faces(image, torch.tensor(TEMPLATE_POINTS_PX, device=device)[None])
    torch.testing.assert_close(aligned, image, atol=1e-4, rtol=0)


def test_alignment_is_differentiable_in_the_image(device):
    image = torch.rand(1, 3, 20, 20, dtype=torch.float64, requires_grad=True, device=device)
    points = torch.tensor(TEMPLATE_POINTS_PX, dtype=torch.float64, device=device)[None] / 6.0
    align_faces(image, points).sum().backward()
    assert image.grad is not None
    assert float(image.grad.abs().sum()) > 0


@pytest.mark.skipif(not WEIGHTS.exists(), reason="recognition weights are not distributed")
def test_public_weights_agree_with_their_onnx_twin(device):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = load_mobilefacenet(WEIGHTS / "mobilefacenet_casia.safetensors")
    faces = torch.rand(2, 3, 112, 96, device=device)
    session = onnxruntime.InferenceSession(str(WEIGHTS / "mobilefacenet_casia.onnx"))
    name = session.get_inputs()[0].name
    (expected,) = session.run(None, {name: ((faces * 255 - 127.5) / 128).numpy(force=True)})
    torch.testing.assert_close(
        network(faces), torch.from_numpy(expected).to(device).reshape(2, 128), atol=1e-3, rtol=1e-3
    )
