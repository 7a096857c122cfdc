# SPDX-License-Identifier: Apache-2.0
"""Heads as frames of TF, by the names and axes of REP 155."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from std_msgs.msg import Header

from face_attributes_ros.faces import TENTATIVE
from face_attributes_ros.headpose import GAZE_IN_FACE, Pose
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.geometry import orientation, quaternion_message
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic
from face_attributes_ros.ros.packages import message_type

SWITCH = 'tf_enable'


class Transforms:
    """`/tf`: `face_ID`, whose parent is the frame of the image, and `gaze_ID` in it, for each face
    that the image shows and whose head pose is known."""

    SWITCH: ClassVar = SWITCH
    TOPICS: ClassVar[dict[str, Topic]] = {'/tf': Topic(
        'tf2_msgs/TFMessage', 100, '`face_ID` and `gaze_ID` of REP 155, parent the frame of the '
        'image (`tf.enable`); needs camera_info and a frame_id.')}

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The frames of the image's faces; nothing where the image names no frame."""
        del wanted
        found = [frame for track, pose in zip(look.tracks, look.sight.poses)
                 if pose is not None and track.state != TENTATIVE
                 for frame in frames(look.header, track.track_id, pose)]
        if not found or not look.header.frame_id:
            return ()
        return [('/tf', message_type('tf2_msgs/TFMessage', SWITCH)(transforms=found))]

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """Nothing: frames that are not renewed grow old by themselves."""
        del faces
        return ()


def frames(header: Header, track_id: str, pose: Pose) -> Iterator[Any]:
    """The face's frame in the camera's, and the gaze's in the face's: where only the head's pose
    is known, the gaze goes where the face does."""
    x, y, z = pose.origin
    yield _transform(header, f'face_{track_id}', Vector3(x=x, y=y, z=z), orientation(pose))
    yield _transform(Header(stamp=header.stamp, frame_id=f'face_{track_id}'), f'gaze_{track_id}',
                     Vector3(), quaternion_message(GAZE_IN_FACE))


def _transform(header: Header, child: str, where: Vector3, turn: Quaternion) -> Any:
    return TransformStamped(header=header, child_frame_id=child,
                            transform=Transform(translation=where, rotation=turn))
