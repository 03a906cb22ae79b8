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
        """Trains; prints the folder of weights to use by FACELUME_WEIGHTS."""
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
        runners = {"locator": _train_locator, "prior": _train_prior, "refiner": _train_refiner}
        say(str(runners[self.network](self.config)))
        return 0


def _train_locator(path: Path) -> Path:
    from facelume.training.locator.export import train_and_save
    from facelume.training.locator.train import load_training_config

    config = load_training_config(path)
    folder = Path(config.output_folder) / "weights"
    train_and_save(config, folder=folder)
    return folder


def _train_prior(path: Path) -> Path:
    from facelume.face_model.sources import load_face_model
    from facelume.training.prior.config import load_training_config
    from facelume.training.prior.export import export_weights
    from facelume.training.prior.train import train

    config = load_training_config(path)
    sha256 = load_face_model("open").asset_sha256 if config.has_coefficients else None
    folder = Path(config.output_folder) / "weights"
    export_weights(
        train(config),
        f"prior-{Path(config.output_folder).name}",
        {},
        face_model_sha256=sha256,
        has_synthetic=bool(config.synthetic_folder),
        folder=folder,
    )
    return folder


def _train_refiner(path: Path) -> Path:
    from safetensors.torch import load_file

    from facelume.face_model.sources import load_face_model
    from facelume.networks.refiner import Refiner
    from facelume.training.refiner.config import read_config
    from facelume.training.refiner.export import export_weights
    from facelume.training.refiner.prepare import prepare_all
    from facelume.training.refiner.train import train

    config, model = read_config(path), load_face_model("open")
    prepare_all(config, model)
    refiner = Refiner(config.network)
    refiner.load_state_dict(load_file(train(config, model)))
    folder = config.output / "weights"
    export_weights(
        refiner,
        f"refiner-{config.output.name}",
        {},
        model,
        has_photos=config.data.photos is not None,
        folder=folder,
    )
    return folder
