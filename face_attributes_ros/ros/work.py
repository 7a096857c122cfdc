# SPDX-License-Identifier: Apache-2.0
"""Everything that exists while the node is configured: inputs, pipeline, worker, outputs."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode

from face_attributes_ros.ros.camera import Camera
from face_attributes_ros.ros.outputs.humans import InSight
from face_attributes_ros.ros.outputs.publishers import Publishers
from face_attributes_ros.ros.processor import Processor
from face_attributes_ros.ros.worker import Worker
from face_attributes_ros.settings import Settings


class Work:
    """Made at configure and let go of at cleanup; between `start` and `stop` it takes images.

    `settings()` is the node's snapshot; each batch is worked on with the one that holds when it
    begins. A camera is subscribed to only while somebody listens to one of its outputs. `failed`
    is called, in the worker's thread, when that ends with a fault.
    """

    def __init__(self, node: LifecycleNode, pipeline: Any, settings: Callable[[], Settings],
                 failed: Callable[[], None]):
        self.pipeline, self._settings = pipeline, settings
        names, in_sight = settings().cameras, InSight()
        self.worker = Worker(self._process, self._interval_s, failed)
        self.publishers = {name: Publishers(node, name, self.adjust, settings(), in_sight)
                           for name in names}
        self.cameras = {name: Camera(node, name, settings(), self.worker.put) for name in names}
        self._processor = Processor(self.cameras, self.publishers, pipeline, self.dropped,
                                    node.get_clock(), node.get_logger(),
                                    random_prefix() if settings().rep155_enable else '')
        self._running = False
        self._silent: set[str] = set()

    def start(self) -> None:
        """Starts to work; does nothing while working."""
        self._running = True
        self.worker.start()
        self.adjust()

    def adjust(self) -> None:
        """Subscribes to cameras that somebody wants to know about, and to no others."""
        for name, camera in self.cameras.items() if self._running else ():
            self.publishers[name].announce(self._told())
            always = self._settings().process_without_subscribers
            if always or self.publishers[name].wanted():
                camera.subscribe()
            elif camera.subscription is not None:
                camera.unsubscribe()
                self._order(partial(self._end_view, name), [name])

    def forget_silent(self) -> None:
        """Says of cameras that stopped sending that nothing is seen any more, once each."""
        patience_s, now = self._settings().diagnostics_no_image_after, time.monotonic()
        for name, camera in self.cameras.items():
            silent = camera.arrived_s is not None and now - camera.arrived_s > patience_s
            if silent and name not in self._silent and self._running:
                self._order(partial(self._end_view, name), [name])
            (self._silent.add if silent else self._silent.discard)(name)

    def _end_view(self, name: str) -> None:
        self.pipeline.reset(name)
        self._processor.publish_nothing([name])

    def _end_views(self) -> None:
        self._processor.publish_nothing(self.cameras)
        self.pipeline.reset()

    def _order(self, task: Callable[[], object], names: Iterable[str]) -> None:
        self.worker.order(partial(self._processor.attempt, task, names))

    def stop(self) -> bool:
        """Stops working, after one last message without faces; whether the batch at hand ended in
        `diagnostics.stalled_after`."""
        self._running = False
        for camera in self.cameras.values():
            camera.unsubscribe()
        if not self.worker.stop(self._settings().diagnostics_stalled_after):
            return False
        self._processor.attempt(self._end_views, self.cameras)
        return True

    def close(self) -> None:
        """Lets go of networks and topics."""
        self.pipeline.close()
        for publishers in self.publishers.values():
            publishers.destroy()

    def forget(self) -> None:
        """Forgets all tracks, between two batches."""
        self._order(self.pipeline.reset, self.cameras)

    def dropped(self, name: str) -> int:
        """Images of a camera that nobody looked at: replaced by newer ones, too old, unreadable or
        failed."""
        counts = self.cameras[name].counts
        return self.worker.replaced[name] + sum(
            counts[kind] for kind in ('too_old', 'unreadable', 'failed'))

    def _told(self) -> Settings:
        # What the pipeline works with: where a setting is 0, what its model says.
        filled = getattr(self.pipeline, 'settings', None)
        return filled if isinstance(filled, Settings) else self._settings()

    def _process(self, batch: dict[str, Any]) -> None:
        self._processor.process(batch, self._settings())

    def _interval_s(self) -> float:
        rate_hz = self._settings().max_rate_hz
        return 1 / rate_hz if rate_hz > 0 else 0.


def random_prefix() -> str:
    """What ids of this run begin with: REP 155's must not mean another face after a restart."""
    return ''.join(secrets.choice(string.ascii_lowercase) for _ in range(4)) + '_'
