# SPDX-License-Identifier: Apache-2.0
"""`poses` and `nearest`, over real DDS."""

import numpy as np
import pytest
from face_attributes_ros.msg import FaceAttributes
from geometry_msgs.msg import PoseArray, PoseStamped
from harness import FACES, matched, picture
from portrait import HEIGHT, ORIGIN, WIDTH, Gallery, portrait
from sensor_msgs.msg import CameraInfo, Image
from test_depth import depth_image

from face_attributes_ros.faces import COASTING, TENTATIVE
from face_attributes_ros.ros.companions.image_source import camera_info
from face_attributes_ros.ros.diagnostics import CameraReport
from face_attributes_ros.ros.outputs.nearest import nearest

POSES, NEAREST = '/face_attributes/poses', '/face_attributes/nearest'


@pytest.fixture
def look(bench, start, camera):
    """look(tracks, *topics, **parameters): the node shows `tracks`; then look.again(tracks)."""
    def show(tracks, **parameters):
        info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
        node, (pipeline,) = start(factory=Gallery, **parameters)
        pipeline.shown = tracks
        bench.spin_until(matched(info))
        info.publish(camera_info(WIDTH, HEIGHT))
        bench.spin_until(lambda: node.work.cameras[''].calibration is not None)
        return node, pipeline

    return show


def position(pose):
    return pose.position.x, pose.position.y, pose.position.z


def test_poses_are_those_of_the_heads(bench, look, camera):
    heard, _ = bench.listen(POSES, PoseArray)
    _, pipeline = look([portrait(), portrait('f2', COASTING, (-.4, 0., 2.))])
    sent = picture(WIDTH, HEIGHT, stamp=bench.now(), frame_id='eye')
    camera(sent)
    bench.spin_until(lambda: heard)
    first, second = heard[0].poses
    assert heard[0].header == sent.header and position(first) == pytest.approx(ORIGIN, abs=.005)
    assert position(second)[2] == pytest.approx(2, abs=.05)
    pipeline.shown = []
    camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
    bench.spin_until(lambda: len(heard) == 2)
    assert heard[1].poses == []


def test_the_nearest_is_the_one_to_look_at(bench, look, camera):
    heard, _ = bench.listen(NEAREST, PoseStamped)
    _, pipeline = look([portrait('f1', origin=(.3, 0., 1.5)), portrait('f2', origin=(-.3, 0., 1.)),
                        portrait('f3', TENTATIVE, (0., 0., .5))])
    sent = picture(WIDTH, HEIGHT, stamp=bench.now(), frame_id='eye')
    camera(sent)
    bench.spin_until(lambda: heard)
    assert heard[0].header == sent.header
    assert position(heard[0].pose) == pytest.approx((-.3, 0, 1), abs=.005)
    pipeline.shown = []
    camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
    bench.spin_until(lambda: len(pipeline.calls) == 2)
    bench.spin_for(.2)
    assert len(heard) == 1  # nobody is no message


@pytest.mark.parametrize('distances, held, expected', [
    ({}, '', ''), ({}, 'f1', ''), ({'f1': 2., 'f2': 1.}, '', 'f2'),
    ({'f1': 1., 'f2': .9}, 'f1', 'f1'), ({'f1': 1., 'f2': .7}, 'f1', 'f2'),
    ({'f2': 3.}, 'f1', 'f2'),
])
def test_a_robot_does_not_shake_its_head_between_two_people(distances, held, expected):
    assert nearest(distances, held) == expected


def test_depth_is_measured_and_its_absence_is_said(bench, look, camera):
    heard, _ = bench.listen(FACES)
    node, _ = look([portrait()], depth__enable=True)
    depth = bench.robot.create_publisher(Image, 'depth/image', 1)
    bench.spin_until(matched(depth))

    def exchange():
        before = len(heard)
        stamp = bench.now()
        camera(picture(WIDTH, HEIGHT, stamp=stamp))
        bench.spin_until(lambda: len(heard) > before)
        return stamp, heard[-1].faces[0]

    report = CameraReport(node.work.cameras[''], node.work)
    _, guessed = exchange()
    assert guessed.position_source == FaceAttributes.POSITION_MONOCULAR
    status = report.status('x', True, node.settings)
    assert 'guessed' in status.message and '/depth/image' in status.message
    stamp = bench.now()
    message = depth_image(np.full((HEIGHT, WIDTH), .8))
    message.header.stamp = stamp
    depth.publish(message)
    bench.spin_until(lambda: node.work.cameras[''].depth._newest is not None)
    before = len(heard)
    camera(picture(WIDTH, HEIGHT, stamp=stamp))
    bench.spin_until(lambda: len(heard) > before)
    measured = heard[-1].faces[0]
    assert measured.position_source == FaceAttributes.POSITION_DEPTH
    assert measured.position.z == pytest.approx(.8)
    status = report.status('x', True, node.settings)
    assert 'guessed' not in status.message
    assert {pair.key: pair.value for pair in status.values}['depth'].startswith('1 faces')


def test_nothing_in_space_is_computed_for_who_only_wants_pictures(bench, look, camera,
                                                                  monkeypatch):
    """What nobody listens to costs nothing: no pose is worked out for an image."""
    from face_attributes_ros.ros import sight

    solved = []
    monkeypatch.setattr(sight, 'pose_turned', lambda *given: solved.append(given))
    heard, _ = bench.listen('/face_attributes/faces')
    look([portrait()])
    for number in (1, 2):
        camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
        bench.spin_until(lambda: len(heard) == number)
    assert solved == []
    bench.listen(POSES, PoseArray)
    bench.spin_until(lambda: bench.nodes[1].work.publishers[''].wanted('poses'))
    camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
    bench.spin_until(lambda: solved)
