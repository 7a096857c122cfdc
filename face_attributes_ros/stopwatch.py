# SPDX-License-Identifier: Apache-2.0
"""Where the time of a frame goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable


class Stopwatch:
    """`with watch('nms'):` adds the milliseconds of its block, by `clock` (seconds), to
    `watch.ms['nms']`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self.clock = clock
        self.ms: dict[str, float] = {}

    def restart(self) -> None:
        """Begins a new frame; what `ms` was before stays as it is, for whoever holds it."""
        self.ms = {}

    def __call__(self, stage: str) -> _Lap:
        return _Lap(self.ms, stage, self.clock)


class _Lap:
    # A class and not contextlib's generator: it runs a dozen times a frame and costs a third.
    __slots__ = '_ms', '_stage', '_clock', '_start'

    def __init__(self, ms: dict[str, float], stage: str, clock: Callable[[], float]):
        self._ms, self._stage, self._clock = ms, stage, clock

    def __enter__(self) -> None:
        self._start = self._clock()

    def __exit__(self, *_: object) -> None:
        self._ms[self._stage] = self._ms.get(self._stage, 0.) + 1e3 * (self._clock() - self._start)
