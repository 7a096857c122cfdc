# SPDX-License-Identifier: Apache-2.0
"""The recipe of the paper's section 6.2, and what both of its trained systems share:
configuration, split, random crops."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.training.attributes.data.augment import Motion, chosen, uniform
from face_attributes_ros.training.attributes.data.tables import table_of

SYSTEMS = ('all_in_one', 'vgg_age')


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


@dataclass(frozen=True)
class PaperConfig:
    """One configuration file; `network` holds the fields of the system's own configuration."""

    system: str
    network: dict[str, Any]
    recipe: Recipe
    crop_scale: float = 1.3
    most_per_source: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    mirror: bool = True
    age: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    views: int = 1


def read_config(path):
    """The `PaperConfig` of a YAML file. Raises `ParameterError` on an unknown or missing entry."""
    try:
        values = yaml.safe_load(Path(path).read_text())
        values['recipe'] = Recipe(**values['recipe'])
        config = PaperConfig(**values)
    except (OSError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ParameterError(
            f'{path} is not a configuration of the paper\'s systems: {error}') from error
    if config.system not in SYSTEMS:
        raise ParameterError(
            f'{path}: system is {config.system!r}, needs one of {", ".join(SYSTEMS)}')
    return config


def held_out(sample, share):
    """Whether a face belongs to the validation part: decided by its group, so near-duplicates stay
    together."""
    digest = hashlib.sha256((sample.group or Path(sample.image).name).encode()).digest()
    return int.from_bytes(digest[:4], 'big') / 2**32 < share


def split(samples, share):
    """(training table, validation table): 20 % in the paper."""
    parts = [[], []]
    for sample in samples:
        parts[held_out(sample, share)].append(sample)
    return table_of(parts[0]), table_of(parts[1])


def thinned(samples, most, seed=0):
    """At most `most` of the samples, drawn at random; all of them where `most` is 0."""
    if not most or len(samples) <= most:
        return samples
    return [
        samples[i] for i in np.sort(np.random.default_rng(seed).permutation(len(samples))[:most])
    ]


def random_crop(generator, count, recipe, mirror):
    """The `Motion` that cuts a random crop of `crop_px` out of pictures of `rescale_px`, and
    mirrors half of them."""
    room = (recipe.rescale_px - recipe.crop_px) / recipe.crop_px
    flipped = chosen(generator, count, .5) if mirror else torch.zeros(count, dtype=torch.bool)
    scale = torch.full((count,), recipe.rescale_px / recipe.crop_px)
    return Motion(flipped, torch.zeros(count), scale, uniform(generator, (count, 2), -room, room))


def middle(crops, recipe):
    """The middle `crop_px` of crops (B, rescale_px, rescale_px, 3)."""
    edge = (recipe.rescale_px - recipe.crop_px) // 2
    return crops[:, edge:edge + recipe.crop_px, edge:edge + recipe.crop_px]
