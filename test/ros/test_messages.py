# SPDX-License-Identifier: Apache-2.0
"""Tracks to messages, and what both ends of the wire have to agree on."""

import array
import json
import math
from dataclasses import replace

import pytest
from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from std_msgs.msg import Header

from face_attributes_ros import ages, captions
from face_attributes_ros.engagement import ENGAGED, Attention
from face_attributes_ros.faces import (
    COASTING,
    CONFIRMED,
    EMOTIONS,
    EXPRESSIONS,
    GENDER_CODES,
    GENDERS,
    TENTATIVE,
    Attributes,
    Face,
    Track,
)
from face_attributes_ros.headpose import Position
from face_attributes_ros.heads import HEADS
from face_attributes_ros.ros import messages
from face_attributes_ros.ros.outputs import markers

BITS = ('HAS_AGE', 'HAS_GENDER', 'HAS_EMOTION', 'HAS_SMILE', 'HAS_POSE', 'HAS_LANDMARKS',
        'HAS_POSITION', 'HAS_QUALITY', 'HAS_GENDER_PROBABILITY', 'HAS_EMOTION_PROBABILITIES',
        'HAS_FACING')
AVERAGED = (FaceAttributes.HAS_AGE | FaceAttributes.HAS_GENDER | FaceAttributes.HAS_EMOTION
            | FaceAttributes.HAS_SMILE | FaceAttributes.HAS_GENDER_PROBABILITY
            | FaceAttributes.HAS_EMOTION_PROBABILITIES)
NOW = FaceAttributes.HAS_POSE | FaceAttributes.HAS_LANDMARKS | FaceAttributes.HAS_QUALITY
PROBS = (.05, .5, .1, .1, .1, .1, .05)
SEEN = Attributes(age_years=31.4, age_std_years=4., age_low=25.6, age_high=38.2, p_female=.9,
                  gender='female', expression_probs=PROBS, expression='happy', smile=.7,
                  yaw_rad=.2, pitch_rad=-.1, roll_rad=.05, landmarks_xy=tuple(
                      (float(i), 2. * i) for i in range(68)), quality=.8)

WHOLE = replace(SEEN, age_low=25., age_high=39.)
"""With an age interval that the message's whole years can say."""


def track(attributes=SEEN, raw=SEEN, box=(10.4, 20.6, 110.2, 140.), state=CONFIRMED,
          smoothed=True):
    return Track('f12', state, 1.75, 20, Face(box, .93), attributes, raw, smoothed)


def face(*args, **kwargs):
    return messages.face_attributes(track(*args, **kwargs), (640, 480))


# --- constants, labels and heads agree


def test_expressions_are_called_what_hri_msgs_calls_them():
    # hri_msgs/Expression: NEUTRAL=neutral, HAPPY=happy, SAD=sad, SURPRISED=surprised,
    # SCARED=scared, DISGUSTED=disgusted, ANGRY=angry
    assert EMOTIONS == {
        'neutral': 'neutral', 'happy': 'happy', 'sad': 'sad', 'surprise': 'surprised',
        'fear': 'scared', 'disgust': 'disgusted', 'angry': 'angry'
    }
    assert all(getattr(FaceAttributes, word.upper()) == word for word in EMOTIONS.values())


def test_probabilities_lie_where_the_index_constants_say():
    for index, label in enumerate(EXPRESSIONS):
        assert getattr(FaceAttributes, f'INDEX_{EMOTIONS[label].upper()}') == index


def test_genders_are_coded_as_in_hri_msgs():
    # hri_msgs/SoftBiometrics: UNDEFINED=0, FEMALE=1, MALE=2, OTHER=3
    assert GENDER_CODES == {'female': 1, 'male': 2} and set(GENDERS) == set(GENDER_CODES)
    assert (FaceAttributes.FEMALE, FaceAttributes.MALE) == (1, 2)


def test_heads_of_the_network_fit_the_message():
    assert HEADS['expression'].shape == (len(EXPRESSIONS), ) == (len(
        face().emotion_probabilities), )
    assert HEADS['landmarks'].shape == (FaceAttributes.LANDMARKS_68, 2)


