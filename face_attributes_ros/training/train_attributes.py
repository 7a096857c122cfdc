# SPDX-License-Identifier: Apache-2.0
"""Train the multi-task attribute network.

    face-attributes train attributes --config config/attributes_m.yaml --data DIR --full DIR --backgrounds DIR \\
        --cache runs/cache --out runs/m --minutes 95
    face-attributes train attributes ... --resume
    torchrun --nproc-per-node 4 -m face_attributes_ros.training.train_attributes --config ... --data ... --out ...

DIR of `--data` holds `labels.csv` and its zips; of `--full` the larger `<source>_full` packs; of `--backgrounds` a
YOLO-format detection set, from which faceless squares are cut. OUT receives `last.safetensors` (everything needed to go
on), `attributes.safetensors` (the averaged weights with their configuration), `log.csv` and `curve.png`. Progress runs
from 0 to 1 by the larger of its share of `--steps` and of `--minutes`; crop size, learning rate and the calm end follow
it. With `--steps` alone a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
import yaml

from ..errors import DataError, ParameterError
from ..networks.compact import VARIANTS, CompactConfig, CompactNet
from ..networks.heads import decode
from .attribute_augment import AugmentConfig
from .attribute_batches import Batches, plain_batch, source_counts
from .attribute_cache import cached_crops
from .attribute_losses import WEIGHTS, class_weights, head_losses
from .attribute_packs import read_backgrounds, read_full_pack, read_pack
from .attribute_scores import quick_scores
from .attribute_tables import table_of
from .detector_checkpoint import load_tensors, pack_state, save_tensors, unpack_state


@dataclass(frozen=True)
class TrainConfig:
    """A run's settings: `shares` of each batch by source, `sizes` as (progress from which, crop side in pixels)."""

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
    """The `TrainConfig` of plain values; `network` is a variant's letter or a table of its sizes."""
    values = dict(values)
    network = values['network']
    values['network'] = VARIANTS[network] if isinstance(network, str) else CompactConfig.from_dict(network)
    values['sizes'] = tuple((float(start), int(size)) for start, size in values['sizes'])
    values['loss_weights'] = {**WEIGHTS, **values.get('loss_weights', {})}
    augment = dict(values.get('augment', {}))
    if 'shrink_px' in augment:
        augment['shrink_px'] = tuple(augment['shrink_px'])
    values['augment'] = AugmentConfig(**augment)
    return TrainConfig(**values)


def add_arguments(parser):
    """The command line of `train attributes`."""
    parser.add_argument('--config', type=Path, required=True, help='config/attributes_<size>.yaml')
    parser.add_argument('--data', type=Path, required=True, help='folder of labels.csv and its zips')
    parser.add_argument('--full', type=Path, help='folder of <source>_full packs, used in place of the same sources')
    parser.add_argument('--backgrounds', type=Path, help='YOLO-format detection set, for pictures without a face')
    parser.add_argument('--cache', type=Path, help='folder of decoded crops; OUT/cache where not given')
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoints and logs')
    parser.add_argument('--minutes', type=float, default=math.inf, help='wall-clock budget')
    parser.add_argument('--steps', type=int, help='number of optimiser steps')
    parser.add_argument('--resume', action='store_true', help='go on from OUT/last.safetensors')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=0, help='CPU threads; 0 leaves torch its choice')
    parser.add_argument('--checkpoint-minutes', type=float, default=4.0)
    parser.add_argument('--validate-minutes', type=float, default=10.0)
    parser.add_argument('--validate-faces', type=int, default=600, help='from each source of val')


def normalised(pixels):
    """Pixels in 0..1 as the network wants them, -1..1."""
    return pixels * 2 - 1


def training_table(args, config):
    """The table of everything that may be trained on: full packs where they are, else the train split."""
    samples = []
    for source in config.shares:
        if source == 'background':
            samples += read_backgrounds(args.backgrounds, config.backgrounds_per_picture) if args.backgrounds else []
        elif args.full and (args.full / f'{source}_full.csv').is_file():
            samples += read_full_pack(args.full, source)
        else:
            samples += read_pack(args.data, ('train',), (source,))
    return table_of(samples)


