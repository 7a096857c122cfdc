# SPDX-License-Identifier: Apache-2.0
"""Tracks -> messages -> plain dictionaries -> tracks. Pure conversions: nothing here knows a
node."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Point32
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from face_attributes_ros.engagement import Attention
from face_attributes_ros.faces import (
    COASTING,
    CONFIRMED,
    TENTATIVE,
    UNKNOWN,
    Attributes,
    Face,
    Track,
)
from face_attributes_ros.headpose import Position
from face_attributes_ros.heads import HEADS
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray

STATES = {
    TENTATIVE: FaceAttributes.TENTATIVE, CONFIRMED: FaceAttributes.CONFIRMED,
    COASTING: FaceAttributes.COASTING
}

_WIRED = tuple((head, tuple((getattr(FaceAttributes, wire.bit), wire) for wire in head.wires))
               for head in HEADS.values() if head.wires)
_KINDS = FaceAttributes.get_fields_and_field_types()
_HAS_CHECKS = '_check_fields' in Point32.__slots__  # from Jazzy on


def seconds(stamp: Time | Duration) -> float:
    """A builtin_interfaces/Time or Duration as float seconds."""
    elapsed: float = stamp.sec + stamp.nanosec * 1e-9
    return elapsed


def faces_array(header: Header, camera: str, size: tuple[int, int], tracks: Sequence[Track], *,
                positions: Sequence[Position | None] = (),
                attention: Sequence[Attention | None] = (), **rest: Any) -> FaceAttributesArray:
    """A FaceAttributesArray of tracks in an image of (width, height) pixels; `rest` are more of
    its fields. `positions` and `attention`, where they are given, have an entry a track."""
    faces = [face_attributes(track, size, position, attends) for track, position, attends in
             zip(tracks, positions or repeat(None), attention or repeat(None))]
    return FaceAttributesArray(header=header, camera=camera, image_width=size[0],
                               image_height=size[1], faces=faces, **rest)


def face_attributes(track: Track, size: tuple[int, int], position: Position | None = None,
                    attention: Attention | None = None) -> FaceAttributes:
    """A FaceAttributes of one track, clipped to an image of (width, height) pixels."""
    valid, fields = _shown(track)
    if position is not None:
        valid |= FaceAttributes.HAS_POSITION
        fields |= _placed(position)
    if attention is not None:
        valid |= FaceAttributes.HAS_FACING
        fields['facing'] = attention.facing
    return FaceAttributes(
        track_id=track.track_id, track_state=STATES[track.state], track_age=_duration(track.age_s),
        observations=track.observations, roi=region(track.face.box_xyxy, size),
        detection_confidence=track.face.score, valid=valid,
        smoothed=track.smoothed and track.attributes is not None, **fields)


def _placed(position: Position) -> dict[str, Any]:
    x, y, z = position.point
    source = (FaceAttributes.POSITION_DEPTH if position.measured
              else FaceAttributes.POSITION_MONOCULAR)
    return {'position': Point(x=x, y=y, z=z), 'position_source': source}


def region(box_xyxy: Sequence[float], size: tuple[int, int]) -> RegionOfInterest:
    """The part of a box that lies in an image of (width, height) pixels, rounded to whole pixels;
    empty when none does."""
    (x0, y0, x1, y1), (width, height) = box_xyxy, size
    left, right = min(max(round(x0), 0), width), min(max(round(x1), 0), width)
    top, bottom = min(max(round(y0), 0), height), min(max(round(y1), 0), height)
    return RegionOfInterest(x_offset=left, y_offset=top, width=max(0, right - left),
                            height=max(0, bottom - top))


def _duration(elapsed_s: float) -> Duration:
    nanoseconds = max(0, round(elapsed_s * 1e9))
    return Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def _shown(track: Track) -> tuple[int, dict[str, Any]]:
    # The bits of what the heads say, and the fields that hold it.
    valid, fields = 0, dict[str, Any]()
    for head, wires in _WIRED:
        seen = head.of(track)
        if seen is None:
            continue
        for bit, wire in wires:
            values = wire.write(seen)
            if values is not None:
                valid |= bit
                fields.update(values)
    for name, convert in _SEQUENCES:
        if name in fields:
            fields[name] = convert(fields[name])
    return valid, fields


def _floats(values: Sequence[float]) -> array.array[float]:
    return array.array('f', values)


def _points(pairs: Iterable[tuple[float, float]]) -> list[Point32]:
    # [Point32(x=x, y=y), ...] past the constructor, which takes six times as long: for 68 points
    # of 16 faces that is 2 ms.
    points, new = [], Point32.__new__
    for x, y in pairs:
        point = new(Point32)
        point._x, point._y, point._z = x, y, 0.
        if _HAS_CHECKS:
            point._check_fields = False
        points.append(point)
    return points


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    'sequence<float>': _floats, 'sequence<geometry_msgs/Point32>': _points
}
_SEQUENCES = tuple((name, _CONVERTERS[kind]) for name, kind in _KINDS.items()
                   if kind in _CONVERTERS)


def to_dict(msg: Any) -> Any:
    """Any message as dictionaries, lists, strings and numbers, ready for JSON: not-a-number
    becomes None."""
    if hasattr(msg, 'get_fields_and_field_types'):
        return {name: to_dict(getattr(msg, name)) for name in msg.get_fields_and_field_types()}
    if isinstance(msg, (list, tuple, array.array, np.ndarray)):
        return [to_dict(item) for item in msg]
    if isinstance(msg, float) and not math.isfinite(msg):
        return None
    return msg


def to_track(face: Mapping[str, Any]) -> Track:
    """The track that a FaceAttributes, as the dictionary of `to_dict`, was made of: its box in
    whole pixels, its age interval in whole years."""
    face = _plain(face)
    fields = {name: value for head, wires in _WIRED for bit, wire in wires if face['valid'] & bit
              for name, value in wire.read(face).items()}
    for head in HEADS.values():
        if head.label and head.label.of in fields:
            fields.setdefault(head.label.field, UNKNOWN)
    seen, age = Attributes(**fields), face['track_age']
    states = {code: state for state, code in STATES.items()}
    return Track(face['track_id'], states[face['track_state']], age['sec'] + age['nanosec'] * 1e-9,
                 face['observations'], Face(_box(face['roi']), face['detection_confidence']),
                 seen, seen, face['smoothed'])


def _plain(value: Any) -> Any:
    # Lists as tuples, points as pairs: as records have them.
    if isinstance(value, Mapping):
        point = value.keys() == {'x', 'y', 'z'}
        return (value['x'], value['y']) if point else {k: _plain(v) for k, v in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def _box(roi: Mapping[str, int]) -> tuple[float, float, float, float]:
    x, y = float(roi['x_offset']), float(roi['y_offset'])
    return x, y, x + roi['width'], y + roi['height']
