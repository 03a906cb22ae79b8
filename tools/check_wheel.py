"""Install a wheel as a user would and reconstruct a photo with it.

    python tools/check_wheel.py dist/facelume-0.1.0-py3-none-any.whl [--python PYTHON]

The wheel goes into a new virtual environment without extras, in a folder outside the checkout; dependencies
are the versions of ``constraints.txt``. Commands and an example must work there with nothing but the wheel,
and the result folder must be whole.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from facelume.pipeline.result_files import RESULT_FILES

ROOT = Path(__file__).resolve().parents[1]
UV_SIZE = 512
LEAST_PSNR_DB = 20.0
"""Of the rendering under detailed light against the photo; docs/benchmarks.md has what photos reach."""


def check_contents(wheel: Path) -> None:
    """The wheel holds the package with its data and licences, and nothing else."""
    source = ROOT / "src"
    ours = {
        path.relative_to(source).as_posix()
        for path in (source / "facelume").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    (metadata,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    ours |= {f"{metadata}/licenses/LICENSE", f"{metadata}/licenses/NOTICE"}
    if missing := ours - names:
        raise SystemExit(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    if foreign := {name for name in names - ours if not name.startswith(f"{metadata}/")}:
        raise SystemExit(f"{wheel.name} carries {', '.join(sorted(foreign))}")


def check_result(folder: Path) -> None:
    """A result folder is whole, and readers that are not ours open it."""
    if missing := [name for name in RESULT_FILES if not (folder / name).is_file()]:
        raise SystemExit(f"{folder} lacks {', '.join(missing)}")
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    psnr_db = document["metrics"]["detail"]["psnr_db"]
    if not psnr_db > LEAST_PSNR_DB:
        raise SystemExit(f"{folder}: the rendering is {psnr_db} dB from the photo, not above {LEAST_PSNR_DB}")
    albedo = np.asarray(Image.open(folder / "albedo.png"))
    if albedo.shape != (UV_SIZE, UV_SIZE, 3) or albedo.std() < 1:
        raise SystemExit(f"{folder}/albedo.png: shape {albedo.shape}, spread {albedo.std():.1f}")
    scene = trimesh.load_scene(folder / "mesh.glb")
    height_m = float(np.ptp(scene.bounds[:, 1]))
    if not 0.2 < height_m < 0.5:
        raise SystemExit(f"{folder}/mesh.glb is {height_m:.2f} m high: no head in metres")


def check_installed(wheel: Path, python: str, folder: Path) -> None:
    """Install the wheel into a new environment below ``folder`` and use it there."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FACELUME"))}
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    binaries = folder / "env" / ("Scripts" if os.name == "nt" else "bin")

    def run(*command: str | Path) -> str:
        started = time.monotonic()
        words = [str(part) for part in command]
        done = subprocess.run(words, cwd=elsewhere, env=clean, stdout=subprocess.PIPE, check=True, text=True)
        shown = " ".join(words).replace(f"{folder}/", "")
        print(f"[{time.monotonic() - started:5.1f} s] {shown}", flush=True)
        return done.stdout

    run(python, "-m", "venv", folder / "env")
    run(binaries / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel.resolve())
    place = run(binaries / "python", "-c", "import facelume; print(facelume.__file__)")
    if not Path(place.strip()).resolve().is_relative_to((folder / "env").resolve()):
        raise SystemExit(f"facelume comes from {place.strip()}, not from the new environment")
    shutil.copy(ROOT / "examples/astronaut.png", elsewhere / "photo.png")
    run(binaries / "facelume", "doctor")
    run(binaries / "facelume", "reconstruct", "photo.png", "--out", "results", "--uv-size", str(UV_SIZE))
    check_result(elsewhere / "results/photo")
    run(binaries / "facelume", "relight", "results/photo", "--out", "left.png", "--light", "left")
    if Image.open(elsewhere / "left.png").size != (224, 224):
        raise SystemExit("facelume relight wrote a picture of another size than 224 x 224")
    run(binaries / "python", ROOT / "examples/00_hello_face.py")


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the new environment")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    check_contents(arguments.wheel)
    with tempfile.TemporaryDirectory(prefix="facelume_wheel_") as folder:
        check_installed(arguments.wheel, arguments.python, Path(folder))
    print(f"{arguments.wheel.name}: installed alone, it reconstructs and relights a photo")


if __name__ == "__main__":
    main()
