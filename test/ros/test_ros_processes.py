# SPDX-License-Identifier: Apache-2.0
"""Publisher, node and subscriber as three processes over real DDS; and processes that are told to
end."""

import json
import os
import signal
import time

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from harness import FACES, FAKE_NODE, HERE, picture
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from bench.rig.processes import cpu_s

RUN = ('-m', 'face_attributes_ros.ros.run')


def source(folder, width, height, *parameters):
    """A command line for an image source that shows one picture, and the file in which it says
    what it sent."""
    path, log = folder / f'{width}x{height}.png', folder / f'published_{width}x{height}.jsonl'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    given = [f'sources:=["{path}"]', f'published_log:={log}', 'frame_id:=left_eye', *parameters]
    return [
        *RUN, 'image_source', '--ros-args',
        *(word for parameter in given for word in ('-p', parameter))
    ], log


def heard(child, reliability=None):
    """What a listener has printed, by its reliability."""
    messages = [json.loads(line) for line in child.lines if line.startswith('{')]
    return [message for message in messages if reliability in (None, message['reliability'])]


def stamps(messages):
    return [(message['header']['stamp']['sec'], message['header']['stamp']['nanosec'])
            for message in messages]


def sent_stamps(log):
    return {(line['sec'], line['nanosec']) for line in map(json.loads,
                                                           log.read_text().splitlines())}


def test_reliable_and_best_effort_publishers_and_subscribers_all_get_messages(child, tmp_path):
    listener = child(HERE / 'listener.py', FACES)
    node = child(FAKE_NODE, 0)
    node.wait_for('takes images from')
    for number, reliability in enumerate(('best_effort', 'reliable')):
        folder = tmp_path / reliability
        folder.mkdir()
        before = len(heard(listener))
        command, log = source(folder, 64 + number, 48,
                              f'qos_overrides./image.publisher.reliability:={reliability}',
                              'rate:=20.0', 'wait_for_subscribers:=1')
        publisher = child(*command)
        listener.wait_until(lambda: all(
            sum(message['image_width'] == 64 + number for message in heard(listener, kind)) >= 3
            for kind in ('BEST_EFFORT', 'RELIABLE')), what=f'messages about {reliability} images')
        publisher.end(signal.SIGINT)
        # One without faces may come between: the source before has fallen silent.
        new = [message for message in heard(listener)[before:] if message['faces']]
        assert set(stamps(new)) <= sent_stamps(log)
        assert {(message['header']['frame_id'], message['image_height'], len(message['faces']))
                for message in new} == {('left_eye', 48, 1)}


def test_a_node_that_nobody_listens_to_costs_next_to_nothing(child, tmp_path):
    node = child(FAKE_NODE, 0)
    node.wait_for('takes images from')
    command, log = source(tmp_path, 1280, 720, 'rate:=30.0')
    camera = child(*command)
    camera.wait_until(lambda: log.exists() and log.read_text().count('\n') > 3)
    before_s, began_s, sent = cpu_s(node.process.pid), time.monotonic(), len(sent_stamps(log))
    time.sleep(4)
    used_s, took_s = cpu_s(node.process.pid) - before_s, time.monotonic() - began_s
    assert len(sent_stamps(log)) > sent + 10
    assert used_s < .05 * took_s  # a fifth of a core before


def test_full_hd_best_effort_camera_is_heard(child, tmp_path):
    """With Fast DDS's defaults not one of these 6 MB images arrives."""
    listener = child(HERE / 'listener.py', FACES)
    node = child(FAKE_NODE, 0)
    node.wait_for('takes images from')
    command, log = source(tmp_path, 1920, 1080,
                          'qos_overrides./image.publisher.reliability:=best_effort', 'rate:=5.0',
                          'wait_for_subscribers:=1')
    publisher = child(*command)
    publisher.wait_until(lambda: log.exists() and len(sent_stamps(log)) >= 12)
    publisher.end(signal.SIGINT)
    got = set(stamps(heard(listener, 'RELIABLE')))
    assert got <= sent_stamps(log)
    assert len(got) >= .75 * len(
        sent_stamps(log)), f'{len(got)} of {len(sent_stamps(log))} arrived'


