# SPDX-License-Identifier: Apache-2.0
"""One training run, whatever the network: steps, average, schedule, checkpoint, log and curve.

A `Task` says what is trained and on what; `Run` does the rest. Progress runs from 0 to 1 by the
larger of the shares of `--steps` and of `--minutes` that are used up. Everything random comes from
(seed, step), so with `--steps` alone a resumed run equals the uninterrupted one bit by bit. With
several processes (torchrun) gradients are averaged by DistributedDataParallel; the first process
validates, logs and saves.

OUT receives `last.safetensors` (everything needed to go on), `NAME.safetensors` (the weights,
averaged where the task averages, with their metadata), `log.csv` and `curve.png`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.common.average import averaged
from face_attributes_ros.training.common.checkpoint import (
    load_tensors,
    pack_state,
    save_tensors,
    unpack_state,
)
from face_attributes_ros.training.common.log import Log
from face_attributes_ros.training.common.place import ALONE, Place
from face_attributes_ros.training.common.plots import plot_training

LOG_STEPS = 50
RUN_COLUMNS = ('step', 'progress', 'elapsed_s', 'learning_rate', 'train_loss')


@dataclass(frozen=True)
class Plan:
    """What a run has to know of its task beforehand."""

    name: str
    """Of the weights file."""
    weights: Mapping[str, float]
    """Of the losses in their sum."""
    columns: Sequence[str]
    """Of the log, behind `RUN_COLUMNS`: facts, losses and `val_` figures."""
    measured: str
    """The column that the curve shows beside the losses."""
    identity: Sequence[str]
    """Metadata that must not differ when a run is resumed."""
    ema_decay: float
    """Of the averaged weights; 0 for none."""
    clip_gradient: float
    """The largest norm of all gradients; 0 for none."""
    validate_every: int = 0
    """Steps between looks at val, besides those by time; 0 for none."""
    freezes: bool = False
    """Whether parameters may be without gradient in some steps."""


class Task(Protocol):
    """What a run trains."""

    plan: Plan
    network: nn.Module
    optimizer: torch.optim.Optimizer

    def schedule(self, now: Callable[[], tuple[int, float]]) -> LRScheduler | ReduceLROnPlateau:
        """The scheduler of `optimizer`; `now` gives step and progress."""

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """{name: scalar} of a step's batch, through `network`."""

    def facts(self) -> Mapping[str, float | int]:
        """What else the log says of the step just done."""

    def validate(self, network: nn.Module, step: int) -> dict[str, float]:
        """Figures on held-out data; a plateau follows `loss`."""

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run, fit for JSON."""

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights file's tensors."""


