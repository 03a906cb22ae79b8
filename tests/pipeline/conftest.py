from pathlib import Path

import pytest

from facelume.pipeline import Reconstruction, Reconstructor


@pytest.fixture(scope="session")
def astronaut() -> Path:
    return Path(__file__).parents[2] / "examples" / "astronaut.png"


@pytest.fixture(scope="session")
def reconstructor() -> Reconstructor:
    return Reconstructor()


@pytest.fixture(scope="session")
def face(reconstructor: Reconstructor, astronaut: Path) -> Reconstruction:
    return reconstructor.reconstruct(astronaut)


@pytest.fixture(scope="session")
def result(face: Reconstruction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face.save(tmp_path_factory.mktemp("results") / "astronaut")
