# SPDX-License-Identifier: Apache-2.0
"""Where a process of a training run computes, and its place among the others that torchrun
started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from face_attributes_ros.errors import ParameterError

DEVICES = ('auto', 'cpu', 'cuda')


@dataclass(frozen=True)
class Place:
    """This process's rank among the processes of the run, and its device."""

    rank: int
    processes: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that validates, logs and saves."""
        return self.rank == 0

    def agreed(self, value: float) -> float:
        """The first process's value, on every process."""
        if self.processes == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Returns once every process has called it."""
        if self.processes > 1:
            dist.barrier()


ALONE = Place(0, 1, torch.device('cpu'))


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of a process; 'auto' takes a GPU where there is one. Raises `ParameterError`
    where 'cuda' finds none."""
    if name not in DEVICES:
        raise ParameterError(f'--device is {name!r}, needs one of {", ".join(DEVICES)}')
    if name == 'cpu' or (name == 'auto' and not torch.cuda.is_available()):
        return torch.device('cpu')
    if not torch.cuda.is_available():
        raise ParameterError('--device is cuda, but torch finds no CUDA device')
    return torch.device('cuda', local_rank)


@contextmanager
def processes(device: str) -> Iterator[Place]:
    """This process's `Place`, inside the group that torchrun announced in the environment: NCCL
    on GPUs, gloo on CPUs."""
    count, rank = int(os.environ.get('WORLD_SIZE', 1)), int(os.environ.get('RANK', 0))
    chosen = choose_device(device, int(os.environ.get('LOCAL_RANK', 0)))
    if chosen.type == 'cuda':
        torch.cuda.set_device(chosen)
    if count > 1:
        dist.init_process_group('nccl' if chosen.type == 'cuda' else 'gloo')
    try:
        yield Place(rank, count, chosen)
    finally:
        if count > 1:
            dist.destroy_process_group()
