# SPDX-License-Identifier: Apache-2.0
"""The average of a network's weights over a run."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """torch's exponential average of weights and statistics; the first steps count more, so that
    a short run's average forgets where it began."""
    def update(average: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        if average[0].is_floating_point():
            now = min(decay, (1 + int(count)) / (10 + int(count)))
            get_ema_multi_avg_fn(now)(list(average), list(values), count)
        else:      # counters
            for old, new in zip(average, values, strict=True):
                old.copy_(new)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return average.eval().requires_grad_(False)
