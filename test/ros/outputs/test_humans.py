# SPDX-License-Identifier: Apache-2.0
"""What REP 155 says of faces, over real DDS, with the real hri_msgs where it is."""

import importlib
import math

import numpy as np
import pytest
from face_attributes_ros.msg import FaceAttributesArray
from harness import matched, picture
from portrait import HEIGHT, WIDTH, Gallery, portrait
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.faces import COASTING, TENTATIVE
from face_attributes_ros.ros import images, packages
from face_attributes_ros.ros.camera import Frame
from face_attributes_ros.ros.outputs import humans, look
from face_attributes_ros.ros.outputs.humans import Humans
from face_attributes_ros.ros.outputs.publishers import check
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.ros.work import random_prefix
from face_attributes_ros.settings import Settings

TRACKED = '/humans/faces/tracked'
SWITCHES = {'rep155_enable': 'hri_msgs', 'detections_enable': 'vision_msgs',
            'tf_enable': 'tf2_msgs'}


def hri():
    return pytest.importorskip('hri_msgs.msg', reason='the ROS package hri_msgs is not installed')


@pytest.fixture
def without(monkeypatch):
    """without(package): as if it were not installed."""
    def hide(package):
        real = importlib.import_module

        def imported(name):
            if name.startswith(package):
                raise ModuleNotFoundError(f'No module named {package!r}')
            return real(name)

        monkeypatch.setattr(packages, 'import_module', imported)

    return hide


# --- what is asked for and not there


@pytest.mark.parametrize('switch, package', SWITCHES.items())
def test_what_is_asked_for_and_not_installed_is_named(without, switch, package):
    without(package)
    check(Settings())
    apt = package.replace('_', '-')
    with pytest.raises(ParameterError, match=f'{package}.*apt install ros-.ROS_DISTRO-{apt}'):
        check(Settings(**{switch: True}))


@pytest.mark.parametrize('switch, package', SWITCHES.items())
def test_a_node_that_asks_for_it_does_not_configure(bench, start, without, capfd, switch, package):
    without(package)
    node, pipelines = start(autostart=False, **{switch.replace('_', '.', 1): True})
    assert node.trigger_configure().value == 'failure' or node.state == 'unconfigured'
    assert (node.state, node.work, pipelines) == ('unconfigured', None, [])
    assert package in capfd.readouterr().err


# --- without the package: what is said when, and the topics over DDS as strings


def as_text(name, asked_by):
    """Stands in for `message_type`: every message is a String with its type and fields."""
    def make(**fields):
        shown = {key: value for key, value in fields.items() if key != 'header'}
        return String(data=f'{name} {shown}')

    return make


@pytest.fixture
def text(monkeypatch):
    monkeypatch.setattr(humans, 'message_type', as_text)
    monkeypatch.setattr(look, 'message_type', lambda name, asked_by: String)


