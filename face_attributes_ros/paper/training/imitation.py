# SPDX-License-Identifier: Apache-2.0
"""The all-in-one network's convolutions learn faces before they learn tasks: from what another
network says of them.

The paper starts them from face identification, whose weights are not to be had. Here they learn
to say FaceRes's 1024 numbers (MobileNet v1, taught to know people on VGGFace2) of every face,
labelled or not, each with two linear readers: of the fused taps and of pool6. The readers are
thrown away; `train paper --weights` of the all-in-one network starts from the rest.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.paper.all_in_one import GRID, AllInOneConfig, AllInOneNet
from face_attributes_ros.paper.normalise import Normalise
from face_attributes_ros.paper.training.all_in_one import WHOLE_TRUNK
from face_attributes_ros.paper.training.recipe import (
    PaperConfig,
    kept,
    middle,
    plan,
    random_crop,
    split,
    thinned,
)
from face_attributes_ros.paper.training.sources import read_source
from face_attributes_ros.training.attributes.data.augment import move_pixels
from face_attributes_ros.training.attributes.data.batches import passing_rows
from face_attributes_ros.training.attributes.data.cache import cache_key, cached_crops
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.probe import features
from face_attributes_ros.training.common.schedule import cosine_schedule

NUMBERS = 1024
"""What FaceRes says of a face."""

READERS = {'fused': 256, 'deep': 512}
"""Channels of the two maps that are read, at width 1."""

_WARMUP_STEPS, _FINAL_SHARE, _VALIDATION_BATCH = 200, .01, 64


class Imitator(nn.Module):
    """The convolutions with their two readers: normalised (B, 3, 224, 224) to {'fused', 'deep'}
    (B, 1024)."""

    def __init__(self, config: AllInOneConfig):
        super().__init__()
        self.network = AllInOneNet(config)
        self.network.fc_full, self.network.heads = nn.Sequential(), nn.ModuleDict()
        self.readers = nn.ModuleDict({name: nn.Linear(config.of(channels) * GRID**2, NUMBERS)
                                      for name, channels in READERS.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = dict(zip(READERS, self.network.maps(x)))
        return {name: reader(maps[name].flatten(1)) for name, reader in self.readers.items()}


class ImitationTask:
    """The network, its faces and what FaceRes says of them; `args` as of `train paper`, whose
    `--weights` are FaceRes's."""

    def __init__(self, config: PaperConfig, args: Namespace):
        if args.weights is None:
            raise ModelError('imitation needs the network to imitate: --weights '
                             'faceres.safetensors')
        torch.manual_seed(args.seed)
        self.config, self.recipe, self.seed = config, config.recipe, args.seed
        self.plan = plan(config, dict.fromkeys(READERS, 1.), ('loss', *READERS))
        self.sizes = AllInOneConfig(**config.network)
        self.network: nn.Module = Imitator(self.sizes).to(
            memory_format=torch.channels_last)      # type: ignore[call-overload]
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            self.network.parameters(), self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay)
        self.normalise, self.teacher = Normalise('signed'), file_sha256(args.weights)
        self._read_data(args)

    def _read_data(self, args: Namespace) -> None:
        config = self.config
        samples = [sample for source in config.sources for sample in thinned(
            read_source(args, source, config.crop_scale), config.most_per_source, args.seed)
                   if sample.face]
        if not samples:
            raise DataError(f'no face of {", ".join(config.sources)} in {args.data}')
        self.table, held = split(samples, self.recipe.validation_share)
        self.held = held.subset(kept(len(held), config.validate_most))
        cache = args.cache or args.out / 'cache'
        self.crops, self.said = self._taught(self.table, args.weights, cache)
        self.held_crops, self.held_said = self._taught(self.held, args.weights, cache)
        # Centred on the training faces and divided by one number, so that the squared error of
        # saying nothing is 1.
        part = np.asarray(self.said[::max(1, len(self.said) // 20_000)], np.float32)
        self.mean, self.spread = part.mean(0), float(np.sqrt(part.var(0).mean()) + 1e-6)
        self.data = {'faces': len(self.table), 'held_out': len(self.held),
                     'sha256': self.table.digest(), 'teacher': self.teacher}

    def _taught(self, table: LabelTable, faceres: Path,
                folder: Path) -> tuple[np.ndarray, np.ndarray]:
        """(crops, (N, 1024) float16 of FaceRes), cached."""
        crops, _ = cached_crops(table, self.recipe.cached_px, folder)
        key = f'{cache_key(table, self.recipe.cached_px)}_{self.teacher[:8]}'
        path = folder / f'faceres_numbers_{key}.npy'
        if not path.is_file():
            part = path.with_name(f'{path.stem}.part{os.getpid()}.npy')
            np.save(part, features(faceres, crops))
            os.replace(part, path)
        return crops, np.load(path, mmap_mode='r')

    def schedule(self, now: Callable[[], tuple[int, float]]) -> LambdaLR:
        """A short warm-up, then a cosine over the run."""
        return cosine_schedule(self.optimizer, now, _WARMUP_STEPS, _FINAL_SHARE)

    def facts(self) -> Mapping[str, float | int]:
        """Nothing besides."""
        return {}

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """{reader: unexplained share} of a step's batch, random crops as of the tasks' recipe."""
        batch = self.recipe.batch
        rows = passing_rows(np.arange(len(self.table)), step * batch, batch, self.seed)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        motion = random_crop(generator, batch, self.recipe, self.config.mirror)
        pixels = torch.from_numpy(self.crops[rows]).permute(0, 3, 1, 2).float()
        pixels = move_pixels(pixels, motion, self.recipe.crop_px).permute(0, 2, 3, 1)
        return self._losses(network, pixels, self.said[rows])

    def _losses(self, network: nn.Module, image: Tensor, said: np.ndarray) -> dict[str, Tensor]:
        target = torch.from_numpy((np.asarray(said, np.float32) - self.mean) / self.spread)
        pixels = self.normalise(image).to(memory_format=torch.channels_last)
        with self.recipe.arithmetic():
            answers = network(pixels)
        return {name: (answer.float() - target).square().mean()
                for name, answer in answers.items()}

    def validate(self, network: nn.Module, step: int) -> dict[str, float]:
        """The unexplained share of each reader on held-out faces, and their mean as `loss`."""
        sums, count = dict.fromkeys(READERS, 0.), len(self.held)
        for start in range(0, count, _VALIDATION_BATCH):
            rows = slice(start, min(start + _VALIDATION_BATCH, count))
            image = torch.from_numpy(np.ascontiguousarray(middle(self.held_crops[rows],
                                                                 self.recipe)))
            for name, loss in self._losses(network, image, self.held_said[rows]).items():
                sums[name] += float(loss) * (rows.stop - rows.start)
        shares = {name: total / max(1, count) for name, total in sums.items()}
        return {'loss': sum(shares.values()) / len(shares), **shares}

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run."""
        return {
            'system': 'imitation', 'network': self.sizes.to_dict(),
            'crop_scale': self.config.crop_scale, 'config': asdict(self.config),
            'data': self.data, 'seed': self.seed
        }

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The convolutions only, under the names that the all-in-one network starts from."""
        state = network.state_dict()
        return {name: state[f'network.{key}'].contiguous() for name, key in WHOLE_TRUNK.items()}
