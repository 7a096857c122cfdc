# SPDX-License-Identifier: Apache-2.0
"""Tracks to messages, and what both ends of the wire have to agree on."""

import array
import json
import math

import pytest
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from std_msgs.msg import Header

from face_attributes_ros import estimator
from face_attributes_ros.faces import (
    COASTING,
    CONFIRMED,
    EXPRESSIONS,
    GENDERS,
    TENTATIVE,
    Attributes,
    Face,
    Track,
)
from face_attributes_ros.ros import messages
from face_attributes_ros.ros.outputs import markers

PROBS = (.05, .5, .1, .1, .1, .1, .05)
SEEN = Attributes(age_years=31.4, age_std_years=4., age_low=25.6, age_high=38.2, p_female=.9,
                  gender='female', expression_probs=PROBS, expression='happy', smile=.7,
                  yaw_rad=.2, pitch_rad=-.1, roll_rad=.05, landmarks_xy=tuple(
                      (float(i), 2. * i) for i in range(68)), quality=.8)


def track(attributes=SEEN, raw=SEEN, box=(10.4, 20.6, 110.2, 140.), state=CONFIRMED):
    return Track('f12', state, 1.75, 20, Face(box, .93), attributes, raw)


def face(*args, **kwargs):
    return messages.face_attributes(track(*args, **kwargs), (640, 480), smoothed=True)


# --- constants, labels and heads agree


def test_expressions_are_called_what_hri_msgs_calls_them():
    # hri_msgs/Expression: NEUTRAL=neutral, HAPPY=happy, SAD=sad, SURPRISED=surprised,
    # SCARED=scared, DISGUSTED=disgusted, ANGRY=angry
    assert messages.EMOTIONS == {
        'neutral': 'neutral', 'happy': 'happy', 'sad': 'sad', 'surprise': 'surprised',
        'fear': 'scared', 'disgust': 'disgusted', 'angry': 'angry'
    }


def test_probabilities_lie_where_the_index_constants_say():
    for index, label in enumerate(EXPRESSIONS):
        assert getattr(FaceAttributes, f'INDEX_{messages.EMOTIONS[label].upper()}') == index


def test_genders_are_coded_as_in_hri_msgs():
    # hri_msgs/SoftBiometrics: UNDEFINED=0, FEMALE=1, MALE=2, OTHER=3
    assert messages.GENDER_CODES == {'female': 1, 'male': 2} and set(GENDERS) == set(
        messages.GENDER_CODES)
    assert (FaceAttributes.GENDER_UNDEFINED, FaceAttributes.OTHER) == (0, 3)


def test_heads_of_the_network_fit_the_message():
    assert estimator.HEADS['expression'] == (len(EXPRESSIONS), ) == (len(
        face().emotion_probabilities), )
    assert estimator.HEADS['landmarks'] == (FaceAttributes.LANDMARKS_68, 2)
    assert set(estimator.HEADS) == {
        'age', 'gender', 'expression', 'smile', 'pose', 'landmarks', 'face', 'quality'
    }


def test_states_and_bits_are_those_of_the_definition():
    assert messages.STATES == {TENTATIVE: 0, CONFIRMED: 1, COASTING: 2}
    bits = [getattr(FaceAttributes, f'HAS_{name}') for name in
            ('AGE', 'GENDER', 'EMOTION', 'SMILE', 'POSE', 'LANDMARKS', 'POSITION')]
    assert bits == [1, 2, 4, 8, 16, 32, 64]


# --- conversion


def test_everything_a_track_knows_is_on_the_wire():
    msg = face()
    assert (msg.track_id, msg.track_state, msg.observations) == ('f12', FaceAttributes.CONFIRMED,
                                                                 20)
    assert (msg.track_age.sec, msg.track_age.nanosec) == (1, 750_000_000)
    assert (msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height) == (10, 21, 100,
                                                                                   119)
    assert msg.valid == 63 and msg.smoothed
    assert (msg.age_min, msg.age_max) == (25, 39)
    assert [
        msg.age, msg.age_stddev, msg.age_confidence, msg.gender_confidence, msg.emotion_confidence,
        msg.smile, msg.yaw, msg.pitch, msg.roll, msg.quality, msg.detection_confidence
    ] == pytest.approx([31.4, 4, estimator.AGE_INTERVAL, .9, .5, .7, .2, -.1, .05, .8, .93])
    assert (msg.gender, msg.emotion, msg.landmark_scheme) == (FaceAttributes.FEMALE, 'happy', 68)
    assert list(msg.emotion_probabilities) == pytest.approx(PROBS)
    assert [(point.x, point.y) for point in msg.landmarks] == list(SEEN.landmarks_xy)
    assert math.isnan(msg.valence) and math.isnan(
        msg.arousal) and msg.position_source == FaceAttributes.POSITION_NONE


@pytest.mark.parametrize('changes, bit', [
    ({'age_years': None}, FaceAttributes.HAS_AGE),
    ({'gender': None}, FaceAttributes.HAS_GENDER),
    ({'expression_probs': None, 'expression': None}, FaceAttributes.HAS_EMOTION),
    ({'smile': None}, FaceAttributes.HAS_SMILE),
    ({'yaw_rad': None}, FaceAttributes.HAS_POSE),
    ({'landmarks_xy': None}, FaceAttributes.HAS_LANDMARKS),
])
def test_a_head_that_is_missing_has_no_bit(changes, bit):
    seen = Attributes(**{**SEEN.__dict__, **changes})
    assert face(seen, seen).valid == 63 & ~bit


