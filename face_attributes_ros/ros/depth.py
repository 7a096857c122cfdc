# SPDX-License-Identifier: Apache-2.0
"""The depth image beside a camera's image, and how far away a face is by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from face_attributes_ros.errors import ImageError
from face_attributes_ros.ros.messages import seconds
from face_attributes_ros.settings import Settings

ENCODINGS: dict[str, tuple[str, float]] = {'16UC1': ('u2', .001), 'mono16': ('u2', .001),
                                           '32FC1': ('f4', 1.)}
"""Type of a pixel, and its unit in metres (REP 118)."""

INNER = .5
"""The share of a face's width and height, around its centre, that is looked at: hair, ears and
what is behind them lie outside."""

LEAST_SHARE = .1
"""Less of it that has a depth tells nothing."""

NEAREST_M, FARTHEST_M = .05, 100.


def metres(msg: Image, box_xyxy: Sequence[float], size: tuple[int, int]) -> float | None:
    """The median depth of the inner part of a face, metres along the optical axis; None where
    hardly any of it is known.

    The box is in pixels of an image of `size` (width, height) to which the depth image is
    registered, at whatever resolution. ImageError for an encoding that is none of ENCODINGS.
    """
    pixels, unit_m = pixels_of(msg)
    gain_x, gain_y = msg.width / size[0], msg.height / size[1]
    x0, x1 = _inner(box_xyxy[0] * gain_x, box_xyxy[2] * gain_x, msg.width)
    y0, y1 = _inner(box_xyxy[1] * gain_y, box_xyxy[3] * gain_y, msg.height)
    # Every depth in metres; 0, infinity and not-a-number stand for "not known" (REP 118).
    depths = pixels[y0:y1, x0:x1].astype(np.float64).ravel() * unit_m
    known = depths[(depths >= NEAREST_M) & (depths <= FARTHEST_M)]
    if known.size == 0 or known.size < LEAST_SHARE * depths.size:
        return None
    return float(np.median(known))


def _inner(low: float, high: float, limit: int) -> tuple[int, int]:
    # First and last pixel, at least one, of the inner part of what lies in the image.
    low, high = max(0., low), min(float(limit), high)
    margin = (high - low) * (1 - INNER) / 2
    first = min(max(int(low + margin), 0), max(limit - 1, 0))
    return first, max(first + 1, min(round(high - margin), limit))


def pixels_of(msg: Image) -> tuple[np.ndarray, float]:
    """A depth image (H, W) as it lies in the message, and its unit in metres; ImageError where it
    is none."""
    if msg.encoding not in ENCODINGS:
        raise ImageError(f'depth image has encoding {msg.encoding!r}, needs one of '
                         f'{", ".join(ENCODINGS)}')
    kind, unit_m = ENCODINGS[msg.encoding]
    dtype = np.dtype(kind).newbyteorder('>' if msg.is_bigendian else '<')
    needed = msg.width * dtype.itemsize
    total = msg.step * (msg.height - 1) + needed  # the last row may come without its padding
    if msg.step < needed or len(msg.data) < total or not msg.height * msg.width:
        raise ImageError(f'depth image of {msg.width}x{msg.height} has {len(msg.data)} bytes in '
                         f'rows of {msg.step}, needs {needed} a row')
    return np.ndarray((msg.height, msg.width), dtype, msg.data, 0,
                      (msg.step, dtype.itemsize)), unit_m


class DepthImages:
    """The newest depth image of one camera, by its stamp; no queue is kept. `counts` says how many
    faces got their distance from one (`measured`) and how many did not (`guessed`); `why` is the
    last reason."""

    def __init__(self, node: Node, topic: str):
        self._node, self._asked = node, topic
        self.topic = node.resolve_topic_name(topic)
        self.counts: Counter[str] = Counter()
        self.why = 'none yet'
        self._newest: Image | None = None
        self._subscription: Subscription[Any] | None = None

    def subscribe(self) -> None:
        """Starts to listen; does nothing while listening."""
        if self._subscription is None:
            self._subscription = self._node.create_subscription(
                Image, self._asked, self.take,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))

    def unsubscribe(self) -> None:
        """Stops listening."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription = self._newest = None

    def take(self, msg: Image) -> None:
        """Keeps a depth image, unless a newer one is there; a stamp far back is a bag that begins
        anew."""
        if self._newest is not None:
            back_s = seconds(self._newest.header.stamp) - seconds(msg.header.stamp)
            if 0 < back_s < 1:
                return
        self._newest = msg

    def distances(self, boxes_xyxy: Sequence[Sequence[float]], size: tuple[int, int],
                  stamp_s: float, settings: Settings) -> list[float | None]:
        """The depth of each face of an image of `size` (width, height) with that stamp, metres;
        None where it has none."""
        msg = self._at(stamp_s, settings.depth_max_age)
        found: list[float | None] = [None] * len(boxes_xyxy)
        if msg is not None:
            try:
                found = [metres(msg, box, size) for box in boxes_xyxy]
                if None in found:
                    self.why = f'{self.topic} shows nothing where a face is'
            except ImageError as error:
                self.why = f'{self.topic}: {error}'
        guessed = found.count(None)
        self.counts.update(guessed=guessed, measured=len(found) - guessed)
        return found

    def _at(self, stamp_s: float, max_age_s: float) -> Image | None:
        msg = self._newest
        if msg is None:
            self.why = f'no depth image on {self.topic}'
            return None
        apart_s = abs(seconds(msg.header.stamp) - stamp_s)
        if apart_s > max_age_s:
            self.why = (f'the depth image of {self.topic} is {apart_s:.2f} s from its image, '
                        f'needs {max_age_s} s (depth.max_age)')
            return None
        return msg
