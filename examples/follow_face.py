# SPDX-License-Identifier: Apache-2.0
"""Turns a pan-tilt head, or a base, towards the largest face, while somebody holds the dead-man.

    python3 examples/follow_face.py --ros-args -p base:=false -r cmd_vel:=/head/cmd_vel
    watch -n 0.5 ros2 param set /follow_face deadman 1.0     # ends a second after you do

`deadman` is for how many seconds it may move once it is set: it has to be set again and again.
With `base` it also drives to `distance`, for which it needs positions, hence camera_info.
"""

import contextlib
import time
from typing import Any

import rclpy
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from geometry_msgs.msg import Twist
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

PARAMETERS = {'base': False, 'gain': 1., 'max_turn': .6, 'max_speed': .2, 'distance': 1.2}


def clipped(value: float, limit: float) -> float:
    """The value within the limit; 0 where it is next to nothing."""
    return 0. if abs(value) < .1 else max(-limit, min(limit, value))


class FollowFace(Node):
    """Stands still unless a face is seen and the dead-man is held."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('follow_face', **kwargs)
        named = self.declare_parameters('', list(PARAMETERS.items()))
        self.values = {parameter.name: parameter.value for parameter in named}
        self.target, self.command, self.moves = '', Twist(), False
        self.seen_s = self.alive_until_s = 0.
        self.declare_parameter('deadman', 0.)
        self.add_on_set_parameters_callback(self.on_parameters)
        self.wheel = self.create_publisher(Twist, 'cmd_vel', 1)
        self.create_subscription(FaceAttributesArray, 'face_attributes/faces', self.on_faces, 1)
        self.create_timer(.05, self.steer)

    def on_parameters(self, parameters: list[Any]) -> SetParametersResult:
        """Takes `deadman`; the others are read at the start only."""
        good = all(one.name == 'deadman' and 0 <= one.value <= 5 for one in parameters)
        if good:
            self.alive_until_s = time.monotonic() + parameters[-1].value
        return SetParametersResult(successful=good, reason='needs deadman, 0 to 5 s')

    def on_faces(self, msg: FaceAttributesArray) -> None:
        """Keeps to the face it follows; takes the largest where that is gone."""
        seen = [face for face in msg.faces if face.track_state == FaceAttributes.CONFIRMED]
        if not seen:
            return
        face = max(seen, key=lambda each: (each.track_id == self.target, each.roi.width))
        v, roi, command = self.values, face.roi, Twist()
        right = (roi.x_offset + roi.width / 2) / msg.image_width * 2 - 1
        down = (roi.y_offset + roi.height / 2) / msg.image_height * 2 - 1
        command.angular.z = -clipped(v['gain'] * right, v['max_turn'])  # REP 103: left, down
        if not v['base']:
            command.angular.y = clipped(v['gain'] * down, v['max_turn'])
        elif face.valid & FaceAttributes.HAS_POSITION:
            command.linear.x = clipped(face.position.z - v['distance'], v['max_speed'])
        self.target, self.seen_s, self.command = face.track_id, time.monotonic(), command

    def steer(self) -> None:
        """The command until the face is gone for half a second; then one stop, then nothing."""
        may = time.monotonic() < min(self.alive_until_s, self.seen_s + .5)
        if may or self.moves:
            self.wheel.publish(self.command if may else Twist())
        self.moves = may


if __name__ == '__main__':
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(FollowFace())
