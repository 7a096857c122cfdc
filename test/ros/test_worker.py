# SPDX-License-Identifier: Apache-2.0
"""The worker takes the newest of each camera, counts what it replaces, and keeps a distance
between batches."""

import threading
import time

import pytest

from face_attributes_ros.ros.worker import Worker


class Gate:
    """A job that waits until it is let through, and remembers what it was given."""

    def __init__(self):
        self.batches, self.entered, self.open = [], threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, batch):
        self.batches.append(batch)
        self.entered.release()
        assert self.open.acquire(timeout=30)


@pytest.fixture
def gated():
    gate = Gate()
    worker = Worker(gate)
    worker.start()
    yield worker, gate
    gate.open.release(100)
    assert worker.stop()


def enter(gate):
    assert gate.entered.acquire(timeout=30)


def test_newest_wins_and_what_it_replaces_is_counted(gated):
    worker, gate = gated
    worker.put('a', 1)
    enter(gate)
    for item in (2, 3, 4):
        worker.put('a', item)
    worker.put('b', 9)
    gate.open.release()
    enter(gate)
    assert gate.batches == [{'a': 1}, {'a': 4, 'b': 9}]
    assert (worker.replaced['a'], worker.replaced['b']) == (2, 0)


def test_orders_run_between_batches_and_without_one(gated):
    worker, gate = gated
    done = threading.Event()
    worker.order(done.set)
    assert done.wait(30)
    worker.put('a', 1)
    enter(gate)
    done.clear()
    worker.order(done.set)
    assert not done.wait(.05)  # the batch is still at work
    gate.open.release()
    assert done.wait(30)


def test_orders_run_at_once_while_it_is_not_running():
    worker, done = Worker(lambda batch: None), []
    worker.order(lambda: done.append(1))
    assert done == [1]


def test_stop_waits_for_the_batch_and_forgets_the_next(gated):
    worker, gate = gated
    worker.put('a', 1)
    enter(gate)
    worker.put('a', 2)
    assert not worker.stop(timeout_s=.05)
    gate.open.release()
    assert worker.stop()
    worker.start()
    worker.put('a', 3)
    enter(gate)
    assert gate.batches == [{'a': 1}, {'a': 3}]


def test_start_and_stop_may_be_repeated():
    worker = Worker(lambda batch: None)
    assert worker.stop()
    for _ in range(3):
        worker.start()
        worker.start()
        assert worker.stop() and worker.stop()


def test_batches_keep_their_distance_and_the_newest_is_taken_after_it():
    starts, taken = [], threading.Semaphore(0)

    def work(batch):
        starts.append((time.monotonic(), batch))
        taken.release()

    worker = Worker(work, interval_s=lambda: .1)
    worker.start()
    for item in range(1, 4):
        worker.put('a', item)
        worker.put('a', -item)
        assert taken.acquire(timeout=30)
    assert worker.stop()
    assert all(after[0] - before[0] >= .099 for before, after in zip(starts, starts[1:]))
    assert [batch['a'] for _, batch in starts][1:] == [-2, -3]


def test_what_breaks_is_kept_and_told():
    told = threading.Event()
    worker = Worker(lambda batch: 1 / 0, failed=told.set)
    worker.start()
    worker.put('a', 1)
    assert told.wait(30)
    assert isinstance(worker.fault, ZeroDivisionError) and worker.stop()
