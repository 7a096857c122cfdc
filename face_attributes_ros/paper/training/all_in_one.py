# SPDX-License-Identifier: Apache-2.0
"""What the all-in-one network learns from the packs, and how well it does on the part held out."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import ModelError
from face_attributes_ros.paper.aflw import FROM_68
from face_attributes_ros.paper.all_in_one import AllInOneConfig, AllInOneNet
from face_attributes_ros.paper.normalise import Normalise
from face_attributes_ros.paper.training.losses import WEIGHTS, age_weight, all_in_one_losses
from face_attributes_ros.paper.training.recipe import (
    PaperConfig,
    Recipe,
    descent,
    kept,
    middle,
    plan,
    plateau,
    random_crop,
    split,
    thinned,
)
from face_attributes_ros.paper.training.sources import read_source
from face_attributes_ros.training.attributes.data.augment import move_labels, move_pixels
from face_attributes_ros.training.attributes.data.batches import passing_rows, source_counts
from face_attributes_ros.training.attributes.data.cache import cached_crops
from face_attributes_ros.training.attributes.data.tables import LabelTable, Sample
from face_attributes_ros.weights import read_weights

FIGURES = ('loss', 'age_mae', 'gender', 'smile', 'face', 'pose_deg', 'landmarks_nme')
_VALIDATION_BATCH = 32


class AllInOneTask:
    """The network, its mixed batches and its figures; `args` as of `train paper`."""

    def __init__(self, config: PaperConfig, args: Namespace):
        torch.manual_seed(args.seed)
        self.config, self.recipe, self.seed = config, config.recipe, args.seed
        self.plan = plan(config, WEIGHTS, FIGURES)
        self.sizes = AllInOneConfig(**config.network)
        self.network: nn.Module = AllInOneNet(self.sizes)
        self.started_from = start_trunk(self.network, args.weights) if args.weights else None
        self.optimizer = descent(self.network, self.recipe)
        self.normalise = Normalise('signed')
        self.table, held = split(_samples(config, args), config.recipe.validation_share)
        self.held = held.subset(kept(len(held), config.validate_most))
        cache = args.cache or args.out / 'cache'
        self.crops, _ = cached_crops(self.table, config.recipe.cached_px, cache)
        self.held_crops, _ = cached_crops(self.held, config.recipe.cached_px, cache)
        self.counts = source_counts({name: share for name, share in config.shares.items()
                                     if len(self.table.rows_of(name))}, config.recipe.batch)
        self.data = {
            'faces': len(self.table), 'held_out': len(self.held), 'sha256': self.table.digest(),
            'batch': self.counts
        }

    def schedule(self, now: Callable[[], tuple[int, float]]) -> ReduceLROnPlateau:
        """The paper's plateau; it does not ask for the time."""
        return plateau(self.optimizer, self.recipe)

    def facts(self) -> Mapping[str, float | int]:
        """Nothing besides."""
        return {}

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """{head: scalar} of a step's batch, random crops of 224 of 256."""
        rows = np.concatenate([
            passing_rows(self.table.rows_of(name), step * count, count, self.seed + 1000 * number)
            for number, (name, count) in enumerate(self.counts.items())
        ])
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        motion = random_crop(generator, len(rows), self.recipe, self.config.mirror)
        pixels = torch.from_numpy(self.crops[rows]).permute(0, 3, 1, 2).float()
        pixels = move_pixels(pixels, motion, self.recipe.crop_px)
        labels = move_labels(_labels(self.table, rows), motion)
        return self._losses(pixels.permute(0, 2, 3, 1), labels, network, self._lambda(step))

    def _lambda(self, step: int) -> float:
        age = self.config.age
        return age_weight(step, age.get('switch', 20_000), age.get('ramp', False))

    def _losses(self, image: Tensor, labels: dict[str, Tensor], network: nn.Module,
                lam: float) -> dict[str, Tensor]:
        with self.recipe.arithmetic():
            raw = network(self.normalise(image))
        raw = {name: value.float() for name, value in raw.items()}
        least = 3. if self.config.age.get('ramp', False) else 0.
        return all_in_one_losses(raw, with_points(labels), lam, least)

    def validate(self, network: nn.Module, step: int) -> dict[str, float]:
        """Figures on the held-out part; `loss` is what the learning rate follows."""
        raw = self._answers(network)
        rows = np.arange(len(self.held))
        labels = with_points(middle_labels(_labels(self.held, rows), self.recipe))
        losses = all_in_one_losses({name: torch.from_numpy(v) for name, v in raw.items()}, labels,
                                   self._lambda(step))
        total = sum(WEIGHTS[name] * float(loss) for name, loss in losses.items())
        return {'loss': total,
                **figures(raw, {name: column.numpy() for name, column in labels.items()})}

    def _answers(self, network: nn.Module) -> dict[str, np.ndarray]:
        parts, count = [], max(1, -(-len(self.held) // _VALIDATION_BATCH))
        for some in np.array_split(np.arange(len(self.held)), count):
            image = torch.from_numpy(
                np.ascontiguousarray(middle(self.held_crops[some], self.recipe)))
            parts.append(network(self.normalise(image)))
        return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run."""
        return {
            'system': 'all_in_one', 'network': self.sizes.to_dict(),
            'crop_scale': self.config.crop_scale, 'started_from': self.started_from,
            'config': asdict(self.config), 'data': self.data, 'seed': self.seed
        }

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights file's tensors."""
        return network.state_dict()


TRUNK = ('conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'conv6')
FUSION = ('conv1a', 'conv3a', 'conv_all')
"""What a trunk's file may hold besides, as may be the slopes of every PReLU: `train paper` of the
system `imitation` writes all of it."""


def trunk_names(layers: Sequence[str], parts: Sequence[str]) -> dict[str, str]:
    """{name in a trunk's file: name in the network's state} of some layers' `weight`, `bias`
    (convolution) and `slope` (PReLU)."""
    own = {'weight': '0.weight', 'bias': '0.bias', 'slope': '1.weight'}
    return {f'{layer}.{part}': f'{layer}.{own[part]}' for layer in layers for part in parts}


REQUIRED = trunk_names(TRUNK, ('weight', 'bias'))
WHOLE_TRUNK = trunk_names((*TRUNK, *FUSION), ('weight', 'bias', 'slope'))


def start_trunk(network: nn.Module, path: Path) -> str:
    """Starts the trunk from a user's face-identification network (`conv1.weight`, `conv1.bias`,
    ... `conv6.bias`), and whatever else of WHOLE_TRUNK the file holds.

    Returns the file's SHA-256. Raises ModelError where a layer is missing or has another shape.
    """
    tensors, _ = read_weights(path)
    own, state = network.state_dict(), {}
    for name, key in WHOLE_TRUNK.items():
        found = tensors.get(name)
        if found is None and name not in REQUIRED:
            continue
        if found is None or found.shape != own[key].shape:
            raise ModelError(
                f'{path}: {name} is {"missing" if found is None else tuple(found.shape)}, '
                f'needs {tuple(own[key].shape)}')
        state[key] = found.float()
    network.load_state_dict(state, strict=False)
    return file_sha256(path)


def _samples(config: PaperConfig, args: Namespace) -> list[Sample]:
    found: list[Sample] = []
    for source in config.shares:
        some = read_source(args, source, config.crop_scale)
        found += thinned(some, config.most_per_source, args.seed)
    return found


def _labels(table: LabelTable, rows: np.ndarray) -> dict[str, Tensor]:
    return {name: torch.from_numpy(column[rows]) for name, column in table.labels.items()}


def middle_labels(labels: dict[str, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """Labels after the middle crop: landmarks in fractions of it."""
    points = (labels['landmarks'] - .5) * (recipe.rescale_px / recipe.crop_px) + .5
    return {**labels, 'landmarks': points}


def with_points(labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Labels with `points` (B, 21, 2) from the crop's centre, and `visibility`: a labelled point
    counts as visible, as in AFLW, where only visible points are marked. Ears, which our sets do
    not have, are NaN in both."""
    columns = [
        labels['landmarks'][:, list(some)].mean(1) if some else torch.full(
            (len(labels['face']), 2), torch.nan) for some in FROM_68
    ]
    points = torch.stack(columns, 1) - .5
    return {**labels, 'points': points, 'visibility': points[..., 0] * 0 + 1}


def figures(raw: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> dict[str, float]:
    """{name: figure} over the rows that have the label: years, shares of hits, degrees, eye
    distances."""
    found = {}
    exact = labels['age_low'] == labels['age_high']
    if exact.any():
        found['age_mae'] = np.abs(raw['age'][exact, 0] - labels['age_low'][exact]).mean()
    for name, column in (('gender', 'p_female'), ('smile', 'smile'), ('face', 'face')):
        known = ~np.isnan(labels[column])
        if known.any():
            found[name] = (raw[name][known].argmax(1) == (labels[column][known] > .5)).mean()
    known = ~np.isnan(labels['pose'][:, 0])
    if known.any():
        found['pose_deg'] = np.degrees(np.abs(raw['pose'][known] - labels['pose'][known])).mean()
    known = ~np.isnan(labels['points'][:, 7, 0])
    if known.any():
        true, seen = labels['points'][known], raw['landmarks'].reshape(-1, 21, 2)[known]
        eyes = np.linalg.norm(true[:, 7] - true[:, 10], axis=1)
        found['landmarks_nme'] = np.nanmean(np.linalg.norm(seen - true, axis=2) / eyes[:, None])
    return {name: float(value) for name, value in found.items()}
