# SPDX-License-Identifier: Apache-2.0
"""image_source and recorder in this process; the demo with a fake pipeline, as a user runs it."""

import errno
import functools
import http.server
import itertools
import json
import os
import shlex
import subprocess
import sys
import threading
import types

import cv2
import numpy as np
import pytest
from face_attributes_ros.msg import FaceAttributesArray
from harness import FAKE_NODE, picture
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros import compressed, images
from face_attributes_ros.ros.companions.demo import photographs
from face_attributes_ros.ros.companions.image_source import ImageSource
from face_attributes_ros.ros.companions.pictures import expand, pictures
from face_attributes_ros.ros.companions.recorder import Recorder
from face_attributes_ros.ros.run import Finished


@pytest.fixture
def album(tmp_path):
    """A folder with two pictures of different grey and size, and a file that is none."""
    folder = tmp_path / 'album'
    folder.mkdir()
    for number, (name, size) in enumerate({'a.png': (20, 30), 'b.png': (40, 30)}.items()):
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 50 * (number + 1),
                                                np.uint8))
    (folder / 'notes.txt').write_text('not a picture')
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it."""

    def log_message(self, *_):
        pass


def unexpected(error):
    raise error


def film(path):
    """Three frames of Motion JPEG."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (32, 24))
    for grey in (10, 100, 200):
        writer.write(np.full((24, 32, 3), grey, np.uint8))
    writer.release()


def make(bench, kind, **parameters):
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    return bench.add(kind(context=bench.context, parameter_overrides=overrides))


@pytest.mark.parametrize('transport, kind, read',
                         [('raw', Image, images.to_bgr),
                          ('compressed', CompressedImage, compressed.to_bgr)])
def test_source_shows_each_picture_once_and_ends(bench, album, transport, kind, read):
    topic = '/image' if transport == 'raw' else '/image/compressed'
    shown, _ = bench.listen(topic, kind)
    infos, _ = bench.listen('/camera_info', CameraInfo)
    source = make(bench, ImageSource, sources=[str(album)], loop=False, transport=transport,
                  rate=100., wait_for_subscribers=1, frame_id='eye',
                  published_log=str(album / 'log.jsonl'))
    source.begin()
    with pytest.raises(Finished) as end:
        bench.spin_until(lambda: False)
    bench.spin_until(lambda: len(shown) == len(infos) == 2)
    assert end.value.code == 0 and [read(message).shape for message in shown] == [(30, 20, 3),
                                                                                  (30, 40, 3)]
    assert [info.header
            for info in infos] == [message.header
                                   for message in shown] and shown[0].header.frame_id == 'eye'
    assert (infos[1].k[0], infos[1].k[2], infos[1].width) == (40., 19.5, 40)
    lines = [json.loads(line) for line in (album / 'log.jsonl').read_text().splitlines()]
    assert [(line['source'], line['sec'], line['nanosec']) for line in lines] == [
        (str(album / name), message.header.stamp.sec, message.header.stamp.nanosec)
        for name, message in zip(('a.png', 'b.png'), shown)]


@pytest.mark.parametrize('rules, topics', [
    ([], {'/image', '/image/compressed', '/camera_info'}),
    (['image:=/cam/color/image_raw'], {
        '/cam/color/image_raw', '/cam/color/image_raw/compressed', '/cam/color/camera_info'}),
    (['image:=/cam/image_raw', 'image/compressed:=/jpeg', 'camera_info:=/calibration'],
     {'/cam/image_raw', '/jpeg', '/calibration'}),
])
def test_what_lies_beside_the_sources_image_follows_its_remap(bench, album, rules, topics):
    arguments = [word for rule in rules for word in ('-r', rule)]
    source = bench.add(ImageSource(context=bench.context, cli_args=['--ros-args', *arguments],
                                   parameter_overrides=[
                                       Parameter('sources', value=[str(album)]),
                                       Parameter('transport', value='both')]))
    assert topics <= {publisher.topic_name for publisher in source.publishers}


def test_source_loops_and_holds_pictures(bench, album):
    shown, _ = bench.listen('/image', Image)
    source = make(bench, ImageSource, sources=[str(album / 'a.png'),
                                               str(album / 'b.png')], rate=50., seconds_each=.1,
                  wait_for_subscribers=1)
    source.begin()
    bench.spin_until(lambda: sum(a.width > b.width
                                 for a, b in zip(shown, shown[1:])) >= 1)  # came back to the first
    assert [message.width for message in shown[:2]] == [20, 20]


