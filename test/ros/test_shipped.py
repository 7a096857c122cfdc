# SPDX-License-Identifier: Apache-2.0
"""The node with the networks of models/, on real photographs, with no network to reach."""

import importlib.util
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import FACES, RUN_NODE, picture
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from places import ROOT
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros import images
from face_attributes_ros.ros.companions import demo

# A network namespace of its own, in which there is nothing but the loopback interface.
CUT_OFF = ('unshare', '-rn', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh')

WATCHED = '''
import sys

def watch(event, args):
    """Prints every address outside this host that Python code turns to, by name or by socket."""
    if event in ('socket.connect', 'socket.sendto', 'socket.getaddrinfo', 'socket.gethostbyname',
                 'urllib.Request'):
        address = args[0] if event.startswith(('socket.get', 'urllib')) else args[1]
        host = address[0] if isinstance(address, tuple) else address
        ours = ('127.0.0.1', '::1', 'localhost', '')
        if str(host) not in ours and not str(host).startswith(('/', "b'")):
            print('LEFT THE HOST', event, address, flush=True)

sys.addaudithook(watch)
'''


@pytest.fixture
def photographs():
    try:
        return demo.photographs()
    except ParameterError as error:
        pytest.skip(str(error))


def cut_off():
    """A prefix for a command line that cuts it off from every network; empty where this machine
    does not let us."""
    if shutil.which('unshare') is None or shutil.which('ip') is None:
        return ()
    return CUT_OFF if subprocess.run([*CUT_OFF, 'true'],
                                     capture_output=True).returncode == 0 else ()


def test_demo_finds_the_people_in_the_photographs_without_a_network(photographs, tmp_path):
    command = [
        *cut_off(), sys.executable, '-m', 'face_attributes_ros.ros.companions.demo',
        *photographs, '--out',
        str(tmp_path), '--seconds', '2', '--rate', '5'
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    faces = {}
    for line in done.stdout.splitlines():
        name = line.split(' ')[0]
        if name.endswith(('.jpg', '.png')):
            faces[name] = int(line.split()[-1])
    assert faces.keys() == {Path(path).name for path in photographs}, done.stdout
    assert min(faces.values()) >= 1, done.stdout
    words = ' '.join(line for line in done.stdout.splitlines() if line.startswith('    '))
    assert 'years' in words and 'yaw' in words, done.stdout
    last = f'{len(photographs)}_{Path(photographs[-1]).stem}.png'
    assert (tmp_path / last).stat().st_size > 100_000


def test_node_turns_to_no_other_host(child):
    process = child(
        '-c', WATCHED +
        'from face_attributes_ros.ros import run; run.start("face_attributes_node", [])')
    process.wait_for('takes images from', 60)
    process.end(signal.SIGINT)
    assert 'LEFT THE HOST' not in process.output, process.output
    assert process.process.returncode == 0, process.output


TORCH_NODE = '''
import sys
sys.modules['ultralytics'] = None
from face_attributes_ros.ros import run
run.start('face_attributes_node', sys.argv[1:])
'''


def test_the_backend_torch_says_what_onnx_says_and_needs_no_ultralytics(child, bench,
                                                                        photographs):
    """Two nodes over DDS on CPU tensors, one photograph: the same people, nearly to the digit."""
    pytest.importorskip('torch', reason='torch is not installed')
    image = cv2.imread(photographs[-1])
    publisher = bench.robot.create_publisher(Image, 'image', 1)
    bench.robot.create_timer(.2, lambda: publisher.publish(
        images.from_array(image, Header(stamp=bench.now(), frame_id='eye'), 'bgr8')))
    faces = {}
    for backend in ('torch', 'onnxruntime'):
        heard, _ = bench.listen(f'/{backend}/faces')
        parameters = [f'detector.backend:={backend}', f'attributes.backend:={backend}',
                      'device:=cpu', 'precision:=fp32', 'threads:=1', 'max_frame_age:=0.0']
        node = child('-c', TORCH_NODE, '--ros-args', '-r', f'__node:={backend}',
                     *(word for given in parameters for word in ('-p', given)))
        # The third image on, a face has been confirmed.
        bench.spin_until(lambda: len([one for one in heard if one.faces]) > 3, 240)
        assert node.end(signal.SIGTERM)[0] == 0 and 'Traceback' not in node.output, node.output
        assert f'{backend} ' in node.output
        faces[backend] = heard[-1].faces
    assert len(faces['torch']) == len(faces['onnxruntime']) >= 1
    for ours, theirs in zip(*faces.values()):
        boxes = [[face.roi.x_offset, face.roi.y_offset, face.roi.width, face.roi.height]
                 for face in (ours, theirs)]
        np.testing.assert_allclose(*boxes, atol=2)
        assert ours.detection_confidence == pytest.approx(theirs.detection_confidence, abs=.01)
        assert ours.age == pytest.approx(theirs.age, abs=1.)


def test_ultralytics_turns_to_no_other_host(child, tmp_path):
    pytest.importorskip('torch', reason='torch is not installed')
    if importlib.util.find_spec('ultralytics') is None:
        pytest.skip('ultralytics is not installed')
    process = child(
        '-c', WATCHED +
        'from face_attributes_ros.engines.ultralytics import load_ultralytics; '
        'load_ultralytics(); '
        'print("loaded")', env={'HOME': str(tmp_path)})
    assert process.process.wait(120) == 0, process.output
    process._reader.join(5)
    assert process.lines == ['loaded']


def test_the_watch_sees_who_leaves(child):
    process = child(
        '-c', WATCHED +
        'import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))'
    )
    process.process.wait(30)
    process._reader.join(5)
    assert 'LEFT THE HOST socket.connect' in process.output


@pytest.mark.parametrize('harm, text', [
    (lambda path: path.unlink(), 'is missing'),
    (lambda path: path.write_bytes(path.read_bytes()[:-1000]),
     'the file is damaged or was changed'),
    (lambda path: path.write_bytes(path.read_bytes()[:-1] + b'!'),
     'the file is damaged or was changed'),
], ids=['missing', 'truncated', 'tampered'])
def test_weights_that_are_not_what_the_manifest_says_end_the_start(child, tmp_path, harm, text):
    shutil.copytree(ROOT / 'models', tmp_path / 'models')
    harm(tmp_path / 'models' / 'detector_tiny.onnx')
    process = child(*RUN_NODE, '-p',
                    f'detector.model:={tmp_path}/models/manifest.toml:detector_tiny')
    assert process.process.wait(60) == 1
    process._reader.join(5)
    assert text in process.output and 'Traceback' not in process.output and len(
        process.lines) == 1, process.output


def test_every_transition_works_with_the_shipped_models_and_signals_still_end_the_process(
        child, bench):
    messages, _ = bench.listen(FACES)
    publisher = bench.robot.create_publisher(Image, 'image', 1)
    bench.robot.create_timer(
        .1, lambda: publisher.publish(picture(640, 480, stamp=bench.now(), frame_id='eye')))
    node = child(*RUN_NODE)
    for _ in range(2):
        before = len(messages)
        bench.spin_until(
            lambda: any(message.header.frame_id == 'eye' for message in messages[before:]), 60)
        for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
            request = ChangeState.Request(transition=Transition(label=transition))
            assert bench.call(ChangeState, '/face_attributes/change_state',
                              request).success, transition
    for transition in ('deactivate', 'cleanup'):
        request = ChangeState.Request(transition=Transition(label=transition))
        assert bench.call(ChangeState, '/face_attributes/change_state',
                          request).success, transition
    code, took_s = node.end(signal.SIGTERM)
    assert (code, 'Traceback' in node.output) == (0, False) and took_s < 2, node.output
