# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a detector under the rounding of its int8 file, until it gives again what it gave in
float.

The teacher is the float network itself, the pictures are training pictures without their labels.
Weights, biases and the ranges of activations are learned. OUT receives what every training run
leaves; `--resume` goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from face_attributes_ros.engines.models import Model
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.run import Plan, Run, use_threads
from face_attributes_ros.training.common.schedule import cosine_schedule
from face_attributes_ros.training.detector.augment import Augment
from face_attributes_ros.training.detector.batches import Batches, PictureBank
from face_attributes_ros.training.detector.config import Recipe
from face_attributes_ros.training.detector.data import data_hash, read_samples
from face_attributes_ros.training.int8.choose import Ingredients, Tries
from face_attributes_ros.training.int8.conv_graph import ConvGraph, rounded_tensors
from face_attributes_ros.training.int8.distillation import LOSSES, cells, distillation
from face_attributes_ros.training.int8.graph import quantise
from face_attributes_ros.training.int8.rooms import letterboxed

LOOKS = 24
"""Val pictures on which the log says how far the network still is from the float one."""


@dataclass(frozen=True)
class Finetuning:
    """One configuration file. `pictures` of the training list, drawn by the seed, are used;
    `range_rate` is the learning rate of the ranges over their width; `floats` is a candidate of
    `choose.candidates`."""

    floats: str
    pictures: int
    train: Recipe
    range_rate: float = .002
    loss_weights: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LOSSES, 1.))
    augment: Augment = field(default_factory=Augment)


class FinetuneTask:
    """A detector's convolutions under rounding, taught by themselves in float."""

    def __init__(self, given: Ingredients, kept: Sequence[str], config: Finetuning,
                 args: argparse.Namespace, input_px: int):
        self.config, self.train, self.seed = config, config.train, args.seed
        self.made_from = given.note['int8_made_from']
        self.plan = Plan(
            name='int8', weights=config.loss_weights, measured='val_score',
            columns=(*LOSSES, *(f'val_{name}' for name in LOSSES)),
            identity=('data_hash', 'seed', 'made_from', 'config'),
            ema_decay=self.train.ema_decay, clip_gradient=self.train.clip_gradient)
        graph = under_rounding(given, kept)
        self.network: nn.Module = graph
        self.teacher = ConvGraph(given.source).requires_grad_(False)
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            self._groups(graph), lr=self.train.learning_rate, betas=(.9, .99))
        self._read_data(args.data, input_px)

    def _groups(self, graph: ConvGraph) -> list[dict[str, Any]]:
        ranges = graph.range_parameters()
        width = float(torch.stack([one.detach().abs() for one in ranges]).mean())
        return [{'params': list(graph.parameters_)},
                {'params': ranges, 'lr': self.config.range_rate * width}]

    def _read_data(self, data: Path, input_px: int) -> None:
        every = read_samples(data, 'train')
        order = np.random.default_rng(self.seed).permutation(len(every))[:self.config.pictures]
        samples = [every[index] for index in sorted(order)]
        self.data_hash = data_hash(samples)
        looks = read_samples(data, 'val')
        self.looks = [_pixels(torch.from_numpy(look)) for look in letterboxed(
            looks[::max(1, len(looks) // LOOKS)], input_px)]
        bank = PictureBank(samples, self.train.bank_px, self.train.repeats)
        self.batches = Batches(bank, self.train, self.config.augment, self.seed)

    def schedule(self, now: Callable[[], tuple[int, float]]) -> LRScheduler:
        """Warm-up over steps, then a cosine over progress."""
        return cosine_schedule(self.optimizer, now, self.train.warmup_steps,
                               self.train.final_learning_rate_share)

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """How far the rounded network is from the float one on the step's pictures."""
        images, _ = self.batches(step, calm=progress > 1 - self.train.calm_share)
        return self._apart(network, images.flip(1).float())      # RGB to the file's BGR

    def _apart(self, network: nn.Module, pixels: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            wanted = cells(self.teacher(pixels))
        return distillation(cells(network(pixels)), wanted)

    def facts(self) -> Mapping[str, float | int]:
        """Nothing besides."""
        return {}

    def validate(self, network: nn.Module, step: int) -> dict[str, float]:
        """The losses on val pictures, as the detector sees them."""
        found = [self._apart(network, pixels) for pixels in self.looks]
        return {name: float(torch.stack([one[name] for one in found]).mean()) for name in LOSSES}

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run."""
        return {'made_from': self.made_from, 'config': asdict(self.config), 'seed': self.seed,
                'data_hash': self.data_hash}

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights file's tensors."""
        return network.state_dict()


def under_rounding(given: Ingredients, kept: Sequence[str]) -> ConvGraph:
    """The network as its int8 file computes, `kept` in float."""
    quantised = quantise(given.source, given.ranges, given.batches[0], kept)
    return ConvGraph(given.source, rounded_tensors(quantised), given.ranges, kept)


def _pixels(batch: Tensor) -> Tensor:
    return batch.permute(0, 3, 1, 2).float()


def fine_tuned(given: Ingredients, names: Mapping[str, Sequence[str]], *,
               args: argparse.Namespace, model: Model) -> Tries:
    """The configuration's candidate with weights and ranges that were fine-tuned for
    `args.finetune` minutes. Raises `ParameterError` for what is no detector."""
    if model.task != 'detector':
        raise ParameterError(f'--finetune is for detectors, {model.name} is for {model.task}')
    config = read_config(args.config, Finetuning)
    if config.floats not in names:
        raise ParameterError(f'{args.config}: floats is {config.floats!r}, needs one of '
                             f'{", ".join(names)}')
    use_threads(args.threads)
    kept = names[config.floats]
    run = Run(_budget(args), FinetuneTask(given, kept, config, args, model.input_px))
    run.train()
    learned = cast(ConvGraph, run.trained())
    about = {**given.note, 'steps': run.step_number, 'finetuning': asdict(config)}
    own = given._replace(source=learned.put_into(given.source), ranges=learned.ranges(),
                         note=about)
    return {f'fine-tuned, {config.floats}': (own, kept)}


def _budget(args: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**vars(args) | {
        'minutes': args.finetune, 'steps': 0, 'checkpoint_minutes': 2., 'validate_minutes': 4.})
