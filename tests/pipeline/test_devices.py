"""Everything a Reconstructor computes with lies on the device it was asked for."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facelume.detection import NetworkLocator
from facelume.face_model import FaceModel
from facelume.pipeline import Reconstruction, Reconstructor, reconstructor

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU here")


def tensors_of(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor, parameter and buffer that can be reached from a value, except inside a face model."""
    if isinstance(value, FaceModel):
        return
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, torch.nn.Module):
        yield from ((f"{name}.{key}", tensor) for key, tensor in value.state_dict().items())
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors_of(item, f"{name}.{key}")
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors_of(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, (Reconstructor, NetworkLocator)):
        yield from tensors_of(vars(value), name)


def test_every_network_and_basis_goes_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    # Tensors on "meta" have a device and no values: a second device on any machine. A face model cannot go
    # there, because its sparse subdivision has no such form; it stays where it is.
    monkeypatch.setattr(reconstructor, "_choose_device", lambda _: torch.device("meta"))
    monkeypatch.setattr(FaceModel, "to", lambda self, _: self)
    held = dict(tensors_of(Reconstructor()))
    assert {name for name, tensor in held.items() if tensor.device.type != "meta"} == set()
    for part in ("_prior", "_refiner", "_locator", "_landmarks", "_basis.albedo", "_basis.texels"):
        assert any(name.startswith(f".{part}") for name in held), part


def test_the_locator_looks_at_pictures_on_the_device_of_its_network() -> None:
    class LookedError(Exception):
        pass

    seen = []

    def look(_: torch.nn.Module, arguments: tuple[torch.Tensor]) -> None:
        seen.append(arguments[0].device.type)
        raise LookedError

    locator = NetworkLocator.load(device="meta")
    locator._network.register_forward_pre_hook(look)
    with pytest.raises(LookedError):
        locator.locate(np.zeros((64, 64, 3), np.uint8))
    assert seen == ["meta"]


@needs_cuda
def test_a_gpu_gives_the_same_face(face: Reconstruction, astronaut: Path) -> None:
    on_gpu = Reconstructor(device="cuda")
    assert {tensor.device.type for _, tensor in tensors_of(on_gpu)} == {"cuda"}
    assert on_gpu.model.mean_shape.device.type == "cuda"
    found = on_gpu.reconstruct(Image.open(astronaut))
    distance = np.linalg.norm(found.landmarks_px["mediapipe478"] - face.landmarks_px["mediapipe478"], axis=-1)
    assert distance.max() < 0.2
    assert np.abs(found.albedo - face.albedo).mean() < 2e-3
