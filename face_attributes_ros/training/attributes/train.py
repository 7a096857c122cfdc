# SPDX-License-Identifier: Apache-2.0
"""Train the multi-task attribute network.

    face-attributes train attributes --config config/training/attributes_m.yaml --data DIR --full
    DIR --backgrounds DIR \\
        --cache runs/cache --out runs/m --minutes 95
    face-attributes train attributes ... --resume
    face-attributes train attributes ... --init models/attributes_m.safetensors
    face-attributes train attributes --config config/training/attributes_s.yaml --teacher
    runs/l/attributes.safetensors ... torchrun --nproc-per-node 4 -m
    face_attributes_ros.training.attributes.train --config ... --data ... --out ...

DIR of `--data` holds `labels.csv` and its zips; of `--full` the larger `<source>_full` packs; of
`--backgrounds` a YOLO-format detection set, from which faceless squares are cut. OUT receives
`last.safetensors` (everything needed to go on), `attributes.safetensors` (the averaged weights
with their configuration), `log.csv` and `curve.png`. Progress runs from 0 to 1 by the larger of
its share of `--steps` and of `--minutes`; crop size, learning rate and the calm end follow it.
With `--steps` alone a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.networks.heads import decode
from face_attributes_ros.training.attributes.config import learning_rate, read_config, size_at
from face_attributes_ros.training.attributes.data.batches import (
    Batches,
    balanced_rows,
    plain_batch,
    source_counts,
)
from face_attributes_ros.training.attributes.data.cache import cached_crops
from face_attributes_ros.training.attributes.data.packs import (
    read_backgrounds,
    read_full_pack,
    read_pack,
)
from face_attributes_ros.training.attributes.data.readers import READERS
from face_attributes_ros.training.attributes.data.tables import table_of
from face_attributes_ros.training.attributes.log import write_row
from face_attributes_ros.training.attributes.losses import WEIGHTS, class_weights
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.plots import plot_training
from face_attributes_ros.training.attributes.scores import quick_scores
from face_attributes_ros.training.attributes.step import (
    new_state,
    normalised,
    start_from,
    train_step,
)
from face_attributes_ros.training.common.checkpoint import (
    load_tensors,
    pack_state,
    save_tensors,
    unpack_state,
)
from face_attributes_ros.training.common.precision import bf16_is_native


def add_arguments(parser):
    """The command line of `train attributes`."""
    parser.add_argument('--config', type=Path, required=True, help='config/attributes_<size>.yaml')
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of labels.csv and its zips')
    parser.add_argument('--full', type=Path,
                        help='folder of <source>_full packs, used in place of the same sources')
    parser.add_argument(
        '--folder', action='append', default=[], metavar='SOURCE=DIR', type=source_folder,
        help='a public set in its own layout, for instance celeba=DIR; see attribute_readers')
    parser.add_argument('--backgrounds', type=Path,
                        help='YOLO-format detection set, for pictures without a face')
    parser.add_argument('--cache', type=Path,
                        help='folder of decoded crops; OUT/cache where not given')
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoints and logs')
    parser.add_argument('--init', type=Path,
                        help='averaged weights of the same network to start from')
    parser.add_argument('--teacher', type=Path,
                        help='attributes.safetensors of a larger network to learn from as well')
    parser.add_argument('--minutes', type=float, default=math.inf, help='wall-clock budget')
    parser.add_argument('--steps', type=int, help='number of optimiser steps')
    parser.add_argument('--resume', action='store_true', help='go on from OUT/last.safetensors')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves torch its choice')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda')
    parser.add_argument('--checkpoint-minutes', type=float, default=4.0)
    parser.add_argument('--validate-minutes', type=float, default=10.0)
    parser.add_argument('--validate-faces', type=int, default=600, help='from each source of val')


def source_folder(text):
    """(source, folder) of SOURCE=DIR."""
    source, _, folder = text.partition('=')
    if source not in READERS or not folder:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not SOURCE=DIR with a source of {", ".join(READERS)}')
    return source, Path(folder)


def training_table(args, config):
    """Everything that may be trained on: of each source its own folder, else its full pack, else
    the train split.
    """
    folders, samples = dict(args.folder), []
    for source in config.shares:
        if source in folders:
            samples += READERS[source](folders[source], 'train')
        elif source == 'background':
            samples += read_backgrounds(args.backgrounds,
                                        config.backgrounds_per_picture) if args.backgrounds else []
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


@torch.no_grad()
def validate(network, table, crops, size, bfloat16=False, batch=256):
    """`quick_scores` of a network over a cached table."""
    device, parts = next(network.parameters()).device, []
    for start in range(0, len(table), batch):
        pixels = normalised(plain_batch(crops[start:start + batch], size))
        pixels = pixels.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            raw = network(pixels)
        parts.append(decode({name: value.float().cpu() for name, value in raw.items()}))
    return quick_scores(
        {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}, table)


def choose_device(name, rank):
    """The device of a rank; 'auto' takes a GPU where there is one. Raises `ParameterError` where
    'cuda' finds none.
    """
    if name not in ('auto', 'cpu', 'cuda'):
        raise ParameterError(f'--device is {name!r}, needs auto, cpu or cuda')
    if name == 'cpu' or (name == 'auto' and not torch.cuda.is_available()):
        return torch.device('cpu')
    if not torch.cuda.is_available():
        raise ParameterError('--device is cuda, but torch finds no CUDA device')
    return torch.device('cuda', rank % torch.cuda.device_count())


class Run:
    """One training run: its data, state, clock and files."""

    def __init__(self, args, config, rank=0, world=1):
        self.args, self.rank = args, rank
        device = choose_device(args.device, rank)
        self.config = replace(config, bfloat16=config.bfloat16 and bf16_is_native(device))
        table, self.val_table = training_table(args, config), validation_table(args, config)
        cache = args.cache or args.out / 'cache'
        if rank:
            dist.barrier()  # the first rank decodes for all
        crops, native = cached_crops(table, config.cache_px, cache)
        self.val_crops, _ = cached_crops(self.val_table, config.cache_px, cache)
        if world > 1 and not rank:
            dist.barrier()
        counts = source_counts(config.shares, config.batch)
        pools = {source: balanced_rows(table, source, config.rare_balance) for source in counts}
        self.batches = Batches(table, crops, native, counts, pools, args.seed, config.augment,
                               rank, world)
        self.weights = class_weights(table.labels['expression']).to(device)
        self.state = new_state(config, args.seed, device)
        if args.init:
            start_from(self.state, args.init)
        self.teacher = load_network(args.teacher)[0].to(device) if args.teacher else None
        self.metadata = {'network': config.network.to_dict(), 'config': args.config.read_text(),
                         'seed': args.seed,
                         'data': {'faces': len(table), 'sha256': table.digest(), 'batch': counts}}
        self.sums, self.sum_steps, self.size = {}, 0, config.sizes[0][1]

    def progress(self):
        """0 to 1: the larger of the shares of steps and of minutes that are used up."""
        by_steps = self.state.step / self.args.steps if self.args.steps else 0.0
        return min(1.0, max(by_steps, self.state.elapsed_s / (self.args.minutes * 60)))

    def resume(self):
        """Goes on from the last checkpoint. Raises `DataError` where it belongs to other data."""
        tensors, metadata = load_tensors(self.args.out / 'last.safetensors')
        if metadata['data'] != self.metadata['data'] or metadata['network'] != self.metadata[
                'network']:
            raise DataError(
                f'{self.args.out}/last.safetensors was made with another network or other data')
        unpack_state(tensors, self.state.network, self.state.ema, self.state.optimizer)
        self.state.step, self.state.elapsed_s = metadata['step'], metadata['elapsed_s']

    def save(self):
        """Writes both checkpoints; only the first rank does."""
        if self.rank:
            return
        state = self.state
        metadata = {
            **self.metadata, 'step': state.step, 'elapsed_s': state.elapsed_s, 'size': self.size,
            'progress': self.progress()
        }
        save_tensors(self.args.out / 'last.safetensors',
                     pack_state(state.network, state.ema, state.optimizer), metadata)
        save_tensors(self.args.out / 'attributes.safetensors', state.ema.state_dict(), metadata)

    def log(self, scores=None):
        """One row: means of the losses since the last row, and figures on val where they were
        taken."""
        if self.rank:
            return
        row = {
            'step': self.state.step, 'progress': self.progress(),
            'elapsed_s': self.state.elapsed_s, 'size': self.size
        }
        row |= {name: value / self.sum_steps for name, value in self.sums.items()} | {
            f'val_{name}': value for name, value in (scores or {}).items()}
        write_row(self.args.out / 'log.csv', {name: f'{value:.5g}' for name, value in row.items()})
        print(' '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)
        self.sums, self.sum_steps = {}, 0

    def validate(self):
        """Figures of the averaged network on val, by the first rank."""
        return None if self.rank else validate(self.state.ema, self.val_table, self.val_crops,
                                               self.size, self.config.bfloat16)

    def step(self):
        """One training step at the size and learning rate of this moment."""
        progress, state = self.progress(), self.state
        self.size = size_at(progress, self.config)
        for group in state.optimizer.param_groups:
            group['lr'] = learning_rate(progress, self.config)
        torch.manual_seed(self.args.seed * 7919 + state.step)  # dropout
        losses = train_step(state, self.config, self.batches.make(state.step, self.size),
                            self.weights, self.teacher)
        self.sums = {name: self.sums.get(name, 0.0) + loss for name, loss in losses.items()}
        self.sum_steps += 1

    def train(self):
        """Steps until the budget is used up, with checkpoints, looks at val and log rows on the
        way."""
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
        flag = torch.tensor(float(self.progress() >= 1), device=self.weights.device)
        if dist.is_initialized():
            dist.broadcast(flag, 0)
        return bool(flag)


def run(args):
    """Trains as the arguments say; the exit status."""
    if args.steps is None and math.isinf(args.minutes):
        raise ParameterError(
            'train attributes: give --minutes, --steps or both; neither was given')
    if args.threads:
        torch.set_num_threads(args.threads)
    config = read_config(args.config)
    args.out.mkdir(parents=True, exist_ok=True)
    world = int(os.environ.get('WORLD_SIZE', '1'))
    if world > 1:
        dist.init_process_group('nccl' if choose_device(args.device, 0).type == 'cuda' else 'gloo')
    work = Run(args, config, int(os.environ.get('RANK', '0')), world)
    if args.resume:
        work.resume()
    work.train()
    if not work.rank:
        plot_training(args.out / 'curve.png', args.out / 'log.csv', WEIGHTS)
    if world > 1:
        dist.destroy_process_group()
    return 0


if __name__ == '__main__':
    command = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(command)
    sys.exit(run(command.parse_args()))
