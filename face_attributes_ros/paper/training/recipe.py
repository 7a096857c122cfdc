# SPDX-License-Identifier: Apache-2.0
"""The recipe of the paper's section 6.2, and what both of its trained systems share:
configuration, descent, split, random crops."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from face_attributes_ros.training.attributes.data.augment import Motion, chosen, uniform
from face_attributes_ros.training.attributes.data.cache import resized
from face_attributes_ros.training.attributes.data.tables import LabelTable, Sample, table_of
from face_attributes_ros.training.common.precision import bf16_is_native
from face_attributes_ros.training.common.run import Plan

RATE_FLOOR = 1e-6


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent as the paper has it; `patience` validations without gain divide
    the rate by ten."""

    batch: int = 256
    momentum: float = .9
    learning_rate: float = .01
    weight_decay: float = 1e-3
    patience: int = 3
    validate_every: int = 200
    validation_share: float = .2
    rescale_px: int = 256
    crop_px: int = 224
    clip_gradient: float = 5.
    precision: Literal['fp32', 'auto'] = 'fp32'
    """`auto` multiplies in bf16 where the hardware does; weights and losses stay in fp32."""
    ema_decay: float = 0.
    """Of the averaged weights; 0 for none, as in the paper."""
    stored_px: int = 0
    """Side of the cached crops, where less than `rescale_px` is enough to hold what the pictures
    show; 0 for `rescale_px`."""

    @property
    def cached_px(self) -> int:
        """Side of the cached crops."""
        return self.stored_px or self.rescale_px

    def arithmetic(self) -> torch.autocast:
        """The context in which a network runs."""
        half = self.precision == 'auto' and bf16_is_native(torch.device('cpu'))
        return torch.autocast('cpu', torch.bfloat16, enabled=half)


@dataclass(frozen=True)
class PaperConfig:
    """One configuration file; `network` holds the fields of the system's own configuration."""

    system: Literal['all_in_one', 'vgg_age', 'imitation']
    network: dict[str, Any]
    recipe: Recipe
    crop_scale: float = 1.3
    most_per_source: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    mirror: bool = True
    age: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    views: int = 1
    validate_most: int = 0
    """Held-out faces that are looked at, evenly spaced; 0 for all."""


def plan(config: PaperConfig, weights: Mapping[str, float], figures: Sequence[str]) -> Plan:
    """What the run has to know; the plateau needs a figure `loss`."""
    recipe = config.recipe
    return Plan(
        name=config.system, weights=weights, measured='val_loss',
        columns=(*weights, *(f'val_{name}' for name in figures)),
        identity=('system', 'network', 'data', 'seed'), ema_decay=recipe.ema_decay,
        clip_gradient=recipe.clip_gradient, validate_every=recipe.validate_every)


def descent(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(network.parameters(), lr=recipe.learning_rate,
                           momentum=recipe.momentum, weight_decay=recipe.weight_decay)


def plateau(optimizer: torch.optim.Optimizer, recipe: Recipe) -> ReduceLROnPlateau:
    """A tenth of the rate after `patience` validations without gain."""
    return ReduceLROnPlateau(optimizer, factor=.1, patience=recipe.patience, min_lr=RATE_FLOOR)


def held_out(sample: Sample, share: float) -> bool:
    """Whether a face belongs to the validation part: decided by its group, so near-duplicates stay
    together."""
    digest = hashlib.sha256((sample.group or Path(sample.image).name).encode()).digest()
    return int.from_bytes(digest[:4], 'big') / 2**32 < share


def split(samples: Sequence[Sample], share: float) -> tuple[LabelTable, LabelTable]:
    """(training table, validation table): 20 % in the paper."""
    parts: tuple[list[Sample], list[Sample]] = ([], [])
    for sample in samples:
        parts[held_out(sample, share)].append(sample)
    return table_of(parts[0]), table_of(parts[1])


def kept(count: int, most: int) -> np.ndarray:
    """Row numbers of at most `most` of `count` rows, evenly spaced; all where `most` is 0."""
    return np.arange(count)[::max(1, -(-count // most)) if most else 1]


def thinned(samples: list[Sample], most: int, seed: int = 0) -> list[Sample]:
    """At most `most` of the samples, drawn at random; all of them where `most` is 0."""
    if not most or len(samples) <= most:
        return samples
    return [
        samples[i] for i in np.sort(np.random.default_rng(seed).permutation(len(samples))[:most])
    ]


def random_crop(generator: torch.Generator, count: int, recipe: Recipe, mirror: bool) -> Motion:
    """The `Motion` that cuts a random crop of `crop_px` out of pictures of `rescale_px`, and
    mirrors half of them."""
    room = (recipe.rescale_px - recipe.crop_px) / recipe.crop_px
    flipped = chosen(generator, count, .5) if mirror else torch.zeros(count, dtype=torch.bool)
    scale = torch.full((count,), recipe.rescale_px / recipe.crop_px)
    return Motion(flipped, torch.zeros(count), scale, uniform(generator, (count, 2), -room, room))


def middle(crops: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The middle `crop_px` of crops (B, S, S, 3), rescaled to `rescale_px` where they are cached
    smaller."""
    if crops.shape[1] != recipe.rescale_px:
        crops = np.stack([resized(crop, recipe.rescale_px) for crop in crops])
    edge = (recipe.rescale_px - recipe.crop_px) // 2
    return crops[:, edge:edge + recipe.crop_px, edge:edge + recipe.crop_px]
