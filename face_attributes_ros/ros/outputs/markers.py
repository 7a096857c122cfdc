# SPDX-License-Identifier: Apache-2.0
"""Faces as RViz markers, in the camera's optical frame: a sphere where the head is, an arrow where
it looks, a caption."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from face_attributes_ros import captions
from face_attributes_ros.drawing import colour_bgr
from face_attributes_ros.faces import Track
from face_attributes_ros.headpose import forward
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic

ARROW_M = .3
LIFETIME = Duration(sec=2)
"""A marker that is not renewed for so long goes by itself: nobody takes away those of a node that
died."""


class Markers:
    """`markers`: heads, facing directions and captions."""

    SWITCH: ClassVar = ''
    TOPICS: ClassVar[dict[str, Topic]] = {'markers': Topic(
        MarkerArray, 1, 'Heads, facing directions and captions for RViz; needs camera_info.')}

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The markers of the faces that have a position."""
        del wanted
        return [('markers', marker_array(look.faces, look.tracks))]

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """Markers are taken away."""
        return [('markers', marker_array(faces, []))]


def marker_array(faces: FaceAttributesArray, tracks: Sequence[Track]) -> MarkerArray:
    """Markers for the faces of a FaceAttributesArray that have a position; the first marker
    deletes those of before.

    `tracks` are the same faces in the same order; they lend the colours and captions of the
    annotated image.
    """
    markers = [Marker(header=faces.header, action=Marker.DELETEALL)]
    for number, (face, track) in enumerate(zip(faces.faces, tracks)):
        if face.valid & FaceAttributes.HAS_POSITION:
            markers += _markers(faces, number, face, track)
    return MarkerArray(markers=markers)


def _markers(faces: FaceAttributesArray, number: int, face: FaceAttributes,
             track: Track) -> list[Marker]:
    colour = ColorRGBA(**dict(zip('bgr', (c / 255 for c in colour_bgr(track)))), a=.8)
    markers = [
        Marker(header=faces.header, ns=namespace, id=number, action=Marker.ADD, color=colour,
               lifetime=LIFETIME)
        for namespace in _KINDS if namespace != 'gaze' or face.valid & FaceAttributes.HAS_POSE
    ]
    for marker in markers:
        marker.pose.orientation.w = 1.
        _KINDS[marker.ns](marker, face, track)
    return markers


def _head(marker: Marker, face: FaceAttributes, track: Track) -> None:
    marker.type = Marker.SPHERE
    marker.pose.position = face.position
    marker.scale = Vector3(x=.15, y=.22, z=.18)


def _gaze(marker: Marker, face: FaceAttributes, track: Track) -> None:
    marker.type = Marker.ARROW
    start = face.position
    x, y, z = (ARROW_M * each for each in forward(face.yaw, face.pitch, face.roll))
    marker.points = [start, Point(x=start.x + x, y=start.y + y, z=start.z + z)]
    marker.scale = Vector3(x=.02, y=.04, z=.05)


def _caption(marker: Marker, face: FaceAttributes, track: Track) -> None:
    marker.type = Marker.TEXT_VIEW_FACING
    marker.pose.position = Point(x=face.position.x, y=face.position.y - .2, z=face.position.z)
    marker.scale.z = .08
    marker.text = ' '.join(captions.lines(track))


_KINDS = {'head': _head, 'gaze': _gaze, 'caption': _caption}
