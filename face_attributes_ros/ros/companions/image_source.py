# SPDX-License-Identifier: Apache-2.0
"""The node image_source: pictures, a folder, a video, a camera or an address as the images of a
ROS camera, so that nobody needs one.

    ros2 run face_attributes_ros image_source --ros-args -p sources:="['a.jpg', '~/folder',
    'film.mp4', '0', '/dev/video2', 'rtsp://camera.local/stream']"

A source that cannot be read is logged, and the next one shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from face_attributes_ros.errors import ImageError, OutputError, ParameterError
from face_attributes_ros.options import check, once, to_values
from face_attributes_ros.paths import expanded
from face_attributes_ros.pictures.reader import MAX_MEGAPIXELS
from face_attributes_ros.ros import compressed, images, parameters, topics
from face_attributes_ros.ros.companions.lines import Failures, JsonLines
from face_attributes_ros.ros.companions.pictures import Picture, expand, pictures
from face_attributes_ros.ros.run import Finished


@dataclass(frozen=True)
class SourceSettings:
    """The parameters of image_source."""

    sources: tuple[str, ...] = once(
        ('', ), 'Pictures, folders of pictures, videos, camera indices, devices as /dev/video0, '
        'addresses as rtsp://host/path.')
    rate: float = once(10., 'Images a second.', unit='Hz', low=.01, high=1000.)
    seconds_each: float = once(0., 'How long each picture is shown; 0 is one image each.',
                               unit='s', low=0., high=3600.)
    loop: bool = once(True, 'Start again at the end; without it, the process ends.')
    transport: str = once('raw', 'What is published: image, image/compressed or both.',
                          choices=('raw', 'compressed', 'both'))
    jpeg_quality: int = once(90, 'Of image/compressed.', low=1, high=100)
    frame_id: str = once('camera', "The images' frame_id.")
    wait_for_subscribers: int = once(
        0, 'Publish nothing before so many subscribe to the image.', low=0, high=100)
    max_image_megapixels: float = once(
        MAX_MEGAPIXELS, 'Larger pictures and videos are refused.', low=.01, high=10000.)
    published_log: str = once(
        '', 'A file that gets one JSON line an image: source, stamp, size. Empty writes none.')

    def __post_init__(self) -> None:
        check(self)


class ImageSource(Node):
    """Publishes `image`, `image/compressed` and `camera_info` (of an imagined pinhole camera, 53
    degrees wide); who remaps `image` moves the other two with it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('image_source', **parameters.GIVEN, **kwargs)
        self.values = to_values(parameters.declare(self, SourceSettings))
        self._failures = Failures(self.get_logger())
        self._log: JsonLines | None = None
        try:
            self._pictures = self._opened()
        except ParameterError:
            self.destroy_node()
            raise
        self._kinds: dict[str, Any] = {'image': Image, 'image/compressed': CompressedImage}
        if self.values['transport'] != 'both':
            del self._kinds['image' if self.values['transport'] ==
                            'compressed' else 'image/compressed']
        names = {'image': 'image', 'image/compressed': topics.compressed(self, 'image')}
        self.image_publishers = {
            topic: self._publisher(kind, names[topic]) for topic, kind in self._kinds.items()
        }
        self._info = self._publisher(CameraInfo, topics.camera_info(self, 'image'))
        self._picture: Picture | None = None
        self._shown_since_s = 0.

    def _publisher(self, kind: Any, topic: str) -> Publisher[Any]:
        qos = QoSProfile(
            depth=1
        )  # reliable, as camera drivers publish (REP-2003): a best-effort subscriber matches too
        return self.create_publisher(
            kind, topic, qos, qos_overriding_options=QoSOverridingOptions.with_default_policies())

    def _opened(self) -> Iterator[Picture]:
        sources = expand([source for source in self.values['sources'] if source])
        logger = self.get_logger()
        path = self.values['published_log']
        try:
            self._log = JsonLines(expanded(path)) if path else None
        except OutputError as error:
            raise ParameterError(f'parameter published_log: {error}') from error
        return pictures(sources, lambda error: logger.error(f'source {error}'),
                        loop=self.values['loop'],
                        max_megapixels=self.values['max_image_megapixels'])

    def begin(self) -> None:
        """Starts publishing."""
        self._timer = self.create_timer(1 / self.values['rate'], self._tick,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))

    def end(self) -> None:
        """Lets what was published arrive, and lets go of everything."""
        if self.context.ok():
            for publisher in self.image_publishers.values():
                publisher.wait_for_all_acked(Duration(seconds=.5))
        if self._log:
            self._log.close()
        self.destroy_node()

    def _tick(self) -> None:
        listeners = sum(publisher.get_subscription_count()
                        for publisher in self.image_publishers.values())
        if self._picture is None and listeners < self.values['wait_for_subscribers']:
            return
        picture = self._next_picture()
        info = camera_info(picture.bgr.shape[1], picture.bgr.shape[0])
        info.header.stamp = self.get_clock().now().to_msg()
        info.header.frame_id = self.values['frame_id']
        self._publish(picture, info)

    def _next_picture(self) -> Picture:
        now = time.monotonic()
        shown = self._picture
        if shown and shown.still and now - self._shown_since_s < self.values['seconds_each']:
            return shown
        self._picture, self._shown_since_s = next(self._pictures, None), now
        if self._picture is None:
            self.get_logger().info('all shown')
            raise Finished(0)
        return self._picture

    def _publish(self, picture: Picture, info: CameraInfo) -> None:
        bgr = picture.bgr
        if self._log:
            self._write_log(self._log, picture, info)
        self._info.publish(info)
        if 'image' in self.image_publishers:
            self.image_publishers['image'].publish(images.from_array(bgr, info.header))
        if 'image/compressed' in self.image_publishers:
            self._publish_jpeg(bgr, info.header)

    def _publish_jpeg(self, bgr: np.ndarray, header: Header) -> None:
        try:
            message = compressed.from_bgr(bgr, header, self.values['jpeg_quality'])
        except ImageError as error:
            self.get_logger().error(str(error), throttle_duration_sec=2.)
        else:
            self.image_publishers['image/compressed'].publish(message)

    def _write_log(self, log: JsonLines, picture: Picture, info: CameraInfo) -> None:
        stamp = info.header.stamp
        record = {'source': picture.source, 'sec': stamp.sec, 'nanosec': stamp.nanosec,
                  'width': info.width, 'height': info.height}
        try:
            log.write(record)
        except OutputError as error:
            self._failures.failed(error)
        else:
            self._failures.worked()


def camera_info(width: int, height: int) -> CameraInfo:
    """CameraInfo of a pinhole camera without distortion whose focal length is the image's
    width."""
    f, cx, cy = float(width), (width - 1) / 2, (height - 1) / 2
    return CameraInfo(width=width, height=height, distortion_model='plumb_bob', d=[0.] * 5,
                      k=[f, 0., cx, 0., f, cy, 0., 0., 1.], r=[1., 0., 0., 0., 1., 0., 0., 0., 1.],
                      p=[f, 0., cx, 0., 0., f, cy, 0., 0., 0., 1., 0.])


def make_node(**kwargs: Any) -> ImageSource:
    """The node that the executable `image_source` runs."""
    return ImageSource(**kwargs)
