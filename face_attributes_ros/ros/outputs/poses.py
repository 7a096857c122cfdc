# SPDX-License-Identifier: Apache-2.0
"""Where all heads are, as one PoseArray."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from geometry_msgs.msg import PoseArray

from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.geometry import head_pose
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic


class Poses:
    """`poses`: a pose for each face whose position is known, in the order of `faces`."""

    SWITCH: ClassVar = ''
    TOPICS: ClassVar[dict[str, Topic]] = {'poses': Topic(
        PoseArray, 1, 'The heads, x out of the face, in the optical frame; needs camera_info. A '
        'face whose head pose is not known looks at the camera.')}

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The heads of the image."""
        del wanted
        pairs = zip(look.sight.poses, look.sight.positions)
        heads = [head_pose(pose, position) for pose, position in pairs if position is not None]
        return [('poses', PoseArray(header=look.header, poses=heads))]

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """An array without poses."""
        return [('poses', PoseArray(header=faces.header))]
