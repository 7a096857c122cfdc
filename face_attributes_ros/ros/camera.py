# SPDX-License-Identifier: Apache-2.0
"""One input of the node: its subscriptions, what became of its images, and how an image message is
read."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures.depth import Depth
from face_attributes_ros.ros import compressed, images, topics
from face_attributes_ros.ros.calibration import Calibration, calibration, why_none
from face_attributes_ros.ros.depth import DepthImages
from face_attributes_ros.ros.messages import seconds
from face_attributes_ros.settings import Settings


def newest() -> QoSProfile:
    """Matches reliable and best-effort publishers; an image that nobody took in time is not worth
    waiting for. A new profile each time: rclpy writes what qos_overrides say into it."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass
class Frame:
    """An image message read: `bgr` (H, W, 3) uint8; `message` is the message itself where `bgr` is
    a view of it."""

    header: Header
    bgr: np.ndarray
    message: Image | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        return self.bgr.shape[1], self.bgr.shape[0]


class Camera:
    """One of the node's inputs. `counts` says what became of its images: received, processed,
    too_old, unreadable, failed; `lacks` what the last camera_info wants to be a calibration, None
    before the first one."""

    def __init__(self, node: Node, name: str, settings: Settings,
                 put: Callable[[str, Any], None]):
        self.node, self.name, self._put = node, name, put
        self.compressed = settings.image_transport == 'compressed'
        self.rectified = settings.position_rectified
        images_name = f'{name}/image' if name else 'image'
        # ROS remaps a name whenever it is asked for one: what is asked for must not be remapped
        # already, or cameras that somebody swaps are swapped back.
        self._asked = topics.compressed(node, images_name) if self.compressed else images_name
        self._asked_info = topics.camera_info(node, images_name)
        self.topic = node.resolve_topic_name(self._asked)
        self.info_topic = node.resolve_topic_name(self._asked_info)
        self.counts: Counter[str] = Counter()
        self.latencies_ms: deque[float] = deque(maxlen=1000)
        self.ages_s: deque[float] = deque(maxlen=1000)
        self.arrived_s: float | None = None
        self.subscribed_s: float | None = None
        self.calibration: Calibration | None = None
        self.lacks: str | None = None
        self.depth: DepthImages | None = None
        if settings.depth_enable:
            self.depth = DepthImages(node, _of_camera(name, settings.depth_topic))
        self._bits = Depth()
        self._subscriptions: list[Subscription[Any]] = []

    @property
    def message_type(self) -> type[Any]:
        """What is subscribed to."""
        kind: type[Any] = CompressedImage if self.compressed else Image
        return kind

    @property
    def subscription(self) -> Subscription[Any] | None:
        """The image subscription, or None while there is none."""
        return self._subscriptions[0] if self._subscriptions else None

    def publishers(self) -> list[Any]:
        """Who publishes the images, with type and QoS."""
        return list(self.node.get_publishers_info_by_topic(self._asked))

    def subscribe(self) -> None:
        """Starts to listen; does nothing while listening."""
        if self._subscriptions:
            return
        self.subscribed_s, self.arrived_s = time.monotonic(), None
        self._subscriptions = [
            self.node.create_subscription(
                self.message_type, self._asked, self._on_image, newest(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies()),
            self.node.create_subscription(CameraInfo, self._asked_info, self._on_info, newest())
        ]
        if self.depth is not None:
            self.depth.subscribe()

    def unsubscribe(self) -> None:
        """Stops listening."""
        for subscription in self._subscriptions:
            self.node.destroy_subscription(subscription)
        self._subscriptions = []
        if self.depth is not None:
            self.depth.unsubscribe()

    def _on_image(self, msg: Any) -> None:
        self.arrived_s = time.monotonic()
        self.counts['received'] += 1
        self._put(self.name, msg)

    def _on_info(self, msg: CameraInfo) -> None:
        self.calibration = calibration(msg, self.rectified)
        self.lacks = why_none(msg, self.rectified) if self.calibration is None else ''

    def read(self, msg: Any, settings: Settings) -> Frame | None:
        """The Frame of a message; None if it is too old or cannot be read, which is counted and,
        the latter, logged."""
        age_s = self.age_s(msg.header)
        if math.isfinite(age_s):
            self.ages_s.append(age_s)
        if 0 < settings.max_frame_age < age_s:
            self.counts['too_old'] += 1
            return None
        try:
            bgr = self._pixels(msg, settings)
        except ImageError as error:
            self.counts['unreadable'] += 1
            self.node.get_logger().error(f'{self.topic}: {error}', throttle_duration_sec=2.)
            return None
        is_view = not self.compressed and msg.encoding == 'bgr8'
        return Frame(msg.header, bgr, msg if is_view else None)

    def _pixels(self, msg: Any, settings: Settings) -> np.ndarray:
        if self.compressed:
            return compressed.to_bgr(msg, settings.max_image_megapixels, self._bits)
        return images.to_bgr(msg, self._bits)

    def age_s(self, header: Header) -> float:
        """Seconds since an image's stamp by the node's clock; NaN without a stamp, or before
        simulated time has begun."""
        stamp, now = header.stamp, self.node.get_clock().now().nanoseconds
        if now == 0 or (stamp.sec, stamp.nanosec) == (0, 0):
            return math.nan
        return now * 1e-9 - seconds(stamp)


def _of_camera(name: str, topic: str) -> str:
    return f'{name}/{topic}' if name and not topic.startswith('/') else topic
