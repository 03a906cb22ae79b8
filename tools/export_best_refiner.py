"""Take the best weights so far out of a refiner's training that is under way, or was broken off.

    python tools/export_best_refiner.py RUN_FILE --out runs/refiner/so_far --id refiner-2a
    FACELUME_WEIGHTS=runs/refiner/so_far facelume evaluate --data heads --out figures

The record says how many steps the training had done; the best may be of an earlier one. The training is not
disturbed and goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from facelume.face_model import load_open_face_model
from facelume.networks.builders import make_refiner
from facelume.training.config import read_run_file
from facelume.training.loop import best_so_far
from facelume.training.refiner.config import RefinerTrainingConfig
from facelume.training.refiner.export import export_weights


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_file", type=Path, metavar="RUN_FILE", help="JSON of a refiner's training")
    parser.add_argument("--out", type=Path, required=True, help="folder of weights to write to")
    parser.add_argument("--id", default="", help="id of the record; by default as the run file says")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    config = read_run_file(arguments.run_file, RefinerTrainingConfig)
    if arguments.id:
        config = replace(config, weights_id=arguments.id)
    trained = best_so_far(make_refiner(config.network), config.output)
    record = export_weights(trained, config, load_open_face_model(), arguments.out)
    print(f"{record.id}: {record.metrics}")


if __name__ == "__main__":
    main()
