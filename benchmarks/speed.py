"""Time per photo, warm, and memory.

    python benchmarks/speed.py [--photo FILE] [--runs 10] [--uv-size 256]

Prints one JSON object. Times are medians of whole reconstructions without export; `export_s` is one save.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from facelume import Reconstructor
from facelume.evaluation.peak_memory import peak_memory_bytes

PHOTO = Path(__file__).parents[1] / "examples/astronaut.png"


def command_line() -> argparse.ArgumentParser:
    """The parser of this benchmark's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo", type=Path, default=PHOTO)
    parser.add_argument("--runs", type=int, default=10, help="warm reconstructions")
    parser.add_argument("--uv-size", type=int, default=256)
    return parser


def main() -> None:
    """Run the benchmark."""
    arguments = command_line().parse_args()
    started = time.perf_counter()
    reconstructor = Reconstructor(uv_size=arguments.uv_size)
    face = reconstructor.reconstruct(arguments.photo)
    first_s = time.perf_counter() - started

    seconds = []
    stages: dict[str, list[float]] = {}
    for _ in range(arguments.runs):
        started = time.perf_counter()
        face = reconstructor.reconstruct(arguments.photo)
        seconds.append(time.perf_counter() - started)
        for stage, value in face.timings_s.items():
            stages.setdefault(stage, []).append(value)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        face.save(Path(folder) / "result")
        export_s = time.perf_counter() - started
    peak = peak_memory_bytes()
    print(
        json.dumps(
            {
                "photo": arguments.photo.name,
                "uv_size": arguments.uv_size,
                "threads": torch.get_num_threads(),
                "first_s": round(first_s, 3),
                "warm_median_s": round(statistics.median(seconds), 4),
                "warm_min_s": round(min(seconds), 4),
                "stages_median_s": {name: round(statistics.median(v), 4) for name, v in stages.items()},
                "export_s": round(export_s, 3),
                "peak_memory_mb": None if peak is None else peak // 2**20,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
