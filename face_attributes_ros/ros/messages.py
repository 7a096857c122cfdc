# SPDX-License-Identifier: Apache-2.0
"""Tracks -> messages, and messages -> plain dictionaries. Pure conversions: nothing here knows a
node."""

from __future__ import annotations

import array
import math

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Point32
from sensor_msgs.msg import RegionOfInterest

from face_attributes_ros.estimator import AGE_INTERVAL
from face_attributes_ros.faces import COASTING, CONFIRMED, EXPRESSIONS, GENDERS, TENTATIVE
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray

STATES = {
    TENTATIVE: FaceAttributes.TENTATIVE, CONFIRMED: FaceAttributes.CONFIRMED,
    COASTING: FaceAttributes.COASTING
}
GENDER_CODES = dict(zip(GENDERS, (FaceAttributes.FEMALE, FaceAttributes.MALE)))
EMOTIONS = dict(
    zip(EXPRESSIONS, (FaceAttributes.NEUTRAL, FaceAttributes.HAPPY, FaceAttributes.SAD,
                      FaceAttributes.SURPRISED, FaceAttributes.SCARED, FaceAttributes.DISGUSTED,
                      FaceAttributes.ANGRY)))
"""Our words -> those of hri_msgs/Expression, in the order of `emotion_probabilities`."""
_HAS_CHECKS = '_check_fields' in Point32.__slots__  # from Jazzy on


def seconds(stamp):
    """A builtin_interfaces/Time or Duration as float seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def faces_array(header, camera, size, tracks, *, smoothed=False, focal=None, face_width_m=0.,
                **rest):
    """A FaceAttributesArray of tracks in an image of (width, height) pixels; `rest` are more of
    its fields.

    With `focal`, the (fx, fy, cx, cy) of the image's camera in our pixels, each face gets a
    position from its width in the image.
    """
    faces = [face_attributes(track, size, smoothed, focal, face_width_m) for track in tracks]
    return FaceAttributesArray(header=header, camera=camera, image_width=size[0],
                               image_height=size[1], faces=faces, **rest)


def face_attributes(track, size, smoothed=False, focal=None, face_width_m=0.):
    """A FaceAttributes of one track, clipped to an image of (width, height) pixels."""
    msg = FaceAttributes(track_id=track.track_id, track_state=STATES[track.state],
                         track_age=_duration(track.age_s), observations=track.observations,
                         roi=region(track.face.box_xyxy,
                                    size), detection_confidence=track.face.score, quality=math.nan,
                         valence=math.nan, arousal=math.nan)
    if track.attributes is not None:
        msg.smoothed = smoothed
        for fill in (_fill_age, _fill_gender, _fill_emotion, _fill_smile):
            fill(msg, track.attributes)
    if track.raw is not None:  # what only holds for this image
        for fill in (_fill_pose, _fill_landmarks, _fill_quality):
            fill(msg, track.raw)
    if focal is not None and face_width_m > 0:
        _fill_position(msg, track.face.box_xyxy, focal, face_width_m)
    return msg


def region(box_xyxy, size):
    """The part of a box that lies in an image of (width, height) pixels, rounded to whole pixels;
    empty when none does."""
    x0, x1 = (min(max(round(x), 0), size[0]) for x in box_xyxy[::2])
    y0, y1 = (min(max(round(y), 0), size[1]) for y in box_xyxy[1::2])
    return RegionOfInterest(x_offset=x0, y_offset=y0, width=max(0, x1 - x0),
                            height=max(0, y1 - y0))


def _duration(elapsed_s):
    nanoseconds = max(0, round(elapsed_s * 1e9))
    return Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


def _fill_age(msg, seen):
    if seen.age_years is None:
        return
    msg.valid |= FaceAttributes.HAS_AGE
    msg.age, msg.age_stddev, msg.age_confidence = seen.age_years, seen.age_std_years, AGE_INTERVAL
    msg.age_min, msg.age_max = math.floor(seen.age_low), min(255, math.ceil(seen.age_high))


def _fill_gender(msg, seen):
    if seen.gender is None:
        return
    msg.gender = GENDER_CODES.get(seen.gender, FaceAttributes.GENDER_UNDEFINED)
    msg.gender_confidence = max(seen.p_female, 1 - seen.p_female)
    if msg.gender != FaceAttributes.GENDER_UNDEFINED:
        msg.valid |= FaceAttributes.HAS_GENDER
        msg.gender_confidence = seen.p_female if msg.gender == FaceAttributes.FEMALE else 1 - seen.p_female


def _fill_emotion(msg, seen):
    if seen.expression_probs is None:
        return
    msg.emotion_probabilities = array.array('f', seen.expression_probs)
    msg.emotion, msg.emotion_confidence = EMOTIONS.get(seen.expression,
                                                       ''), max(seen.expression_probs)
    if msg.emotion:
        msg.valid |= FaceAttributes.HAS_EMOTION
        msg.emotion_confidence = seen.expression_probs[EXPRESSIONS.index(seen.expression)]


def _fill_smile(msg, seen):
    if seen.smile is not None:
        msg.valid |= FaceAttributes.HAS_SMILE
        msg.smile = seen.smile


def _fill_pose(msg, seen):
    if seen.yaw_rad is not None:
        msg.valid |= FaceAttributes.HAS_POSE
        msg.yaw, msg.pitch, msg.roll = seen.yaw_rad, seen.pitch_rad, seen.roll_rad


def _fill_landmarks(msg, seen):
    if seen.landmarks_xy is not None:
        msg.valid |= FaceAttributes.HAS_LANDMARKS
        msg.landmark_scheme = FaceAttributes.LANDMARKS_68
        msg.landmarks = _points(seen.landmarks_xy)


def _points(pairs):
    # [Point32(x=x, y=y), ...] past the constructor, which takes six times as long: for 68 points
    # of 16 faces that is 2 ms.
    points = []
    for x, y in pairs:
        point = Point32.__new__(Point32)
        point._x, point._y, point._z = x, y, 0.
        if _HAS_CHECKS:
            point._check_fields = False
        points.append(point)
    return points


def _fill_quality(msg, seen):
    if seen.quality is not None:
        msg.quality = seen.quality


def _fill_position(msg, box_xyxy, focal, face_width_m):
    # Pinhole camera: a face of known width that covers that many pixels is fx * metres / pixels
    # away.
    x0, y0, x1, y1 = box_xyxy
    fx, fy, cx, cy = focal
    if x1 <= x0 or fx <= 0 or fy <= 0:
        return
    z = fx * face_width_m / (x1 - x0)
    msg.valid |= FaceAttributes.HAS_POSITION
    msg.position_source = FaceAttributes.POSITION_MONOCULAR
    msg.position = Point(x=((x0 + x1) / 2 - cx) / fx * z, y=((y0 + y1) / 2 - cy) / fy * z, z=z)


def to_dict(msg):
    """Any message as dictionaries, lists, strings and numbers, ready for JSON: not-a-number
    becomes None."""
    if hasattr(msg, 'get_fields_and_field_types'):
        return {name: to_dict(getattr(msg, name)) for name in msg.get_fields_and_field_types()}
    if isinstance(msg, (list, tuple, array.array, np.ndarray)):
        return [to_dict(item) for item in msg]
    if isinstance(msg, float) and not math.isfinite(msg):
        return None
    return msg
