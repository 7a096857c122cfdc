# SPDX-License-Identifier: Apache-2.0
"""Writes who showed which expression from when to when, as a CSV table.

    python3 examples/expression_logger.py --ros-args -p file:=expressions.csv -p least:=0.3

A row a spell, written when it ends: with another expression, with the track, or with the node.
Expressions that are not sure, and spells shorter than `least` seconds, are left out. The file is
for its owner's eyes (mode 0600), and added to if it is there.
"""

import csv
import os
from typing import Any

import rclpy
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

COLUMNS = ('track_id', 'expression', 'start_s', 'end_s', 'mean_confidence')


class ExpressionLogger(Node):
    """Keeps one open spell a track: expression, begin, last image, confidences."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__('expression_logger', **kwargs)
        path = os.path.expanduser(self.declare_parameter('file', 'expressions.csv').value)
        self.least_s: float = self.declare_parameter('least', .3).value
        self.file = open(path, 'a', newline='', opener=lambda name, flags: os.open(name, flags,
                                                                                   0o600))
        self.rows = csv.writer(self.file)
        if not self.file.tell():
            self.rows.writerow(COLUMNS)
        self.open: dict[str, tuple[str, float, float, list[float]]] = {}
        self.create_subscription(FaceAttributesArray, 'face_attributes/faces', self.on_faces, 10)

    def on_faces(self, msg: FaceAttributesArray) -> None:
        """Goes on with the spells of one image's faces, and ends those that are over."""
        now_s = msg.header.stamp.sec + msg.header.stamp.nanosec * 1e-9
        shown = {face.track_id: (face.emotion, face.emotion_confidence) for face in msg.faces
                 if face.valid & FaceAttributes.HAS_EMOTION}
        for track_id in [name for name, spell in self.open.items()
                         if shown.get(name, ('', 0.))[0] != spell[0]]:
            self.end(track_id)
        for track_id, (emotion, confidence) in shown.items():
            _, start_s, _, before = self.open.get(track_id, (emotion, now_s, now_s, []))
            self.open[track_id] = emotion, start_s, now_s, [*before, confidence]

    def end(self, track_id: str) -> None:
        """Writes a spell, if it lasted."""
        emotion, start_s, end_s, confidences = self.open.pop(track_id)
        if end_s - start_s >= self.least_s:
            numbers = start_s, end_s, sum(confidences) / len(confidences)
            self.rows.writerow([track_id, emotion, *(f'{number:.3f}' for number in numbers)])
            self.file.flush()

    def destroy_node(self) -> None:
        """Writes what is still open."""
        for track_id in list(self.open):
            self.end(track_id)
        self.file.close()
        super().destroy_node()


if __name__ == '__main__':
    rclpy.init()
    node = ExpressionLogger()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
