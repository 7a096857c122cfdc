# SPDX-License-Identifier: Apache-2.0
"""Train the YOLOv3 face detector.

    face-attributes train detector --config config/training/detector_tiny.yaml --data DIR \\
        --out OUT --minutes 90
    face-attributes train detector ... --resume
    torchrun --nproc-per-node 4 -m face_attributes_ros.training.detector.train --config ...

DIR is a YOLO-format folder or WIDER FACE (see `data.py`). OUT receives `last.safetensors`
(everything needed to go on), `detector.safetensors` (the averaged weights), `log.csv` and
`curve.png`. Progress runs from 0 to 1 over `--minutes` of wall time or over `--steps`; learning
rate and the calm end follow it. With `--steps` a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from face_attributes_ros.networks.yolov3 import YOLOv3, build_yolov3, start_as_identity
from face_attributes_ros.networks.yolov3_layers import Predictions
from face_attributes_ros.training.common.arguments import (
    add_look_arguments,
    add_run_arguments,
    check_budget,
)
from face_attributes_ros.training.common.checkpoint import load_tensors
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.optimizer import decayed_groups
from face_attributes_ros.training.common.place import ALONE, Place, processes
from face_attributes_ros.training.common.precision import bf16_is_native
from face_attributes_ros.training.common.run import Plan, Run, use_threads
from face_attributes_ros.training.common.schedule import cosine_schedule
from face_attributes_ros.training.detector.batches import Ahead, Batches, PictureBank
from face_attributes_ros.training.detector.config import DetectorConfig
from face_attributes_ros.training.detector.data import data_hash, read_samples
from face_attributes_ros.training.detector.losses import GAINS, OUR_LOSS, DetectionLoss
from face_attributes_ros.training.detector.predict import make_detect, predict, torch_network
from face_attributes_ros.training.detector.score import average_precision, judge

LOSSES = tuple(GAINS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `train detector`."""
    add_run_arguments(parser, 'YOLO-format folder or WIDER FACE')
    add_look_arguments(parser, 7.0)
    parser.add_argument('--init', type=Path,
                        help='safetensors to start from, as far as names and shapes fit')
    parser.add_argument('--ahead', action='store_true',
                        help='make the next batch in a second thread')
    parser.add_argument('--validate-images', type=int, default=130, help='evenly drawn from val')


def run(args: argparse.Namespace) -> int:
    """Trains until the budget is spent; returns the exit status."""
    check_budget(args)
    config = read_config(args.config, DetectorConfig)
    use_threads(args.threads)
    with processes(args.device) as place:
        Run(args, DetectorTask(args, config, place), place).train()
    return 0


class DetectorTask:
    """The detector, its batches, losses and average precision."""

    def __init__(self, args: argparse.Namespace, config: DetectorConfig, place: Place = ALONE):
        self.args, self.config, self.place, self.train = args, config, place, config.train
        self.plan = Plan(
            name='detector', weights=dict.fromkeys(LOSSES, 1.0), columns=(*LOSSES, 'val_ap50'),
            measured='val_ap50', identity=('data_hash', 'seed', 'model'),
            ema_decay=self.train.ema_decay, clip_gradient=self.train.clip_gradient)
        torch.manual_seed(args.seed)
        network: YOLOv3 = build_yolov3(config.model).to(
            memory_format=torch.channels_last)      # type: ignore[call-overload]
        network = network.to(place.device)
        self.network: nn.Module = network.train()
        if args.init:
            take_what_fits(network, args.init, self.train.grown_layers)
        groups = decayed_groups(self.network.parameters(), self.train.weight_decay)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            groups, lr=self.train.learning_rate, betas=(0.9, 0.99), fused=True)
        self.loss, self.loss_of = DetectionLoss(network), self._loss_of()
        self.bf16 = self.train.precision == 'bf16' or (
            self.train.precision == 'auto' and bf16_is_native(place.device))
        self._read_data()

    def _loss_of(self) -> str:
        # Weights of before 0.2 were trained with ultralytics' loss, and so is what goes on from
        # them: their makers' licence may reach it.
        before: Path | None = self.args.init or (self.args.out / 'last.safetensors'
                                                 if self.args.resume else None)
        ours = not before or load_tensors(before)[1].get('loss') == OUR_LOSS
        return OUR_LOSS if ours else f'ultralytics, then {OUR_LOSS}'

    def _read_data(self) -> None:
        samples = read_samples(self.args.data, 'train')
        self.data_hash = data_hash(samples)
        bank = PictureBank(samples, self.train.bank_px, self.train.repeats)
        batches = Batches(bank, self.train, self.config.augment, self.args.seed, self.place.rank,
                          self.place.processes)
        self.batches = Ahead(batches) if self.args.ahead else batches
        held_out = read_samples(self.args.data, 'val')
        every = max(1, len(held_out) // max(1, self.args.validate_images))
        self.held_out = [s for s in held_out[::every] if not s.maybe_unlabelled]

    def schedule(self, now: Callable[[], tuple[int, float]]) -> LRScheduler:
        """Warm-up over steps, then a cosine over progress."""
        return cosine_schedule(self.optimizer, now, self.train.warmup_steps,
                               self.train.final_learning_rate_share)

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """The three parts of the loss."""
        images, targets = self.batches(step, calm=progress > 1 - self.train.calm_share)
        images = images.to(self.place.device).float().div_(255)
        with torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.bf16):
            predictions = network(images)
        in_fp32 = Predictions(*(part.float() for part in predictions))
        size_px = images.shape[2], images.shape[3]
        return self.loss(in_fp32, size_px, targets.to(self.place.device))

    def facts(self) -> Mapping[str, float | int]:
        """Nothing besides."""
        return {}

    def validate(self, network: Any, step: int) -> dict[str, float]:
        """AP@.5 on the held-out images."""
        if not self.held_out:
            return {}
        detect = make_detect(torch_network(network, self.bf16), self.train.input_px)
        return {'ap50': average_precision(judge(predict(detect, self.held_out)))}

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run; `model` builds the network again."""
        return {'model': self.config.model, 'train': asdict(self.train),
                'augment': asdict(self.config.augment), 'seed': self.args.seed,
                'data_hash': self.data_hash, 'loss': self.loss_of}

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights file's tensors."""
        return network.state_dict()


def take_what_fits(network: YOLOv3, path: Path, layers: Mapping[int, int] | None = None) -> int:
    """Copies the tensors of `path` that fit by name and shape; returns how many.

    `layers` maps layer numbers of a smaller network in the file to those of `network`. Shortcut
    blocks that have no counterpart there then start as the identity, so the grown network starts
    with what the smaller one knew.
    """
    found = load_tensors(path)[0]
    if layers is not None:
        found = {_renumbered(name, layers): tensor for name, tensor in found.items()}
        start_as_identity(network, set(layers.values()))
    own = network.state_dict()
    fitting = {k: v for k, v in found.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def _renumbered(name: str, layers: Mapping[int, int]) -> str:
    model, number, rest = name.split('.', 2)
    return f'{model}.{layers.get(int(number), "left_out")}.{rest}'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
