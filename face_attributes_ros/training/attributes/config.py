# SPDX-License-Identifier: Apache-2.0
"""The settings of a training run, read from YAML."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.networks.compact import VARIANTS, CompactConfig
from face_attributes_ros.training.attributes.data.augment import AugmentConfig
from face_attributes_ros.training.attributes.losses import WEIGHTS


@dataclass(frozen=True)
class TrainConfig:
    """A run's settings: `shares` of each batch by source, `sizes` as (progress from which, crop
    side in pixels).
    """

    network: CompactConfig
    shares: dict[str, float]
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64),)
    batch: int = 192
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03
    ema: float = 0.998
    cache_px: int = 96
    backgrounds_per_picture: int = 2
    bfloat16: bool = False
    rare_balance: float = 0.0
    distill_weight: float = 0.5
    loss_weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))
    augment: AugmentConfig = AugmentConfig()


def read_config(path):
    """The `TrainConfig` of a YAML file. Raises `ParameterError` on an unknown or missing entry."""
    try:
        values = yaml.safe_load(Path(path).read_text())
        return config_from(values)
    except (OSError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ParameterError(f'{path} is not a training configuration: {error}') from error


def config_from(values):
    """The `TrainConfig` of plain values; `network` is a variant's letter or a table of its
    sizes."""
    values = dict(values)
    network = values['network']
    values['network'] = VARIANTS[network] if isinstance(network,
                                                        str) else CompactConfig.from_dict(network)
    values['sizes'] = tuple((float(start), int(size)) for start, size in values['sizes'])
    values['loss_weights'] = {**WEIGHTS, **values.get('loss_weights', {})}
    augment = dict(values.get('augment', {}))
    if 'shrink_px' in augment:
        augment['shrink_px'] = tuple(augment['shrink_px'])
    values['augment'] = AugmentConfig(**augment)
    return TrainConfig(**values)


def learning_rate(progress, config):
    """A linear warm-up, then half a cosine down to a hundredth."""
    if progress < config.warm_up:
        return config.learning_rate * (progress / config.warm_up * 0.95 + 0.05)
    calm = (progress - config.warm_up) / (1 - config.warm_up)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(calm, 1))) / 2)


def size_at(progress, config):
    """The crop side of this moment of the run."""
    return [size for start, size in config.sizes if progress >= start][-1]
