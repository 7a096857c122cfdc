# SPDX-License-Identifier: Apache-2.0
"""The thread that does the work: it takes the newest frame of each camera, never an old one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

Task = Callable[[], None]


class Worker:
    """Hands the newest item of each camera to `work(batch)`, one batch at a time, in a thread of
    its own.

    `put` never waits. An item that is replaced before it was taken is counted in `replaced`, by
    camera. Two batches start at least `interval_s()` apart. What `work` or an order raises ends
    the thread and is kept in `fault`, which `failed()` is then told of.
    """

    def __init__(self, work: Callable[[dict[str, Any]], None],
                 interval_s: Callable[[], float] = lambda: 0.,
                 failed: Callable[[], None] = lambda: None):
        self.replaced: Counter[str] = Counter()
        self.fault: BaseException | None = None
        self._work, self._interval_s, self._failed = work, interval_s, failed
        self._condition = threading.Condition()
        self._newest: dict[str, Any] = {}
        self._orders: list[Task] = []
        self._thread: threading.Thread | None = None
        self._started_s: float | None = None
        self._busy = self._stopping = False

    @property
    def busy_s(self) -> float:
        """For how long the batch at hand has been worked on; 0 where there is none."""
        started_s = self._started_s
        return time.monotonic() - started_s if self._busy and started_s is not None else 0.

    def put(self, camera: str, item: Any) -> None:
        """Leaves an item; one that still lies there is dropped."""
        with self._condition:
            self.replaced[camera] += camera in self._newest
            self._newest[camera] = item
            self._condition.notify()

    def order(self, task: Task) -> None:
        """Has `task()` done between two batches; at once, by the caller, while the thread is not
        running."""
        with self._condition:
            running = self._thread is not None
            if running:
                self._orders.append(task)
                self._condition.notify()
        if not running:
            task()

    def start(self) -> None:
        """Starts the thread; does nothing while it is running."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Ends the thread after the batch at hand and forgets what was not taken; whether it ended
        in time."""
        with self._condition:
            thread, self._stopping = self._thread, True
            self._condition.notify()
        if thread is not None:
            thread.join(timeout_s)
            if thread.is_alive():
                return False
        with self._condition:
            self._thread, orders = None, self._orders
            self._newest, self._orders = {}, []
        for task in orders:
            task()
        return True

    def _run(self) -> None:
        try:
            while not self._stopping:
                orders, batch = self._next()
                for task in orders:
                    task()
                if batch:
                    self._started_s, self._busy = time.monotonic(), True
                    self._work(batch)
                    self._busy = False
        except BaseException as fault:  # the node's own thread deals with it
            self.fault, self._busy = fault, False
            self._failed()

    def _next(self) -> tuple[list[Task], dict[str, Any]]:
        with self._condition:
            while not self._stopping and not self._orders:
                wait_s = self._wait_s()
                if self._newest and wait_s <= 0:
                    break
                self._condition.wait(wait_s if self._newest else None)
            orders, self._orders = self._orders, []
            if self._stopping or not self._newest or self._wait_s() > 0:
                return orders, {}
            batch, self._newest = self._newest, {}
            return orders, batch

    def _wait_s(self) -> float:
        if self._started_s is None:
            return 0.
        return self._started_s + self._interval_s() - time.monotonic()
