# SPDX-License-Identifier: Apache-2.0
"""Train one of the paper's systems by its recipe (section 6.2).

    face-attributes train paper --config config/training/paper_all_in_one.yaml --data DIR --regions
    DIR --out runs/aio --minutes 60 face-attributes train paper --config
    config/training/paper_vgg_age.yaml --data DIR --out runs/vgg --steps 2000 \\
        --weights vgg_face.safetensors
    face-attributes train paper ... --resume

DIR of `--data` holds `labels.csv` and its zips, of `--regions` a YOLO-format detection set. OUT
receives `last.safetensors` (everything needed to go on), `<system>.safetensors` (for
`attributes.model`), `log.csv`, `curve.png` and `result.json`. A resumed run equals the
uninterrupted one where `--steps` is the budget.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.paper.training.plots import plot_training
from face_attributes_ros.paper.training.recipe import read_config
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.training.common.checkpoint import (
    load_tensors,
    pack_state,
    save_tensors,
    unpack_state,
)

RATE_FLOOR = 1e-6


def add_arguments(parser):
    """The command line of `train paper`."""
    parser.add_argument('--config', type=Path, required=True, help='config/paper_<system>.yaml')
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of labels.csv and its zips')
    parser.add_argument('--regions', type=Path,
                        help='YOLO-format detection set, for face and not-face')
    parser.add_argument(
        '--weights', type=Path, help='safetensors of convolutions: VGG\'s (needed by vgg_age), or '
        'a face-identification trunk for all_in_one')
    parser.add_argument('--random-convolutions', action='store_true',
                        help='rehearse vgg_age without --weights')
    parser.add_argument('--cache', type=Path,
                        help='folder of decoded crops and features; OUT/cache where not given')
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoints and logs')
    parser.add_argument('--minutes', type=float, default=math.inf, help='wall-clock budget')
    parser.add_argument('--steps', type=int, help='number of optimiser steps')
    parser.add_argument('--resume', action='store_true', help='go on from OUT/last.safetensors')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves torch its choice')
    parser.add_argument('--most-per-source', type=int,
                        help='faces of each source, in place of the configuration\'s')
    parser.add_argument('--validate-every', type=int,
                        help='steps, in place of the configuration\'s')
    parser.add_argument('--results', type=Path,
                        help='JSON of figures to enter the run into (bench/results/paper.json)')


def run(args):
    """Trains as the arguments say; returns the exit status."""
    if args.steps is None and math.isinf(args.minutes):
        raise ParameterError('train paper: give --minutes, --steps or both; neither was given')
    if args.threads:
        torch.set_num_threads(args.threads)
    config = overridden(read_config(args.config), args)
    args.out.mkdir(parents=True, exist_ok=True)
    work = Run(args, config, open_task(config, args))
    if args.resume:
        work.resume()
    work.train()
    return 0


def overridden(config, args):
    """The configuration with what the command line says in place of it."""
    if args.most_per_source is not None:
        config = replace(config, most_per_source=args.most_per_source)
    if args.validate_every is not None:
        config = replace(config, recipe=replace(config.recipe, validate_every=args.validate_every))
    return config


def open_task(config, args):
    """The system that a configuration names, with its data."""
    if config.system == 'vgg_age':
        from face_attributes_ros.paper.training.vgg_age import VggAgeTask
        return VggAgeTask(config, args)
    from face_attributes_ros.paper.training.all_in_one import AllInOneTask
    return AllInOneTask(config, args)


class Run:
    """One training run: a task, its optimiser, clock and files."""

    def __init__(self, args, config, task):
        self.args, self.config, self.task, recipe = args, config, task, config.recipe
        self.optimizer = torch.optim.SGD(task.network.parameters(), lr=recipe.learning_rate,
                                         momentum=recipe.momentum,
                                         weight_decay=recipe.weight_decay)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, factor=.1,
                                                                  patience=recipe.patience,
                                                                  min_lr=RATE_FLOOR)
        self.step_number, self.elapsed_s, self.sums, self.figures = 0, 0., {}, {}
        self.started = time.monotonic()

    def train(self):
        """Steps until the budget is used up; validation, log and checkpoint every `validate_every`
        steps and at the end."""
        while not self.done():
            self.step()
            if self.step_number % self.config.recipe.validate_every == 0:
                self.look()
        if self.sums or not self.figures:
            self.look()
        self.finish()

    def done(self):
        """Whether the steps or the minutes are used up."""
        by_steps = self.args.steps is not None and self.step_number >= self.args.steps
        return by_steps or self.clock() >= 60 * self.args.minutes

    def clock(self):
        """Seconds of training so far, those before a resume included."""
        return self.elapsed_s + time.monotonic() - self.started

    def step(self):
        """One step of stochastic gradient descent on the weighted sum of the losses."""
        torch.manual_seed(self.args.seed * 7919 + self.step_number)  # dropout
        self.task.network.train()
        losses = self.task.losses(self.step_number)
        total = sum(self.task.weights[name] * loss for name, loss in losses.items())
        total.backward()
        if self.config.recipe.clip_gradient:
            nn.utils.clip_grad_norm_(self.task.network.parameters(),
                                     self.config.recipe.clip_gradient)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step_number += 1
        for name, loss in {'train_loss': total, **losses}.items():
            self.sums.setdefault(name, []).append(float(loss.detach()))

    def look(self):
        """Figures on the held-out part, one row of the log, the learning rate's answer, a
        checkpoint."""
        self.task.network.eval()
        self.figures = self.task.validate(self.step_number)
        rate = self.optimizer.param_groups[0]['lr']
        row = {'step': self.step_number, 'elapsed_s': self.clock(), 'learning_rate': rate}
        row |= {name: sum(values) / len(values) for name, values in self.sums.items()}
        row |= {f'val_{name}': value for name, value in self.figures.items()}
        self.write_row({name: f'{value:.5g}' for name, value in row.items()})
        print(' '.join(f'{name} {value:.4g}' for name, value in row.items()), flush=True)
        self.sums = {}
        self.plateau.step(self.figures['loss'])
        self.save()

    def write_row(self, row):
        """Appends a row to OUT/log.csv."""
        path = self.args.out / 'log.csv'
        columns = ['step', 'elapsed_s', 'learning_rate', 'train_loss', *self.task.weights,
                   *(f'val_{name}' for name in self.figures)]
        new = not path.is_file()
        with path.open('a', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, columns, restval='')
            if new:
                writer.writeheader()
            writer.writerow(row)

    def about(self):
        """What both files say of the run."""
        return {
            **self.task.metadata(), 'config': asdict(self.config), 'data': self.task.data,
            'seed': self.args.seed, 'step': self.step_number, 'elapsed_s': self.clock(),
            'figures': self.figures
        }

    def save(self):
        """Writes the checkpoint: network, momentum, learning rate and its history."""
        metadata = {
            **self.about(), 'rate': self.optimizer.param_groups[0]['lr'],
            'plateau': self.plateau.state_dict()
        }
        tensors = pack_state(self.task.network, nn.Module(), self.optimizer)
        save_tensors(self.args.out / 'last.safetensors', tensors, metadata)

    def resume(self):
        """Goes on from the last checkpoint. Raises `DataError` where it belongs to other data or
        another network."""
        path = self.args.out / 'last.safetensors'
        tensors, metadata = load_tensors(path)
        if any(metadata[name] != self.about()[name]
               for name in ('system', 'network', 'data', 'seed')):
            raise DataError(f'{path} was made with another network, seed or other data')
        unpack_state(tensors, self.task.network, nn.Module(), self.optimizer)
        self.plateau.load_state_dict(metadata['plateau'])
        self.optimizer.param_groups[0]['lr'] = metadata['rate']
        self.step_number, self.elapsed_s, self.figures = metadata['step'], metadata[
            'elapsed_s'], metadata['figures']

    def finish(self):
        """The weights file, the curve and the figures."""
        out, about = self.args.out, self.about()
        save_tensors(out / f'{self.config.system}.safetensors', self.task.tensors(), about)
        plot_training(out / 'curve.png', out / 'log.csv')
        kept = ('system', 'network', 'data', 'step', 'elapsed_s', 'figures', 'convolutions')
        result = {name: about[name] for name in kept if name in about}
        (out / 'result.json').write_text(json.dumps(result, indent=1) + '\n')
        if self.args.results:
            record(self.args.results, f'train {self.args.config.stem}', result)


if __name__ == '__main__':
    command = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(command)
    sys.exit(run(command.parse_args()))
