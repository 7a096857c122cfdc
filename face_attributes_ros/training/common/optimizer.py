# SPDX-License-Identifier: Apache-2.0
"""Which parameters decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def decayed_groups(parameters: Iterable[nn.Parameter], weight_decay: float,
                   **options: Any) -> list[dict[str, Any]]:
    """Groups for an optimiser: kernels decay, norms and biases do not; `options` go to both."""
    parameters = list(parameters)
    groups = [{'params': [p for p in parameters if p.ndim > 1], 'weight_decay': weight_decay},
              {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0}]
    return [group | options for group in groups if group['params']]
