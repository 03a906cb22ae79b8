"""What the tone network's answers are judged by."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from facelume.networks.tone import ToneOutput
from facelume.reflectance import ITA_CLASSES, hue, ita_degrees, luminance

_HUBER = 1.5
_LEAST_VARIANCE = 1e-4


def tone_and_hue(log_colour: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Log luminance, log R/G, log G/B of log R, G, B."""
    colour = torch.exp(log_colour)
    return torch.cat([torch.log(luminance(colour))[..., None], hue(colour)], dim=-1)


def answered(output: ToneOutput) -> Float[Tensor, "b 3"]:
    """Log luminance, log R/G, log G/B."""
    return tone_and_hue(output.log_colour)


def likelihood_loss(output: ToneOutput, true_tone: Float[Tensor, "b 3"]) -> Float[Tensor, " b"]:
    """Negative log-likelihood of true tones (log R, G, B), mean over luminance and two hues."""
    error = (answered(output) - tone_and_hue(true_tone)) * torch.exp(-output.log_sigma)
    return (0.5 * error.square() + output.log_sigma).mean(dim=1)


def judged_loss(
    output: ToneOutput, true_tone: Float[Tensor, "b 3"], judge_sigma: float
) -> Float[Tensor, " b"]:
    """Negative log-likelihood of the luminance of tones that a judge with an error of his own gave.

    Args:
        output: Answers.
        true_tone: Log R, G, B of what he said.
        judge_sigma: Spread of his error, log luminance.
    """
    variance = torch.exp(2 * output.log_sigma[:, 0]) + judge_sigma**2
    error = output.log_luminance - tone_and_hue(true_tone)[:, 0]
    return 0.5 * error.square() / variance + 0.5 * torch.log(variance)


def agreement_loss(first: ToneOutput, second: ToneOutput, *, is_grey: bool = False) -> Float[Tensor, ""]:
    """How much answers to photos of one person differ, for as much as people do.

    The ratio has no scale: answers that are all alike gain nothing. Its scale the network learns from faces
    whose tone is known.

    Args:
        first: Answers to one photo each of some people.
        second: Answers to another photo each of them.
        is_grey: Compare the luminance alone.
    """
    a, b = answered(first), answered(second)
    within = (a - b).square().mean(dim=0) / 2
    between = ((a + b) / 2).var(dim=0)
    ratio = torch.log1p(within / between.clamp(min=_LEAST_VARIANCE))
    return ratio[0] if is_grey else ratio.mean()


def certainty_loss(first: ToneOutput, second: ToneOutput, *, is_grey: bool = False) -> Float[Tensor, ""]:
    """Negative log-likelihood of the difference of two answers, which teaches their certainty alone.

    Args:
        first: Answers to one photo each of some people.
        second: Answers to another photo each of them.
        is_grey: Compare the luminance alone.
    """
    variance = torch.exp(2 * first.log_sigma) + torch.exp(2 * second.log_sigma)
    error = (answered(first) - answered(second)).detach()
    loss = (0.5 * error.square() / variance + 0.5 * torch.log(variance)).mean(dim=0)
    return loss[0] if is_grey else loss.mean()


def brightness_loss(
    output: ToneOutput, log_shown: Float[Tensor, " b"], log_mean: float, log_sigma: float
) -> Float[Tensor, " b"]:
    """Huber loss of the luminance against what the photo shows.

    Args:
        output: Answers.
        log_shown: Log luminance of the skin in the photo.
        log_mean: Its mean over the skin's.
        log_sigma: Spread of that.
    """
    error = (output.log_luminance - (log_shown - log_mean)) / log_sigma
    return functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=_HUBER)


def class_of_tone(true_tone: Float[Tensor, "b 3"]) -> Int[Tensor, " b"]:
    """ITA class of log R, G, B: a number into ``ITA_CLASSES``."""
    bounds = torch.tensor([bound for bound, _ in ITA_CLASSES[:-1]], device=true_tone.device)
    return torch.bucketize(ita_degrees(torch.exp(true_tone)), bounds)


def class_bias_loss(output: ToneOutput, true_tone: Float[Tensor, "b 3"]) -> Float[Tensor, ""]:
    """Squared mean error of the log luminance in each ITA class, mean over the classes that are there."""
    error = output.log_luminance - tone_and_hue(true_tone)[:, 0]
    member = functional.one_hot(class_of_tone(true_tone), len(ITA_CLASSES)).to(error)
    count = member.sum(dim=0)
    means = (member * error[:, None]).sum(dim=0) / count.clamp(min=1)
    return means.square().sum() / (count > 0).sum()
