# SPDX-License-Identifier: Apache-2.0
"""Mixed-source batches: a fixed share from each source, each source shuffled anew every pass, all
from (seed, step).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.training.attributes.data.augment import AugmentConfig, augment
from face_attributes_ros.training.attributes.data.black import fill_black
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.scores import bin_of

CUT_OUT = ('effectnet',)
"""Sources whose faces were cut out on black."""


def source_counts(shares: dict[str, float], batch: int) -> dict[str, int]:
    """{source: faces in every batch}, in proportion to `shares`; each source has at least one."""
    total = sum(shares.values())
    counts = {source: max(1, round(batch * share / total)) for source, share in shares.items()}
    largest = max(counts, key=lambda source: counts[source])
    counts[largest] += batch - sum(counts.values())
    if counts[largest] < 1:
        raise ParameterError(f'a batch of {batch} has no room for {len(shares)} sources')
    return counts


def passing_rows(rows: np.ndarray, start: int, count: int, seed: int) -> np.ndarray:
    """`count` row numbers from position `start` of an endless run of fresh shuffles of `rows`."""
    positions = np.arange(start, start + count)
    passes = positions // len(rows)
    picked = np.empty(count, np.int64)
    for number in np.unique(passes):
        order = np.random.default_rng([seed, int(number)]).permutation(len(rows))
        picked[passes == number] = rows[order[positions[passes == number] % len(rows)]]
    return picked


def rarity_classes(table: LabelTable, rows: np.ndarray) -> np.ndarray:
    """A class number for each row: its age range where it has an age, else its likeliest
    expression, else -1."""
    ages, expressions = table.labels['age_low'][rows], table.labels['expression'][rows]
    by_age = bin_of(np.nan_to_num(ages))
    by_expression = np.where(np.isnan(expressions[:, 0]), -1, np.nan_to_num(expressions).argmax(1))
    return np.where(np.isnan(ages), by_expression, by_age)


def balanced_rows(table: LabelTable, source: str, power: float, most: float = 4.0,
                  seed: int = 0) -> np.ndarray:
    """Row numbers of a source, those of rarer classes repeated: (the largest class's count over
    its own) ** power times.

    Never less than once and at most `most` times on average; rows without age and expression come
    once.
    """
    rows = table.rows_of(source)
    classes = rarity_classes(table, rows)
    sizes = {number: (classes == number).sum() for number in np.unique(classes)}
    times = np.array([(max(sizes.values()) / sizes[number]) ** power if number >= 0 else 1.0
                      for number in classes])
    chance = np.random.default_rng(seed).random(len(rows))
    return np.repeat(rows, (np.clip(times, 1, most) + chance).astype(int))


@dataclass(frozen=True)
class Batches:
    """Batches of a table of crops; `make(step, size)` always gives the same for the same (seed,
    step, size).

    `pools` holds the rows that each source passes through, see `balanced_rows`.
    """

    table: LabelTable
    crops: np.ndarray
    native_px: np.ndarray
    counts: dict[str, int]
    pools: dict[str, np.ndarray]
    seed: int
    augment_config: AugmentConfig
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        for source in self.counts:
            if not len(self.pools[source]):
                raise DataError(
                    f'the configuration asks for {source!r}, of which the data holds no picture')

    def rows(self, step: int) -> np.ndarray:
        """Row numbers of this rank's part of a step's batch."""
        picked = [passing_rows(self.pools[source], step * count, count, self.seed + 1000 * number)
                  for number, (source, count) in enumerate(self.counts.items())]
        return np.concatenate(picked)[self.rank::self.world]

    def pictures(self, rows: np.ndarray, step: int) -> np.ndarray:
        """The crops (B, S, S, 3) of some rows, cut-out faces with surroundings."""
        crops = self.crops[rows]
        random = np.random.default_rng([self.seed, step, self.rank])
        for place in np.flatnonzero(np.isin(self.table.sources[rows], CUT_OUT)):
            crops[place] = fill_black(crops[place], crops[random.integers(len(rows))], random)
        return crops

    def make(self, step: int, size: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(pixels (B, 3, size, size) in 0..1, labels) of a step."""
        rows = self.rows(step)
        labels = {
            name: torch.from_numpy(column[rows]) for name, column in self.table.labels.items()
        }
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + step) * 64 + self.rank)
        return augment(self.pictures(rows, step), self.native_px[rows], labels, size, generator,
                       self.augment_config)


def plain_batch(crops: np.ndarray, size: int) -> torch.Tensor:
    """(B, 3, size, size) in 0..1 without augmentation, from uint8 crops (B, H, W, 3)."""
    pixels = torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2).float() / 255
    return torch.nn.functional.interpolate(pixels, (size, size), mode='bilinear',
                                           align_corners=False, antialias=True)
