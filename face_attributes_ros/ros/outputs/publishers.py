# SPDX-License-Identifier: Apache-2.0
"""What the node publishes for one camera. What nobody subscribes to is not made."""

from __future__ import annotations

import time

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import MarkerArray

from face_attributes_ros.drawing import draw
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.outputs.markers import marker_array

TOPICS = {
    'faces': (FaceAttributesArray, 5, 'One message for each image processed, also without faces.'),
    'image_annotated': (
        Image, 1,
        'The image with boxes and attributes drawn in, at most `annotated.max_rate_hz`.'),
    'image_annotated/compressed': (CompressedImage, 1, 'The same as JPEG.'),
    'markers': (MarkerArray, 1,
                'Heads, facing directions and captions for RViz; needs camera_info.'),
}
"""Message type, depth and meaning by topic. All are reliable and volatile."""


class Outputs:
    """The publishers of one camera, under `~/` or `~/<camera>/`."""

    def __init__(self, node, camera):
        self.node, prefix = node, f'~/{camera}/' if camera else '~/'
        options = QoSOverridingOptions.with_default_policies()
        self.publishers = {
            name: node.create_lifecycle_publisher(kind, prefix + name, QoSProfile(depth=depth),
                                                  qos_overriding_options=options)
            for name, (kind, depth, _) in TOPICS.items()
        }
        self._annotated_s = None

    def wanted(self, name=None):
        """Whether anybody subscribes to an output, or to any."""
        some = [name] if name else self.publishers
        return any(self.publishers[each].get_subscription_count() > 0 for each in some)

    def publish(self, faces, frame, tracks, values):
        """Publishes a FaceAttributesArray and, where wanted, what is drawn of it. The frame may be
        drawn into."""
        self.send('faces', faces)
        if self.wanted('markers'):
            self.send('markers', marker_array(faces, tracks))
        names = [
            name for name in ('image_annotated', 'image_annotated/compressed') if self.wanted(name)
        ]
        if names and self._due(values['annotated.max_rate_hz']):
            self._publish_annotated(names, frame, tracks, values)

    def send(self, name, msg):
        """Publishes; a middleware that is choked, or gone since we are ending, costs this message
        and no more."""
        try:
            self.publishers[name].publish(msg)
        except rclpy_implementation.RCLError as error:
            if self.node.context.ok():
                self.node.get_logger().warning(f'{self.publishers[name].topic_name}: {error}',
                                               throttle_duration_sec=2.)

    def _due(self, max_rate_hz):
        now = time.monotonic()
        # A little early is on time: at half the camera's rate, every second image has to pass.
        if max_rate_hz > 0 and self._annotated_s is not None and now - self._annotated_s < .9 / max_rate_hz:
            return False
        self._annotated_s = now
        return True

    def _publish_annotated(self, names, frame, tracks, values):
        # Drawn into the message that came, which nobody else will look at: no copy of the picture
        # is made.
        draw(frame.bgr, tracks, landmarks=values['annotated.show_landmarks'],
             pose=values['annotated.show_pose'], labels=values['annotated.show_labels'],
             blur=values['privacy.blur_annotated'])
        if 'image_annotated' in names:
            self.send('image_annotated', frame.message
                      or images.from_array(frame.bgr, frame.header))
        if 'image_annotated/compressed' in names:
            quality = values['annotated.jpeg_quality']
            self.send('image_annotated/compressed',
                      compressed.from_bgr(frame.bgr, frame.header, quality))
