# SPDX-License-Identifier: Apache-2.0
"""The one head to look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from geometry_msgs.msg import PoseStamped

from face_attributes_ros.faces import TENTATIVE
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros.geometry import head_pose
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic

LEAD = .8
"""Another face has to be nearer than this share of the distance of the one looked at: two people
side by side must not have a robot shake its head."""


class Nearest:
    """`nearest`: the nearest head, and the same one until another is clearly nearer."""

    SWITCH: ClassVar = ''
    TOPICS: ClassVar[dict[str, Topic]] = {'nearest': Topic(
        PoseStamped, 1, 'The nearest head, as in `poses`; nothing while there is none. It stays '
        'the same face until another is nearer by a fifth.')}

    def __init__(self) -> None:
        self._held = ''

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The nearest head, if there is any."""
        del wanted
        places = {track.track_id: (position, pose) for track, position, pose
                  in zip(look.tracks, look.sight.positions, look.sight.poses)
                  if position is not None and track.state != TENTATIVE}
        self._held = nearest({track_id: position.distance_m
                              for track_id, (position, _) in places.items()}, self._held)
        if not self._held:
            return ()
        position, pose = places[self._held]
        return [('nearest', PoseStamped(header=look.header, pose=head_pose(pose, position)))]

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """Nothing: there is no message for nobody."""
        del faces
        self._held = ''
        return ()


def nearest(distances_m: Mapping[str, float], held: str) -> str:
    """The id of the nearest, given that of the one that was held; '' where there is none."""
    if not distances_m:
        return ''
    best = min(distances_m, key=distances_m.__getitem__)
    if held in distances_m and distances_m[best] > LEAD * distances_m[held]:
        return held
    return best
