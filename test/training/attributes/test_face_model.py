# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import headpose
from face_attributes_ros.training.attributes import face_model

INDICES = list(headpose.INDICES)


def views(count=60, noise_px=0., seed=0):
    """Landmarks (N, 68, 2) of the shipped face, turned, scaled and shifted, and the rotations."""
    random = np.random.default_rng(seed)
    turns = np.array([headpose.rotation_from_angles(*angles)
                      for angles in random.uniform(-.5, .5, (count, 3)).tolist()])
    points = np.einsum('nij,pj->npi', turns[:, :2], headpose.MODEL_M)
    landmarks = np.zeros((count, 68, 2))
    landmarks[:, INDICES] = points * random.uniform(300, 900, (count, 1, 1)) + random.uniform(
        20, 40, (count, 1, 2))
    return landmarks + random.normal(0, noise_px, landmarks.shape), turns


def test_a_face_is_found_again_from_its_views():
    landmarks, turns = views()
    assert face_model.fit(landmarks, turns) == pytest.approx(headpose.MODEL_M, abs=1e-4)


def test_a_few_wrong_labels_do_no_harm():
    landmarks, turns = views(noise_px=.5)
    turns[:2] = turns[:2, :, ::-1]
    assert face_model.fit(landmarks, turns) == pytest.approx(headpose.MODEL_M, abs=5e-3)


def test_the_face_that_ships_is_symmetric_and_of_its_size():
    by_index = dict(zip(INDICES, headpose.MODEL_M))
    for right, left in ((36, 45), (39, 42), (48, 54), (0, 16)):
        assert by_index[left] == pytest.approx(by_index[right] * [1, -1, 1])
    assert np.linalg.norm(by_index[36] - by_index[45]) == pytest.approx(face_model.EYES_APART_M)


def test_the_pose_of_a_crop_is_solved_without_help():
    angles = (.3, -.2, .1)
    points = headpose.MODEL_M @ headpose.rotation_from_angles(*angles).T + (0., 0., 1.)
    landmarks = np.zeros((68, 2))
    landmarks[INDICES] = points[:, :2] / points[:, 2:] * face_model.FOCAL_SHARE * 64 + 32
    found = face_model.solved(landmarks, 64, 64)
    assert headpose.angles(found.rotation) == pytest.approx(angles, abs=1e-3)


def test_errors_are_in_degrees():
    found = np.radians([[1., 2., 3.], [3., 2., 1.]])
    assert face_model.errors_deg(found, np.zeros((2, 3))) == {'yaw': 2, 'pitch': 2, 'roll': 2,
                                                              'all': 2}
