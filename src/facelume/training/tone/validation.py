"""What a tone network is worth on faces that it did not learn from."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facelume.networks.tone import ToneOutput
from facelume.reflectance import ITA_CLASSES, ita_degrees, luminance
from facelume.training.tone.losses import answered, class_of_tone, tone_and_hue
from facelume.training.tone.rows import ToneRows
from facelume.training.tone.shards import GROUPS, JUDGED, LABORATORY, STUDIO, SYNTHETIC


def measure(network: nn.Module, held_out: Mapping[str, ToneRows]) -> dict[str, float]:
    """Errors of the log luminance, the two hues and the ITA, and how well answers to one person agree.

    Args:
        network: The network, on the device of the rows, without gradients.
        held_out: Rows by kind; kinds without any are left out.

    Returns:
        ``KIND/...``: ``bias``, ``sd`` of the log luminance, ``slope`` over the true one, ``hue_sd``,
        ``ita_error`` in degrees, ``bias_CLASS`` of each ITA class and ``class_gap`` between the largest and
        the least of them; for people: ``within`` and ``between``, standard deviations of the log luminance
        over photos of one person and over people, and ``photo_within`` of the photos' own. What too few
        faces or people can tell is left out.
    """
    metrics: dict[str, float] = {}
    for kind in (SYNTHETIC, STUDIO, JUDGED):
        if len(held_out.get(kind, ())) > 1:
            metrics |= {f"{kind}/{k}": v for k, v in errors(network, held_out[kind]).items()}
    for kind in (GROUPS, LABORATORY):
        if len(held_out.get(kind, ())) > 1:
            metrics |= {f"{kind}/{k}": v for k, v in agreement(network, held_out[kind]).items()}
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def errors(network: nn.Module, rows: ToneRows) -> dict[str, float]:
    """Errors on faces whose tone is known, see :func:`measure`."""
    output = answers(network, rows)
    true, found = tone_and_hue(rows.true_tone), answered(output)
    error = found - true
    classes = class_of_tone(rows.true_tone)
    bias = {
        name: float(error[classes == number, 0].mean())
        for number, (_, name) in enumerate(ITA_CLASSES)
        if (classes == number).any()
    }
    ita = (ita_degrees(torch.exp(output.log_colour)) - ita_degrees(torch.exp(rows.true_tone))).abs()
    spread = true[:, 0] - true[:, 0].mean()
    return {
        "bias": float(error[:, 0].mean()),
        "sd": float(error[:, 0].std()),
        "slope": float((spread * found[:, 0]).sum() / spread.square().sum()),
        "hue_sd": float(error[:, 1:].std(dim=0).mean()),
        "expected_sd": float(torch.exp(output.log_sigma[:, 0]).mean()),
        "ita_error": float(ita.mean()),
        "class_gap": max(bias.values()) - min(bias.values()),
        **{f"bias_{name.replace(' ', '_')}": value for name, value in bias.items()},
    }


def agreement(network: nn.Module, rows: ToneRows) -> dict[str, float]:
    """Spread of the answers within and between people, see :func:`measure`."""
    output = answers(network, rows)
    shown = torch.log(luminance(rows.skin).clamp(min=1e-4))
    within, between = spread_of_people(output.log_luminance, rows.person)
    return {
        "within": within,
        "between": between,
        "photo_within": spread_of_people(shown, rows.person)[0],
        "mean": float(output.log_luminance.mean()),
        "expected_sd": float(torch.exp(output.log_sigma[:, 0]).mean()),
    }


def answers(network: nn.Module, rows: ToneRows, batch_size: int = 256) -> ToneOutput:
    """What a network says of rows, a batch at a time."""
    parts = [
        network(rows.values[first : first + batch_size], rows.picture[first : first + batch_size].float())
        for first in range(0, len(rows), batch_size)
    ]
    return ToneOutput(*(torch.cat(values) for values in zip(*parts, strict=True)))


def spread_of_people(values: Float[Tensor, " n"], person: tuple[str, ...]) -> tuple[float, float]:
    """Standard deviation within people who have two photos or more, and that of their means."""
    squares, free, means = 0.0, 0, []
    for name in dict.fromkeys(person):
        own = values[torch.tensor([other == name for other in person], device=values.device)]
        if len(own) > 1:
            squares += float((own - own.mean()).square().sum())
            free += len(own) - 1
            means.append(own.mean())
    if len(means) < 2:
        return float("nan"), float("nan")
    return (squares / free) ** 0.5, float(torch.stack(means).std())
