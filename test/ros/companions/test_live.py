# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.faces import COASTING, CONFIRMED, Attributes, Face, Track
from face_attributes_ros.ros import messages
from face_attributes_ros.ros.companions import live

SEEN = Attributes(age_years=31.4, age_std_years=5., age_low=25., age_high=38., gender='unknown',
                  p_female=.5, expression='happy', expression_probs=(.1, .9, 0., 0., 0., 0., 0.),
                  landmarks_xy=((1., 2.),) * 68)


def track(seen=SEEN):
    return Track('f3', CONFIRMED, 1.5, 5, Face((50., 60., 150., 160.), .75), seen, seen)


def told(*tracks, **fields):
    fields = {'latency_ms': 20., **fields}
    message = messages.faces_array(Header(), '', (640, 480), tracks, **fields)
    return json.loads(json.dumps(live.faces(message, 9.876), allow_nan=False))


def test_no_faces_are_told_as_none():
    said = told(latency_ms=float('nan'))
    assert (said['kind'], said['tracks'], said['rate_hz']) == ('faces', [], 9.88)
    assert (said['image_width'], said['latency_ms']) == (640, None)


def test_a_face_is_told_as_its_label_says():
    one, = told(track())['tracks']
    assert one['id'] == 'f3' and one['seen_for_s'] == 1.5 and one['score'] == .75
    assert one['gender'] == 'unknown' and one['unsure'] == ['gender']
    assert (one['age_low'], one['age_high'], one['expression']) == (25., 38., 'happy')
    assert one['expression_probs']['happy'] == pytest.approx(.9)
    assert [' '.join(words['text'] for words in row) for row in one['label']] == [
        'f3', 'gender? 25-38', 'happy 90%']
    assert 'landmarks_xy' not in one


def test_a_predicted_face_is_grey_and_one_that_was_not_looked_at_has_nothing():
    coasting, bare = told(replace(track(), state=COASTING), track(None))['tracks']
    assert coasting['colour'] == '#969696' != bare['colour']
    assert bare['gender'] is None and bare['age_low'] is None and bare['unsure'] == []


def test_rates():
    rate = live.Rate(2.)
    assert [rate.tick(t) for t in (10., 10.5, 11.)] == [0., 2., 2.]
    assert rate.tick(30.) == 0. and rate.tick(30.25) == 4.


def test_diagnostics_of_the_node_alone():
    names = ('/eyes', '/eyes: image', '/eyes2', '/eyes2: image', '/other')
    sent = DiagnosticArray(status=[DiagnosticStatus(
        name=name, level=DiagnosticStatus.WARN, message='m',
        values=[KeyValue(key='k', value='v')]) for name in names])
    found = live.diagnostics(sent, '/eyes')
    assert found['statuses'] == [{'name': name, 'level': 'warn', 'message': 'm',
                                  'values': {'k': 'v'}} for name in names[:2]]
    assert live.diagnostics(sent, '/nobody') is None


def test_values_are_those_that_can_be_moved():
    sent = [(name, Parameter(name, value=value).get_parameter_value()) for name, value in (
        ('detector.iou', .3), ('image_rotation', [90]), ('cameras', ['']), ('strange', 1))]
    said = live.values(sent)['values']
    assert json.loads(json.dumps(said)) == {'detector.iou': .3, 'image_rotation': [90]}


def test_descriptions_are_json_and_of_live_parameters_only():
    names = {one['name'] for one in json.loads(json.dumps(live.described()))}
    assert 'detector.confidence' in names and not names & {'cameras', 'privacy.live'}


@pytest.mark.parametrize('order, value', [
    ({'name': 'detector.iou', 'value': 0}, 0.), ({'name': 'image_rotation', 'value': [90]}, (90,)),
    ({'name': 'annotated.show_pose', 'value': False}, False)])
def test_orders_are_taken(order, value):
    assert live.checked(order)[1] == value


@pytest.mark.parametrize('order, error', [
    ({'name': 'detector.iou', 'value': 2.}, ParameterError),
    ({'name': 'detector.iou', 'value': None}, ParameterError),
    ({'name': 'detector.iou', 'value': {}}, ParameterError),
    ({'name': 'cameras', 'value': ['x']}, KeyError), ({'name': 'strange', 'value': 1}, KeyError),
    ({'name': [], 'value': 1}, TypeError)])
def test_orders_are_refused(order, error):
    with pytest.raises(error):
        live.checked(order)