def test_a_track_without_attributes_has_a_box_only():
    msg = face(None, None)
    assert msg.valid == 0 and not msg.smoothed and math.isnan(msg.quality) and msg.roi.width == 100


def test_pose_and_landmarks_are_never_those_of_an_earlier_image():
    msg = face(SEEN, None, state=COASTING)
    assert msg.valid == 15 and msg.track_state == FaceAttributes.COASTING and msg.landmarks == []


@pytest.mark.parametrize(
    'p_female, gender, code, confidence',
    [
        (.9, 'female', FaceAttributes.FEMALE, .9),
        (.1, 'male', FaceAttributes.MALE, .9),
        (.55, 'unknown', FaceAttributes.GENDER_UNDEFINED, .55),
        (.45, 'unknown', FaceAttributes.GENDER_UNDEFINED, .55),
        (.45, 'female', FaceAttributes.FEMALE, .45),  # smoothed over a track, the label may lag
    ])
def test_gender_and_its_confidence(p_female, gender, code, confidence):
    msg = face(Attributes(p_female=p_female, gender=gender))
    assert (msg.valid & 15, msg.gender) == (FaceAttributes.HAS_GENDER if code else 0, code)
    assert msg.gender_confidence == pytest.approx(confidence)


def test_an_unsure_expression_is_empty_with_its_probabilities():
    msg = face(Attributes(expression_probs=PROBS, expression='unknown'))
    assert (msg.emotion, msg.emotion_confidence) == ('', .5) and len(
        msg.emotion_probabilities) == 7
    assert not msg.valid & FaceAttributes.HAS_EMOTION


@pytest.mark.parametrize('box, expected', [
    ((-20., -10., 30., 40.), (0, 0, 30, 40)),
    ((600., 400., 900., 900.), (600, 400, 40, 80)),
    ((700., 10., 800., 20.), (640, 10, 0, 10)),
    ((-50., -50., -10., -10.), (0, 0, 0, 0)),
    ((5.4, 5.6, 5.4, 5.6), (5, 6, 0, 0)),
])
def test_region_is_clipped_to_the_image(box, expected):
    roi = messages.region(box, (640, 480))
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == expected


def test_position_follows_from_the_width_of_the_face():
    msg = messages.face_attributes(track(box=(370., 190., 470., 290.)), (640, 480),
                                   focal=(600., 600., 320., 240.), face_width_m=.15)
    assert msg.valid & FaceAttributes.HAS_POSITION
    assert msg.position_source == FaceAttributes.POSITION_MONOCULAR
    assert (msg.position.x, msg.position.y, msg.position.z) == pytest.approx((.15, 0., .9))


def test_array_carries_header_size_and_the_rest():
    header = Header(frame_id='eye')
    msg = messages.faces_array(header, 'front', (640, 480), [], latency_ms=5., dropped_frames=3,
                               model_id='a+b')
    assert msg == FaceAttributesArray(header=header, camera='front', image_width=640,
                                      image_height=480, latency_ms=5., dropped_frames=3,
                                      model_id='a+b')


def test_dictionary_of_a_message_is_json():
    found = messages.to_dict(messages.faces_array(Header(), '', (640, 480), [track()]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found['faces'][0]['valence'] is None and found['faces'][0]['roi']['width'] == 100
    assert messages.to_dict(array.array('f', [1., math.nan])) == [1., None]


# --- markers


def test_markers_need_a_position_and_say_what_the_face_shows():
    tracks = [track(), track(None, None)]
    none = messages.faces_array(Header(frame_id='eye'), '', (640, 480), tracks)
    assert [marker.action for marker in markers.marker_array(none, tracks).markers] == [3]
    some = messages.faces_array(Header(frame_id='eye'), '', (640, 480), tracks,
                                focal=(600., 600., 320., 240.), face_width_m=.15)
    found = markers.marker_array(some, tracks).markers
    assert [(marker.ns, marker.id) for marker in found] == [
        ('', 0), ('head', 0), ('gaze', 0), ('caption', 0), ('head', 1), ('caption', 1)]
    assert {marker.header.frame_id for marker in found} == {'eye'}
    assert [marker.text for marker in found if marker.text] == ['f12 female 31 happy', 'f12']


def test_gaze_of_a_face_that_looks_at_the_camera_points_back_at_it():
    straight = Attributes(yaw_rad=0., pitch_rad=0., roll_rad=0.)
    to_right = Attributes(yaw_rad=math.pi / 2, pitch_rad=0., roll_rad=0.)
    ends = []
    for seen in (straight, to_right):
        some = [track(seen, seen)]
        faces = messages.faces_array(Header(), '', (640, 480), some,
                                     focal=(600., 600., 320., 240.), face_width_m=.15)
        start, end = markers.marker_array(faces, some).markers[2].points
        ends.append((end.x - start.x, end.y - start.y, end.z - start.z))
    assert ends[0] == pytest.approx((0, 0, -markers.ARROW_M)) and ends[1] == pytest.approx(
        (markers.ARROW_M, 0, 0), abs=1e-9)