def test_states_and_bits_are_those_of_the_definition():
    assert messages.STATES == {TENTATIVE: 0, CONFIRMED: 1, COASTING: 2}
    bits = [getattr(FaceAttributes, name) for name in BITS]
    assert bits == [1 << index for index in range(len(BITS))]


def test_every_bit_is_sent_by_a_head_or_follows_from_the_place():
    sent = [wire.bit for head in HEADS.values() for wire in head.wires]
    assert sorted([*sent, 'HAS_POSITION', 'HAS_FACING']) == sorted(BITS)


# --- conversion


def test_everything_a_track_knows_is_on_the_wire():
    msg = face()
    assert (msg.track_id, msg.track_state, msg.observations) == ('f12', FaceAttributes.CONFIRMED,
                                                                 20)
    assert (msg.track_age.sec, msg.track_age.nanosec) == (1, 750_000_000)
    assert (msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height) == (10, 21, 100,
                                                                                   119)
    assert msg.valid == AVERAGED | NOW and msg.smoothed
    assert (msg.age_min, msg.age_max) == (25, 39)
    assert [
        msg.age, msg.age_stddev, msg.age_confidence, msg.gender_confidence, msg.emotion_confidence,
        msg.smile, msg.yaw, msg.pitch, msg.roll, msg.quality, msg.detection_confidence
    ] == pytest.approx([31.4, 4, ages.INTERVAL, .9, .5, .7, .2, -.1, .05, .8, .93])
    assert (msg.gender, msg.emotion, msg.landmark_scheme) == (FaceAttributes.FEMALE, 'happy', 68)
    assert list(msg.emotion_probabilities) == pytest.approx(PROBS)
    assert [(point.x, point.y) for point in msg.landmarks] == list(SEEN.landmarks_xy)
    assert msg.probability_female == pytest.approx(.9) and msg.position_source == 0


@pytest.mark.parametrize('head', [head for head in HEADS.values() if head.wires],
                         ids=[name for name, head in HEADS.items() if head.wires])
def test_a_head_that_is_missing_has_no_bit_and_its_fields_are_zero_or_empty(head):
    seen = replace(SEEN, **dict.fromkeys(head.fields))
    msg, empty = face(seen, seen), FaceAttributes()
    bits = sum(getattr(FaceAttributes, wire.bit) for wire in head.wires)
    assert msg.valid == (AVERAGED | NOW) & ~bits
    fields = [name for wire in head.wires for name in wire.write(SEEN)]
    assert fields and all(getattr(msg, name) == getattr(empty, name) for name in fields)


def test_a_track_without_attributes_has_a_box_only():
    msg = face(None, None)
    expected = FaceAttributes(
        track_id=msg.track_id, track_state=msg.track_state, track_age=msg.track_age,
        observations=msg.observations, roi=msg.roi, detection_confidence=msg.detection_confidence)
    assert msg == expected and msg.roi.width == 100


def test_pose_and_landmarks_are_never_those_of_an_earlier_image():
    msg = face(SEEN, None, state=COASTING)
    assert msg.valid == AVERAGED and msg.track_state == FaceAttributes.COASTING
    assert msg.landmarks == [] and msg.quality == 0


@pytest.mark.parametrize('smoothed', [True, False])
def test_a_track_says_itself_whether_it_is_smoothed(smoothed):
    assert face(smoothed=smoothed).smoothed is smoothed


@pytest.mark.parametrize(
    'p_female, gender, code, confidence',
    [
        (.9, 'female', FaceAttributes.FEMALE, .9),
        (.1, 'male', FaceAttributes.MALE, .9),
        (.55, 'unknown', 0, 0.),
        (.45, 'unknown', 0, 0.),
        (.45, 'female', FaceAttributes.FEMALE, .45),  # smoothed over a track, the label may lag
    ])
def test_gender_and_its_confidence(p_female, gender, code, confidence):
    msg = face(Attributes(p_female=p_female, gender=gender), None)
    bit = FaceAttributes.HAS_GENDER if code else 0
    assert (msg.valid, msg.gender) == (FaceAttributes.HAS_GENDER_PROBABILITY | bit, code)
    assert msg.gender_confidence == pytest.approx(confidence)
    assert msg.probability_female == pytest.approx(p_female)