class Run:
    """A task on its way: step, clock, average, schedule, log and files."""

    def __init__(self, args: argparse.Namespace, task: Task, place: Place = ALONE):
        self.args, self.task, self.place = args, task, place
        self.step_number, self.elapsed_s = 0, 0.0
        self.figures: dict[str, float] = {}
        self.sums: list[Tensor] = []
        self.loss_names: list[str] = []
        self.average = averaged(task.network, task.plan.ema_decay) if task.plan.ema_decay else None
        self.log = Log(args.out / 'log.csv', [*RUN_COLUMNS, *task.plan.columns])
        args.out.mkdir(parents=True, exist_ok=True)
        found = self._resume() if args.resume else {}
        self.progress = self._progress()
        self.schedule = task.schedule(lambda: (self.step_number, self.progress))
        if isinstance(self.schedule, ReduceLROnPlateau) and 'plateau' in found:
            self.schedule.load_state_dict(found['plateau'])
            task.optimizer.param_groups[0]['lr'] = found['rate']
        self.forward = task.network if place.processes == 1 else DistributedDataParallel(
            task.network, find_unused_parameters=task.plan.freezes)
        self.clock = time.monotonic()
        self.saved_s = self.looked_s = self.elapsed_s

    def train(self) -> None:
        """Steps until the budget is used up, with looks at val, log rows and checkpoints on the
        way; then the files and the curve."""
        while self.progress < 1:
            self.step()
            if not self.place.first:
                continue
            if self.progress >= 1 or self._look_is_due():
                self.look()
            elif self.step_number % LOG_STEPS == 0:
                self.log_row()
            if self.elapsed_s - self.saved_s > 60 * self.args.checkpoint_minutes:
                self.save()
        if self.place.first:
            self.save()
            plot_training(self.args.out / 'curve.png', self.log.path,
                          ['train_loss', *self.task.plan.weights], self.task.plan.measured)

    def step(self) -> None:
        """One optimiser step on the weighted sum of the losses."""
        task = self.task
        torch.manual_seed(self.args.seed * 7919 + self.step_number)      # dropout
        task.network.train()
        losses = task.losses(self.forward, self.step_number, self.progress)
        total = torch.stack([task.plan.weights[name] * loss
                             for name, loss in losses.items()]).sum()
        task.optimizer.zero_grad()
        total.backward()
        if task.plan.clip_gradient:
            nn.utils.clip_grad_norm_(task.network.parameters(), task.plan.clip_gradient)
        task.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(task.network)
        self.loss_names = ['train_loss', *losses]
        if self.place.first:
            self.sums.append(torch.stack([total, *losses.values()]).detach())
        self._count()

    def _count(self) -> None:
        now = time.monotonic()
        self.elapsed_s, self.clock = self.elapsed_s + now - self.clock, now
        self.step_number += 1
        self.progress = self._progress()
        if not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()

    def _progress(self) -> float:
        by_steps = self.step_number / self.args.steps if self.args.steps else 0.0
        share = max(by_steps, self.elapsed_s / (60 * self.args.minutes))
        return self.place.agreed(min(1.0, share))

    def _look_is_due(self) -> bool:
        every = self.task.plan.validate_every
        by_time = self.elapsed_s - self.looked_s > 60 * self.args.validate_minutes
        return by_time or bool(every and self.step_number % every == 0)

    def trained(self) -> nn.Module:
        """The network that is validated and kept: the average where there is one."""
        return self.task.network if self.average is None else self.average.module

    def look(self) -> None:
        """Figures on val, with their row of the log; a plateau's answer to them."""
        network = self.trained().eval()
        with torch.no_grad():
            self.figures = self.task.validate(network, self.step_number)
        self.looked_s = self.elapsed_s
        self.log_row({f'val_{name}': value for name, value in self.figures.items()})
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(self.figures['loss'])

    def log_row(self, figures: Mapping[str, float] | None = None) -> None:
        """One row: means of the losses since the last one, and figures where they were taken."""
        row = {'step': self.step_number, 'progress': self.progress, 'elapsed_s': self.elapsed_s,
               'learning_rate': float(self.task.optimizer.param_groups[0]['lr']),
               **self.task.facts()}
        if self.sums:
            means = torch.stack(self.sums).mean(0).tolist()
            row |= dict(zip(self.loss_names, means, strict=True))
        self.sums = []
        self.log.add(row | dict(figures or {}))

    def about(self) -> dict[str, Any]:
        """What both files say of the run."""
        return {**self.task.metadata(), 'step': self.step_number, 'elapsed_s': self.elapsed_s,
                'progress': self.progress, 'figures': self.figures}

    def save(self) -> None:
        """Writes the checkpoint and the weights."""
        about, out = self.about(), self.args.out
        state = pack_state(self.task.network, self._kept_average(), self.task.optimizer)
        going_on: dict[str, Any] = {}
        if isinstance(self.schedule, ReduceLROnPlateau):
            rate = self.task.optimizer.param_groups[0]['lr']
            going_on = {'rate': rate, 'plateau': self.schedule.state_dict()}
        save_tensors(out / 'last.safetensors', state, about | going_on)
        save_tensors(out / f'{self.task.plan.name}.safetensors', self.task.tensors(self.trained()),
                     about)
        self.saved_s = self.elapsed_s

    def _kept_average(self) -> nn.Module:
        return nn.Module() if self.average is None else self.average.module

    def _resume(self) -> dict[str, Any]:
        """Goes on from the last checkpoint; returns its metadata. Raises `DataError` where it
        belongs to other data, another seed or another network."""
        path = self.args.out / 'last.safetensors'
        tensors, found = load_tensors(path)
        check_same(path, found, self.task.metadata(), self.task.plan.identity)
        unpack_state(tensors, self.task.network, self._kept_average(), self.task.optimizer)
        self.step_number, self.elapsed_s = found['step'], found['elapsed_s']
        self.figures = found.get('figures', {})
        if self.average is not None:
            self.average.n_averaged.fill_(self.step_number)
        self.log.cut(self.step_number)
        return found


def check_same(path: Path, found: Mapping[str, Any], ours: Mapping[str, Any],
               names: Sequence[str]) -> None:
    """Raises `DataError` for the first of `names` that differs between checkpoint and run."""
    for name in names:
        own = json.loads(json.dumps(ours[name]))
        if found.get(name) != own:
            raise DataError(f'{path}: {name} is {found.get(name)!r}, this run has {own!r}; '
                            '--resume needs the same')


def use_threads(count: int) -> None:
    """Limits torch to `count` CPU threads, unless it is 0; subnormal numbers, which are slow,
    count as 0."""
    if count:
        torch.set_num_threads(count)
    torch.set_flush_denormal(True)
