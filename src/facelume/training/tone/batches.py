"""Batches of the tone network's training and their losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn

from facelume.networks.tone import ToneOutput
from facelume.reflectance import ITA_CLASSES, luminance
from facelume.training.objective import Objective, Step
from facelume.training.tone.augment import augment_cues
from facelume.training.tone.config import ToneTrainingConfig
from facelume.training.tone.losses import (
    agreement_loss,
    brightness_loss,
    certainty_loss,
    class_bias_loss,
    class_of_tone,
    judged_loss,
    likelihood_loss,
)
from facelume.training.tone.rows import ToneRows
from facelume.training.tone.shards import GROUPS, JUDGED, LABORATORY, STUDIO, SYNTHETIC
from facelume.training.tone.split import SplitRows
from facelume.training.tone.validation import measure

_FEWEST_OF_A_CLASS = 6
"""A class with fewer people weighs less: its few faces would be learned by heart."""


class ToneObjective(Objective):
    """Losses of rows of cues.

    Args:
        config: The run.
        rows: What it learns from and is measured on, by kind.
    """

    def __init__(self, config: ToneTrainingConfig, rows: Mapping[str, SplitRows]) -> None:
        self.config = config
        self._rows = {kind: split.training for kind, split in rows.items()}
        self._held_out = {kind: split.held_out for kind, split in rows.items()}
        self._class_weights = {
            kind: weights_of_classes(self._rows[kind].true_tone)
            for kind in (SYNTHETIC, STUDIO, JUDGED)
            if kind in self._rows
        }
        self._members = {
            kind: members_of_people(self._rows[kind]) for kind in (GROUPS, LABORATORY) if kind in self._rows
        }

    def setup(self, fabric: Fabric) -> None:
        """Move the rows to the device."""
        super().setup(fabric)
        for rows in (self._rows, self._held_out):
            rows.update({kind: part.to(fabric.device) for kind, part in rows.items()})

    @property
    def num_samples(self) -> int:
        """Synthetic faces to learn from."""
        return len(self._rows[SYNTHETIC])

    def losses(self, network: nn.Module, step: Step) -> Mapping[str, Tensor]:
        """Every term of a step, weighted."""
        data, weights, generator = self.config.data, self.config.losses, step.random.torch
        number = step.batch_size
        drawn: dict[str, ToneRows] = {}
        if weights.synthetic > 0:
            drawn[SYNTHETIC] = self._by_class(SYNTHETIC, number, generator)
        if weights.studio > 0:
            drawn[STUDIO] = self._by_class(STUDIO, round(number * data.studio_share), generator)
        if weights.judged > 0 and JUDGED in self._rows:
            drawn[JUDGED] = self._by_class(JUDGED, round(number * data.judged_share), generator)
        if weights.groups > 0:
            drawn[GROUPS] = self._pairs(GROUPS, round(number * data.group_share), generator)
        if weights.laboratory > 0:
            drawn[LABORATORY] = self._pairs(LABORATORY, round(number * data.laboratory_share), generator)
        cues = [
            augment_cues(part.cues, data.augment, generator, may_be_grey=kind != GROUPS)
            for kind, part in drawn.items()
        ]
        said = network(torch.cat([part.values for part in cues]), torch.cat([part.picture for part in cues]))
        members, lengths = self.config.network.num_members, [len(part) for part in drawn.values()]
        terms = [
            self._terms(drawn, dict(zip(drawn, _split_output(answers, lengths), strict=True)))
            for answers in _split_output(said, [sum(lengths)] * members)
        ]
        return {name: torch.stack([term[name] for term in terms]).mean() for name in terms[0]}

    def _terms(self, drawn: Mapping[str, ToneRows], answers: Mapping[str, ToneOutput]) -> dict[str, Tensor]:
        weights, shown = self.config.losses, self.config.brightness
        terms: dict[str, Tensor] = {}
        for kind in (SYNTHETIC, STUDIO):
            if kind in drawn:
                loss = likelihood_loss(answers[kind], drawn[kind].true_tone).mean()
                terms[kind] = getattr(weights, kind) * loss
                if weights.class_bias > 0:
                    bias = class_bias_loss(answers[kind], drawn[kind].true_tone)
                    terms[f"{kind}_class_bias"] = weights.class_bias * bias
        if JUDGED in drawn:
            truth, sigma = drawn[JUDGED].true_tone, self.config.data.judged_sigma
            terms[JUDGED] = weights.judged * judged_loss(answers[JUDGED], truth, sigma).mean()
        for kind, mean, sigma in (
            (GROUPS, shown.log_mean, shown.log_sigma),
            (LABORATORY, shown.laboratory_log_mean, shown.laboratory_log_sigma),
        ):
            if kind in drawn:
                first, second = _split_output(answers[kind], [len(drawn[kind]) // 2] * 2)
                is_grey = kind == LABORATORY
                terms[kind] = getattr(weights, kind) * agreement_loss(first, second, is_grey=is_grey)
                terms[f"{kind}_certainty"] = certainty_loss(first, second, is_grey=is_grey)
                log_shown = torch.log(luminance(drawn[kind].skin).clamp(min=1e-4))
                near = brightness_loss(answers[kind], log_shown, mean, sigma).mean()
                terms[f"{kind}_brightness"] = weights.brightness * near
        return terms

    def validate(self, network: nn.Module) -> Mapping[str, float]:
        """Errors on the held-out faces, agreement on the held-out people."""
        return measure(network, self._held_out)

    def _by_class(self, kind: str, number: int, generator: torch.Generator) -> ToneRows:
        index = torch.multinomial(self._class_weights[kind], number, replacement=True, generator=generator)
        return self._rows[kind].at(index)

    def _pairs(self, kind: str, number: int, generator: torch.Generator) -> ToneRows:
        """The first photos of some pairs, then the second ones."""
        members = self._members[kind]
        people = torch.randint(len(members), (number,), generator=generator).tolist()
        pairs = []
        for person in people:
            photos = members[person]
            order = torch.randperm(len(photos), generator=generator)[:2]
            pairs.append(photos[order])
        return self._rows[kind].at(torch.stack(pairs, dim=1).flatten())


def weights_of_classes(true_tone: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Weights that let every ITA class be drawn as often as any other, rare ones somewhat less."""
    classes = class_of_tone(true_tone)
    count = torch.bincount(classes, minlength=len(ITA_CLASSES))
    return 1.0 / count[classes].clamp(min=_FEWEST_OF_A_CLASS)


def members_of_people(rows: ToneRows) -> list[Int[Tensor, " _"]]:
    """Rows of every person with two or more."""
    found: dict[str, list[int]] = {}
    for index, person in enumerate(rows.person):
        found.setdefault(person, []).append(index)
    return [torch.tensor(members) for members in found.values() if len(members) > 1]


def _split_output(output: ToneOutput, lengths: list[int]) -> list[ToneOutput]:
    parts = zip(*(value.split(lengths) for value in output), strict=True)
    return [ToneOutput(*part) for part in parts]
