# SPDX-License-Identifier: Apache-2.0
"""The thread that does the work: it takes the newest frame of each camera, never an old one."""

from __future__ import annotations

import threading
import time
from collections import Counter


class Worker:
    """Hands the newest item of each camera to `work(batch: dict)`, one batch at a time, in a
    thread of its own.

    `put` never waits. An item that is replaced before it was taken is counted in `replaced`, by
    camera. Two batches start at least `interval_s` apart. What `work` or an order raises ends the
    thread and is kept in `fault`.
    """

    def __init__(self, work, interval_s=0.):
        self.interval_s = interval_s
        self.replaced = Counter()
        self.fault = None
        self._work, self._condition = work, threading.Condition()
        self._newest, self._orders = {}, []
        self._thread = self._started_s = None
        self._stopping = False

    def put(self, camera, item):
        """Leaves an item; one that still lies there is dropped."""
        with self._condition:
            self.replaced[camera] += camera in self._newest
            self._newest[camera] = item
            self._condition.notify()

    def order(self, task):
        """Has `task()` done between two batches; at once, by the caller, while the thread is not
        running."""
        with self._condition:
            running = self._thread is not None
            if running:
                self._orders.append(task)
                self._condition.notify()
        if not running:
            task()

    def start(self):
        """Starts the thread; does nothing while it is running."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
            self._thread.start()

    def stop(self, timeout_s=None):
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

    def _run(self):
        try:
            while not self._stopping:
                orders, batch = self._next()
                for task in orders:
                    task()
                if batch:
                    self._started_s = time.monotonic()
                    self._work(batch)
        except BaseException as fault:  # the node's own thread raises it
            self.fault = fault

    def _next(self):
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

    def _wait_s(self):
        return 0. if self._started_s is None else self._started_s + self.interval_s - time.monotonic(
        )
