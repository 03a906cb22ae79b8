"""A generator of albedo maps in the place of the linear basis: an autoencoder that is trained on the spot.

The paper says of its linear prior that "the prior albedo module can be replaced by any generation model"
(5.2). Anything with ``num_components``, ``map`` and ``to`` will do
(``facelume.face_model.model.AlbedoSpace``): the fit asks for the map at zero and at small coefficients, and
the network refines the map of what was fitted.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facelume import Reconstructor
from facelume.face_model import FaceModel, load_open_face_model

PHOTO = Path(__file__).with_name("astronaut.png")
OUT = Path("example_results/own_albedo")
NUM_CODES, MAP_SIZE = 24, 64
NUM_PEOPLE, NUM_STEPS, BATCH_SIZE = 400, 300, 16


class GeneratedAlbedo(nn.Module):
    """Albedo of the atlas from a code whose numbers are about normally distributed."""

    mean: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        widths = (48, 32, 24, 16)
        self.first = nn.Linear(NUM_CODES, widths[0] * 8 * 8)
        self.steps = nn.ModuleList(nn.Conv2d(wide, narrow, 3, padding=1) for wide, narrow in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.register_buffer("mean", mean)
        self.register_buffer("centre", torch.zeros(NUM_CODES))
        self.register_buffer("spread", torch.eye(NUM_CODES))

    @property
    def num_components(self) -> int:
        """Numbers of a code."""
        return NUM_CODES

    def decode(self, latent: Tensor) -> Tensor:
        """Albedo (b, 3, 64, 64), linear, of what the encoder gives."""
        features = self.first(latent).unflatten(-1, (-1, 8, 8))
        for step in self.steps:
            features = functional.interpolate(functional.silu(features), scale_factor=2, mode="bilinear")
            features = step(features)
        return torch.sigmoid(torch.logit(self.mean) + self.last(functional.silu(features)))

    def map(self, coefficients: Tensor, size: int) -> Tensor:
        """Albedo (..., 3, size, size), linear Rec.709, of codes in standard deviations."""
        flat = coefficients.reshape(-1, NUM_CODES) @ self.spread.T + self.centre
        mode = "area" if size < MAP_SIZE else "bilinear"
        maps = functional.interpolate(self.decode(flat), size=(size, size), mode=mode)
        return maps.reshape(*coefficients.shape[:-1], 3, size, size)


def people(model: FaceModel, count: int) -> Tensor:
    """Albedo maps to learn from; yours would come from photos or scans in the atlas of the model."""
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(count, model.num_albedo, generator=generator)
    return torch.cat([model.albedo_map(part, MAP_SIZE) for part in coefficients.split(50)]).clamp(0.005, 0.99)


def train(maps: Tensor) -> GeneratedAlbedo:
    """Encoder and decoder together; the codes of the people then say what a standard deviation is."""
    torch.manual_seed(0)
    space = GeneratedAlbedo(maps.mean(dim=0).clamp(0.01, 0.99))
    encoder = nn.Sequential(
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(3 * 32 * 32, 128), nn.SiLU(), nn.Linear(128, NUM_CODES)
    )
    optimizer = torch.optim.Adam([*space.parameters(), *encoder.parameters()], 2e-3)
    for _ in range(NUM_STEPS):
        batch = maps[torch.randint(len(maps), (BATCH_SIZE,))]
        loss = (space.decode(encoder(batch)) - batch).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        codes = encoder(maps)
        error = (space.decode(codes) - maps).abs().mean()
        space.centre.copy_(codes.mean(dim=0))
        space.spread.copy_(torch.linalg.cholesky(torch.cov(codes.T) + 1e-6 * torch.eye(NUM_CODES)))
    print(
        f"mean error of the people's albedo {float(error):.4f}, of one mean for all "
        f"{float((maps - maps.mean(dim=0)).abs().mean()):.4f}"
    )
    return space.eval().requires_grad_(False)


def main() -> None:
    model = load_open_face_model()
    own = replace(model, name="open with generated albedo", albedo=train(people(model, NUM_PEOPLE)))
    for name, face_model in (("linear basis", model), ("generated albedo", own)):
        face = Reconstructor(face_model=face_model).reconstruct(PHOTO)
        figures = ", ".join(f"{key} {fidelity.psnr_db:.1f} dB" for key, fidelity in face.metrics.items())
        print(f"{name}: {len(face.coefficients['albedo'])} coefficients, {figures}")
    face.save(OUT)
    print(f"look at {OUT / 'albedo_prior.png'} and {OUT / 'preview.png'}")


if __name__ == "__main__":
    main()
