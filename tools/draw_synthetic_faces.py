"""Draw the synthetic faces that stage two of the prior network's training reads.

    python tools/draw_synthetic_faces.py --lights data/lights/environment_maps.npz --out runs/synthetic

A broken-off run goes on where it stopped: shards that are there already are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from facelume.data.synthetic import SyntheticConfig, SyntheticFaces, generate, load_environment_maps
from facelume.face_model import load_open_face_model
from facelume.training.config import read_run_file


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lights", type=Path, required=True, help=".npz of lat-long HDR maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--shard-size", type=int, default=40, help="faces in a shard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, help="JSON of SyntheticConfig, see docs/synthetic_faces.md")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    lights = list(load_environment_maps(arguments.lights).values())
    config = SyntheticConfig()
    if arguments.config is not None:
        config = read_run_file(arguments.config, SyntheticConfig)
    faces = SyntheticFaces(load_open_face_model(), lights, config)
    generate(
        faces,
        arguments.out,
        num_shards=arguments.shards,
        shard_size=arguments.shard_size,
        seed=arguments.seed,
    )


if __name__ == "__main__":
    main()
