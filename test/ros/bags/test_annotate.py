# SPDX-License-Identifier: Apache-2.0
"""annotate-bag: what was there stays, ours comes besides; a run that was broken off goes on."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import bag_rig
import film_rig
from bag_rig import FACES, STEP_NS
from face_attributes_ros.msg import FaceAttributes
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CompressedImage

from face_attributes_ros import cli, msg
from face_attributes_ros.errors import DataError, OutputError, ParameterError
from face_attributes_ros.faces import EXPRESSIONS, Attributes, Face
from face_attributes_ros.ros import compressed
from face_attributes_ros.ros.bags import annotate
from face_attributes_ros.ros.bags.annotate import Report, Wish, annotate_bag, names_of
from face_attributes_ros.ros.bags.bag import cameras_of
from face_attributes_ros.ros.bags.journal import Journal
from face_attributes_ros.ros.bags.memory import Tape
from face_attributes_ros.settings import Settings


def annotated(source, target, make_pipeline=film_rig.make_pipeline, on_error=lambda error: None,
              **wish):
    return annotate_bag(source, target, Settings(), Wish(**wish), make_pipeline, on_error)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_ours_stand_beside_what_was_recorded(tmp_path, storage):
    source = bag_rig.write(tmp_path / 'in', storage=storage)
    report = annotated(source, tmp_path / 'out')
    assert (report.images, report.told_before, report.unreadable) == (12, 0, 0)
    assert report.bag_s == pytest.approx(1.1, abs=.01)
    before, after = bag_rig.read(source), bag_rig.read(tmp_path / 'out')
    ours = after.pop(FACES)
    assert after == before
    assert [time_ns for time_ns, _ in ours] == [time_ns for time_ns, _ in
                                                before['/camera/image_raw']]
    messages = bag_rig.faces(tmp_path / 'out')
    assert [len(message.faces) for message in messages] == 12 * [1]
    last = messages[-1]
    assert (last.header.stamp.sec, last.header.stamp.nanosec) == (1_700_000_001, STEP_NS)
    assert last.header.frame_id == 'camera' and last.image_width == 160
    face, = last.faces
    assert (face.track_id, face.track_state) == ('f1', FaceAttributes.CONFIRMED)
    assert face.valid & FaceAttributes.HAS_POSITION and face.position.z == pytest.approx(
        150 * .15 / 40, rel=.1)
    suffix = {'mcap': '.mcap', 'sqlite3': '.db3'}[storage]
    assert any(path.suffix == suffix for path in (tmp_path / 'out').iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out']


def test_a_bag_says_our_types_as_ros_does(tmp_path):
    annotated(bag_rig.write(tmp_path / 'in', frames=1), tmp_path / 'out')
    with Reader(tmp_path / 'out') as reader:
        ours, = (each for each in reader.connections if each.topic == FACES)
        assert 'MSG: face_attributes_ros/FaceAttributes' in ours.msgdef.data
    name = 'share/face_attributes_ros/msg/FaceAttributesArray.json'
    described = next(prefix / name for prefix in Path(msg.__file__).parents
                     if (prefix / name).is_file())
    hashes = {each['type_name']: each['hash_string']
              for each in json.loads(described.read_text())['type_hashes']}
    assert ours.digest == hashes['face_attributes_ros/msg/FaceAttributesArray']


def test_annotated_images_on_request_and_another_storage(tmp_path):
    source = bag_rig.write(tmp_path / 'in', frames=5)
    annotated(source, tmp_path / 'out', draw=True, storage='sqlite3')
    images = bag_rig.read(tmp_path / 'out')['/face_attributes/image_annotated/compressed']
    assert len(images) == 5 and list((tmp_path / 'out').glob('*.db3'))
    drawn = compressed.to_bgr(deserialize_message(images[-1][1], CompressedImage)).astype(int)
    assert np.abs(drawn - film_rig.picture(4)).max() > 80


def test_several_cameras_have_topics_of_their_own(tmp_path):
    topics = ('/front/image_raw', '/back/image_raw/compressed')
    source = bag_rig.write(tmp_path / 'in', frames=4, topics=topics)
    annotated(source, tmp_path / 'out', topics=topics)
    for camera in ('front_image_raw', 'back_image_raw'):
        messages = bag_rig.faces(tmp_path / 'out', f'/face_attributes/{camera}/faces')
        assert [len(message.faces) for message in messages] == 4 * [1]
        assert messages[0].camera == camera
        assert messages[0].faces[0].track_id == f'{camera}_f1'


def test_images_that_cannot_be_read_are_told_and_the_others_go_on(tmp_path):
    source = bag_rig.write(tmp_path / 'in', frames=5, broken=(2,))
    errors = []
    report = annotated(source, tmp_path / 'out', on_error=errors.append)
    assert (report.images, report.unreadable) == (4, 1) and '5 bytes' in str(errors[0])
    assert len(bag_rig.faces(tmp_path / 'out')) == 4


# --- a run that is broken off --------------------------------------------------------------------


class PowerCut(BaseException):
    """What no code of ours catches."""


def breaking_after(frames):
    """make_pipeline -> a pipeline whose detector breaks at that frame, and counts its calls."""
    calls = []

    def make_pipeline(settings):
        pipeline = film_rig.make_pipeline(settings)
        detect = pipeline.detector.network

        def counted(batch):
            calls.append(len(batch))
            if len(calls) > frames:
                raise PowerCut
            return detect(batch)

        pipeline.detector.network = counted
        return pipeline

    return make_pipeline, calls


def test_a_run_goes_on_where_it_was_broken_off(tmp_path):
    source = bag_rig.write(tmp_path / 'in', broken=(3,))
    annotated(source, tmp_path / 'whole', draw=True)
    make, _ = breaking_after(6)
    with pytest.raises(PowerCut):
        annotated(source, tmp_path / 'out', make, draw=True)
    assert not (tmp_path / 'out').exists() and (tmp_path / 'out.journal').exists()
    make, calls = breaking_after(99)
    report = annotated(source, tmp_path / 'out', make, draw=True)
    assert (len(calls), report.images, report.told_before) == (5, 11, 6)
    whole, out = (bag_rig.read(tmp_path / name) for name in ('whole', 'out'))
    ours = [bag_rig.faces(tmp_path / name) for name in ('whole', 'out')]
    for messages in ours:
        for message in messages:
            message.inference_ms = message.latency_ms = 0.  # of this run's own clock
    assert ours[0] == ours[1]
    topic = '/face_attributes/image_annotated/compressed'
    drawn = [[(stamp, deserialize_message(data, CompressedImage))  # between fields lies any byte
              for stamp, data in messages.pop(topic)] for messages in (whole, out)]
    assert drawn[0] == drawn[1]
    del whole[FACES], out[FACES]
    assert whole == out
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out', 'whole']


def test_other_settings_begin_anew(tmp_path):
    source = bag_rig.write(tmp_path / 'in')
    make, _ = breaking_after(6)
    with pytest.raises(PowerCut):
        annotated(source, tmp_path / 'out', make)
    make, calls = breaking_after(99)
    settings = Settings(detector_iou=.6)
    report = annotate_bag(source, tmp_path / 'out', settings, Wish(), make)
    assert (len(calls), report.told_before) == (12, 0)


@pytest.mark.parametrize('before, told', [
    (b'', []), (b'{"about": 1}\n{"n": 1}\n{"n": 2}\n', [{'n': 1}, {'n': 2}]),
    (b'{"about": 1}\n{"n": 1}\n{"n', [{'n': 1}]), (b'{"about": 2}\n{"n": 1}\n', []),
    (b'{"ab', [])], ids=['empty', 'whole', 'cut off', 'about another', 'cut off at once'])
def test_a_journal_knows_what_was_whole(tmp_path, before, told):
    path = tmp_path / 'journal'
    path.write_bytes(before)
    journal = Journal(path, {'about': 1})
    assert list(journal.told) == told
    journal.write({'n': 9})
    journal.close(done=False)
    assert [json.loads(line) for line in path.read_text().splitlines()] == \
        [{'about': 1}, *told, {'n': 9}]
    journal = Journal(path, {'about': 1})
    journal.close(done=True)
    assert not path.exists()


def test_two_at_one_journal_are_one_too_many(tmp_path):
    journal = Journal(tmp_path / 'journal', {})
    with pytest.raises(OutputError, match='another process'):
        Journal(tmp_path / 'journal', {})
    journal.close(done=True)


@pytest.mark.parametrize('found, looks', [
    ([[]], []),
    ([[Face((1 / 3, 2., 3e5, .1), .9)]], [[Attributes(
        age_years=31.25, gender='female', smile=1 / 7, expression_probs=(1 / 7,) * 7,
        expression=EXPRESSIONS[0], landmarks_xy=((.1, .2), (1 / 3, 4.)))]])])
def test_a_tape_plays_exactly_what_was_said(found, looks):
    one, other = Tape(), Tape()
    one.found, one.looks = found, looks
    other.begin(json.loads(json.dumps(one.entry())))
    assert (other.playing, other.found, other.looks) == (True, found, looks)


# --- what cannot be ------------------------------------------------------------------------------


IMAGE, JPEG = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'


@pytest.mark.parametrize('there, asked, expected', [
    ({'/a': IMAGE}, (), ['/a']), ({'/a': IMAGE, '/a/compressed': JPEG}, (), ['/a']),
    ({'/a/compressed': JPEG}, (), ['/a/compressed']),
    ({'/color': IMAGE, '/depth/image': IMAGE, '/x': 'std_msgs/msg/String'}, (), ['/color']),
    ({'/a': IMAGE, '/b': IMAGE}, ('/b', '/a', '/b'), ['/b', '/a']),
    ({'/a': IMAGE, '/b': IMAGE}, (), 'images on /a, /b'), ({}, (), 'images on no topic'),
    ({'/a': IMAGE}, ('/x',), 'no images on /x, but on /a')])
def test_cameras_are_chosen_or_asked_for(there, asked, expected):
    connections = [SimpleNamespace(topic=topic, msgtype=kind) for topic, kind in there.items()]
    if isinstance(expected, list):
        assert cameras_of(connections, asked) == expected
    else:
        with pytest.raises(ParameterError, match=expected):
            cameras_of(connections, asked)


@pytest.mark.parametrize('namespace, faces', [
    ('', '/faces'), ('/', '/faces'), ('me', '/me/faces'), ('/me/', '/me/faces')])
def test_names_of_one_and_of_several(namespace, faces):
    one, = names_of(['/camera/image_raw/compressed'], namespace)
    assert (one.camera, one.faces, one.info) == ('', faces, '/camera/camera_info')
    two = names_of(['/a/image', '/b'], namespace)
    assert [each.camera for each in two] == ['a_image', 'b']
    assert two[1].faces == faces.replace('faces', 'b/faces')


def test_a_bag_that_is_damaged_is_named_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    def damaged(self):
        yield from list(whole(self))[:5]
        raise ValueError('chunk 7')

    whole = Reader.messages
    monkeypatch.setattr(Reader, 'messages', damaged)
    with pytest.raises(DataError, match='in: is damaged, chunk 7'):
        annotated(bag_rig.write(tmp_path / 'in'), tmp_path / 'out')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out.journal']


def test_a_bag_that_has_ours_already_is_refused(tmp_path):
    annotated(bag_rig.write(tmp_path / 'in', frames=2), tmp_path / 'out')
    with pytest.raises(ParameterError, match='has /face_attributes/faces already'):
        annotated(tmp_path / 'out', tmp_path / 'again')
    annotated(tmp_path / 'out', tmp_path / 'again', namespace='/second')
    assert {FACES, '/second/faces'} < set(bag_rig.read(tmp_path / 'again'))


def test_what_is_there_is_never_overwritten(tmp_path):
    source = bag_rig.write(tmp_path / 'in', frames=1)
    (tmp_path / 'out').mkdir()
    with pytest.raises(OutputError, match='out is there already'):
        annotated(source, tmp_path / 'out')


@pytest.mark.parametrize('content', [None, b'', b'no bag'])
def test_what_is_no_bag_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / 'x.mcap'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r'x\.mcap: cannot be read as a bag'):
        annotated(path, tmp_path / 'out')


def test_the_command_says_how_fast_it_was(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(annotate.annotate_bag, '__defaults__',
                        (film_rig.make_pipeline, lambda error: None))
    source = bag_rig.write(tmp_path / 'in', frames=4, broken=(1,))
    assert cli.main(['annotate-bag', str(source), str(tmp_path / 'out')]) == 1
    told = capsys.readouterr()
    assert 'out: 3 images of 0.3 s in' in told.out and '1 more could not be read' in told.out
    assert '(the first of 1)' in told.err and 'message' in told.err


def test_a_report_in_words():
    assert str(Report(300, 0, 0, 10., 2.5)) == '300 images of 10.0 s in 2.5 s, 4.0 times real time'
