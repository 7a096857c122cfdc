# SPDX-License-Identifier: Apache-2.0
"""Heads as geometry_msgs."""

from __future__ import annotations

from geometry_msgs.msg import Point, Pose, Quaternion

from face_attributes_ros import headpose
from face_attributes_ros.headpose import FRONTAL, Position, towards


def head_pose(pose: headpose.Pose | None, position: Position) -> Pose:
    """A head as a Pose: origin and axes of REP 155's face frame, x out of the face. Of a face
    whose pose is not known, the centre, looking at the camera."""
    if pose is None:
        x, y, z = position.point
        pose = headpose.Pose(position.point, towards((x / z, y / z)) @ FRONTAL)
    x, y, z = pose.origin
    return Pose(position=Point(x=x, y=y, z=z), orientation=orientation(pose))


def orientation(pose: headpose.Pose) -> Quaternion:
    """How a head is turned."""
    return quaternion_message(headpose.quaternion(pose.rotation))


def quaternion_message(parts: headpose.Quaternion) -> Quaternion:
    """x, y, z, w as a message."""
    x, y, z, w = parts
    return Quaternion(x=x, y=y, z=z, w=w)
