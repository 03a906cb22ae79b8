"""``facelume train``: train one of the networks from a run file."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from facelume.cli.reporting import say


@dataclass(frozen=True)
class Train:
    """Train a network; an interrupted run continues from its checkpoint."""

    network: Positional[Literal["prior", "refiner", "locator"]]
    """Which network."""
    config: Positional[Path]
    """Run file (JSON); unknown names in it are refused."""

    def run(self) -> int:
        """Trains; prints the file that holds the trained state."""
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
        runners = {"locator": _train_locator, "prior": _train_prior, "refiner": _train_refiner}
        say(str(runners[self.network](self.config)))
        return 0


def _train_locator(path: Path) -> Path:
    from facelume.training.locator import load_training_config, train

    config = load_training_config(path)
    train(config)
    return Path(config.output_folder) / "locator.safetensors"


def _train_prior(path: Path) -> Path:
    from facelume.training.prior import read_config, train

    return train(read_config(path))


def _train_refiner(path: Path) -> Path:
    from facelume.pipeline.models import load_face_model
    from facelume.training.refiner import train
    from facelume.training.refiner_config import read_config

    return train(read_config(path), load_face_model("open"))
