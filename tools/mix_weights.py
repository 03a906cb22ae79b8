"""Weights between two of one network: each number a weighted mean of theirs.

    FACELUME_WEIGHTS=runs/refiner/default/training/weights \\
        python tools/mix_weights.py refiner-3 refiner-4-end --id refiner-4 --out runs/refiner/mixed

Useful where the second was trained on from the first and gained in one figure what it lost in another: what
lies between often keeps most of both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
The record is that of the second with an entry that says what was mixed; it has no metrics, for nobody has
measured it yet.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from facelume.errors import UsageError
from facelume.weights import WeightRecord, load_weights, save_weights


def mix(first: str, second: str, *, share: float, new_id: str, out: Path) -> WeightRecord:
    """Write the weights between two.

    Args:
        first: Id or kind of a weight record.
        second: Another one of the same network, on the same face model.
        share: Weight of the second, 0 to 1.
        new_id: Id of the result.
        out: Folder of weights to write to.

    Raises:
        UsageError: The share is not in 0..1, or the networks differ.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"--share must be in 0..1, not {share}")
    (one, its_state), (other, their_state) = load_weights(first), load_weights(second)
    for name in ("architecture", "config", "kind", "face_model_sha256", "atlas_id"):
        if getattr(one, name) != getattr(other, name):
            raise UsageError(f"{one.id} and {other.id} differ in {name}: only weights of one network mix")
    mixed = {
        name: torch.lerp(its_state[name].float(), value.float(), share)
        if value.is_floating_point()
        else value
        for name, value in their_state.items()
    }
    step = {"mixed": [one.id, other.id], "share": share}
    return save_weights(
        mixed, replace(other, id=new_id, metrics={}, training=[*other.training, step]), folder=out
    )


def command_line() -> argparse.ArgumentParser:
    """The parser of this tool's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", help="id or kind of weights")
    parser.add_argument("second", help="id or kind of weights that were trained on from them")
    parser.add_argument("--share", type=float, default=0.5, help="weight of the second")
    parser.add_argument("--id", required=True, help="id of the result")
    parser.add_argument("--out", type=Path, required=True, help="folder of weights to write to")
    return parser


def main() -> None:
    """Run the tool."""
    arguments = command_line().parse_args()
    record = mix(
        arguments.first, arguments.second, share=arguments.share, new_id=arguments.id, out=arguments.out
    )
    print(f"{record.id}: {record.sha256}")


if __name__ == "__main__":
    main()