def seen(*tracks, settings=None):
    settings = settings or Settings()
    frame = Frame(Header(frame_id='eye'), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    return look.Look(frame, list(tracks), settings,
                     Sight(list(tracks), (WIDTH, HEIGHT), 0., settings), lambda: None)


ALL = {'roi', 'landmarks', 'expression', 'softbiometrics', 'engagement_status'}


def topics_of(messages, name):
    return {topic.rpartition('/')[2]: message for topic, message in messages
            if topic.startswith(f'/humans/faces/{name}/')}


def test_a_new_face_says_everything_and_then_what_is_wanted(text):
    output = Humans()
    first = list(output.messages(seen(portrait()), {TRACKED}))
    assert topics_of(first, 'f1').keys() == ALL
    assert first[-1][0] == TRACKED and "'ids': ['f1']" in first[-1][1].data
    assert list(output.messages(seen(portrait()), {TRACKED})) == [first[-1]]
    wanted = {TRACKED, '/humans/faces/f1/expression'}
    again = topics_of(output.messages(seen(portrait()), wanted), 'f1')
    assert again.keys() == {'expression'} and "'happy'" in again['expression'].data


def test_a_face_that_ends_takes_its_topics_back(text):
    output = Humans()
    list(output.messages(seen(portrait(), portrait('f2')), {TRACKED}))
    left = list(output.messages(seen(portrait('f2')), {TRACKED}))
    assert topics_of(left, 'f1') == dict.fromkeys(ALL) and topics_of(left, 'f2') == {}
    ended = list(output.nothing(FaceAttributesArray()))
    assert topics_of(ended, 'f2') == dict.fromkeys(ALL) and "'ids': []" in ended[-1][1].data


def test_who_coasts_is_tracked_and_silent_who_is_tentative_is_neither(text):
    output = Humans()
    assert list(output.messages(seen(portrait(state=TENTATIVE)), {TRACKED}))[0][1].data.endswith(
        "{'ids': []}")
    coasting = seen(portrait(state=COASTING))
    assert "[]" in list(output.messages(coasting, {TRACKED}))[0][1].data  # never confirmed
    list(output.messages(seen(portrait()), {TRACKED}))
    wanted = {TRACKED, '/humans/faces/f1/roi'}
    (topic, message), = output.messages(coasting, wanted)
    assert topic == TRACKED and "['f1']" in message.data


def test_when_nobody_listens_any_more_all_topics_go(text):
    output = Humans()
    list(output.messages(seen(portrait()), {TRACKED}))
    assert topics_of(output.messages(seen(portrait()), set()), 'f1') == dict.fromkeys(ALL)


def test_pictures_leave_only_with_leave(text):
    settings = Settings(privacy_publish_crops=True, rep155_crop_size=32)
    found = topics_of(Humans().messages(seen(portrait(), settings=settings), {TRACKED}), 'f1')
    assert found.keys() == ALL | {'cropped', 'aligned'}
    assert (found['cropped'].width, found['aligned'].height) == (32, 32)


def test_cameras_list_each_others_faces(text):
    together = {}
    front, rear = Humans('front', together), Humans('rear', together)
    list(front.messages(seen(portrait('front_f1')), {TRACKED}))
    last = list(rear.messages(seen(portrait('rear_f1')), {TRACKED}))[-1][1].data
    assert "['front_f1', 'rear_f1']" in last
    assert "['rear_f1']" in list(front.nothing(FaceAttributesArray()))[-1][1].data


def test_a_faces_topics_come_and_go_on_the_graph(bench, start, camera, text):
    heard, subscription = bench.listen(TRACKED, String)
    node, (pipeline,) = start(factory=Gallery, rep155__enable=True)
    pipeline.shown = [portrait()]
    outputs = node.work.publishers['']
    bench.spin_until(lambda: outputs.wanted(TRACKED))

    def show_(*tracks):
        pipeline.shown, before = list(tracks), len(heard)
        camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
        bench.spin_until(lambda: len(heard) > before)
        return heard[-1].data

    assert '_f1' in show_(portrait())
    roi, = (name for name in outputs.by_name if name.endswith('_f1/roi'))
    said, _ = bench.listen(roi, String)
    bench.spin_until(lambda: outputs.wanted(roi))
    show_(portrait())
    bench.spin_until(lambda: said)
    assert 'NormalizedRegionOfInterest2D' in said[0].data
    assert {publisher.topic_name for publisher in node.publishers} >= {roi}
    assert '_f1' not in show_()
    assert roi not in {publisher.topic_name for publisher in node.publishers}


# --- with the package


@pytest.fixture
def robot(bench, start):
    """robot(*names) -> (node, pipeline, heard, id of f1): a node that shows a portrait, and
    someone who listens to who is tracked."""
    def start_(**parameters):
        msg = hri()
        heard, subscription = bench.listen(TRACKED, msg.IdsList)
        node, (pipeline,) = start(factory=Gallery, rep155__enable=True, **parameters)
        pipeline.shown = [portrait()]
        bench.spin_until(lambda: node.work.publishers[''].wanted(TRACKED))
        return node, pipeline, heard, subscription

    return start_


def show(bench, camera, heard, pipeline=None, tracks=None):
    """One image; the ids that are tracked after it."""
    if pipeline is not None:
        pipeline.shown = tracks
    before = len(heard)
    sent = picture(WIDTH, HEIGHT, stamp=bench.now(), frame_id='eye')
    camera(sent)
    bench.spin_until(lambda: any(each.header == sent.header for each in heard[before:]))
    return list(heard[-1].ids)


def face_topics(node):
    return {name for name in node.work.publishers[''].by_name
            if name.startswith('/humans/faces/') and name != TRACKED}


def test_ids_begin_with_a_letter_and_differ_after_a_restart(bench, robot, camera):
    node, _, heard, _ = robot()
    first, = show(bench, camera, heard)
    node.trigger_deactivate()
    node.trigger_cleanup()
    node.trigger_configure()
    node.work.pipeline.shown = [portrait()]
    node.trigger_activate()
    bench.spin_until(lambda: node.work.publishers[''].wanted(TRACKED))
    second, = show(bench, camera, heard)
    assert first[0].isalpha() and first.endswith('_f1') and second.endswith('_f1')
    assert first != second
    assert len({random_prefix() for _ in range(100)}) > 95


def test_every_topic_of_a_face_says_what_the_track_says(bench, robot, camera):
    msg = hri()
    node, _, heard, _ = robot(privacy__publish_crops=True)
    name, = show(bench, camera, heard)
    kinds = {'roi': msg.NormalizedRegionOfInterest2D, 'landmarks': msg.FacialLandmarks,
             'expression': msg.Expression, 'softbiometrics': msg.SoftBiometrics,
             'engagement_status': msg.EngagementLevel, 'cropped': Image, 'aligned': Image}
    topics = {each: f'/humans/faces/{name}/{each}' for each in kinds}
    assert face_topics(node) == set(topics.values())
    said = {each: bench.listen(topics[each], kind)[0] for each, kind in kinds.items()}
    bench.spin_until(lambda: all(map(node.work.publishers[''].wanted, topics.values())))
    show(bench, camera, heard)
    bench.spin_until(lambda: all(said.values()))
    assert all(messages[0].header == heard[-1].header for messages in said.values())
    assert said['roi'][0].c == pytest.approx(.9)
    assert (said['landmarks'][0].width, said['landmarks'][0].height) == (WIDTH, HEIGHT)
    assert (said['expression'][0].expression, said['softbiometrics'][0].age) == ('happy', 31)
    assert math.isnan(said['expression'][0].valence)
    assert said['engagement_status'][0].level == msg.EngagementLevel.DISENGAGED
    for each in ('cropped', 'aligned'):
        assert said[each][0].encoding == 'bgr8'
        assert images.to_bgr(said[each][0]).shape == (128, 128, 3)


def test_pictures_of_people_need_leave(bench, robot, camera):
    node, _, heard, _ = robot()
    show(bench, camera, heard)
    assert {name.rpartition('/')[2] for name in face_topics(node)} == {
        'roi', 'landmarks', 'expression', 'softbiometrics', 'engagement_status'}
    refused, = node.set_parameters([Parameter('privacy.publish_crops', value=True)])
    assert not refused.successful


def test_publishers_live_and_die_with_the_track(bench, robot, camera):
    node, pipeline, heard, _ = robot()
    name, = show(bench, camera, heard)
    prefix = name.removesuffix('f1')
    made = dict(node.work.publishers[''].by_name)
    for _ in range(5):
        show(bench, camera, heard)
    assert node.work.publishers[''].by_name == made  # the same objects, not new ones
    assert show(bench, camera, heard, pipeline, [portrait(state=COASTING)]) == [name]
    assert node.work.publishers[''].by_name == made
    both = [portrait(), portrait('f2', TENTATIVE)]
    assert show(bench, camera, heard, pipeline, both) == [name]  # f2 has to be confirmed first
    both = [portrait(), portrait('f2')]
    assert show(bench, camera, heard, pipeline, both) == [name, f'{prefix}f2']
    assert show(bench, camera, heard, pipeline, [portrait('f2')]) == [f'{prefix}f2']
    assert {topic.split('/')[3] for topic in face_topics(node)} == {f'{prefix}f2'}
    assert show(bench, camera, heard, pipeline, []) == [] and face_topics(node) == set()


def test_nobody_who_listens_costs_no_publisher(bench, robot, camera):
    node, _, heard, subscription = robot(process_without_subscribers=True)
    show(bench, camera, heard)
    assert face_topics(node)
    bench.robot.destroy_subscription(subscription)
    bench.spin_until(lambda: not node.work.publishers[''].wanted(TRACKED))
    camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
    bench.spin_until(lambda: not face_topics(node))


def test_a_deactivation_shows_nobody_and_takes_topics_back(bench, robot, camera):
    node, _, heard, _ = robot()
    assert len(show(bench, camera, heard)) == 1
    node.trigger_deactivate()
    bench.spin_until(lambda: list(heard[-1].ids) == [])
    assert face_topics(node) == set()


def test_the_tracked_are_those_of_all_cameras(bench, start):
    msg = hri()
    heard, _ = bench.listen(TRACKED, msg.IdsList)
    node, (pipeline,) = start(factory=Gallery, rep155__enable=True, cameras=['a', 'b'])
    pipeline.shown = [portrait()]
    senders = [bench.robot.create_publisher(Image, f'{name}/image', 1) for name in 'ab']
    bench.spin_until(lambda: all(matched(sender)() for sender in senders))
    for number, sender in enumerate(senders, 1):
        sender.publish(picture(WIDTH, HEIGHT, stamp=bench.now()))
        bench.spin_until(lambda: heard and len(heard[-1].ids) == number)
    assert [each.split('_', 1)[1] for each in heard[-1].ids] == ['a_f1', 'b_f1']


def test_one_id_means_the_same_face_everywhere(bench, robot, camera):
    node, _, heard, _ = robot()
    faces, _ = bench.listen('/face_attributes/faces')
    bench.spin_until(lambda: node.work.publishers[''].wanted('faces'))
    name, = show(bench, camera, heard)
    bench.spin_until(lambda: faces)
    assert faces[-1].faces[0].track_id == name
