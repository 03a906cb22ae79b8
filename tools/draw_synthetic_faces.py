"""Draw the synthetic faces that stage two of the prior's training and the refiner's training read.

    python tools/draw_synthetic_faces.py --lights data/lights/*.npz --out runs/synthetic

A broken-off run goes on where it stopped: shards that are there already are kept. Several processes may fill
one folder, each its own numbers (``--first``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from facelume.data.synthetic import (
    SHARD_FACES,
    SyntheticConfig,
    SyntheticFaces,
    generate,
    load_environment_maps,
)
from facelume.face_model import load_open_face_model
from facelume.training.config import read_run_file


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lights", type=Path, required=True, nargs="+", help=".npz of lat-long HDR maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--shard-size", type=int, default=SHARD_FACES, help="faces in a shard")
    parser.add_argument("--held-out", action="store_true", help="under the held-out maps, for validation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, help="JSON of SyntheticConfig, see docs/synthetic_faces.md")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    maps = load_environment_maps(arguments.lights, held_out=arguments.held_out)
    config = SyntheticConfig()
    if arguments.config is not None:
        config = read_run_file(arguments.config, SyntheticConfig)
    faces = SyntheticFaces(load_open_face_model(), list(maps.values()), config)
    generate(
        faces,
        arguments.out,
        num_shards=arguments.shards,
        first_shard=arguments.first,
        shard_size=arguments.shard_size,
        seed=arguments.seed,
    )


if __name__ == "__main__":
    main()
