# SPDX-License-Identifier: Apache-2.0
"""One input of the node: its subscriptions, what became of its images, and how an image message is
read."""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_attributes_ros.errors import ImageError
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.messages import seconds


def newest():
    """Matches reliable and best-effort publishers; an image that nobody took in time is not worth
    waiting for. A new profile each time: rclpy writes what qos_overrides say into it."""
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass
class Frame:
    """An image message read: `bgr` (H, W, 3) uint8; `message` is the message itself where `bgr` is
    a view of it."""

    header: object
    bgr: np.ndarray
    message: Image | None = None

    @property
    def size(self):
        """(width, height), pixels."""
        return self.bgr.shape[1], self.bgr.shape[0]


class Camera:
    """One of the node's inputs. `counts` says what became of its images: received, processed,
    too_old, unreadable."""

    def __init__(self, node, name, transport, put):
        self.node, self.name, self.compressed, self._put = node, name, transport == 'compressed', put
        base = node.resolve_topic_name(f'{name}/image' if name else 'image')
        self.topic = f'{base}/compressed' if self.compressed else base
        self.info_topic = self._info_topic(base)
        self.counts, self.latencies_ms = Counter(), deque(maxlen=1000)
        self.arrived_s = self.subscribed_s = self.focal = None
        self._subscriptions = []

    def _info_topic(self, base):
        own = f'{self.name}/camera_info' if self.name else 'camera_info'
        remapped = self.node.resolve_topic_name(own)
        if remapped != self.node.resolve_topic_name(own, only_expand=True):
            return remapped
        return f'{base.rpartition("/")[0]}/camera_info'  # beside the image, as everywhere in ROS

    @property
    def message_type(self):
        """What is subscribed to."""
        return CompressedImage if self.compressed else Image

    @property
    def subscription(self):
        """The image subscription, or None while there is none."""
        return self._subscriptions[0] if self._subscriptions else None

    def subscribe(self):
        """Starts to listen; does nothing while listening."""
        if self._subscriptions:
            return
        self.subscribed_s, self.arrived_s = time.monotonic(), None
        self._subscriptions = [
            self.node.create_subscription(
                self.message_type, self.topic, self._on_image, newest(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies()),
            self.node.create_subscription(CameraInfo, self.info_topic, self._on_info, newest())
        ]

    def unsubscribe(self):
        """Stops listening."""
        for subscription in self._subscriptions:
            self.node.destroy_subscription(subscription)
        self._subscriptions = []

    def _on_image(self, msg):
        self.arrived_s = time.monotonic()
        self.counts['received'] += 1
        self._put(self.name, msg)

    def _on_info(self, msg):
        fx, fy, cx, cy = msg.k[0], msg.k[
            4], msg.k[2] + .5, msg.k[5] + .5  # ROS's pixels have their centres at whole numbers
        good = msg.width > 0 and fx > 0 and fy > 0 and all(map(math.isfinite, (fx, fy, cx, cy)))
        self.focal = tuple(value / msg.width for value in (fx, fy, cx, cy)) if good else None

    def focal_px(self, width):
        """(fx, fy, cx, cy) in our pixels of an image that is `width` wide, whatever size it was
        calibrated at; None without camera_info."""
        return self.focal and tuple(value * width for value in self.focal)

    def read(self, msg, max_age_s):
        """The Frame of a message; None if it is too old or cannot be read, which is counted and,
        the latter, logged."""
        age_s = self.age_s(msg.header)
        if 0 < max_age_s < age_s:
            self.counts['too_old'] += 1
            return None
        try:
            bgr = compressed.to_bgr(msg) if self.compressed else images.to_bgr(msg)
        except ImageError as error:
            self.counts['unreadable'] += 1
            self.node.get_logger().error(f'{self.topic}: {error}', throttle_duration_sec=2.)
            return None
        is_view = not self.compressed and msg.encoding == 'bgr8'
        return Frame(msg.header, bgr, msg if is_view else None)

    def age_s(self, header):
        """Seconds since an image's stamp by the node's clock; NaN without a stamp, or before
        simulated time has begun."""
        stamp, now = header.stamp, self.node.get_clock().now().nanoseconds
        if now == 0 or (stamp.sec, stamp.nanosec) == (0, 0):
            return math.nan
        return now * 1e-9 - seconds(stamp)
