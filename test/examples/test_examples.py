# SPDX-License-Identifier: Apache-2.0
"""The behaviours of examples/ on messages that the node published about two photographs over which
a camera pans (`messages.jsonl`), and one of them over DDS."""

import contextlib
import csv
import importlib.util
import json
import sys
import time
from collections import Counter

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

from face_attributes_ros.msg import FaceAttributes, FaceAttributesArray
from harness import Bench, make_context
from places import ROOT
from rclpy.exceptions import InvalidHandle
from rclpy.parameter import Parameter
from recorded import messages
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import String

FOLDER = ROOT / 'examples'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
RECORDED = messages()
CONFIRMED = FaceAttributes.CONFIRMED


@pytest.fixture(scope='module')
def context():
    context = make_context()
    yield context
    context.try_shutdown()


def load(name):
    spec = importlib.util.spec_from_file_location(f'example_{name}', FOLDER / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make(context):
    """make(name, **parameters) -> (node, what it publishes)."""
    nodes = []

    def make_(name, **parameters):
        kind, = (each for each in vars(load(name)).values()
                 if isinstance(each, type) and each.__module__ == f'example_{name}')
        given = [Parameter(key, value=value) for key, value in parameters.items()]
        nodes.append(kind(context=context, parameter_overrides=given))
        heard = []
        for publisher in nodes[-1].publishers:
            if publisher.topic_name in ('/say', '/crowd', '/cmd_vel'):
                publisher.publish = heard.append
        return nodes[-1], heard

    yield make_
    for node in nodes:
        with contextlib.suppress(InvalidHandle):  # a test may have ended it
            node.destroy_node()


def face(track_id='f1', box=(280, 200, 80, 80), state=CONFIRMED, valid=0, **fields):
    x, y, width, height = box
    roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
    return FaceAttributes(track_id=track_id, track_state=state, roi=roi, valid=valid, **fields)


def faces(*some, stamp_s=1.):
    message = FaceAttributesArray(faces=list(some), image_width=640, image_height=480)
    message.header.stamp.sec = int(stamp_s)
    message.header.stamp.nanosec = int(stamp_s % 1 * 1e9)
    return message


def stamps_s(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def test_the_record_has_people_who_come_and_go():
    shown = {each.track_id for message in RECORDED for each in message.faces
             if each.track_state == CONFIRMED}
    assert len(RECORDED) > 30 and len(shown) >= 3
    assert any(not message.faces for message in RECORDED) or len({
        len(message.faces) for message in RECORDED}) > 1


@pytest.mark.parametrize('name', NAMES)
def test_an_example_is_short_and_says_how_it_is_run(name):
    text = (FOLDER / f'{name}.py').read_text()
    assert len(text.splitlines()) < 80 and f'python3 examples/{name}.py --ros-args' in text


# --- greet_person --------------------------------------------------------------------------------


def test_nobody_is_greeted_twice_nor_in_a_rush(make):
    node, heard = make('greet_person', stay=.5, pause=2., angle=3.)
    greeted = []
    for message in RECORDED:
        before = len(heard)
        node.on_faces(message)
        if len(heard) > before:
            greeted.append(stamps_s(message))
    shown = {each.track_id for message in RECORDED for each in message.faces
             if each.track_state == CONFIRMED}
    assert 2 <= len(heard) <= len(shown)
    assert all(later - sooner >= 2 for sooner, later in zip(greeted, greeted[1:]))
    assert all(message.data.startswith('Hello') for message in heard)


@pytest.mark.parametrize('look, expected', [
    ({}, 0), ({'valid': FaceAttributes.HAS_POSE}, 1),
    ({'valid': FaceAttributes.HAS_POSE, 'yaw': -.5}, 0),
    ({'valid': FaceAttributes.HAS_POSE, 'state': FaceAttributes.COASTING}, 0)],
    ids=['no pose', 'looks here', 'looks away', 'not seen'])
def test_only_who_looks_here_is_greeted(make, look, expected):
    node, heard = make('greet_person')
    for step in range(15):
        node.on_faces(faces(face(**look), stamp_s=1 + step / 10))
    assert len(heard) == expected


def test_the_words_follow_what_is_sure(make):
    words = load('greet_person').words
    happy = FaceAttributes.HAS_EMOTION
    assert words(face(valid=happy, emotion='happy')) == 'Hello! You look happy.'
    assert words(face(emotion='happy')) == words(face(valid=happy, emotion='angry')) == 'Hello!'


# --- follow_face ---------------------------------------------------------------------------------


def hold(node, seconds):
    return node.set_parameters([Parameter('deadman', value=seconds)])[0].successful


def test_nothing_moves_unless_the_dead_man_is_held(make):
    node, heard = make('follow_face')
    for message in RECORDED[:20]:
        node.on_faces(message)
        node.steer()
    assert heard == []


def test_it_turns_to_the_face_and_stops_once_when_let_go(make):
    node, heard = make('follow_face')
    assert hold(node, 5.)
    turns = []
    for message in RECORDED:
        node.on_faces(message)
        node.steer()
        seen = {each.track_id: each for each in message.faces if each.track_state == CONFIRMED}
        if node.target in seen and heard:
            roi = seen[node.target].roi
            off = (roi.x_offset + roi.width / 2) / message.image_width * 2 - 1
            turns.append((off, heard[-1].angular.z))
    assert len(turns) > 20
    assert all(turn * off <= 0 and abs(turn) <= .6 for off, turn in turns)
    assert any(turn != 0 for _, turn in turns)
    assert hold(node, 0.)
    count = len(heard)
    for _ in range(3):
        node.steer()
    assert len(heard) == count + 1 and heard[-1] == type(heard[-1])()


def test_it_stops_when_the_face_is_gone(make, monkeypatch):
    node, heard = make('follow_face')
    hold(node, 5.)
    node.on_faces(faces(face(box=(0, 0, 80, 80))))
    node.steer()
    assert heard[-1].angular.z == pytest.approx(.6) and heard[-1].angular.y == pytest.approx(-.6)
    now = time.monotonic()
    monkeypatch.setattr(time, 'monotonic', lambda: now + .6)
    node.steer()
    assert heard[-1] == type(heard[-1])()


@pytest.mark.parametrize('metres, expected', [(3., .2), (1.25, 0.), (.5, -.2)])
def test_a_base_keeps_its_distance(make, metres, expected):
    node, heard = make('follow_face', base=True)
    hold(node, 5.)
    near = face(valid=FaceAttributes.HAS_POSITION)
    near.position.z = metres
    node.on_faces(faces(near))
    node.steer()
    assert heard[-1].linear.x == pytest.approx(expected) and heard[-1].angular.y == 0


def test_it_keeps_to_its_face(make):
    node, _ = make('follow_face')
    node.on_faces(faces(face('f1'), face('f2', box=(0, 0, 20, 20))))
    node.on_faces(faces(face('f1', box=(0, 0, 10, 10)), face('f2', box=(0, 0, 90, 90))))
    assert node.target == 'f1'


@pytest.mark.parametrize('seconds', [-1., 60.])
def test_a_dead_man_that_is_held_for_long_is_refused(make, seconds):
    node, _ = make('follow_face')
    assert not hold(node, seconds)


# --- crowd_statistics ----------------------------------------------------------------------------


@pytest.mark.parametrize('counts, k, expected', [
    ({}, 5, {}), ({'a': 4}, 5, {}), ({'a': 5}, 5, {'a': 5}),
    ({'a': 9, 'b': 1}, 5, {}), ({'a': 9, 'b': 6, 'c': 1}, 5, {'a': 9}),
    ({'a': 9, 'b': 3, 'c': 3}, 5, {'a': 9})])
def test_counts_that_tell_of_few_are_left_out(counts, k, expected):
    assert load('crowd_statistics').k_anonymous(counts, k) == expected


def test_what_is_left_out_is_nobody_or_many():
    k_anonymous = load('crowd_statistics').k_anonymous
    for seed in range(200):
        counts = {str(n): (seed * 7 + n * n * 13) % 11 for n in range(5)}
        shown = k_anonymous(counts, 4)
        hidden = sum(counts.values()) - sum(shown.values())
        assert all(count >= 4 for count in shown.values())
        assert hidden == 0 or hidden >= 4 or not shown


def test_the_record_is_told_in_windows(make):
    node, heard = make('crowd_statistics', window=5., k=2)
    for message in RECORDED:
        node.on_faces(message)
    told = [json.loads(message.data) for message in heard]
    assert len(told) >= 3
    for window in told:
        inside = {each.track_id for message in RECORDED for each in message.faces
                  if each.track_state == CONFIRMED
                  and 0 <= stamps_s(message) - window['start_s'] < 5}
        assert window['people'] == (len(inside) if len(inside) >= 2 else None)
        assert all(count >= 2 for name in ('age', 'gender', 'expression')
                   for count in window[name].values())


# --- expression_logger ---------------------------------------------------------------------------


def test_spells_are_written_with_their_times(make, tmp_path):
    path = tmp_path / 'log.csv'
    node, _ = make('expression_logger', file=str(path), least=.3)
    known = {'valid': FaceAttributes.HAS_EMOTION, 'emotion_confidence': .5}
    shown = ['happy'] * 5 + ['sad'] * 2 + ['angry'] * 5
    for step, emotion in enumerate(shown):
        node.on_faces(faces(face(emotion=emotion, **known), stamp_s=1 + step / 10))
    node.destroy_node()
    with open(path, newline='') as file:
        rows = list(csv.reader(file))
    assert rows[1:] == [['f1', 'happy', '1.000', '1.400', '0.500'],
                        ['f1', 'angry', '1.700', '2.100', '0.500']]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_record_becomes_spells_that_do_not_overlap(make, tmp_path):
    path = tmp_path / 'log.csv'
    node, _ = make('expression_logger', file=str(path), least=0.)
    for message in RECORDED:
        node.on_faces(message)
    node.destroy_node()
    with open(path, newline='') as file:
        rows = list(csv.DictReader(file))
    frames = Counter(each.track_id for message in RECORDED for each in message.faces
                     if each.valid & FaceAttributes.HAS_EMOTION)
    assert {row['track_id'] for row in rows} == set(frames) != set()
    for track_id in frames:
        spells = [(float(row['start_s']), float(row['end_s'])) for row in rows
                  if row['track_id'] == track_id]
        assert all(start <= end for start, end in spells)
        assert all(end <= start for (_, end), (start, _) in zip(spells, spells[1:]))


# --- over DDS ------------------------------------------------------------------------------------


def test_recorded_faces_are_greeted_over_dds(context):
    bench = Bench(context)
    try:
        given = [Parameter('angle', value=3.), Parameter('pause', value=2.)]
        bench.add(load('greet_person').GreetPerson(context=context, parameter_overrides=given))
        heard, subscription = bench.listen('/say', String)
        publisher = bench.robot.create_publisher(FaceAttributesArray, 'face_attributes/faces', 100)
        bench.spin_until(lambda: publisher.get_subscription_count() == 1
                         and bench.robot.count_publishers('/say') == 1)
        for message in RECORDED:
            publisher.publish(message)
            bench.executor.spin_once(timeout_sec=0)
        bench.spin_until(lambda: len(heard) >= 2)
        assert all(message.data.startswith('Hello') for message in heard)
        assert subscription.topic_name == '/say'
    finally:
        bench.close()
