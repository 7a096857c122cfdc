# SPDX-License-Identifier: Apache-2.0
"""Train the YOLOv3 face detector.

    face-attributes train detector --config config/training/detector_tiny.yaml --data DIR --out OUT
    --minutes 90 face-attributes train detector --config config/training/detector_tiny.yaml --data
    DIR --out OUT --minutes 90 --resume torchrun --nproc-per-node 4 -m
    face_attributes_ros.training.detector.train --config ... --data ... --out ...

DIR is a YOLO-format folder or WIDER FACE (see `detector_data`). OUT receives `last.safetensors`
(everything needed to go on), `detector.safetensors` (the averaged weights), `log.csv` and
`curve.png`. Progress runs from 0 to 1 over `--minutes` of wall time or over `--steps`; learning
rate and the calm end follow it. With `--steps` a resumed run equals the uninterrupted one.
"""
from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import yaml
from torch import nn

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.networks.yolov3 import build_yolov3, detection_loss, start_as_identity
from face_attributes_ros.training.common.checkpoint import (
    load_tensors,
    pack_state,
    save_tensors,
    unpack_state,
)
from face_attributes_ros.training.common.precision import bf16_is_native
from face_attributes_ros.training.detector.augment import Augment
from face_attributes_ros.training.detector.batches import Ahead, Batches, PictureBank
from face_attributes_ros.training.detector.data import data_hash, read_samples
from face_attributes_ros.training.detector.plots import plot_training
from face_attributes_ros.training.detector.predict import make_detect, predict, torch_network
from face_attributes_ros.training.detector.score import average_precision, judge

COLUMNS = ('step', 'progress', 'elapsed_s', 'learning_rate', 'box', 'cls', 'dfl', 'val_ap50')


def add_arguments(parser):
    """The command line of `train detector`."""
    parser.add_argument('--config', type=Path, required=True, help='config/detector_<size>.yaml')
    parser.add_argument('--data', type=Path, required=True,
                        help='YOLO-format folder or WIDER FACE')
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoints and logs')
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument('--minutes', type=float, help='wall-clock budget')
    budget.add_argument('--steps', type=int, help='number of optimiser steps')
    parser.add_argument('--resume', action='store_true', help='go on from OUT/last.safetensors')
    parser.add_argument('--init', type=Path,
                        help='safetensors to start from, as far as names and shapes fit')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves torch its choice')
    parser.add_argument('--ahead', action='store_true',
                        help='make the next batch in a second thread')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda')
    parser.add_argument('--checkpoint-minutes', type=float, default=3.0)
    parser.add_argument('--validate-minutes', type=float, default=7.0)
    parser.add_argument('--validate-images', type=int, default=130, help='evenly drawn from val')


def run(args):
    """Trains until the budget is spent; returns the exit status."""
    config = read_config(args.config)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    place = start_processes(args.device)
    try:
        Training(args, config, place).run()
    finally:
        if place.processes > 1:
            dist.destroy_process_group()
    return 0


def read_config(path):
    """The YAML as a dict with the tables `model`, `train` and `augment`."""
    try:
        config = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ParameterError(f'{path} is not a readable YAML file: {error}') from error
    for table in ('model', 'train', 'augment'):
        if table not in config:
            raise ParameterError(f'{path} lacks the table `{table}`')
    return config


@dataclass(frozen=True)
class Place:
    """Where this process stands among those of the run, and its device."""

    rank: int
    processes: int
    device: torch.device


def start_processes(device):
    """This process's `Place`; joins the group that torchrun announced (NCCL on GPUs, gloo
    elsewhere)."""
    if device == 'auto':
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    processes, rank = int(os.environ.get('WORLD_SIZE', 1)), int(os.environ.get('RANK', 0))
    if device == 'cuda':
        device = f'cuda:{os.environ.get("LOCAL_RANK", 0)}'
        torch.cuda.set_device(device)
    if processes > 1:
        dist.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    return Place(rank, processes, torch.device(device))


