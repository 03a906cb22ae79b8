"""Commands that tell what there is: ``doctor``, ``weights``, ``face-model``, ``lights``."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from facelume.cli.reporting import say, say_json, say_table
from facelume.errors import AssetError, FacelumeError
from facelume.version import __version__


@dataclass(frozen=True)
class Doctor:
    """Check the installation: versions, assets, weights, and a tiny rendering."""

    json: bool = False
    """Print one JSON document instead of lines."""

    def run(self) -> int:
        """Runs every check; the exit status is 0 if all pass, 4 otherwise."""
        checks: list[dict[str, object]] = []
        for name, check in _CHECKS:
            started = time.perf_counter()
            try:
                passed, detail = True, check()
            except (FacelumeError, ImportError, RuntimeError, OSError) as error:
                passed, detail = False, " ".join(str(error).split()) or type(error).__name__
            seconds = round(time.perf_counter() - started, 3)
            checks.append({"check": name, "ok": passed, "detail": detail, "seconds": seconds})
        if self.json:
            say_json({"checks": checks})
        else:
            say_table([("ok" if c["ok"] else "FAILED", str(c["check"]), str(c["detail"])) for c in checks])
        return 0 if all(check["ok"] for check in checks) else AssetError.exit_code


@dataclass(frozen=True)
class Weights:
    """List the network weights with their licence and figures, and verify their hashes."""

    json: bool = False
    """Print one JSON document instead of lines."""

    def run(self) -> int:
        """Lists and verifies; the exit status is 4 if a file is missing or damaged."""
        from facelume.weights import list_records, verify_record

        rows: list[dict[str, object]] = []
        for record, path in list_records():
            problem = None
            try:
                verify_record(record, path)
            except AssetError as error:
                problem = str(error)
            num_bytes = path.stat().st_size if path.is_file() else 0
            rows.append(asdict(record) | {"size_bytes": num_bytes, "problem": problem})
        if self.json:
            say_json({"weights": rows})
        for row in [] if self.json else rows:
            say(f"{row['id']} ({row['kind']}): {row['problem'] or 'intact'}, {row['size_bytes']:,} bytes")
            for key in ("architecture", "input", "training_data", "licence"):
                say(f"  {key.replace('_', ' ')}: {row[key]}")
            for metric, value in record_metrics(row).items():
                say(f"  {metric}: {value:g}")
        if not rows:
            raise AssetError("this installation has no weights; reinstall facelume or set FACELUME_WEIGHTS")
        return AssetError.exit_code if any(row["problem"] for row in rows) else 0


@dataclass(frozen=True)
class FaceModels:
    """List the face models: what is included or found, and where to get the others."""

    json: bool = False
    """Print one JSON document instead of lines."""

    def run(self) -> int:
        """Lists."""
        from facelume.face_model.sources import face_model_sources

        sources = face_model_sources()
        if self.json:
            found = {source.name: source.missing() for source in sources}
            states = [
                {"is_included": s.is_included, "is_available": not found[s.name], "missing": found[s.name]}
                | {"folder": None if s.is_included else str(s.folder())}
                for s in sources
            ]
            say_json({"face_models": [asdict(s) | state for s, state in zip(sources, states, strict=True)]})
            return 0
        for source in sources:
            say(f"{source.name}: {source.summary}")
            say(f"  licence: {source.licence}")
            if source.is_included:
                say("  included, nothing to download")
                continue
            missing = source.missing()
            say(f"  {'missing ' + ', '.join(missing) if missing else 'found'} in {source.folder()}")
            say(f"  from: {source.url}")
        return 0


@dataclass(frozen=True)
class Lights:
    """List the lights that `facelume relight --light` knows by name."""

    json: bool = False
    """Print one JSON document, with the 27 coefficients of each light."""

    def run(self) -> int:
        """Lists."""
        from facelume.illumination import light_presets

        presets = light_presets().values()
        if self.json:
            lights = [
                {
                    "name": p.name,
                    "source": p.source,
                    "licence": p.licence,
                    "sh_radiance": p.sh_radiance.tolist(),
                }
                for p in presets
            ]
            say_json({"lights": lights})
            return 0
        say_table([("name", "licence", "source"), *((p.name, p.licence, p.source) for p in presets)])
        return 0


def record_metrics(row: dict[str, object]) -> dict[str, float]:
    """The metrics of one row of ``facelume weights``."""
    metrics = row["metrics"]
    return metrics if isinstance(metrics, dict) else {}


def _check_python() -> str:
    return f"facelume {__version__}, Python {platform.python_version()}, {sys.platform}"


def _check_torch() -> str:
    import torch

    places = f"{torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "no GPU"
    return f"torch {torch.__version__}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {places}"


def _check_face_model() -> str:
    from facelume.face_model.sources import load_face_model

    model = load_face_model("open")
    num_vertices, num_triangles = model.mean_shape.shape[0], model.topology.faces.shape[0]
    return (
        f"{model.name}: {num_vertices} vertices, {num_triangles} triangles, sha256 {model.asset_sha256[:12]}…"
    )


def _check_weights() -> str:
    from facelume.weights import find_record, verify_record

    names = []
    for kind in ("locator", "prior", "refiner"):
        record, path = find_record(kind)
        verify_record(record, path)
        names.append(record.id)
    return ", ".join(names)


def _check_lights() -> str:
    from facelume.illumination import light_presets

    return f"{len(light_presets())} presets"


def _check_rendering() -> str:
    """Renders the mean face with Warp under a constant light and compares with the closed form."""
    import numpy as np
    import torch
    import warp

    from facelume.camera import CROP_FACE_DEPTH_M
    from facelume.face_model.sources import load_face_model
    from facelume.illumination import unit_light
    from facelume.pipeline.posed_face import PosedFace

    model = load_face_model("open")
    pose = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, CROP_FACE_DEPTH_M])
    face = PosedFace(model, torch.zeros(model.num_identity), torch.zeros(model.num_expression), pose)
    picture = face.render(np.full((8, 8, 3), 0.5, np.float32), unit_light(), size_px=64)
    covered = picture[..., 0] > 0
    if not 0.1 < covered.mean() < 0.9 or np.abs(picture[covered] - 0.5).max() > 1e-3:
        raise RuntimeError("the rendering of the mean face is wrong; reinstall warp-lang and facelume")
    return f"warp {warp.config.version}, mean face covers {covered.mean():.0%} of a 64 px picture"


_CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("python", _check_python),
    ("torch", _check_torch),
    ("face model", _check_face_model),
    ("weights", _check_weights),
    ("lights", _check_lights),
    ("rendering", _check_rendering),
)