def validation_table(args, config):
    """Faces drawn evenly from each source's val split."""
    samples = []
    for source in config.shares:
        found = read_pack(args.data, ('val',), (source,)) if source != 'background' else []
        samples += found[::max(1, len(found) // args.validate_faces)]
    return table_of(samples)


@dataclass
class State:
    """What a run changes as it goes."""

    network: CompactNet
    ema: CompactNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    elapsed_s: float = 0.0


def new_state(config, seed):
    """A fresh network, its average and its optimiser; norms and biases carry no weight decay."""
    torch.manual_seed(seed)
    network = CompactNet(config.network).to(memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{'params': decayed}, {'params': plain, 'weight_decay': 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    return State(network, copy.deepcopy(network).eval(), optimizer)


def learning_rate(progress, config):
    """A linear warm-up, then half a cosine down to a hundredth."""
    if progress < config.warm_up:
        return config.learning_rate * (progress / config.warm_up * 0.95 + 0.05)
    calm = (progress - config.warm_up) / (1 - config.warm_up)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * min(calm, 1))) / 2)


def size_at(progress, config):
    """The crop side of this moment of the run."""
    return [size for start, size in config.sizes if progress >= start][-1]


@torch.no_grad()
def update_average(ema, network, decay, step):
    """Moves the averaged weights and statistics towards the network's; faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    for old, new in zip(ema.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def average_gradients(network):
    """Replaces gradients by their mean over all ranks."""
    flat = torch.nn.utils.parameters_to_vector([p.grad.contiguous() for p in network.parameters()])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    offset = 0
    for parameter in network.parameters():
        parameter.grad.copy_(flat[offset:offset + parameter.numel()].view_as(parameter))
        offset += parameter.numel()


def train_step(state, config, batch, weights):
    """One optimiser step; the loss of each head as a float."""
    pixels, labels = batch
    pixels = normalised(pixels).contiguous(memory_format=torch.channels_last)
    state.network.train()
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=config.bfloat16):
        raw = state.network(pixels)
    losses = head_losses(raw, labels, weights)
    sum(config.loss_weights[name] * loss for name, loss in losses.items()).backward()
    if dist.is_initialized():
        average_gradients(state.network)
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.step += 1
    update_average(state.ema, state.network, config.ema, state.step)
    return {name: float(loss.detach()) for name, loss in losses.items()}


@torch.no_grad()
def validate(network, table, crops, size, bfloat16=False, batch=256):
    """`quick_scores` of a network over a cached table."""
    parts = []
    for start in range(0, len(table), batch):
        pixels = normalised(plain_batch(crops[start:start + batch], size)).contiguous(memory_format=torch.channels_last)
        with torch.autocast('cpu', torch.bfloat16, enabled=bfloat16):
            raw = network(pixels)
        parts.append(decode({name: value.float() for name, value in raw.items()}))
    return quick_scores({name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}, table)


class Run:
    """One training run: its data, state, clock and files."""

    def __init__(self, args, config, rank=0, world=1):
        self.args, self.config, self.rank = args, config, rank
        table, self.val_table = training_table(args, config), validation_table(args, config)
        cache = args.cache or args.out / 'cache'
        crops, native = cached_crops(table, config.cache_px, cache)
        self.val_crops, _ = cached_crops(self.val_table, config.cache_px, cache)
        counts = source_counts(config.shares, config.batch)
        self.batches = Batches(table, crops, native, counts, args.seed, config.augment, rank, world)
        self.weights = class_weights(table.labels['expression'])
        self.state = new_state(config, args.seed)
        self.metadata = {'network': config.network.to_dict(), 'config': args.config.read_text(), 'seed': args.seed,
                         'data': {'faces': len(table), 'sha256': table.digest(), 'batch': counts}}
        self.sums, self.sum_steps, self.size = {}, 0, config.sizes[0][1]

    def progress(self):
        """0 to 1: the larger of the shares of steps and of minutes that are used up."""
        by_steps = self.state.step / self.args.steps if self.args.steps else 0.0
        return min(1.0, max(by_steps, self.state.elapsed_s / (self.args.minutes * 60)))

    def resume(self):
        """Goes on from the last checkpoint. Raises `DataError` where it belongs to other data."""
        tensors, metadata = load_tensors(self.args.out / 'last.safetensors')
        if metadata['data'] != self.metadata['data'] or metadata['network'] != self.metadata['network']:
            raise DataError(f'{self.args.out / "last.safetensors"} was made with another network or other data')
        unpack_state(tensors, self.state.network, self.state.ema, self.state.optimizer)
        self.state.step, self.state.elapsed_s = metadata['step'], metadata['elapsed_s']

    def save(self):
        """Writes both checkpoints; only the first rank does."""
        if self.rank:
            return
        state = self.state
        metadata = {**self.metadata, 'step': state.step, 'elapsed_s': state.elapsed_s, 'size': self.size,
                    'progress': self.progress()}
        save_tensors(self.args.out / 'last.safetensors',
                     pack_state(state.network, state.ema, state.optimizer), metadata)
        save_tensors(self.args.out / 'attributes.safetensors', state.ema.state_dict(), metadata)

    def log(self, scores=None):
        """One row: means of the losses since the last row, and figures on val where they were taken."""
        if self.rank:
            return
        row = {'step': self.state.step, 'progress': self.progress(), 'elapsed_s': self.state.elapsed_s, 'size': self.size}
        row |= {name: value / self.sum_steps for name, value in self.sums.items()} | {
            f'val_{name}': value for name, value in (scores or {}).items()}
        write_row(self.args.out / 'log.csv', {name: f'{value:.5g}' for name, value in row.items()})
        print(' '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)
        self.sums, self.sum_steps = {}, 0

    def validate(self):
        """Figures of the averaged network on val, by the first rank."""
        return None if self.rank else validate(self.state.ema, self.val_table, self.val_crops, self.size,
                                               self.config.bfloat16)

    def step(self):
        """One training step at the size and learning rate of this moment."""
        progress, state = self.progress(), self.state
        self.size = size_at(progress, self.config)
        for group in state.optimizer.param_groups:
            group['lr'] = learning_rate(progress, self.config)
        torch.manual_seed(self.args.seed * 7919 + state.step)  # dropout
        losses = train_step(state, self.config, self.batches.make(state.step, self.size), self.weights)
        self.sums = {name: self.sums.get(name, 0.0) + loss for name, loss in losses.items()}
        self.sum_steps += 1

    def train(self):
        """Steps until the budget is used up, with checkpoints, looks at val and log rows on the way."""
        args, state = self.args, self.state
        started, begun = time.monotonic(), state.elapsed_s
        saved = validated = begun
        while not self.done():
            self.step()
            state.elapsed_s = begun + time.monotonic() - started
            if state.step % 50 == 0 or state.elapsed_s - validated > args.validate_minutes * 60:
                look = state.elapsed_s - validated > args.validate_minutes * 60
                validated = state.elapsed_s if look else validated
                self.log(self.validate() if look else None)
            if state.elapsed_s - saved > args.checkpoint_minutes * 60:
                saved = state.elapsed_s
                self.save()
        self.log(self.validate())
        self.save()

    def done(self):
        """Whether the budget is used up, agreed on by all ranks."""
        flag = torch.tensor(float(self.progress() >= 1))
        if dist.is_initialized():
            dist.broadcast(flag, 0)
        return bool(flag)


def write_row(path, row):
    """Appends a row to a CSV whose header is fixed by `LOG_COLUMNS`."""
    new = not path.is_file()
    with open(path, 'a', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, LOG_COLUMNS, restval='', extrasaction='ignore')
        if new:
            writer.writeheader()
        writer.writerow(row)


LOG_COLUMNS = ('step', 'progress', 'elapsed_s', 'size', *WEIGHTS,
               *(f'val_{name}' for name in ('age_mae', 'age_bin', 'gender_utkface', 'gender_fairface', 'expression',
                                            'expression_balanced', 'smile', 'pose_deg', 'nme')))


def run(args):
    """Trains as the arguments say; the exit status."""
    if args.steps is None and math.isinf(args.minutes):
        raise ParameterError('train attributes: give --minutes, --steps or both; neither was given')
    if args.threads:
        torch.set_num_threads(args.threads)
    config = read_config(args.config)
    args.out.mkdir(parents=True, exist_ok=True)
    world = int(os.environ.get('WORLD_SIZE', '1'))
    if world > 1:
        dist.init_process_group('gloo')
    work = Run(args, config, int(os.environ.get('RANK', '0')), world)
    if args.resume:
        work.resume()
    work.train()
    if world > 1:
        dist.destroy_process_group()
    return 0


if __name__ == '__main__':
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(command)
    sys.exit(run(command.parse_args()))
