# SPDX-License-Identifier: Apache-2.0
"""The settings of an attribute training, as they stand in config/training/attributes_*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from face_attributes_ros.networks.bodies import Config, config_of
from face_attributes_ros.networks.compact import VARIANTS
from face_attributes_ros.training.attributes.data.augment import AugmentConfig
from face_attributes_ros.training.attributes.heads import WEIGHTS as LABEL_WEIGHTS
from face_attributes_ros.training.attributes.taught import TAUGHT_WEIGHTS

V = TypeVar('V')
WEIGHTS = LABEL_WEIGHTS | TAUGHT_WEIGHTS


def network_of(value: str | dict[str, Any]) -> Config:
    """A network's sizes from a variant's letter or a table of them."""
    return VARIANTS[value] if isinstance(value, str) else config_of(value)


def weights_of(given: Mapping[str, float]) -> dict[str, float]:
    """The losses' weights, some of them in place of `WEIGHTS`."""
    unknown = set(given) - set(WEIGHTS)
    if unknown:
        raise ValueError(f'{", ".join(sorted(unknown))} is no loss; known are '
                         f'{", ".join(WEIGHTS)}')
    return {**WEIGHTS, **given}


@dataclass(frozen=True)
class TrainConfig:
    """A run's settings: `shares` of each batch by source, `sizes` as (progress from which, crop
    side in pixels); a body that began elsewhere learns at `body_rate` times the rate of the rest.
    """

    network: Config = field(metadata={'read': network_of})
    shares: dict[str, float]
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64),)
    body_rate: float = 1.0
    batch: int = 192
    learning_rate: float = 2e-3
    final_learning_rate_share: float = 0.01
    warmup_steps: int = 100
    weight_decay: float = 0.05
    ema: float = 0.998
    clip_gradient: float = 5.0
    cache_px: int = 96
    backgrounds_per_picture: int = 2
    bfloat16: bool = False
    rare_balance: float = 0.0
    distill_weight: float = 0.5
    loss_weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS),
                                           metadata={'read': weights_of})
    augment: AugmentConfig = field(default_factory=AugmentConfig)


def at(progress: float, schedule: tuple[tuple[float, V], ...]) -> V:
    """The value of this moment of a schedule of (progress from which, value) pairs."""
    return [value for start, value in schedule if progress >= start][-1]
