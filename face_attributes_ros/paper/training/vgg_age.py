# SPDX-License-Identifier: Apache-2.0
"""VGG's frozen convolutions, or a stand-in's, run once over every picture; the four new layers
learn age groups from what they gave."""

from __future__ import annotations

import hashlib
import json
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.faces import AGE_GROUPS_YEARS
from face_attributes_ros.paper.normalise import Normalise
from face_attributes_ros.paper.pool5 import load_trunk
from face_attributes_ros.paper.stand_ins import GridMeans
from face_attributes_ros.paper.training.recipe import (
    PaperConfig,
    descent,
    middle,
    plan,
    plateau,
    random_crop,
    split,
    thinned,
)
from face_attributes_ros.paper.training.sources import read_source
from face_attributes_ros.paper.vgg_age import (
    VggAgeConfig,
    VggAgeNet,
    VggConvolutions,
    load_convolutions,
)
from face_attributes_ros.training.attributes.data.augment import move_pixels
from face_attributes_ros.training.attributes.data.batches import passing_rows
from face_attributes_ros.training.attributes.data.cache import cached_crops
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.probe import exported
from face_attributes_ros.weights import read_weights

NO_WEIGHTS = (
    'the VGG age network needs convolutions that have learnt faces: --weights FILE.safetensors '
    'with VGG-Face (conv1_1.weight ...) or torchvision vgg16 (features.0.weight ...) tensors, or '
    'those of the stand-in that the configuration names. We ship none. --random-convolutions '
    'rehearses the training without them; its figures mean nothing.')
_FEATURE_BATCH = 16