def test_source_plays_videos_to_their_end(album):
    path = str(album / 'film.avi')
    film(path)
    found = list(pictures([path], unexpected))
    assert [round(float(p.bgr.mean()) / 10)
            for p in found] == [1, 10, 20] and not any(p.still for p in found)


@pytest.mark.parametrize('sources, text', [
    ([''], 'sources is empty'),
    (['/nowhere/a.png'], "source '/nowhere/a.png' is no file, no folder, no camera index, no dev"),
    (['ftp://host/a.png'], 'no device and no address (rtsp, '),
    (['9' * 30], 'needs a camera index up to 9999'),
    (['~nobody-here/a.png'], 'there is no home folder ~nobody-here'),
    (['EMPTY'], 'no pictures in this folder'),
])
def test_source_names_what_is_not_there(bench, tmp_path, sources, text):
    with pytest.raises(ParameterError) as caught:
        make(bench, ImageSource,
             sources=[str(tmp_path) if source == 'EMPTY' else source for source in sources])
    assert text in str(caught.value)


@pytest.mark.parametrize('name, text', [('fake.png', 'fake.png: not a picture'),
                                        ('cut.jpg', 'cut.jpg: JPEG picture is cut short'),
                                        ('huge.png', 'huge.png: PNG picture of 60000x60000'),
                                        ('fake.mp4', 'fake.mp4: no video or camera')])
def test_a_source_that_cannot_be_read_is_said_once_and_the_next_one_shown(album, name, text):
    whole = (album / 'a.png').read_bytes()
    jpeg = cv2.imencode('.jpg', np.zeros((40, 40, 3), np.uint8))[1].tobytes()
    (album / name).write_bytes({'cut.jpg': jpeg[:-9], 'huge.png':
                                whole[:16] + (60000).to_bytes(4, 'big') * 2 + whole[24:]}.get(
                                    name, b'not what its name says'))
    said = []
    sources = [str(album / name), *expand([str(album / 'b.png')])]
    shown = list(itertools.islice(pictures(sources, said.append, loop=True), 3))
    assert [picture.source for picture in shown] == [str(album / 'b.png')] * 3
    assert len(said) == 1 and text in str(said[0])


def test_nothing_that_can_be_read_ends_the_source(tmp_path):
    (tmp_path / 'fake.png').write_bytes(b'not what its name says')
    with pytest.raises(ParameterError, match='none of 1 sources can be read'):
        list(pictures(expand([str(tmp_path)]), lambda error: None, loop=True))


def test_devices_and_addresses_are_sources(tmp_path, monkeypatch):
    """A link to a device is followed; V4L2 knows cameras by their own names only."""
    opened = []

    class Capture:
        def __init__(self, *arguments):
            opened.append(arguments)

        def get(self, what):
            return 0.

        def read(self):
            return False, None

        def release(self):
            pass

    monkeypatch.setattr(cv2, 'VideoCapture', Capture)
    (tmp_path / 'camera').symlink_to('/dev/null')
    addresses = ['rtsp://user:secret@cam.local/stream', 'http://10.0.0.1:8080/video']
    sources = expand(['0', str(tmp_path / 'camera'), *addresses])
    said = []
    with pytest.raises(ParameterError):
        list(pictures(sources, said.append))
    assert [arguments[:2] for arguments in opened] == [
        (0, ), ('/dev/null', cv2.CAP_V4L2), *((one, cv2.CAP_FFMPEG) for one in addresses)]
    assert 'rtsp://cam.local/stream: no video' in str(said[2]) and 'secret' not in str(said[2])


def test_a_film_comes_over_http(tmp_path):
    film(tmp_path / 'film.avi')
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://127.0.0.1:{server.server_address[1]}/film.avi'
        assert len(list(pictures(expand([address]), unexpected))) == 3
        server.shutdown()


@pytest.mark.parametrize('name', [b'f\xff.avi', b'f\xff.png', 'f\u00e9.png'.encode()])
def test_names_of_any_bytes_are_read(album, name):
    path = os.fsdecode(os.path.join(os.fsencode(album), name))
    if path.endswith('.avi'):
        film(album / 'film.avi')
        os.rename(album / 'film.avi', path)
    else:
        os.rename(album / 'a.png', path)
    assert list(pictures([path], unexpected))[0].bgr.size


