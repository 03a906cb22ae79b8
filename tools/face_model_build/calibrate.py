"""Identity statistics from scans: fit ICT-FaceKit's random people in the space of CC0 targets; PCA of these.

Every component stays a combination of CC0 targets; only their statistics come from the scan model, whose data
is not shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from face_model_build.depth_buffer import vertex_normals
from face_model_build.identity import SymmetricPca, TargetSpace, align_to, symmetric_pca
from face_model_build.landmarks import detect
from facelume.geometry import closest_on_triangles, similarity_from_points
from facelume.geometry.face_mesh import NUM_MESH_POINTS

NUM_SCAN_PEOPLE, NUM_TEST_PEOPLE = 1500, 60
SCAN_SHARE = 0.7
RIDGE = 0.0002
REGISTRATION_STEPS = 8


@dataclass(frozen=True)
class HeadGeometry:
    """What calibration needs to know about the model's mesh.

    Attributes:
        subdivision: (V, Nc).
        triangles: (F, 3).
        mirror: (Nc,) control involution.
        samples: (S,) mesh vertices on the face front where heads are compared.
        sample_weights: (S,) surface area.
        control_weights: (Nc,) weights of the PCA.
    """

    subdivision: sp.csr_matrix
    triangles: np.ndarray
    mirror: np.ndarray
    samples: np.ndarray
    sample_weights: np.ndarray
    control_weights: np.ndarray


@dataclass(frozen=True)
class ScanModel:
    """The scan model carried onto the model's face samples.

    Attributes:
        neutral: (S, 3) decimetres, model space.
        identity: (100, S, 3) per standard deviation.
        trusted: (S,) samples with a sound correspondence.
        metres_per_dm: Metres per model decimetre.
        registration_mm: Mean distance of the wrapped mean head to the scan neutral.
    """

    neutral: np.ndarray
    identity: np.ndarray
    trusted: np.ndarray
    metres_per_dm: float
    registration_mm: float

    def people(self, count: int, seed: int) -> np.ndarray:
        """(count, S, 3) random people of the scan model."""
        drawn = np.random.default_rng(seed).normal(size=(count, len(self.identity)))
        return self.neutral + np.tensordot(drawn, self.identity, 1)


def _similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    found = similarity_from_points(torch.from_numpy(source), torch.from_numpy(target))
    return float(found.scale), found.rotation.numpy(), found.translation.numpy()


def target_directions(space: TargetSpace) -> np.ndarray:
    """(K, Nc, 3) all directions: race and body macros, both sides of every face control."""
    race = np.stack([v for k, v in space.macros.items() if not k.startswith("universal")])
    body = np.stack([v for k, v in space.macros.items() if k.startswith("universal")])
    sides = space.axes.reshape(-1, *space.axes.shape[2:])
    directions = np.concatenate([race - race.mean(0), body - body.mean(0), sides])
    return directions[np.abs(directions).max((1, 2)) > 1e-6]


class TargetFitter:
    """Ridge fit of all target directions to positions given at the face samples."""

    def __init__(
        self, centre: np.ndarray, directions: np.ndarray, geometry: HeadGeometry, trusted: np.ndarray
    ) -> None:
        self.centre, self.directions = centre, directions
        self.rows = geometry.subdivision[geometry.samples]
        self.root = np.sqrt(geometry.sample_weights * trusted / (geometry.sample_weights * trusted).sum())[
            :, None
        ]
        sampled = np.stack([self.rows @ d for d in directions])
        self.design = (sampled * self.root).reshape(len(directions), -1)
        gram = self.design @ self.design.T
        self.system = gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))

    def fit(self, positions: np.ndarray) -> np.ndarray:
        """(n, S, 3) decimetres to control shapes (n, Nc, 3)."""
        residual = ((positions - self.rows @ self.centre) * self.root).reshape(len(positions), -1)
        coefficients = np.linalg.solve(self.system, self.design @ residual.T).T
        return self.centre + np.tensordot(coefficients, self.directions, 1)


def register_scan_model(
    ict: Path,
    centre: np.ndarray,
    marks_dm: np.ndarray,
    geometry: HeadGeometry,
    space: TargetSpace,
    mediapipe_python: Path,
) -> ScanModel:
    """Wrap the model's mean onto the scan neutral: landmarks, then point-to-plane fits in the target
    space."""
    with np.load(ict, allow_pickle=False) as archive:
        neutral, quads = archive["neutral_cm"].astype(float), archive["quads"]
        identity, face_end = archive["identity_cm"].astype(float), int(archive["num_face_vertices"])
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    eye_height = 0.02
    metres = neutral / 100
    metres = metres - [0, metres[:face_end, 1].mean() + eye_height, 0]
    marks = detect([metres], triangles, np.zeros(len(triangles), np.uint8), mediapipe_python).points
    use = np.flatnonzero(np.isfinite(marks).all(1) & np.isfinite(marks_dm).all(1))
    use = use[use < NUM_MESH_POINTS]
    size, rotation, shift = _similarity(marks[use], marks_dm[use])
    scan = size * metres @ rotation.T + shift
    triangles = triangles[(triangles < face_end).all(1)]
    everywhere = np.ones(len(geometry.samples), bool)
    fitter = TargetFitter(centre, target_directions(space), geometry, everywhere)
    shape = centre
    for step in range(REGISTRATION_STEPS):
        points = fitter.rows @ shape
        normals = vertex_normals(geometry.subdivision @ shape, geometry.triangles)[geometry.samples]
        face, bary = closest_on_triangles(points, scan[triangles])
        matched = (scan[triangles[face]] * bary[..., None]).sum(1)
        gap = matched - points
        agree = (vertex_normals(scan, triangles)[triangles[face]].mean(1) * normals).sum(1)
        trusted = (agree > 0.6) & (np.linalg.norm(gap, axis=1) < (0.25 if step < 3 else 0.08))
        # the surfaces may slide on each other: ask mostly for the distance along the normal
        wanted = points + np.where(
            trusted[:, None], 0.85 * normals * (gap * normals).sum(1, keepdims=True) + 0.15 * gap, 0
        )
        shape = fitter.fit(wanted[None])[0]
        again, turn, move = _similarity(matched[trusted], (fitter.rows @ shape)[trusted])
        scan, size, rotation = again * scan @ turn.T + move, size * again, turn @ rotation
    face, bary = closest_on_triangles(fitter.rows @ shape, scan[triangles])
    corner = triangles[face]
    at_samples = (scan[corner] * bary[..., None]).sum(1)
    distance = np.linalg.norm(at_samples - fitter.rows @ shape, axis=1)
    moved = (identity[:, corner] * bary[..., None]).sum(2) / 100 * size @ rotation.T
    mean_mm = 1000 * float(distance[trusted].mean()) / size
    return ScanModel(at_samples, moved, trusted & (distance < 0.08), 1 / size, mean_mm)


def _align_samples(
    people: np.ndarray, target: np.ndarray, geometry: HeadGeometry, trusted: np.ndarray
) -> np.ndarray:
    return align_to(people, target, geometry.sample_weights * trusted)


def accuracy_mm(
    pca: SymmetricPca, people: np.ndarray, geometry: HeadGeometry, scan: ScanModel, count: int
) -> float:
    """Mean distance after fitting ``count`` components to people of the scan model (face samples, ridge
    of one sigma at 0.3 mm)."""
    rows = geometry.subdivision[geometry.samples]
    weight = geometry.sample_weights * scan.trusted
    root = np.sqrt(weight / weight.sum())[:, None]
    mean = rows @ pca.mean
    aligned = _align_samples(people, mean, geometry, scan.trusted)
    basis = np.stack([rows @ b for b in pca.basis[:count]]) if count else np.zeros((0, *mean.shape))
    fitted = np.repeat(mean[None], len(people), 0)
    for _ in range(3 if count else 0):
        design = (basis * root).reshape(count, -1)
        noise = (0.0003 / scan.metres_per_dm) ** 2
        system = design @ design.T + noise / len(geometry.samples) * np.eye(count)
        residual = ((aligned - mean) * root).reshape(len(people), -1)
        fitted = mean + np.tensordot(np.linalg.solve(system, design @ residual.T).T, basis, 1)
        aligned = np.stack(
            [
                _align_samples(a[None], f, geometry, scan.trusted)[0]
                for a, f in zip(aligned, fitted, strict=True)
            ]
        )
    distance = np.linalg.norm(aligned - fitted, axis=2)
    return 1000 * scan.metres_per_dm * float((distance * weight).sum(1).mean() / weight.sum())


def calibrated_pca(
    scan: ScanModel,
    centre: np.ndarray,
    random_people: np.ndarray,
    geometry: HeadGeometry,
    space: TargetSpace,
    count: int,
) -> tuple[SymmetricPca, dict[str, float]]:
    """PCA of scan people fitted in the target space, blended with random MakeHuman people; accuracy table
    in mm."""
    fitter = TargetFitter(centre, target_directions(space), geometry, scan.trusted)
    rows_mean = fitter.rows @ centre
    drawn = _align_samples(scan.people(NUM_SCAN_PEOPLE, seed=11), rows_mean, geometry, scan.trusted)
    fits = align_to(fitter.fit(drawn), centre, geometry.control_weights)
    num_random = int(len(fits) * (1 - SCAN_SHARE) / SCAN_SHARE)
    pca = symmetric_pca(
        np.concatenate([fits, random_people[:num_random]]), geometry.mirror, geometry.control_weights, count
    )
    before = symmetric_pca(random_people, geometry.mirror, geometry.control_weights, count)
    test = scan.people(NUM_TEST_PEOPLE, seed=12)
    limit = _align_samples(test, rows_mean, geometry, scan.trusted)
    left = np.linalg.norm(limit - np.stack([fitter.rows @ s for s in fitter.fit(limit)]), axis=2)
    weight = geometry.sample_weights * scan.trusted
    table = {
        "mean face of random people": accuracy_mm(before, test, geometry, scan, 0),
        "mean face, calibrated": accuracy_mm(pca, test, geometry, scan, 0),
        "80 components of random people": accuracy_mm(before, test, geometry, scan, count),
        "80 components, calibrated": accuracy_mm(pca, test, geometry, scan, count),
        "40 components, calibrated": accuracy_mm(pca, test, geometry, scan, 40),
        "all CC0 targets": 1000 * scan.metres_per_dm * float((left * weight).sum(1).mean() / weight.sum()),
    }
    return pca, table
