# SPDX-License-Identifier: Apache-2.0
"""Says hello, once, to each person who stays and looks at the camera.

    python3 examples/greet_person.py --ros-args -p stay:=1.0 -r say:=/tts/say

Subscribes to `face_attributes/faces`, publishes the words as std_msgs/String on `say`.
"""

import contextlib
import math
from typing import Any

import rclpy
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String

WORDS = {FaceAttributes.HAPPY: 'Hello! You look happy.',
         FaceAttributes.SAD: 'Hello. Is there anything I can do for you?',
         FaceAttributes.SURPRISED: 'Hello! I did not mean to surprise you.'}


def looks_here(face: FaceAttributes, angle_rad: float) -> bool:
    """Whether a face that is in the image points at the camera, as far as its pose is known."""
    seen = face.track_state == FaceAttributes.CONFIRMED and face.valid & FaceAttributes.HAS_POSE
    return bool(seen) and max(abs(face.yaw), abs(face.pitch)) <= angle_rad


def words(face: FaceAttributes) -> str:
    """What to say to somebody who looks like that; an expression that is not sure is none."""
    known = face.valid & FaceAttributes.HAS_EMOTION
    return WORDS.get(face.emotion, 'Hello!') if known else 'Hello!'


class GreetPerson(Node):
    """Greets by track: who walks off and comes back is a new track, and is greeted again."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('greet_person', **kwargs)
        self.stay_s: float = self.declare_parameter('stay', 1.).value
        self.pause_s: float = self.declare_parameter('pause', 5.).value
        self.angle_rad: float = self.declare_parameter('angle', .4).value
        self.since_s: dict[str, float] = {}
        self.greeted: set[str] = set()
        self.last_s = -math.inf
        self.say = self.create_publisher(String, 'say', 10)
        self.create_subscription(FaceAttributesArray, 'face_attributes/faces', self.on_faces, 10)

    def on_faces(self, msg: FaceAttributesArray) -> None:
        """Greets at most one of the faces of an image, by the image's own time."""
        now_s = msg.header.stamp.sec + msg.header.stamp.nanosec * 1e-9
        if now_s < self.last_s:  # a bag that begins again
            self.since_s, self.last_s = {}, -math.inf
        here = [face for face in msg.faces if looks_here(face, self.angle_rad)]
        self.since_s = {face.track_id: self.since_s.get(face.track_id, now_s) for face in here}
        for face in here:
            stayed = now_s - self.since_s[face.track_id] >= self.stay_s
            may = stayed and now_s - self.last_s >= self.pause_s
            if may and face.track_id not in self.greeted:
                self.greeted.add(face.track_id)
                self.last_s = now_s
                self.say.publish(String(data=words(face)))
                return


if __name__ == '__main__':
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(GreetPerson())
