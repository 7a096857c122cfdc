# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from face_attributes_ros import headpose
from face_attributes_ros.headpose import FRONTAL, MODEL_M, Pose

ANGLES = [(0., 0., 0.), (.6, 0., 0.), (-.6, .3, 0.), (.2, -.4, .5), (0., 0., math.pi / 2),
          (0., 0., math.pi), (.3, -.2, -2.5)]


def matrix(quaternion):
    x, y, z, w = quaternion
    return np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                     [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                     [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def rays_of(origin, rotation):
    points = MODEL_M @ rotation.T + origin
    return points[:, :2] / points[:, 2:]


@pytest.mark.parametrize('angles, expected', [
    ((0., 0., 0.), (0, 0, -1)),  # back at the camera
    ((math.pi / 2, 0., 0.), (1, 0, 0)),  # yaw: to the image's right
    ((0., math.pi / 2, 0.), (0, -1, 0)),  # pitch: up
    ((0., 0., 1.), (0, 0, -1)),  # roll alone changes no direction ...
    ((math.pi / 2, 0., math.pi / 2), (0, 1, 0)),  # ... but turns one, clockwise
])
def test_a_face_points_where_its_angles_say(angles, expected):
    assert headpose.forward(*angles) == pytest.approx(expected, abs=1e-12)


def test_axes_of_a_frontal_face_are_those_of_rep_155():
    out, left, up = FRONTAL.T.tolist()
    # In the optical frame: the face looks back at the camera, its left is the image's right.
    assert (out, left, up) == ([0, 0, -1], [1, 0, 0], [0, -1, 0])
    assert headpose.rotation_from_angles(0., 0., 0.) == pytest.approx(FRONTAL)


def test_a_roll_tilts_the_head_clockwise_in_the_image():
    up = headpose.rotation_from_angles(0., 0., .3)[:, 2]
    assert up == pytest.approx((math.sin(.3), -math.cos(.3), 0))


def test_gaze_looks_out_of_the_face_with_y_down():
    right, down, out = matrix(headpose.GAZE_IN_FACE).T
    assert (right.tolist(), down.tolist(), out.tolist()) == ([0, -1, 0], [0, 0, -1], [1, 0, 0])


@pytest.mark.parametrize('angles', ANGLES)
def test_quaternions_say_the_same_as_matrices(angles):
    rotation = headpose.rotation_from_angles(*angles)
    found = headpose.quaternion(rotation)
    assert matrix(found) == pytest.approx(rotation, abs=1e-9)
    assert math.hypot(*found) == pytest.approx(1) and found[3] >= 0


@pytest.mark.parametrize('angles', ANGLES)
def test_angles_come_back_from_a_rotation(angles):
    assert headpose.angles(headpose.rotation_from_angles(*angles)) == pytest.approx(angles)


@pytest.mark.parametrize('diagonal', [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
def test_quaternions_of_half_turns(diagonal):
    rotation = np.diag(np.array(diagonal, float))
    assert matrix(headpose.quaternion(rotation)) == pytest.approx(rotation)


@pytest.mark.parametrize('ray', [(0., 0.), (.5, 0.), (0., -.5), (.3, .4)])
def test_the_optical_axis_is_turned_to_a_ray(ray):
    x, y, z = headpose.towards(ray) @ [0, 0, 1]
    assert (x / z, y / z) == pytest.approx(ray)


@pytest.mark.parametrize('angles', ANGLES[:5])
@pytest.mark.parametrize('origin', [(0., 0., .4), (.5, -.2, 1.5), (-1., .3, 4.)])
def test_a_pose_is_found_again_from_its_landmarks(angles, origin):
    rotation = headpose.rotation_from_angles(*angles)
    x, y, z = origin
    near = headpose.rotation_from_angles(*(.8 * angle for angle in angles))
    found = headpose.pose_from_landmarks(rays_of(origin, rotation),
                                         Pose((x * 1.2, y * 1.2, z * 1.2), near))
    assert found.origin == pytest.approx(origin, abs=1e-4)
    assert found.rotation == pytest.approx(rotation, abs=1e-4)
    assert headpose.pose_turned(rays_of(origin, rotation), rotation).origin == pytest.approx(
        origin, abs=1e-6)


def test_landmarks_that_are_no_numbers_or_no_face_give_no_pose():
    guess = Pose((0., 0., 1.), FRONTAL)
    assert headpose.pose_from_landmarks(np.full((11, 2), np.nan), guess) is None
    assert headpose.pose_from_landmarks(np.full((11, 2), 1e300), guess) is None
    scattered = np.random.default_rng(0).uniform(-.1, .1, (11, 2))
    assert headpose.pose_from_landmarks(scattered, guess) is None
    assert headpose.pose_from_landmarks(np.zeros((11, 2)), guess) is None
    for rays in (np.full((11, 2), np.nan), np.full((11, 2), 1e300), scattered, np.zeros((11, 2))):
        assert headpose.pose_turned(rays, FRONTAL) is None


def test_a_depth_moves_a_pose_along_its_ray():
    pose = headpose.at_depth(Pose((.2, -.1, 2.), FRONTAL), 1.)
    assert pose.origin == pytest.approx((.1, -.05, 1)) and pose.rotation is FRONTAL