def test_a_flood_makes_results_no_older_and_what_is_dropped_is_counted(child, bench):
    """60 Hz into a pipeline that takes 0.1 s: each result is of the newest image, and nothing is
    lost from the count."""
    inference_s, rate_hz = .1, 60.
    node = child(FAKE_NODE, inference_s)
    messages, _ = bench.listen(FACES, qos=QoSProfile(depth=100))
    publisher = bench.robot.create_publisher(Image, 'image', 1)
    sent = []

    def publish():
        sent.append(picture(stamp=bench.now()))
        publisher.publish(sent[-1])

    node.wait_for('takes images from')
    bench.spin_until(lambda: publisher.get_subscription_count() > 0)
    bench.robot.create_timer(1 / rate_hz, publish)
    bench.spin_until(lambda: len(messages) >= 25)
    indices = {(m.header.stamp.sec, m.header.stamp.nanosec): i for i, m in enumerate(sent)}
    at = [indices[message.header.stamp.sec, message.header.stamp.nanosec] for message in messages]
    skipped = np.diff(at) - 1
    # What is published with a message counts what was replaced while the one before was worked on.
    assert sum(message.dropped_frames for message in messages) >= .8 * skipped.sum() > 0
    ages_s = sorted(message.latency_ms / 1e3 for message in messages)
    assert ages_s[len(ages_s) // 2] < 1 / 10 + inference_s
    assert ages_s[int(
        .9 * len(ages_s))] < 1 / 10 + 2 * inference_s  # the machine may have other things to do


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('wait_s', [0., .1, .3, .8])
def test_ends_at_once_while_it_starts(child, tmp_path, number, wait_s):
    process = child(
        '-c', 'import sys; print("up", flush=True); sys.path.insert(0, sys.argv[1]); '
        'from face_attributes_ros.ros import run; print("started", flush=True); '
        'run.start("recorder", [])', HERE,
        env={'ROS_LOG_DIR': os.environ['ROS_LOG_DIR']}, cwd=tmp_path)
    process.wait_for('started')
    time.sleep(.05 + wait_s)  # a moment of its life, whichever it is
    code, took_s = process.end(number)
    assert (code, 'Traceback' in process.output) == (0, False), process.output
    assert took_s < 2


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_ends_at_once_while_weights_load(child, number):
    process = child('-c', 'import sys, time; from face_attributes_ros.ros import node, run\n'
                    'def load(settings):\n    print("loading", flush=True)\n    time.sleep(60)\n'
                    'node.make_node = lambda **kwargs: node.FaceAttributesNode(load, **kwargs)\n'
                    'run.start("face_attributes_node", [])')
    process.wait_for('loading')
    code, took_s = process.end(number)
    assert (code, 'Traceback' in process.output) == (0, False), process.output
    assert took_s < 2


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_ends_at_once_in_the_middle_of_a_flood(child, bench, number):
    node = child(FAKE_NODE, .05)
    messages, _ = bench.listen(FACES)
    publisher = bench.robot.create_publisher(Image, 'image', 1)
    bench.robot.create_timer(.01, lambda: publisher.publish(picture(640, 480, stamp=bench.now())))
    bench.spin_until(lambda: len(messages) >= 3)
    node.process.send_signal(number)
    start = time.monotonic()
    if number == signal.SIGINT:
        node.process.send_signal(number)  # launch sends two
    bench.spin_until(lambda: node.process.poll() is not None)
    assert time.monotonic() - start < 2
    node.end(number) if node.process.poll() is None else node._reader.join(5)
    assert (node.process.returncode, 'Traceback' in node.output) == (0, False), node.output


def test_ends_at_once_in_the_middle_of_a_long_inference(child, bench):
    node = child(FAKE_NODE, 30)
    bench.listen(FACES)
    publisher = bench.robot.create_publisher(Image, 'image', 1)
    states, _ = bench.listen('/diagnostics', DiagnosticArray)
    bench.robot.create_timer(.1, lambda: publisher.publish(picture(stamp=bench.now())))
    # The first image is at work as soon as one that came later was replaced.
    bench.spin_until(lambda: any(value.key == 'replaced' and int(value.value) for message in states
                                 for status in message.status for value in status.values))
    code, took_s = node.end(signal.SIGTERM)
    assert (code, 'Traceback' in node.output) == (0, False), node.output
    assert took_s < 2


@pytest.mark.parametrize('arguments, text', [
    (['-p', 'detector.iuo:=0.3'
      ], "face_attributes_node: unknown parameter 'detector.iuo', did you mean 'detector.iou'?"),
    (['-p', 'max_rate_hz:=fast'],
     "face_attributes_node: parameter max_rate_hz is 'fast', needs a number"),
    (['--params-file', '/nowhere.yaml'], '/nowhere.yaml'),
    (['-p', 'detector.model:=no_such_model'], "'no_such_model' is not in the manifest"),
    (['-p', 'device:=cuda:0'], 'cuda:0'),
], ids=['unknown', 'wrong type', 'no file', 'no model', 'no device'])
def test_a_start_that_cannot_be_is_one_clear_line_and_an_exit_code(child, arguments, text):
    if arguments[-1] == 'device:=cuda:0' and os.path.exists('/dev/nvidia0'):
        pytest.skip('there is a GPU here')
    process = child(*RUN, 'face_attributes_node', '--ros-args', *arguments)
    assert process.process.wait(30) == 1
    process._reader.join(5)
    assert text in process.output and 'Traceback' not in process.output, process.output
    assert len(process.lines) == 1, process.output


def test_unknown_parameter_in_a_yaml_file_is_named(child, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('/**:\n  ros__parameters:\n    detector:\n      confidense: 0.5\n')
    process = child(*RUN, 'face_attributes_node', '--ros-args', '--params-file', path)
    assert process.process.wait(30) == 1
    process._reader.join(5)
    assert ("unknown parameter 'detector.confidense', did you mean 'detector.confidence'?"
            in process.output)


def test_help_and_wrong_arguments(child):
    for arguments, code, text in ((['--help'], 0, '--ros-args'), (['--frobnicate'], 2,
                                                                  'unrecognized')):
        process = child(*RUN, 'face_attributes_node', *arguments)
        assert process.process.wait(30) == code
        process._reader.join(5)
        assert text in process.output
    assert child(*RUN, 'nod').process.wait(30) == 1
