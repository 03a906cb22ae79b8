"""``facelume train``: train one of the networks from a run file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from facelume.cli.reporting import say, training_progress
from facelume.errors import UsageError

if TYPE_CHECKING:
    from facelume.training.loop import StepReport
    from facelume.weights import WeightRecord

    OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class Train:
    """Train a network; an interrupted run continues from its checkpoint."""

    network: Positional[Literal["prior", "refiner", "locator", "tone"]]
    """Which network."""
    config: Positional[Path]
    """Run file (JSON); unknown names in it are refused."""

    def run(self) -> int:
        """Trains; prints the folder of weights to use by FACELUME_WEIGHTS."""
        try:
            import lightning_fabric  # noqa: F401 - needed by every training
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"training needs {error.name}; install it with: pip install 'facelume[train]'"
            ) from error
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
        runners = {
            "locator": _train_locator,
            "prior": _train_prior,
            "refiner": _train_refiner,
            "tone": _train_tone,
        }
        with training_progress(self.network) as on_step:
            folder, record = runners[self.network](self.config, on_step)
        sys.stderr.write(f"{record.id}: {record.licence}\n")
        say(str(folder))
        return 0


def _train_locator(path: Path, on_step: OnStep) -> tuple[Path, WeightRecord]:
    from facelume.training.config import read_run_file
    from facelume.training.export import WEIGHTS_FOLDER
    from facelume.training.locator.config import LocatorTrainingConfig
    from facelume.training.locator.export import export_weights
    from facelume.training.locator.train import train

    config = read_run_file(path, LocatorTrainingConfig)
    return config.output / WEIGHTS_FOLDER, export_weights(train(config, on_step=on_step), config)


def _train_prior(path: Path, on_step: OnStep) -> tuple[Path, WeightRecord]:
    from facelume.face_model import load_open_face_model
    from facelume.training.config import read_run_file
    from facelume.training.export import WEIGHTS_FOLDER
    from facelume.training.prior.config import PriorTrainingConfig
    from facelume.training.prior.export import export_weights
    from facelume.training.prior.train import train

    config = read_run_file(path, PriorTrainingConfig)
    trained = train(config, on_step=on_step)
    return config.output / WEIGHTS_FOLDER, export_weights(trained, config, load_open_face_model())


def _train_refiner(path: Path, on_step: OnStep) -> tuple[Path, WeightRecord]:
    from facelume.face_model import load_open_face_model
    from facelume.training.config import read_run_file
    from facelume.training.export import WEIGHTS_FOLDER
    from facelume.training.refiner.config import RefinerTrainingConfig
    from facelume.training.refiner.export import export_weights
    from facelume.training.refiner.train import train

    config = read_run_file(path, RefinerTrainingConfig)
    trained = train(config, on_step=on_step)
    return config.output / WEIGHTS_FOLDER, export_weights(trained, config, load_open_face_model())


def _train_tone(path: Path, on_step: OnStep) -> tuple[Path, WeightRecord]:
    from facelume.face_model import load_open_face_model
    from facelume.training.config import read_run_file
    from facelume.training.export import WEIGHTS_FOLDER
    from facelume.training.tone.config import ToneTrainingConfig
    from facelume.training.tone.export import export_weights
    from facelume.training.tone.train import train

    config = read_run_file(path, ToneTrainingConfig)
    trained = train(config, on_step=on_step)
    return config.output / WEIGHTS_FOLDER, export_weights(trained, config, load_open_face_model())
