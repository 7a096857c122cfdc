# SPDX-License-Identifier: Apache-2.0
"""The faces as vision_msgs has detections of anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from geometry_msgs.msg import Point, Pose, PoseWithCovariance
from std_msgs.msg import Header

from face_attributes_ros import headpose
from face_attributes_ros.faces import COASTING, Track
from face_attributes_ros.headpose import Position
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.geometry import head_pose
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic
from face_attributes_ros.ros.packages import message_type
from face_attributes_ros.settings import Settings

CLASS_ID, CLASS_NAME = 0, 'face'
SWITCH = 'detections_enable'
MONOCULAR_SHARE, MEASURED_SHARE = .2, .02
"""Standard deviation of a distance, as a share of it."""


def _make(name: str, **fields: Any) -> Any:
    return message_type(f'vision_msgs/{name}', SWITCH)(**fields)


def label_info(settings: Settings) -> Any:
    """What there is to detect: one class."""
    return _make('LabelInfo', threshold=settings.detector_confidence,
                 class_map=[_make('VisionClass', class_id=CLASS_ID, class_name=CLASS_NAME)])


def box_centre(track: Track) -> Mapping[str, float]:
    """x, y of a box's centre and its size_x, size_y, pixels; not clipped to the image."""
    x0, y0, x1, y1 = track.face.box_xyxy
    return {'x': (x0 + x1) / 2, 'y': (y0 + y1) / 2, 'size_x': x1 - x0, 'size_y': y1 - y0}


def pose_with_covariance(pose: headpose.Pose | None, position: Position | None) -> Any:
    """A head's pose and how far its position is to be trusted; the default pose, at the camera
    itself, with a first variance of -1 where it is not known."""
    if position is None:
        unknown = [-1., *[0.] * 35]
        return PoseWithCovariance(covariance=unknown, pose=Pose(position=Point()))
    share = MEASURED_SHARE if position.measured else MONOCULAR_SHARE
    variance, covariance = (share * position.distance_m) ** 2, [0.] * 36
    for axis in range(3):
        covariance[7 * axis] = variance
    return PoseWithCovariance(pose=head_pose(pose, position), covariance=covariance)


class Detections:
    """`detections`: the faces that this image shows, each with its track's id; `label_info` is
    latched."""

    SWITCH: ClassVar = SWITCH
    TOPICS: ClassVar[dict[str, Topic]] = {
        'detections': Topic(
            'vision_msgs/Detection2DArray', 5, 'The faces that the image shows, class `face`, id '
            'that of the track, with the pose of the head where it is known '
            '(`detections.enable`).'),
        'label_info': Topic('vision_msgs/LabelInfo', 1, 'Latched: the one class of `detections`, '
                            'and `detector.confidence`.', standing=label_info),
    }

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The detections of the image."""
        if 'detections' not in wanted:
            return ()
        found = [_detection(look.header, *each) for each
                 in zip(look.tracks, look.sight.positions, look.sight.poses)
                 if each[0].state != COASTING]
        return [('detections', _make('Detection2DArray', header=look.header, detections=found))]

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """An array without detections."""
        return [('detections', _make('Detection2DArray', header=faces.header))]


def _detection(header: Header, track: Track, position: Position | None,
               pose: headpose.Pose | None) -> Any:
    box = box_centre(track)
    centre = _make('Pose2D', position=_make('Point2D', x=box['x'], y=box['y']))
    hypothesis = _make('ObjectHypothesis', class_id=CLASS_NAME, score=track.face.score)
    result = _make('ObjectHypothesisWithPose', hypothesis=hypothesis,
                   pose=pose_with_covariance(pose, position))
    return _make('Detection2D', header=header, id=track.track_id, results=[result],
                 bbox=_make('BoundingBox2D', center=centre, size_x=box['size_x'],
                            size_y=box['size_y']))
