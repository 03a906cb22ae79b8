"""The dense landmarks of a linear face model by its coefficients: all that a landmark fit knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class LinearLandmarkModel(Protocol):
    """What a face model has to offer to be fitted: landmarks that are linear in the coefficients.

    A protocol, so that the fits know no face model and take any.
    """

    @property
    def num_identity(self) -> int:
        """Number of identity coefficients."""

    @property
    def num_expression(self) -> int:
        """Number of expression coefficients."""

    @property
    def expression_limits(self) -> Float[Tensor, "E 2"] | None:
        """Smallest and largest expression coefficients, infinite for standard deviations; None: [0, 1]."""

    def landmarks(
        self, identity: Float[Tensor, "*batch I"], expression: Float[Tensor, "*batch E"]
    ) -> Float[Tensor, "*batch 478 3"]:
        """Landmarks in model axes, metres."""


@dataclass(frozen=True, eq=False)
class LandmarkBasis:
    """The landmark rows of a linear face model; metres, model axes.

    Attributes:
        mean: Landmarks at zero coefficients.
        identity: Change per standard deviation of each identity coefficient.
        expression: Change per unit of each expression coefficient.
        expression_limits: Smallest and largest expression coefficients; infinite for standard deviations.
    """

    mean: Float[Tensor, "L 3"]
    identity: Float[Tensor, "I L 3"]
    expression: Float[Tensor, "E L 3"]
    expression_limits: Float[Tensor, "E 2"]

    def in_limits(self, expression: Float[Tensor, "b E"]) -> Float[Tensor, "b E"]:
        """The nearest expression coefficients within the limits."""
        low, high = self.expression_limits.unbind(-1)
        return torch.maximum(torch.minimum(expression, high), low)

    def points(
        self, identity: Float[Tensor, "b I"], expression: Float[Tensor, "b E"]
    ) -> Float[Tensor, "b L 3"]:
        """Landmarks of given coefficients, model axes, metres."""
        rows = torch.cat([self.identity, self.expression]).flatten(1)
        coefficients = torch.cat([identity, expression], -1)
        return self.mean + (coefficients @ rows).unflatten(-1, self.mean.shape)

    @cached_property
    def mirrored(self) -> Int[np.ndarray, " L"]:
        """The landmark that takes a landmark's place when a picture is mirrored: right becomes left.

        It is the one nearest to its mirror image in the mean face; in the open model, whose mean is
        symmetric, within 0.05 mm.
        """
        reflected = self.mean * self.mean.new_tensor((-1.0, 1.0, 1.0))
        nearest: np.ndarray = torch.cdist(reflected, self.mean).argmin(dim=-1).numpy(force=True)
        return nearest


def landmark_basis(model: LinearLandmarkModel) -> LandmarkBasis:
    """Read the linear landmark rows off a face model by evaluating it at unit coefficients."""
    num_identity, num_expression = model.num_identity, model.num_expression
    with torch.no_grad():
        unit = torch.eye(num_identity + num_expression)
        rows = model.landmarks(unit[:, :num_identity], unit[:, num_identity:])
        mean = model.landmarks(torch.zeros(1, num_identity), torch.zeros(1, num_expression))[0]
    rows = rows - mean
    limits = model.expression_limits
    return LandmarkBasis(
        mean,
        rows[:num_identity].contiguous(),
        rows[num_identity:].contiguous(),
        mean.new_tensor((0.0, 1.0)).repeat(num_expression, 1) if limits is None else limits.to(mean),
    )
