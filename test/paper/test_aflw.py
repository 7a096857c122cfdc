# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import alignment
from face_attributes_ros.paper import aflw

ALL = np.ones(21, bool)
FACE = aflw.TEMPLATE * 40 + [100, 80]  # eyes 40 px apart, their middle at (100, 80)


def turned(points, degrees, centre=(100, 80)):
    angle = np.radians(degrees)
    return (points - centre) @ np.array([[np.cos(angle), np.sin(angle)],
                                         [-np.sin(angle), np.cos(angle)]]) + centre


def test_flip_is_its_own_inverse_and_mirrors_the_template():
    assert (aflw.FLIP_21[aflw.FLIP_21] == np.arange(21)).all()
    assert np.allclose(aflw.TEMPLATE[aflw.FLIP_21] * [-1, 1], aflw.TEMPLATE, equal_nan=True)


def test_21_points_of_68_mirror_as_the_68_do():
    landmarks = np.random.default_rng(0).uniform(0, 100, (3, 68, 2))
    mirrored = landmarks[:, alignment.FLIP_68] * [-1, 1]
    assert np.allclose(aflw.from_68(mirrored),
                       aflw.from_68(landmarks)[:, aflw.FLIP_21] * [-1, 1], equal_nan=True)
    assert np.isnan(aflw.from_68(landmarks)).all(-1).nonzero()[1].tolist() == [*aflw.EARS] * 3
    assert aflw.from_68(np.zeros((0, 68, 2))).shape == (0, 21, 2)


def test_face_square_is_aflws():
    # side 2.56 * 40; centre half an eye distance below the middle of the eyes
    assert aflw.face_square(FACE).tolist() == pytest.approx(
        [100 - 51.2, 100 - 51.2, 100 + 51.2, 100 + 51.2])


def test_down_follows_the_tilt_of_the_face():
    square = aflw.face_square(turned(FACE, 90))  # the chin now points to the image's left
    assert ((square[:2] + square[2:]) / 2).tolist() == pytest.approx([80, 80])


def test_a_half_hidden_face_is_fitted_to_what_is_seen():
    visible = ALL.copy()
    visible[[*range(6), 9, 10, 11]] = False
    assert aflw.face_square(FACE, visible) == pytest.approx(aflw.face_square(FACE), abs=1e-6)


@pytest.mark.parametrize('seen', [[], [0], [0, 1, 2], [12, 16, 0, 1]])
def test_too_few_points_are_no_face(seen):
    assert aflw.face_square(FACE, np.isin(np.arange(21), seen)) is None
    assert aflw.aligned_transform(FACE, np.isin(np.arange(21), seen), 64) is None


def test_all_points_in_one_place_are_no_face():
    with pytest.raises(ValueError, match='equal'):
        aflw.similarity_from_points(np.zeros((4, 2)), np.zeros((4, 2)))
    assert aflw.face_square(np.full((21, 2), 5.)) is None


@pytest.mark.parametrize('degrees', [0, 30, -75])
def test_aligned_crop_is_upright_and_framed_as_the_square(degrees):
    transform = aflw.aligned_transform(turned(FACE, degrees), ALL, 128, 1.25)
    eyes = turned(FACE, degrees)[[aflw.LEFT_EYE, aflw.RIGHT_EYE
                                  ]] @ transform[:, :2].T + transform[:, 2]
    distance = 128 / (2.56 * 1.25)
    assert eyes.tolist() == [pytest.approx([64 - distance / 2, 64 - distance / 2]),
                             pytest.approx([64 + distance / 2, 64 - distance / 2])]
