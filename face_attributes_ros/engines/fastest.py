# SPDX-License-Identifier: Apache-2.0
"""The fastest of several candidates on this CPU: by times measured at earlier starts, and now
where some are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from face_attributes_ros.engines import cpu, kept
from face_attributes_ros.engines.machine import version
from face_attributes_ros.engines.race import Openers, Result, race
from face_attributes_ros.engines.request import Measuring
from face_attributes_ros.engines.seam import OpenNetwork

TIE = 1.05
"""A less exact candidate has to be faster by so much."""


PAYS = 1.25
"""A thread for each CPU has to make a network so many times as fast as one thread: where it does
not, most of their time goes into waiting, awake, for each other."""
ALL, ONE = 'all threads', 'one thread'


class Found(NamedTuple):
    """The fastest candidate's network, its name, in words what was measured, and whether the
    machine was quiet enough to be sure of it."""

    network: OpenNetwork
    name: str
    words: str
    sure: bool = True


def fastest(openers: Openers, sample: np.ndarray, key: Mapping[str, Any], measuring: Measuring,
            order: Sequence[str] = (), tie: float = TIE) -> Found:
    """The fastest on `sample`; one that comes later in `order`, by default that of `openers`, has
    to be faster by `tie`. If `measuring` lets us keep times, those under `key` in the user's cache
    are believed and new ones that are sure are kept there; what is missing is measured beside the
    best that is known."""
    order = order or list(openers)
    known = _known(openers, key) if measuring.keep else {}
    missing = [name for name in openers if name not in known]
    if not missing:
        best = winner(known, order, tie)
        return Found(openers[best](), best, _words(best, known, 'as measured before'))
    best = winner(known, order, tie) if known else ''
    result = race({name: make for name, make in openers.items()
                   if name == best or name in missing}, sample, measuring.patience)
    sure = {name: min(result.ms[name], known.get(name, result.ms[name])) for name in result.sure}
    trouble = _keep(key, known | sure, sure) if measuring.keep else 'auto_cache is off'
    times = {name: ms for name, ms in (known | result.ms).items() if name not in result.failed}
    best = winner(times, order, tie) if times else next(iter(result.networks))
    network = result.networks.get(best) or openers[best]()
    how = 'measured now' + (f', not kept: {trouble}' if trouble else '')
    return Found(network, best, _words(best, times, how) + _left_out(result),
                 times.keys() <= known.keys() | result.sure)


def with_threads_that_pay(network: OpenNetwork, alone: Callable[[], OpenNetwork],
                          sample: np.ndarray, key: Mapping[str, Any],
                          measuring: Measuring) -> Found:
    """`network`, which has a thread for each CPU, or the same on one thread, which `alone` opens,
    where that is sure to be what PAYS asks for: while others work, more threads seldom pay."""
    found = fastest({ALL: lambda: network, ONE: alone}, sample, {**key, 'threads': [ONE, ALL]},
                    measuring, (ONE, ALL), PAYS)
    return found if found.sure else Found(network, ALL, f'{ALL}: too busy here to ask for less')


def winner(ms: Mapping[str, float], order: Sequence[str], tie: float = TIE) -> str:
    """The first in `order`, the most wanted first, that is as fast as any but for `tie`."""
    best = min(ms.values())
    return next(name for name in order if name in ms and ms[name] <= tie * best)


def key_of(sample: np.ndarray, threads: int, checksums: tuple[str, ...]) -> dict[str, Any]:
    """What a measurement holds for: CPU, threads, shape, files and versions."""
    return {'cpu': cpu.signature(), 'cpus': cpu.usable(), 'threads': threads,
            'shape': list(sample.shape), 'sha256': list(checksums),
            'versions': {name: version(name) for name in ('onnxruntime', 'openvino')
                         if find_spec(name)}}


def _known(openers: Openers, key: Mapping[str, Any]) -> dict[str, float]:
    # What is not allowed any more, or not by us, is not looked at.
    return {name: ms for name, ms in (kept.read(key) or {}).items() if name in openers}


def _keep(key: Mapping[str, Any], times: kept.Times, new: Mapping[str, float]) -> str:
    return kept.write(key, times) if new else 'too busy here to be sure'


def _words(best: str, ms: Mapping[str, float], how: str) -> str:
    times = ', '.join(f'{name} {value:.1f} ms' for name, value in
                      sorted(ms.items(), key=lambda item: item[1]))
    return f'{best} ({how}: {times})' if times else best


def _left_out(result: Result) -> str:
    late = f'; {", ".join(result.late)}: the next time, too busy here' if result.late else ''
    return late + ''.join(f'; {name} failed: {why}' for name, why in result.failed.items())
