"""Identity: random MakeHuman people, alignment, and a PCA whose components are mirror-symmetric or
mirror-odd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import eigsh

from facelume.geometry import similarity_from_points

RACES = ("african", "asian", "caucasian")
OPPOSITES = (
    ("incr", "decr"), ("up", "down"), ("out", "in"), ("forward", "backward"), ("convex", "concave"),
    ("long", "short"),
)  # fmt: skip


@dataclass(frozen=True)
class TargetSpace:
    """All CC0 directions of the head's shape on the control mesh.

    Attributes:
        macros: Name to (Nc, 3) decimetres: race-sex-age and universal-sex-age-muscle-weight.
        axes: One entry per face control: positive and negative offsets (2, Nc, 3); a missing side is zero.
        axis_names: Names of the axes; a left-right pair shares the name after its prefix.
    """

    macros: dict[str, np.ndarray]
    axes: np.ndarray
    axis_names: list[str]


def pair_targets(targets: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Join opposite targets (``-incr``/``-decr`` ...) into signed axes."""
    names, axes, used = [], [], set()
    for name, offsets in targets.items():
        if name in used:
            continue
        stem, _, last = name.rpartition("-")
        partner = next((f"{stem}-{b}" for a, b in OPPOSITES for a, b in ((a, b), (b, a)) if last == a), None)
        negative = targets.get(partner) if partner else None
        used.update({name, partner})
        names.append(stem if negative is not None else name)
        axes.append(np.stack([offsets, np.zeros_like(offsets) if negative is None else negative]))
    return np.array(axes), names


def _macro_weights(rng: np.random.Generator) -> dict[str, float]:
    race = rng.dirichlet([0.5, 0.5, 0.5])
    male = rng.beta(0.5, 0.5)
    old = rng.beta(1.0, 2.2)
    muscle, weight = rng.uniform(0.2, 0.8), rng.beta(2.0, 2.0)
    sexes = (("male", male), ("female", 1 - male))
    ages = (("young", 1 - old), ("old", old))

    def three(value: float) -> tuple[float, float, float]:
        return max(0.0, 1 - 2 * value), 1 - abs(2 * value - 1), max(0.0, 2 * value - 1)

    out = {}
    for sex, ws in sexes:
        for age, wa in ages:
            for name, wr in zip(RACES, race, strict=True):
                out[f"{name}-{sex}-{age}"] = ws * wa * wr
            for mus, wm in zip(("min", "average", "max"), three(muscle), strict=True):
                for wei, ww in zip(("min", "average", "max"), three(weight), strict=True):
                    out[f"universal-{sex}-{age}-{mus}muscle-{wei}weight"] = ws * wa * wm * ww
    return out


def random_people(space: TargetSpace, base_dm: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count, Nc, 3) decimetres: Dirichlet race, Beta sex and age, a few face controls each."""
    rng = np.random.default_rng(seed)
    pairs: dict[str, list[int]] = {}
    for index, name in enumerate(space.axis_names):
        side = name[:2] if name[:2] in ("l-", "r-") else ""
        pairs.setdefault(name[2:] if side else name, []).append(index)
    macro_names = list(space.macros)
    macro_stack = np.stack([space.macros[n] for n in macro_names]).reshape(len(macro_names), -1)
    positive = space.axes[:, 0].reshape(len(space.axes), -1)
    negative = space.axes[:, 1].reshape(len(space.axes), -1)
    has_negative = np.abs(negative).max(1) > 0
    macro = np.zeros((count, len(macro_names)))
    control = np.zeros((count, len(space.axes)))
    for n in range(count):
        weights = _macro_weights(rng)
        macro[n] = [weights.get(name, 0.0) for name in macro_names]
        for name, members in pairs.items():
            if rng.random() > 0.4:
                continue
            size = 0.12 if name.startswith("asym") else 0.33
            value = rng.normal(0, size)
            control[n, members] = value + rng.normal(0, 0.1 * size, len(members))
    control = np.where(has_negative, control, np.abs(control) * 0.7)
    control = np.clip(control, -1, 1)
    people = macro @ macro_stack + np.maximum(control, 0) @ positive + np.maximum(-control, 0) @ negative
    return people.reshape(count, -1, 3) + base_dm


def align_to(people: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted similarity alignment of each shape to ``target``."""
    reference, share = torch.from_numpy(target), torch.from_numpy(weights)
    out = np.empty_like(people)
    for n, shape in enumerate(torch.from_numpy(people)):
        out[n] = similarity_from_points(shape, reference, share).apply(shape).numpy()
    return out


def mirrored(shapes: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """The mirror image of shapes (..., Nc, 3)."""
    return shapes[..., mirror, :] * np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SymmetricPca:
    """Components of one standard deviation each, largest first.

    Attributes:
        mean: (Nc, 3), exactly mirror-symmetric.
        basis: (K, Nc, 3), exactly symmetric (sign +1) or odd (sign -1) under the mirror.
        mirror_sign: (K,) what the mirror does to each coefficient.
        explained: (K,) cumulative share of the weighted variance.
    """

    mean: np.ndarray
    basis: np.ndarray
    mirror_sign: np.ndarray
    explained: np.ndarray


def symmetric_pca(shapes: np.ndarray, mirror: np.ndarray, weights: np.ndarray, count: int) -> SymmetricPca:
    """PCA of the shapes together with their mirror images, weighted per vertex."""
    flipped = mirrored(shapes, mirror)
    even, odd = 0.5 * (shapes + flipped), 0.5 * (shapes - flipped)
    mean = even.mean(0)
    mean = 0.5 * (mean + mirrored(mean, mirror))
    root = np.sqrt(weights / weights.sum())[:, None]
    found = []
    total = 0.0
    for sign, part in ((1, even - mean), (-1, odd)):
        flat = part.reshape(len(part), -1)
        scaled = (part * root).reshape(len(part), -1)
        gram = scaled @ scaled.T / len(part)
        total += float(np.trace(gram))
        values, vectors = eigsh(gram, k=count, v0=np.ones(len(part)))
        for k in np.argsort(-values):
            # the coefficients of the samples are vectors[:, k] * sqrt(n): unit variance
            component = (vectors[:, k] @ flat / np.sqrt(len(part))).reshape(part.shape[1:])
            found.append((float(values[k]), sign, component))
    found.sort(key=lambda item: -item[0])
    found = found[:count]
    basis = np.stack([0.5 * (c + s * mirrored(c, mirror)) for _, s, c in found])
    largest = np.abs(basis).reshape(count, -1).argmax(1)
    basis *= np.sign(basis.reshape(count, -1)[np.arange(count), largest])[:, None, None]
    signs = np.array([s for _, s, _ in found])
    return SymmetricPca(mean, basis, signs, np.cumsum([v for v, _, _ in found]) / total)
