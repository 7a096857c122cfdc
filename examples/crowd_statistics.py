# SPDX-License-Identifier: Apache-2.0
"""Counts people without telling of anybody: of each window of time, how many there were by age,
gender and expression, and no number from which one could learn of fewer than k people.

    python3 examples/crowd_statistics.py --ros-args -p window:=300.0 -p k:=5

Publishes JSON as std_msgs/String on `crowd`. Windows follow each other and do not overlap: the
difference of two that do would tell of those in between. A person is a track: who leaves and comes
back counts twice.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import rclpy
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import String

AGES = ((0, '0-19'), (20, '20-39'), (40, '40-59'), (60, '60+'))
GENDERS = {FaceAttributes.FEMALE: 'female', FaceAttributes.MALE: 'male'}


def k_anonymous(counts: Mapping[str, int], k: int) -> dict[str, int]:
    """The counts of at least k, as many of them as leave nobody alone: what is left out is nothing
    or at least k people, else it could be had by subtracting from the total."""
    shown = {name: count for name, count in counts.items() if count >= k}
    hidden = sum(counts.values()) - sum(shown.values())
    while 0 < hidden < k and shown:
        hidden += shown.pop(min(shown, key=lambda name: shown[name]))
    return shown


def cells(face: FaceAttributes) -> dict[str, str]:
    """In which cell of each table a face counts."""
    age = [name for least, name in AGES if face.age >= least]
    return {'age': age[-1] if face.valid & FaceAttributes.HAS_AGE else 'unknown',
            'gender': GENDERS.get(face.gender, 'unknown'),
            'expression': face.emotion or 'unknown'}


class CrowdStatistics(Node):
    """Keeps the cells of each track of the current window, and forgets them at its end."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('crowd_statistics', **kwargs)
        self.window_s: float = self.declare_parameter('window', 60.).value
        self.k = max(2, self.declare_parameter('k', 5).value)
        self.people: dict[str, dict[str, str]] = {}
        self.start_s: float | None = None
        self.crowd = self.create_publisher(String, 'crowd', 10)
        self.create_subscription(FaceAttributesArray, 'face_attributes/faces', self.on_faces, 10)

    def on_faces(self, msg: FaceAttributesArray) -> None:
        """Takes the faces of one image; a window ends with the first image after it."""
        now_s = msg.header.stamp.sec + msg.header.stamp.nanosec * 1e-9
        if self.start_s is None or not 0 <= now_s - self.start_s < self.window_s:
            if self.start_s is not None:
                self.crowd.publish(String(data=json.dumps(self.told())))
            self.start_s, self.people = now_s, {}
        self.people |= {face.track_id: cells(face) for face in msg.faces
                        if face.track_state == FaceAttributes.CONFIRMED}

    def told(self) -> dict[str, object]:
        """What may be said of the window: null for fewer than k people."""
        total = len(self.people) if len(self.people) >= self.k else None
        tables = {name: k_anonymous(Counter(each[name] for each in self.people.values()), self.k)
                  for name in ('age', 'gender', 'expression')}
        return {'start_s': self.start_s, 'seconds': self.window_s, 'people': total, **tables}


if __name__ == '__main__':
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(CrowdStatistics())