def test_a_home_is_expanded(album, monkeypatch):
    monkeypatch.setenv('HOME', str(album))
    assert expand(['~/a.png']) == [str(album / 'a.png')]


def test_recorder_writes_messages_and_pictures(bench, tmp_path):
    faces = bench.robot.create_publisher(FaceAttributesArray, 'face_attributes/faces', 1)
    annotated = bench.robot.create_publisher(Image, 'face_attributes/image_annotated', 1)
    folder = tmp_path / 'deep' / 'recording'
    recorder = make(bench, Recorder, folder=str(folder), seconds_between_pictures=0., messages=2)
    bench.spin_until(lambda: faces.get_subscription_count() and annotated.get_subscription_count())
    image = picture(value=90, stamp=bench.now())
    annotated.publish(image)
    stamp = image.header.stamp
    path = folder / f'{stamp.sec}.{stamp.nanosec:09d}.png'
    bench.spin_until(path.exists)
    faces.publish(FaceAttributesArray(header=image.header))
    bench.spin_until(lambda: recorder._written == 1)
    faces.publish(FaceAttributesArray(header=image.header))
    with pytest.raises(Finished):
        bench.spin_until(lambda: False)
    lines = [json.loads(line) for line in (folder / 'messages.jsonl').read_text().splitlines()]
    assert len(lines) == 2 and lines[0]['header']['frame_id'] == 'camera' and lines[0][
        'received_s'] >= stamp.sec
    assert np.array_equal(cv2.imread(str(path)), images.to_bgr(image))


def test_recorder_survives_an_image_it_cannot_read(bench, tmp_path):
    annotated = bench.robot.create_publisher(Image, 'face_attributes/image_annotated', 1)
    make(bench, Recorder, folder=str(tmp_path), seconds_between_pictures=0.)
    bench.spin_until(annotated.get_subscription_count)
    bad = picture(stamp=bench.now())
    bad.encoding = 'bgr7'
    annotated.publish(bad)
    good = picture(stamp=bench.now())
    bench.spin_for(.1)
    annotated.publish(good)
    bench.spin_until(lambda: len(list(tmp_path.glob('*.png'))) == 1)


def test_recorder_keeps_pictures_without_a_stamp_apart(bench, tmp_path):
    annotated = bench.robot.create_publisher(Image, 'face_attributes/image_annotated', 1)
    make(bench, Recorder, folder=str(tmp_path / 'new'), seconds_between_pictures=0.)
    bench.spin_until(annotated.get_subscription_count)
    for number in range(3):
        annotated.publish(picture(value=number))
        bench.spin_until(lambda: len(list((tmp_path / 'new').glob('*.png'))) == number + 1)
    files = sorted((tmp_path / 'new').iterdir())
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600] * 4
    assert (tmp_path / 'new').stat().st_mode & 0o777 == 0o700


def test_recorder_adds_to_what_an_earlier_one_wrote(bench, tmp_path):
    (tmp_path / 'messages.jsonl').write_text('{"old": 1}\n{"cut off')
    faces = bench.robot.create_publisher(FaceAttributesArray, 'face_attributes/faces', 1)
    recorder = make(bench, Recorder, folder=str(tmp_path))
    bench.spin_until(faces.get_subscription_count)
    faces.publish(FaceAttributesArray())
    bench.spin_until(lambda: recorder._written == 1)
    old, cut, new = (tmp_path / 'messages.jsonl').read_text().splitlines()
    assert (old, cut) == ('{"old": 1}', '{"cut off') and 'faces' in json.loads(new)


