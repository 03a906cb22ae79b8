"""A small face-like surface, from which the tests write official files in miniature."""

from dataclasses import dataclass

import numpy as np
import pytest

from facelume.face_model.licensed.assemble import MissingPartWarning


@dataclass(frozen=True)
class Dome:
    """A curved grid that faces +Z, counter-clockwise from outside; metres, x to the subject's left, y up."""

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def count(self) -> int:
        return len(self.vertices)


def make_dome(size: int = 9) -> Dome:
    x, y = np.meshgrid(np.linspace(-0.07, 0.07, size), np.linspace(0.08, -0.1, size))
    z = 0.06 - 5 * x**2 - 2 * y**2
    corner = np.arange(size * size).reshape(size, size)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return Dome(np.stack([x, y, z], -1).reshape(-1, 3), faces)


@pytest.fixture
def dome() -> Dome:
    return make_dome()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def count_flipped():
    """Number of atlas triangles without area or turned over (upright ones run counter-clockwise, as seen)."""

    def call(uvs, uv_faces):
        a, b, c = (uvs[uv_faces[:, k]] for k in range(3))
        doubled_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        return int((doubled_area >= 0).sum())

    return call


@pytest.fixture
def load_quietly():
    """Call a loader that is expected to warn of what its model lacks."""

    def call(loader, *args, **kwargs):
        with pytest.warns(MissingPartWarning):
            return loader(*args, **kwargs)

    return call
