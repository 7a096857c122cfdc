# SPDX-License-Identifier: Apache-2.0
"""`/tf`, over real DDS, with the real tf2_msgs where it is."""

import numpy as np
import pytest
from harness import matched, picture
from portrait import ANGLES, HEIGHT, ORIGIN, WIDTH, Gallery, portrait
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from test_headpose import matrix

from face_attributes_ros import headpose
from face_attributes_ros.faces import COASTING, TENTATIVE
from face_attributes_ros.ros.companions.image_source import camera_info
from face_attributes_ros.ros.outputs import transforms


def turn(frame):
    q = frame.transform.rotation
    return matrix((q.x, q.y, q.z, q.w))


def test_a_face_has_a_frame_in_the_cameras_and_a_gaze_in_its_own():
    pose = headpose.Pose(ORIGIN, headpose.rotation_from_angles(*ANGLES))
    face, gaze = transforms.frames(Header(frame_id='eye'), 'f1', pose)
    assert (face.header.frame_id, face.child_frame_id) == ('eye', 'face_f1')
    assert (gaze.header.frame_id, gaze.child_frame_id) == ('face_f1', 'gaze_f1')
    where = face.transform.translation
    assert (where.x, where.y, where.z) == ORIGIN and gaze.transform.translation.z == 0
    # The gaze's z, seen from the camera, goes where the face points.
    assert (turn(face) @ turn(gaze))[:, 2] == pytest.approx(headpose.forward(*ANGLES))


def test_frames_are_on_tf_for_faces_that_are_seen(bench, start, camera):
    msg = pytest.importorskip('tf2_msgs.msg', reason='the ROS package tf2_msgs is not installed')
    heard, _ = bench.listen('/tf', msg.TFMessage, 100)
    info = bench.robot.create_publisher(CameraInfo, 'camera_info', 1)
    node, (pipeline,) = start(factory=Gallery, tf__enable=True)
    pipeline.shown = [portrait(), portrait('f2', TENTATIVE), portrait('f3', COASTING)]
    bench.spin_until(matched(info))
    info.publish(camera_info(WIDTH, HEIGHT))
    bench.spin_until(lambda: node.work.cameras[''].calibration is not None)
    sent = picture(WIDTH, HEIGHT, stamp=bench.now(), frame_id='eye')
    camera(picture(WIDTH, HEIGHT, stamp=bench.now(), frame_id=''))  # a frame without a parent
    bench.spin_until(lambda: len(pipeline.calls) == 1)
    camera(sent)
    bench.spin_until(lambda: heard)
    face, gaze = heard[0].transforms
    assert (face.header, face.child_frame_id) == (sent.header, 'face_f1')
    assert (gaze.header.stamp, gaze.child_frame_id) == (sent.header.stamp, 'gaze_f1')
    where = face.transform.translation
    assert np.array([where.x, where.y, where.z]) == pytest.approx(ORIGIN, abs=.005)