def learning_rate(train, step, progress):
    """Linear warm-up over steps, then a cosine over progress down to a share of the peak."""
    last = train['final_learning_rate_share']
    cosine = last + (1 - last) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
    return train['learning_rate'] * cosine * min(1.0, (step + 1) / train['warmup_steps'])


def make_optimizer(network, train):
    """AdamW; weight decay on convolution weights only."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{'params': decayed, 'weight_decay': train['weight_decay']},
              {'params': others, 'weight_decay': 0.0}]
    return torch.optim.AdamW(groups, lr=train['learning_rate'], betas=(0.9, 0.99), fused=True)


@torch.no_grad()
def update_average(ema, network, step, decay):
    """Moves the averaged network towards the trained one; early steps count more."""
    share = decay * (1 - math.exp(-(step + 1) / 400))
    for average, value in zip(ema.state_dict().values(), network.state_dict().values()):
        if average.dtype.is_floating_point:
            average.lerp_(value, 1 - share)
        else:
            average.copy_(value)


class Training:
    """One run: its data, network, average, optimiser, clock and log."""

    def __init__(self, args, config, place):
        self.args, self.config, self.place, self.train = args, config, place, config['train']
        torch.manual_seed(args.seed)
        network = build_yolov3(config['model']).to(memory_format=torch.channels_last)
        self.network = network.to(place.device).train()
        if args.init:
            take_what_fits(self.network, args.init, self.train.get('grown_layers'))
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = make_optimizer(self.network, self.train)
        self.loss = detection_loss(self.network)
        self.step, self.elapsed_s, self.metrics = 0, 0.0, {}
        self._read_data()
        args.out.mkdir(parents=True, exist_ok=True)
        if args.resume:
            self._resume()
        alone = place.processes == 1
        self.forward = self.network if alone else nn.parallel.DistributedDataParallel(self.network)
        self.bf16 = self._use_bf16()

    def _read_data(self):
        samples = read_samples(self.args.data, 'train')
        self.data_hash = data_hash(samples)
        bank = PictureBank(samples, self.train.get('bank_px', 416), self.train.get('repeats'))
        self.batches = Batches(bank, self.train, Augment(**self.config['augment']),
                               self.args.seed, self.place.rank, self.place.processes)
        if self.args.ahead:
            self.batches = Ahead(self.batches)
        held_out = read_samples(self.args.data, 'val')
        every = max(1, len(held_out) // max(1, self.args.validate_images))
        self.held_out = [s for s in held_out[::every] if not s.maybe_unlabelled]

    def _use_bf16(self):
        if self.train['precision'] != 'auto':
            return self.train['precision'] == 'bf16'
        return bf16_is_native(self.place.device)

    def _resume(self):
        tensors, metadata = load_tensors(self.args.out / 'last.safetensors')
        if metadata['data_hash'] != self.data_hash or metadata['seed'] != self.args.seed:
            raise DataError(
                f'{self.args.out} was trained on data {metadata["data_hash"][:12]}, seed '
                f'{metadata["seed"]}; this is data {self.data_hash[:12]}, seed {self.args.seed}')
        unpack_state(tensors, self.network, self.ema, self.optimizer)
        self.step, self.elapsed_s = metadata['step'], metadata['elapsed_s']
        self._cut_log()

    def _cut_log(self):
        """Drops log rows of steps after the checkpoint: they are about to be repeated."""
        path = self.args.out / 'log.csv'
        if path.is_file():
            with path.open(newline='') as file:
                rows = [row for row in csv.DictReader(file) if int(row['step']) <= self.step]
            with path.open('w', newline='') as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)

    def progress(self):
        """0 at the start, 1 when the budget is spent; the same on every process."""
        if self.args.steps:
            return self.step / self.args.steps
        share = torch.tensor(self.elapsed_s / (60 * self.args.minutes), device=self.place.device)
        if self.place.processes > 1:
            dist.broadcast(share, 0)
        return float(share)

    def run(self):
        """Steps, logs, validates and saves until progress reaches 1."""
        from tqdm import tqdm
        clock, saved, validated, sums = time.monotonic(), self.elapsed_s, self.elapsed_s, []
        bar = tqdm(total=100, unit='%', disable=None if self.place.rank == 0 else True,
                   file=sys.stderr)
        while (progress := self.progress()) < 1:
            sums.append(self.one_step(progress))
            now = time.monotonic()
            self.elapsed_s, clock = self.elapsed_s + now - clock, now
            bar.update(int(100 * progress) - bar.n)
            if self.place.rank:
                continue
            if self.elapsed_s - validated > 60 * self.args.validate_minutes:
                validated, self.metrics = self.elapsed_s, self.validate()
                self._log(progress, sums)
            elif self.step % 50 == 0:
                self._log(progress, sums)
            if self.elapsed_s - saved > 60 * self.args.checkpoint_minutes:
                saved = self.elapsed_s
                self.save()
        if self.place.rank == 0:
            self.metrics = self.validate()
            if sums:
                self._log(1.0, sums)
            self.save()
            plot_training(self.args.out / 'curve.png', self.args.out / 'log.csv')
        bar.close()

    def one_step(self, progress):
        """One optimiser step; returns the three loss parts (box, cls, dfl)."""
        rate = learning_rate(self.train, self.step, progress)
        for group in self.optimizer.param_groups:
            group['lr'] = rate
        images, targets = self.batches(self.step, calm=progress > 1 - self.train['calm_share'])
        images = images.to(self.place.device).float().div_(255)
        with torch.autocast(self.place.device.type, torch.bfloat16, enabled=self.bf16):
            predictions = self.forward(images)
        predictions = {
            key: [part.float()
                  for part in value] if isinstance(value, list) else value.float()
            for key, value in predictions.items()
        }
        targets = {key: value.to(self.place.device) for key, value in targets.items()}
        parts, _ = self.loss(predictions, targets)
        parts = parts / len(images)      # ultralytics multiplies by the batch
        self.optimizer.zero_grad(set_to_none=True)
        parts.sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.train['clip_gradient'])
        self.optimizer.step()
        update_average(self.ema, self.network, self.step, self.train['ema_decay'])
        self.step += 1
        return parts.detach().cpu()

    def validate(self):
        """AP@.5 of the averaged network on the held-out images."""
        if not self.held_out:
            return {}
        detect = make_detect(torch_network(self.ema, self.bf16), self.train['input_px'])
        results = predict(detect, self.held_out)
        return {'val_ap50': round(average_precision(judge(results)), 4)}

    def _log(self, progress, sums):
        box, cls, dfl = (round(float(value), 4) for value in torch.stack(sums).mean(0))
        sums.clear()
        row = dict(step=self.step, progress=round(progress, 4), elapsed_s=round(self.elapsed_s, 1),
                   box=box, cls=cls, dfl=dfl,
                   learning_rate=f'{self.optimizer.param_groups[0]["lr"]:.3g}', **self.metrics)
        self.metrics = {}
        path = self.args.out / 'log.csv'
        fresh = not path.is_file()
        with path.open('a', newline='') as file:
            writer = csv.DictWriter(file, COLUMNS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def save(self):
        """Writes `last.safetensors` (to go on) and `detector.safetensors` (averaged weights, model
        table)."""
        metadata = {
            'model': self.config['model'], 'train': self.train, 'augment': self.config['augment'],
            'seed': self.args.seed, 'data_hash': self.data_hash, 'step': self.step,
            'elapsed_s': self.elapsed_s
        }
        state = pack_state(self.network, self.ema, self.optimizer)
        save_tensors(self.args.out / 'last.safetensors', state, metadata)
        save_tensors(self.args.out / 'detector.safetensors', self.ema.state_dict(), metadata)


def take_what_fits(network, path, layers=None):
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


def _renumbered(name, layers):
    model, number, rest = name.split('.', 2)
    return f'{model}.{layers.get(int(number), "left_out")}.{rest}'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
