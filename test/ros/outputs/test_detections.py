# SPDX-License-Identifier: Apache-2.0
"""`detections` and `label_info`, over real DDS, with the real vision_msgs where it is."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from harness import matched, picture
from portrait import HEIGHT, ORIGIN, WIDTH, Gallery, portrait
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from face_attributes_ros.faces import COASTING, TENTATIVE
from face_attributes_ros.headpose import Position
from face_attributes_ros.ros.camera import Frame
from face_attributes_ros.ros.companions.image_source import camera_info
from face_attributes_ros.ros.outputs import detections
from face_attributes_ros.ros.outputs.look import Look
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.settings import Settings

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def vision():
    return pytest.importorskip('vision_msgs.msg',
                               reason='the ROS package vision_msgs is not installed')


def test_a_box_is_given_by_its_centre():
    assert detections.box_centre(portrait(origin=(0., 0., 1.))) == pytest.approx(
        {'x': 320, 'y': 240, 'size_x': 96, 'size_y': 96}, abs=30)


@pytest.mark.parametrize('measured, share', [(False, .2), (True, .02)])
def test_a_pose_says_how_far_it_is_to_be_trusted(measured, share):
    found = detections.pose_with_covariance(None, Position((0., 0., 2.), measured))
    assert found.pose.position.z == 2
    assert [found.covariance[7 * axis] for axis in range(6)] == pytest.approx(
        [(2 * share) ** 2] * 3 + [0] * 3)


def test_a_pose_that_is_not_known_says_so():
    assert detections.pose_with_covariance(None, None).covariance[0] == -1


def test_without_the_package_the_mapping_is_the_same(monkeypatch):
    monkeypatch.setattr(detections, 'message_type',
                        lambda name, asked_by: partial(SimpleNamespace, kind=name))
    tracks = [portrait(), portrait('f2', COASTING)]
    settings = Settings(detector_confidence=.4)
    frame = Frame(Header(frame_id='eye'), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    sight = Sight(tracks, (WIDTH, HEIGHT), 0., settings)
    seen = Look(frame, tracks, settings, sight, lambda: None)
    output = detections.Detections()
    (topic, message), = output.messages(seen, {'detections'})
    found, = message.detections
    assert (topic, found.id, found.header) == ('detections', 'f1', frame.header)
    assert found.results[0].hypothesis.class_id == 'face'
    assert found.results[0].pose.covariance[0] == -1  # no camera_info
    assert list(output.messages(seen, {'label_info'})) == []
    (_, nothing), = output.nothing(SimpleNamespace(header=frame.header))
    assert not hasattr(nothing, 'detections')
    info = detections.label_info(settings)
    assert (info.threshold, info.class_map[0].class_name) == (.4, 'face')


def test_detections_are_the_faces_that_the_image_shows(bench, start, camera):
    msg = vision()
    heard, _ = bench.listen('/face_attributes/detections', msg.Detection2DArray)
    info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    node, (pipeline,) = start(factory=Gallery, detections__enable=True)
    pipeline.shown = [portrait(), portrait('f2', TENTATIVE), portrait('f3', COASTING)]
    bench.spin_until(matched(info))
    info.publish(camera_info(WIDTH, HEIGHT))
    bench.spin_until(lambda: node.work.cameras[''].calibration is not None)
    sent = picture(WIDTH, HEIGHT, stamp=bench.now(), frame_id='eye')
    camera(sent)
    bench.spin_until(lambda: heard)
    first, second = heard[0].detections
    assert [first.id, second.id] == ['f1', 'f2']
    assert heard[0].header == first.header == sent.header
    result, = first.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ('face', .9)
    x0, y0, x1, y1 = portrait().face.box_xyxy
    box = first.bbox
    assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y
            ) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0))
    where = result.pose.pose.position
    assert (where.x, where.y, where.z) == pytest.approx(ORIGIN, abs=.005)
    pipeline.shown = []
    camera(picture(WIDTH, HEIGHT, stamp=bench.now()))
    bench.spin_until(lambda: len(heard) == 2)
    assert heard[1].detections == []


def test_label_info_is_latched_follows_the_threshold_and_starts_no_camera(bench, start):
    msg = vision()
    node, _ = start(detections__enable=True, detector__confidence=.4)
    bench.spin_for(.2)
    heard, _ = bench.listen('/face_attributes/label_info', msg.LabelInfo, LATCHED)
    bench.spin_until(lambda: heard)
    assert [(each.class_id, each.class_name) for each in heard[0].class_map] == [(0, 'face')]
    assert heard[0].threshold == pytest.approx(.4)
    assert node.work.cameras[''].subscription is None  # whoever listens wants no images looked at
    # The fake pipeline keeps its own settings, as the real one does, until it is given others.
    node.work.pipeline.update(node.settings)
    node.set_parameters([Parameter('detector.confidence', value=.6)])
    node.work.pipeline.update(node.settings)
    node.work.adjust()
    bench.spin_until(lambda: len(heard) == 2)
    assert heard[1].threshold == pytest.approx(.6)