class VggAgeTask:
    """The network, its cached features and its figures; `args` as of `train paper`."""

    def __init__(self, config: PaperConfig, args: Namespace):
        torch.manual_seed(args.seed)
        self.config, self.recipe, self.seed = config, config.recipe, args.seed
        self.plan = plan(config, {'age_group': 1.}, ('loss', 'exact', 'one_off'))
        self.whole = VggAgeNet(VggAgeConfig(**config.network))
        self.convolutions = self._load(args)
        self.network: nn.Module = self.whole.heads
        self.optimizer = descent(self.network, self.recipe)
        self._read_data(args)

    def _read_data(self, args: Namespace) -> None:
        config = self.config
        samples = [
            sample for source in config.sources
            for sample in thinned(read_source(args, source), config.most_per_source, args.seed)
        ]
        samples = [sample for sample in samples
                   if group_of_range(sample.age_low, sample.age_high) is not None]
        if not samples:
            raise DataError(
                f'{args.data} has no face of {", ".join(config.sources)} in one of the eight '
                'age groups'
            )
        self.table, self.held = split(samples, config.recipe.validation_share)
        cache = args.cache or args.out / 'cache'
        self.features = self._features(self.table, cache, config.views)
        self.held_features = self._features(self.held, cache, 1)
        self.groups, self.held_groups = groups_of(self.table), groups_of(self.held)
        self.whole.get_buffer('years_in_group').copy_(years_in_group(self.table))
        self.data = {
            'faces': len(self.table), 'held_out': len(self.held), 'sha256': self.table.digest()
        }

    def _load(self, args: Namespace) -> str:
        if args.weights is None and not args.random_convolutions:
            raise ModelError(NO_WEIGHTS)
        if args.weights is None:
            return 'random'
        tensors, convolutions = read_weights(args.weights)[0], self.whole.convolutions
        if isinstance(convolutions, GridMeans):
            load_trunk(convolutions.trunk, tensors, args.weights)
        elif isinstance(convolutions, VggConvolutions):
            load_convolutions(convolutions, tensors, args.weights)
        return file_sha256(args.weights)

    def _features(self, table: LabelTable, folder: Path, views: int) -> np.ndarray:
        crops, _ = cached_crops(table, self.recipe.cached_px, folder)
        key = json.dumps([
            table.images, self.convolutions, self.seed, views, self.config.network,
            self.recipe.crop_px, self.recipe.cached_px
        ])
        path = folder / f'features_{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy'
        if not path.is_file():
            part = path.with_name(f'{path.stem}.part{os.getpid()}.npy')
            self._compute(crops, views, part)
            os.replace(part, path)
        return np.load(path, mmap_mode='r')

    def _compute(self, crops: np.ndarray, views: int, path: Path) -> None:
        """Writes (N, views, F) float16: the middle crop first, then random ones."""
        network = nn.Sequential(Normalise(self.whole.config.kind), self.whole.convolutions,
                                nn.Flatten())
        shape = (len(crops), views, self.whole.config.features)
        features = np.lib.format.open_memmap(path, 'w+', np.float16, shape)
        example = torch.zeros(2, self.recipe.crop_px, self.recipe.crop_px, 3, dtype=torch.uint8)
        with exported(network, example) as run:
            for start in tqdm(range(0, len(crops), _FEATURE_BATCH), unit='batch', desc='features',
                              disable=None):
                some = np.array(crops[start:start + _FEATURE_BATCH])
                for view in range(views):
                    features[start:start + len(some), view] = run(self._view(some, view, start))
        features.flush()

    def _view(self, crops: np.ndarray, view: int, start: int) -> np.ndarray:
        if view == 0:
            return np.ascontiguousarray(middle(crops, self.recipe))
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + start) * 64 + view)
        motion = random_crop(generator, len(crops), self.recipe, self.config.mirror)
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
        moved = move_pixels(pixels, motion, self.recipe.crop_px).permute(0, 2, 3, 1)
        return moved.round().to(torch.uint8).numpy()

    def schedule(self, now: Callable[[], tuple[int, float]]) -> ReduceLROnPlateau:
        """The paper's plateau; it does not ask for the time."""
        return plateau(self.optimizer, self.recipe)

    def facts(self) -> Mapping[str, float | int]:
        """Nothing besides."""
        return {}

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """{'age_group': softmax log loss} of a step's batch, one cached view of each face."""
        rows = passing_rows(np.arange(len(self.table)), step * self.recipe.batch,
                            self.recipe.batch, self.seed)
        views = np.random.default_rng([self.seed, step]).integers(self.config.views,
                                                                  size=len(rows))
        features = torch.from_numpy(self.features[rows, views].astype(np.float32))
        with self.recipe.arithmetic():
            logits = network(features)
        return {
            'age_group': F.cross_entropy(logits.float(), torch.from_numpy(self.groups[rows]))
        }

    def validate(self, network: nn.Module, step: int) -> dict[str, float]:
        """Loss, exact and one-off accuracy on the held-out part."""
        logits = network(torch.from_numpy(self.held_features[:, 0].astype(np.float32)))
        loss = F.cross_entropy(logits, torch.from_numpy(self.held_groups))
        return {'loss': float(loss), **accuracy(logits.argmax(1).numpy(), self.held_groups)}

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run."""
        return {
            'system': 'vgg_age', 'network': self.whole.config.to_dict(),
            'convolutions': self.convolutions, 'crop_scale': self.config.crop_scale,
            'config': asdict(self.config), 'data': self.data, 'seed': self.seed
        }

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights file's tensors: convolutions, heads and the ages within each group."""
        return self.whole.state_dict()


def group_of_range(low: float | None, high: float | None) -> int | None:
    """The index of the age group that holds all of low to high; None between two groups."""
    if low is None or high is None:
        return None
    high = min(high, AGE_GROUPS_YEARS[-1][1])
    return next(
        (i for i, (first, last) in enumerate(AGE_GROUPS_YEARS) if first <= low and high <= last),
        None)


def groups_of(table: LabelTable) -> np.ndarray:
    """(N,) group indices of a table in which every face has one."""
    return np.array(
        [group_of_range(*ages) for ages in zip(table.labels['age_low'], table.labels['age_high'])],
        np.int64)


def years_in_group(table: LabelTable) -> Tensor:
    """(8, 101): how the training ages spread within each group, each year counted once more, so
    that none is impossible."""
    rows = torch.zeros(len(AGE_GROUPS_YEARS), 101)
    for row, (low, high) in zip(rows, AGE_GROUPS_YEARS):
        row[low:high + 1] = 1
    years = np.clip(table.labels['age_low'], 0, 100).astype(int)
    for group, year in zip(groups_of(table), years):
        rows[group, year] += 1
    return rows / rows.sum(1, keepdim=True)


def accuracy(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """{'exact', 'one_off'}: shares of faces in their group, and in it or a neighbouring one."""
    distance = np.abs(predicted - true)
    return {'exact': float((distance == 0).mean()), 'one_off': float((distance <= 1).mean())}
