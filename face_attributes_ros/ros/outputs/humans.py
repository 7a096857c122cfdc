# SPDX-License-Identifier: Apache-2.0
"""The faces as REP 155 has them: their ids, and topics of each face's own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, ClassVar

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_attributes_ros.engagement import UNKNOWN, Attention
from face_attributes_ros.faces import COASTING, CONFIRMED, Track
from face_attributes_ros.msg import FaceAttributesArray
from face_attributes_ros.ros import images, rep155
from face_attributes_ros.ros.outputs.look import Look, Messages, Topic
from face_attributes_ros.ros.packages import message_type

SWITCH = 'rep155_enable'
FACES = '/humans/faces/'
TRACKED, FACE = f'{FACES}tracked', f'{FACES}{{id}}/'

InSight = dict[str, list[str]]
"""The ids of confirmed faces by camera."""


def _make(name: str, **fields: Any) -> Any:
    return message_type(f'hri_msgs/{name}', SWITCH)(**fields)


class Humans:
    """`/humans/faces/tracked`, and `/humans/faces/ID/...` for each confirmed track, as long as it
    lives and somebody listens to either. A face that an image does not show is among the tracked;
    of itself there is nothing new."""

    SWITCH: ClassVar = SWITCH
    TOPICS: ClassVar[dict[str, Topic]] = {
        TRACKED: Topic('hri_msgs/IdsList', 1, 'The ids of the confirmed faces of all cameras '
                       '(`rep155.enable`).'),
        f'{FACE}roi': Topic('hri_msgs/NormalizedRegionOfInterest2D', 1,
                            'The box as shares of the image.'),
        f'{FACE}landmarks': Topic('hri_msgs/FacialLandmarks', 1, '68 landmarks as shares of the '
                                  'image; pupils with the confidence 0.'),
        f'{FACE}expression': Topic('hri_msgs/Expression', 1, 'The likeliest expression and its '
                                   'probability; valence and arousal are not-a-number.'),
        f'{FACE}softbiometrics': Topic('hri_msgs/SoftBiometrics', 1,
                                       'Apparent age and gender, each with its confidence.'),
        f'{FACE}engagement_status': Topic(
            'hri_msgs/EngagementLevel', 1, 'What follows from `facing`: the message that REP 155 '
            'has for persons, here for a face.'),
        f'{FACE}cropped': Topic(Image, 1, 'The face, bgr8 (`privacy.publish_crops`).'),
        f'{FACE}aligned': Topic(Image, 1, 'The same upright (`privacy.publish_crops`).'),
    }

    def __init__(self, camera: str = '', in_sight: InSight | None = None):
        self._camera, self._in_sight = camera, {} if in_sight is None else in_sight
        self._open: dict[str, set[str]] = {}

    def messages(self, look: Look, wanted: Collection[str]) -> Messages:
        """The ids, and what is wanted of each face; all of a face that is new, for its topics to
        be there when somebody has read its id."""
        before = self._in_sight.get(self._camera, [])
        ids = [track.track_id for track in look.tracks if track.state == CONFIRMED
               or (track.state == COASTING and track.track_id in before)]
        self._in_sight[self._camera] = ids
        yield from self._closed(ids if wanted else ())
        for track, attention in zip(look.tracks, look.sight.attention) if wanted else ():
            if track.track_id in ids:
                yield from self._of_face(look, track, attention, wanted)
        if TRACKED in wanted:  # last: whoever hears of a face finds its topics
            yield TRACKED, self._tracked(look.header)

    def nothing(self, faces: FaceAttributesArray) -> Messages:
        """The ids of other cameras' faces; the topics of this one's are taken back."""
        self._in_sight.pop(self._camera, None)
        yield from self._closed(())
        yield TRACKED, self._tracked(faces.header)

    def _tracked(self, header: Header) -> Any:
        everyone = [one for some in list(self._in_sight.values()) for one in some]
        return _make('IdsList', header=header, ids=everyone)

    def _closed(self, ids: Collection[str]) -> Iterator[tuple[str, None]]:
        for gone in self._open.keys() - ids:
            yield from ((topic, None) for topic in self._open.pop(gone))

    def _of_face(self, look: Look, track: Track, attention: Attention | None,
                 wanted: Collection[str]) -> Messages:
        known = self._open.setdefault(track.track_id, set())
        if track.state == COASTING:
            return
        for name, make in _OF_FACE.items():
            topic = f'{FACES}{track.track_id}/{name}'
            if topic in wanted or topic not in known:
                message = make(look, track, attention)
                if message is not None:
                    known.add(topic)
                    yield topic, message


Maker = Callable[[Look, Track, 'Attention | None'], Any]


def _roi(look: Look, track: Track, attention: Attention | None) -> Any:
    return _make('NormalizedRegionOfInterest2D', header=look.header,
                 **rep155.roi(track, look.frame.size))


def _landmarks(look: Look, track: Track, attention: Attention | None) -> Any:
    size = look.frame.size
    points = rep155.landmarks(track, size)
    if points is None:
        return None
    point = message_type('hri_msgs/NormalizedPointOfInterest2D', SWITCH)
    return _make('FacialLandmarks', header=look.header, width=size[0], height=size[1],
                 landmarks=[point(x=x, y=y, c=c) for x, y, c in points])


def _expression(look: Look, track: Track, attention: Attention | None) -> Any:
    fields = rep155.expression(track)
    return None if fields is None else _make('Expression', header=look.header, **fields)


def _softbiometrics(look: Look, track: Track, attention: Attention | None) -> Any:
    fields = rep155.softbiometrics(track)
    return None if fields is None else _make('SoftBiometrics', header=look.header, **fields)


def _engagement(look: Look, track: Track, attention: Attention | None) -> Any:
    level = UNKNOWN if attention is None else attention.level
    return _make('EngagementLevel', header=look.header, level=level)


def _cropped(look: Look, track: Track, attention: Attention | None) -> Any:
    return _picture(look, rep155.cropped)(track)


def _aligned(look: Look, track: Track, attention: Attention | None) -> Any:
    return _picture(look, rep155.aligned)(track)


def _picture(look: Look, cut: Callable[[np.ndarray, Track, int], np.ndarray | None]
             ) -> Callable[[Track], Image | None]:
    # Pictures of people leave the node only where somebody has allowed it.
    def made(track: Track) -> Image | None:
        settings = look.settings
        if not settings.privacy_publish_crops:
            return None
        pixels = cut(look.frame.bgr, track, settings.rep155_crop_size)
        return None if pixels is None else images.from_array(pixels, look.header)

    return made


_OF_FACE: dict[str, Maker] = {
    'roi': _roi, 'landmarks': _landmarks, 'expression': _expression,
    'softbiometrics': _softbiometrics, 'engagement_status': _engagement, 'cropped': _cropped,
    'aligned': _aligned,
}
