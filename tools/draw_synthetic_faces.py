"""Draw the synthetic faces that stage two of the prior network's training reads; a broken-off run goes on.

python tools/draw_synthetic_faces.py --lights data/lights/environment_maps.npz --out runs/synthetic
"""

from __future__ import annotations

import argparse
from pathlib import Path

from facelume.data.synthetic.faces import SyntheticFaces, generate, load_environment_maps
from facelume.data.synthetic.scene import SyntheticConfig
from facelume.data.synthetic.skin_detail import procedural_detail
from facelume.face_model import load_open_face_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lights", type=Path, required=True, help=".npz of lat-long HDR maps")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--shard-size", type=int, default=40, help="faces in a shard")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    lights = list(load_environment_maps(arguments.lights).values())
    faces = SyntheticFaces(load_open_face_model(), lights, SyntheticConfig(), procedural_detail)
    generate(
        faces,
        arguments.out,
        num_shards=arguments.shards,
        shard_size=arguments.shard_size,
        seed=arguments.seed,
    )


if __name__ == "__main__":
    main()
