# SPDX-License-Identifier: Apache-2.0
"""The node recorder: writes face messages as JSON lines, and annotated images as PNG files.

    ros2 run face_attributes_ros recorder --ros-args -p folder:=recording

A second start adds to what the first has written. Pictures of faces are for their owner's eyes:
new files have mode 0600, a new folder 0700.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from face_attributes_ros.errors import ImageError, OutputError, ParameterError
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.options import check, once, to_values
from face_attributes_ros.pictures.writer import NewPictures
from face_attributes_ros.ros import images, parameters
from face_attributes_ros.ros.companions.lines import Failures, JsonLines
from face_attributes_ros.ros.messages import to_dict
from face_attributes_ros.ros.run import Finished


@dataclass(frozen=True)
class RecorderSettings:
    """The parameters of recorder."""

    folder: str = once(
        'recording', 'Where messages.jsonl and the pictures go; made, for its owner only, if it '
        'is not there, added to if it is.')
    seconds_between_pictures: float = once(
        1., 'At most one picture in that time; 0 writes all.', unit='s', low=0., high=3600.)
    messages: int = once(
        0, 'End after so many messages; 0 never does.', low=0, high=1_000_000_000)

    def __post_init__(self) -> None:
        check(self)


FOUND = 'hears the node'
"""What it logs once both topics have a publisher."""


class Recorder(Node):
    """Subscribes to `face_attributes/faces` and `face_attributes/image_annotated`; writes
    messages.jsonl and <seconds>.<nanoseconds>.png, named by the image's stamp; without one,
    unstamped_ and the time it came. What cannot be written is logged, and the next one tried."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('recorder', **parameters.GIVEN, **kwargs)
        self.values = to_values(parameters.declare(self, RecorderSettings))
        try:
            self._pictures = NewPictures(self.values['folder'], compression=1)
            self.folder = self._pictures.folder
            self._lines = JsonLines(self.folder / 'messages.jsonl')
        except (OutputError, ParameterError) as error:
            self.destroy_node()
            raise ParameterError(f'parameter folder: {error}') from error
        self._failures = Failures(self.get_logger())
        self._written = 0
        self._picture_s: float | None = None
        self._heard = [
            self.create_subscription(FaceAttributesArray, 'face_attributes/faces', self._on_faces,
                                     QoSProfile(depth=100)),
            self.create_subscription(Image, 'face_attributes/image_annotated', self._on_image,
                                     QoSProfile(depth=1))
        ]
        self._watch = self.create_timer(.1, self._say_when_found,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def begin(self) -> None:
        """Says where the files go."""
        self.get_logger().info(f'writes to {self.folder.resolve()}')

    def _say_when_found(self) -> None:
        if all(self.count_publishers(subscription.topic_name) for subscription in self._heard):
            self._watch.cancel()
            self.get_logger().info(FOUND)

    def end(self) -> None:
        """Closes the file."""
        self._lines.close()
        self.destroy_node()

    def _on_faces(self, msg: FaceAttributesArray) -> None:
        record = {'received_s': self.get_clock().now().nanoseconds * 1e-9, **to_dict(msg)}
        self._attempt(lambda: self._lines.write(record))
        self._written += 1
        if self._written == self.values['messages']:
            raise Finished(0)

    def _on_image(self, msg: Image) -> None:
        now = time.monotonic()
        if self._picture_s is not None and now - self._picture_s < self.values[
                'seconds_between_pictures']:
            return
        self._picture_s = now
        try:
            pixels = images.to_bgr(msg)
            self._attempt(lambda: self._pictures.write(self._stem(msg.header.stamp), pixels))
        except ImageError as error:
            self.get_logger().error(str(error), throttle_duration_sec=2.)

    def _stem(self, stamp: Time) -> str:
        if stamp.sec or stamp.nanosec:
            return f'{stamp.sec}.{stamp.nanosec:09d}'
        sec, nanosec = self.get_clock().now().seconds_nanoseconds()
        return f'unstamped_{sec}.{nanosec:09d}'

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OutputError as error:
            self._failures.failed(error)
        else:
            self._failures.worked()


def make_node(**kwargs: Any) -> Recorder:
    """The node that the executable `recorder` runs."""
    return Recorder(**kwargs)
