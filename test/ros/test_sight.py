# SPDX-License-Identifier: Apache-2.0
"""Where faces are in space, by camera_info, landmarks, angles and depth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from portrait import ANGLES, FOCAL_PX, HEIGHT, ORIGIN, WIDTH, portrait
from sensor_msgs.msg import CameraInfo
from test_depth import depth_image, images_of

from face_attributes_ros import headpose
from face_attributes_ros.faces import COASTING
from face_attributes_ros.ros.calibration import calibration
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.settings import Settings

SIZE = WIDTH, HEIGHT
K = [FOCAL_PX, 0., WIDTH / 2 - .5, 0., FOCAL_PX, HEIGHT / 2 - .5, 0., 0., 1.]
PINHOLE = calibration(CameraInfo(width=WIDTH, height=HEIGHT, k=K))


def sight(*tracks, calibrated=PINHOLE, settings=None, **rest):
    return Sight(list(tracks), SIZE, 10., settings or Settings(), calibrated, **rest)


def without(track, **fields):
    return replace(track, raw=replace(track.raw, **fields))


def degrees_between(one, other):
    turn = cv2.Rodrigues(np.asarray(one).T @ np.asarray(other))[0]
    return float(np.degrees(np.linalg.norm(turn)))


def expected_rotation():
    return headpose.towards((ORIGIN[0] / ORIGIN[2], ORIGIN[1] / ORIGIN[2])) \
        @ headpose.rotation_from_angles(*ANGLES)


def test_nobody_is_nowhere():
    found = sight()
    assert (found.positions, found.poses, found.attention) == ([], [], [])


def test_without_camera_info_nothing_is_in_space_but_a_face_can_look_at_the_camera():
    found = sight(portrait(), calibrated=None)
    assert (found.positions, found.poses) == ([None], [None])
    assert found.attention[0].level and found.attention[0].facing == 0  # its first look


def test_landmarks_give_the_pose_of_the_head():
    pose, = sight(portrait()).poses
    assert pose.origin == pytest.approx(ORIGIN, abs=5e-3)
    assert degrees_between(pose.rotation, expected_rotation()) < 2  # seen along another line


@pytest.mark.parametrize('origin', [(0., 0., 1.), (.6, .3, 1.2), (-.8, 0., 1.5)])
def test_without_landmarks_the_angles_are_those_against_the_line_to_the_camera(origin):
    whole = portrait(origin=origin)
    bare = without(whole, landmarks_xy=None)
    by_landmarks, by_angles = sight(whole).poses[0], sight(bare).poses[0]
    assert degrees_between(by_landmarks.rotation, by_angles.rotation) < 2
    assert by_angles.origin == sight(bare).positions[0].point


def test_landmarks_alone_are_enough():
    pose, = sight(without(portrait(), yaw_rad=None, pitch_rad=None, roll_rad=None)).poses
    assert degrees_between(pose.rotation, expected_rotation()) < .1


def test_a_face_that_is_not_seen_or_has_neither_has_a_position_and_no_pose():
    coasting = portrait(state=COASTING)
    nothing = without(portrait(), landmarks_xy=None, yaw_rad=None, pitch_rad=None)
    found = sight(coasting, nothing)
    assert found.poses == [None, None] and None not in found.positions


def test_a_depth_image_measures_what_the_size_of_a_face_only_guesses():
    far = portrait(origin=(.2, -.1, 2.))  # looks as wide as it is, yet the sensor says 1.8 m
    depth = images_of(depth_image(np.full((HEIGHT, WIDTH), 1.8), stamp_s=10.))
    guessed, measured = sight(far), sight(far, depth=depth)
    assert not guessed.positions[0].measured and measured.positions[0].measured
    assert guessed.positions[0].point[2] == pytest.approx(2., abs=.05)
    assert measured.positions[0].point[2] == pytest.approx(1.8)
    assert measured.poses[0].origin == pytest.approx((.18, -.09, 1.8), abs=2e-3)


def test_where_the_sensor_sees_nothing_the_guess_stays():
    scene = np.full((HEIGHT, WIDTH), np.nan)
    scene[:, :WIDTH // 2] = 1.8
    left, right = portrait(origin=(-.3, 0., 1.5)), portrait('f2', origin=(.3, 0., 1.5))
    found = sight(left, right, depth=images_of(depth_image(scene, stamp_s=10.))).positions
    assert [each.measured for each in found] == [True, False]
    assert found[1].point[2] == pytest.approx(1.5, abs=.05)


def test_a_face_width_of_nothing_leaves_only_what_is_measured():
    settings = Settings(position_face_width=0.)
    assert sight(portrait(), settings=settings).positions == [None]
    depth = images_of(depth_image(np.full((HEIGHT, WIDTH), 1.), stamp_s=10.))
    assert sight(portrait(), settings=settings, depth=depth).positions[0].measured


PLUMB = (-.3, .1, .001, -.002, 0.)
RATIONAL = (-.2, .05, .001, -.001, .01, .1, .02, .001)
FISHEYE = (.02, -.01, .003, -.001)


@pytest.mark.parametrize('model, d', [('plumb_bob', PLUMB), ('rational_polynomial', RATIONAL),
                                      ('equidistant', FISHEYE)])
def test_distortion_is_taken_out(model, d):
    info = CameraInfo(width=WIDTH, height=HEIGHT, k=K, d=list(d), distortion_model=model)
    rays = np.array([(.3, -.2), (-.35, .25), (0., 0.)])
    points = np.column_stack([rays, np.ones(3)])
    zero, ideal = np.zeros(3), np.eye(3)
    if model == 'equidistant':
        bent = cv2.fisheye.projectPoints(points[None], zero, zero, ideal, np.array(d))[0]
    else:
        bent = cv2.projectPoints(points, zero, zero, ideal, np.array(d))[0]
    seen = bent.reshape(-1, 2) * FOCAL_PX + [WIDTH / 2, HEIGHT / 2]
    found = calibration(info).rays(list(map(tuple, seen.tolist())), WIDTH)
    assert np.array(found) == pytest.approx(rays, abs=1e-3)
    assert np.array(found[0]) != pytest.approx((seen[0] - [320, 240]) / FOCAL_PX, abs=3e-3)
    # A rectified image has none left, whatever camera_info says.
    info.p = [FOCAL_PX, 0., 319.5, 0., 0., FOCAL_PX, 239.5, 0., 0., 0., 1., 0.]
    assert calibration(info, rectified=True).rays([(384., 240.)], WIDTH)[0] == pytest.approx(
        (.1, 0))


@pytest.mark.parametrize('d', [[], [0.] * 5, [1.] * 3, [float('nan')] * 5])
def test_no_distortion_or_one_that_is_none_is_a_pinhole(d):
    info = CameraInfo(width=WIDTH, height=HEIGHT, k=K, d=d, distortion_model='plumb_bob')
    assert calibration(info).distortion == ()


def test_a_part_of_the_sensor_and_binning_give_the_same_pose():
    whole = sight(portrait()).poses[0]
    half = CameraInfo(width=2 * WIDTH, height=2 * HEIGHT, binning_x=2, binning_y=2,
                      k=[2 * FOCAL_PX, 0., WIDTH - .5, 0., 2 * FOCAL_PX, HEIGHT - .5, 0., 0., 1.])
    binned = sight(portrait(), calibrated=calibration(half)).poses[0]
    assert binned.origin == pytest.approx(whole.origin, abs=1e-6)
    assert binned.rotation == pytest.approx(whole.rotation, abs=1e-6)
