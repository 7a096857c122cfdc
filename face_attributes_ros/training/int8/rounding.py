# SPDX-License-Identifier: Apache-2.0
"""What int8 does to numbers, in torch and with gradients: activations on 256 levels of a range
that is learned, weights on the levels that `graph.pair_safe_scales` allows.

Rounding passes gradients through (Bengio et al., 2013, arXiv 1308.3432). The ends of a range get
those of the values that they cut off, and of every rounding error as the step grows (Esser et al.,
2020, arXiv 1902.08153, written for two ends in place of a step and an offset).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from face_attributes_ros.training.int8.graph import PAIR_LEVELS
from face_attributes_ros.training.int8.ranges import LEVELS

LEAST_WIDTH = 1e-6


class _OnLevels(torch.autograd.Function):
    """values, low (), high () -> the nearest of the 256 levels from low to high."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: Tensor, high: Tensor) -> Tensor:
        step = (high - low) / LEVELS
        zero = (-low / step).round().clamp(0, LEVELS)
        levels = (values / step).round_().add_(zero)
        below, above = levels < 0, levels > LEVELS
        found = levels.clamp_(0, LEVELS).sub_(zero).mul_(step)
        ctx.save_for_backward(values, found, below, above, high - low)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, found, below, above, width = ctx.saved_tensors
        outside, gradient = below | above, gradients[0]
        inside = gradient.masked_fill(outside, 0)
        by_step = (inside * (found - values)).sum() / width
        low, high = ((gradient * side).sum() for side in (below, above))
        return inside, low - by_step, high + by_step


class RoundedTensor(nn.Module):
    """An activation on 256 levels; both ends of their range are parameters, zero is always in
    it."""

    def __init__(self, low: float, high: float):
        super().__init__()
        self.low = nn.Parameter(torch.tensor(min(low, 0.)))
        self.high = nn.Parameter(torch.tensor(max(high, LEAST_WIDTH)))

    def ends(self) -> tuple[Tensor, Tensor]:
        """(low, high) as they are used."""
        return self.low.clamp(max=0.), self.high.clamp(min=LEAST_WIDTH)

    def levels(self) -> tuple[float, float]:
        """The lowest and the highest level."""
        low, high = self.ends()
        return float(low), float(high)

    def forward(self, values: Tensor) -> Tensor:
        rounded: Tensor = _OnLevels.apply(values, *self.ends())
        return rounded


def rounded_weights(weights: Tensor) -> Tensor:
    """Weights (C, ...) on their int8 levels, each output channel with its own scale, as
    `graph.pair_safe_scales` finds it."""
    with torch.no_grad():
        sizes = weights.detach().abs().flatten(1)
        largest = sizes.topk(min(2, sizes.shape[1]), 1).values.sum(1)
        scales = (largest / (PAIR_LEVELS - 1)).clamp(min=1e-8)
        scales = scales.reshape(-1, *[1] * (weights.dim() - 1))
        change = (weights / scales).round() * scales - weights
    return weights + change
