# SPDX-License-Identifier: Apache-2.0
"""How long networks that do the same work take here: a few runs of each, in turn.

The least time of a network is what it takes when nobody interrupts it, and taking turns, whatever
else the machine does meets all alike. Where the two least times of one do not agree, or its
threads had to wait for a CPU even then, the machine was too busy to tell: it counts this time, but
is not `sure`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from face_attributes_ros.engines.seam import OpenNetwork, first_words

ROUNDS, LEAST_ROUNDS = 9, 3
OPEN_WITHIN_S, RUN_WITHIN_S = .6, .95
"""After so long no further candidate is opened, no further round begun; there are two networks."""
AGREE = 1.15
"""The two least times of one may differ by so much."""
WAITS = .1
"""Most seconds that threads may have waited for a CPU, for each second of the least time."""
THREADS = Path('/proc/self/task')

Run = tuple[float, float]
"""Seconds that it took, and that threads waited meanwhile."""
Openers = Mapping[str, Callable[[], OpenNetwork]]
"""By candidate's name, the most exact first."""


@dataclass
class Result:
    """The networks that were opened, by name, the least milliseconds of each, and which of these
    are `sure`; why others could not be opened or run, and whose turn did not come."""

    networks: dict[str, OpenNetwork] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    sure: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)


def waited_s() -> float:
    """For how long threads of this process were ready and had no CPU, in all (Linux: the second
    number of schedstat); 0 where that is not told."""
    waits = 0
    for path in THREADS.glob('*/schedstat'):
        try:
            waits += int(path.read_text().split()[1])
        except (OSError, IndexError, ValueError):  # a thread that has just ended
            continue
    return waits * 1e-9


def race(openers: Openers, sample: np.ndarray, patience: float = 1.,
         clock: Callable[[], float] = time.perf_counter,
         waited: Callable[[], float] = waited_s) -> Result:
    """Opens the candidates and times them on `sample`; the first error is raised where none of
    them can be run. `patience` stretches the limits of time."""
    start, result = clock(), Result()
    _open(openers, sample, result, lambda: clock() - start > patience * OPEN_WITHIN_S)
    runs: dict[str, list[Run]] = {name: [] for name in result.networks}
    names = list(runs)
    for number in range(ROUNDS if len(names) > 1 else 0):
        if number and clock() - start > patience * RUN_WITHIN_S:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            waits, begun = waited(), clock()
            result.networks[name](sample)
            took = clock() - begun
            runs[name].append((took, waited() - waits))
    result.ms = {name: 1e3 * min(some)[0] for name, some in runs.items() if some}
    result.sure = {name for name, some in runs.items() if _is_sure(some)}
    return result


def _open(openers: Openers, sample: np.ndarray, result: Result,
          is_late: Callable[[], bool]) -> None:
    first: Exception | None = None
    for name, make in openers.items():
        if result.networks and is_late():
            result.late.append(name)
            continue
        try:
            network = make()
            network(sample)  # the first run of a shape chooses kernels and takes memory
            result.networks[name] = network
        except Exception as error:  # the runtimes' own exception types have no common base
            first = first or error
            result.failed[name] = first_words(error)
    if first is not None and not result.networks:
        raise first


def _is_sure(runs: list[Run]) -> bool:
    if len(runs) < LEAST_ROUNDS:
        return False
    (least, waits), (second, _) = sorted(runs)[:2]
    return second <= AGREE * least and waits <= WAITS * least