def test_an_unsure_expression_is_not_named_but_has_its_probabilities():
    msg = face(Attributes(expression_probs=PROBS, expression='unknown'), None)
    assert msg.valid == FaceAttributes.HAS_EMOTION_PROBABILITIES
    assert (msg.emotion, msg.emotion_confidence) == ('', 0.)
    assert list(msg.emotion_probabilities) == pytest.approx(PROBS)


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


@pytest.mark.parametrize('measured, source', [(False, FaceAttributes.POSITION_MONOCULAR),
                                              (True, FaceAttributes.POSITION_DEPTH)])
def test_a_position_says_where_it_is_from(measured, source):
    msg = messages.face_attributes(track(), (640, 480), Position((.15, 0., .9), measured))
    assert msg.valid == AVERAGED | NOW | FaceAttributes.HAS_POSITION
    assert msg.position_source == source
    assert (msg.position.x, msg.position.y, msg.position.z) == (.15, 0, .9)


def test_attention_is_on_the_wire():
    msg = messages.face_attributes(track(), (640, 480), None, Attention(.75, ENGAGED))
    assert msg.valid == AVERAGED | NOW | FaceAttributes.HAS_FACING and msg.facing == .75
    assert face().facing == 0


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
    assert found['latency_ms'] == 0. and found['faces'][0]['roi']['width'] == 100
    assert messages.to_dict(array.array('f', [1., math.nan])) == [1., None]


@pytest.mark.parametrize('seen', [
    WHOLE, Attributes(), replace(WHOLE, gender='unknown', expression='unknown'),
    Attributes(smile=.25, yaw_rad=.5, pitch_rad=0., roll_rad=0.)])
def test_a_track_read_back_from_json_says_the_same(seen):
    sent = track(seen, seen, box=(10., 20., 110., 140.))
    found = messages.to_track(json.loads(json.dumps(messages.to_dict(
        messages.face_attributes(sent, (640, 480))))))
    assert captions.sentence(found) == captions.sentence(sent)
    assert (found.state, found.age_s, found.smoothed) == (CONFIRMED, 1.75, True)
    assert found.raw.landmarks_xy == seen.landmarks_xy and found.raw.gender == seen.gender


# --- markers


def test_markers_need_a_position_and_say_what_the_face_shows():
    tracks = [track(), track(None, None)]
    none = messages.faces_array(Header(frame_id='eye'), '', (640, 480), tracks)
    assert [marker.action for marker in markers.marker_array(none, tracks).markers] == [3]
    places = [Position((.1, .2, 1.))] * 2
    some = messages.faces_array(Header(frame_id='eye'), '', (640, 480), tracks, positions=places)
    found = markers.marker_array(some, tracks).markers
    assert [(marker.ns, marker.id) for marker in found] == [
        ('', 0), ('head', 0), ('gaze', 0), ('caption', 0), ('head', 1), ('caption', 1)]
    assert {marker.header.frame_id for marker in found} == {'eye'}
    assert all(marker.lifetime.sec > 0 for marker in found if marker.action == 0)
    assert [marker.text for marker in found if marker.text] == [
        'f12 female 26-38 happy 50%', 'f12']


def test_gaze_of_a_face_that_looks_at_the_camera_points_back_at_it():
    straight = Attributes(yaw_rad=0., pitch_rad=0., roll_rad=0.)
    to_right = Attributes(yaw_rad=math.pi / 2, pitch_rad=0., roll_rad=0.)
    ends = []
    for seen in (straight, to_right):
        some = [track(seen, seen)]
        faces = messages.faces_array(Header(), '', (640, 480), some,
                                     positions=[Position((.1, .2, 1.))])
        start, end = markers.marker_array(faces, some).markers[2].points
        ends.append((end.x - start.x, end.y - start.y, end.z - start.z))
    assert ends[0] == pytest.approx((0, 0, -markers.ARROW_M)) and ends[1] == pytest.approx(
        (markers.ARROW_M, 0, 0), abs=1e-9)