def test_recorder_says_a_full_disk_once_and_goes_on(bench, tmp_path, monkeypatch):
    faces = bench.robot.create_publisher(FaceAttributesArray, 'face_attributes/faces', 1)
    annotated = bench.robot.create_publisher(Image, 'face_attributes/image_annotated', 1)
    recorder = make(bench, Recorder, folder=str(tmp_path), seconds_between_pictures=0.)
    logged = []
    monkeypatch.setattr(recorder._failures, '_logger', types.SimpleNamespace(
        error=logged.append, warning=logged.append))
    bench.spin_until(lambda: faces.get_subscription_count() and annotated.get_subscription_count())
    write = os.write

    def full(handle, data):
        if len(data) > 10:
            return write(handle, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', full)
        for number in range(2):
            annotated.publish(picture(stamp=bench.now()))
            faces.publish(FaceAttributesArray())
            bench.spin_until(lambda: recorder._written == number + 1
                             and recorder._failures.count == 2 * number + 2)
    assert len(logged) == 1 and 'No space left on device' in logged[0]
    assert list(tmp_path.glob('*.png')) == []
    assert (tmp_path / 'messages.jsonl').read_text() == ''
    faces.publish(FaceAttributesArray())
    bench.spin_until(lambda: recorder._written == 3)
    assert logged[1:] == ['writes again; 4 could not be written']
    assert len((tmp_path / 'messages.jsonl').read_text().splitlines()) == 1


def test_recorder_expands_a_home(bench, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert make(bench, Recorder, folder='~/rec').folder == tmp_path / 'rec'


def test_recorder_names_a_folder_it_cannot_make(bench, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ParameterError, match='parameter folder'):
        make(bench, Recorder, folder=str(tmp_path / 'file' / 'under'))


def demo(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'face_attributes_ros.ros.companions.demo', *map(str, arguments)],
        capture_output=True, text=True, timeout=120)


def test_demo_tells_what_it_saw_and_leaves_pictures(album, tmp_path):
    out = tmp_path / 'out'
    done = demo(album, '--out', out, '--seconds', '1', '--rate', '15', '--node-command',
                shlex.join([str(FAKE_NODE), '0']))
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'a.png' in done.stdout and '20x30' in done.stdout and '40x30' in done.stdout
    assert 'f1 at (5, 8) 10x14 px, 0.90: female 0.80, 30 years (24-37)' in done.stdout
    assert [cv2.imread(str(out / name)).shape for name in ('1_a.png', '2_b.png')] == [(30, 20, 3),
                                                                                      (30, 40, 3)]


def test_demo_fails_where_a_picture_brings_no_message(album, tmp_path):
    """A node to which every image is too old."""
    done = demo(album, '--out', tmp_path / 'out', '--seconds', '.5', '--node-command',
                shlex.join([str(FAKE_NODE), '0', '--ros-args', '-p', 'max_frame_age:=0.0001']))
    assert done.returncode == 1 and 'no message came for' in done.stderr, done.stdout + done.stderr


def test_demo_gives_the_node_parameters(album, tmp_path):
    done = demo(album, '--out', tmp_path / 'out', '-p', 'threads:=1', '-p', 'detector.imgsz:=33',
                '--node-command', shlex.join([str(FAKE_NODE), '0']))
    assert done.returncode == 1 and 'detector.imgsz is 33, needs a multiple' in done.stderr


@pytest.mark.parametrize('there, expected', [
    (('ultralytics/assets/b.jpg', 'ultralytics/assets/a.jpg', 'skimage/data/astronaut.png'),
     ['a.jpg', 'b.jpg']),
    (('ultralytics/readme', 'skimage/data/astronaut.png', 'skimage/data/cell.png'),
     ['astronaut.png']),
    (('skimage/data/cell.png', ), None), ((), None)])
def test_photographs_are_those_of_a_package_that_is_installed(tmp_path, monkeypatch, there,
                                                              expected):
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr('importlib.util.find_spec', lambda name: types.SimpleNamespace(
        origin=str(tmp_path / name / '__init__.py')) if (tmp_path / name).is_dir() else None)
    if expected is None:
        with pytest.raises(ParameterError, match='neither ultralytics nor scikit-image'):
            photographs()
    else:
        assert [os.path.basename(path) for path in photographs()] == expected


def test_demo_fails_where_the_node_does_or_a_picture_is_not_there(album, tmp_path):
    broken = demo(album, '--out', tmp_path / 'out', '--node-command', '-c "raise SystemExit(3)"')
    assert broken.returncode == 1 and 'node ended early' in broken.stderr
    missing = demo('/nowhere.jpg', '--out', tmp_path / 'out')
    assert missing.returncode == 1 and "'/nowhere.jpg' is no file" in missing.stderr


def test_demo_leaves_other_peoples_folders_alone(album, tmp_path):
    refused = demo(album, '--out', album)
    assert refused.returncode == 1 and 'needs an empty folder' in refused.stderr
    (tmp_path / 'file').write_text('')
    refused = demo(album, '--out', tmp_path / 'file')
    assert refused.returncode == 1 and 'Traceback' not in refused.stderr
    assert sorted(path.name for path in album.iterdir()) == ['a.png', 'b.png', 'notes.txt']
