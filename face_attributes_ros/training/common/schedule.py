# SPDX-License-Identifier: Apache-2.0
"""The learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import LambdaLR


def rate_share(step: int, progress: float, warmup_steps: int, final_share: float) -> float:
    """The learning rate over its peak: linear warm-up over steps, then a cosine over progress
    (0 to 1) down to `final_share`."""
    cosine = (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return (final_share + (1 - final_share) * cosine) * min(1.0, (step + 1) / warmup_steps)


def cosine_schedule(optimizer: torch.optim.Optimizer, now: Callable[[], tuple[int, float]],
                    warmup_steps: int, final_share: float) -> LambdaLR:
    """torch's scheduler of `rate_share`; `now` gives step and progress, because progress may be
    one of time."""
    return LambdaLR(optimizer, lambda _: rate_share(*now(), warmup_steps, final_share))
