# SPDX-License-Identifier: Apache-2.0
"""Where the time of a frame goes, stage by stage."""

from __future__ import annotations

import time


class Stopwatch:
    """`with watch('nms'):` adds the milliseconds of its block to `watch.ms['nms']`."""

    def __init__(self):
        self.ms: dict[str, float] = {}

    def restart(self):
        """Begins a new frame; what `ms` was before stays as it is, for whoever holds it."""
        self.ms = {}

    def __call__(self, stage):
        return _Lap(self.ms, stage)


class _Lap:
    # A class and not contextlib's generator: it runs a dozen times a frame and costs a third.
    __slots__ = '_ms', '_stage', '_start'

    def __init__(self, ms, stage):
        self._ms, self._stage = ms, stage

    def __enter__(self):
        self._start = time.perf_counter()

    def __exit__(self, *_):
        self._ms[self._stage] = self._ms.get(self._stage, 0.) + 1e3 * (time.perf_counter() - self._start)
