# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from face_attributes_ros.drawing import annotate, colour_bgr, pixelate
from face_attributes_ros.faces import COASTING, CONFIRMED, Attributes, Face, Track

SEEN = Attributes(age_years=31.4, age_low=25., age_high=38., gender='female', p_female=.9,
                  expression='happy', expression_probs=(.1, .9, 0., 0., 0., 0., 0.), yaw_rad=.3,
                  pitch_rad=.1, roll_rad=0., landmarks_xy=tuple((60. + i, 70.) for i in range(68)))


def track(box=(50., 60., 150., 160.), state=CONFIRMED, seen=SEEN, name='f3'):
    return Track(name, state, 1., 5, Face(box, .9), seen, seen)


def test_the_source_stays_as_it_was():
    image = np.zeros((200, 300, 3), np.uint8)
    out = annotate(image, [track()])
    assert not image.any() and out.any()
    assert tuple(out[60, 100]) == colour_bgr(track())  # the box's upper edge


def test_no_tracks_change_nothing():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(annotate(image, []), image)


@pytest.mark.parametrize('box', [(-50., -50., 10., 10.), (290., 190., 400., 300.),
                                 (0., 0., 300., 200.), (5., 5., 6., 6.)])
@pytest.mark.parametrize('blur', [False, True])
def test_boxes_at_the_edge(box, blur):
    assert annotate(np.zeros((200, 300, 3), np.uint8), [track(box)],
                    blur=blur).shape == (200, 300, 3)


def test_coasting_is_grey_and_ids_have_colours():
    assert colour_bgr(track(state=COASTING)) != colour_bgr(track())
    assert colour_bgr(track(name='cam2_f4')) == colour_bgr(track(name='f4')) != colour_bgr(
        track(name='f5'))


def test_pixelation_leaves_only_tiles():
    image = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
    before = image.copy()
    pixelate(image, (20., 20., 80., 80.), blocks=6)
    assert len(np.unique(image[20:80, 20:80].reshape(-1, 3), axis=0)) <= 36
    np.testing.assert_array_equal(image[:20], before[:20])


@pytest.mark.parametrize('far', [2.**31, -1e300, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize('corner', range(4))
def test_coordinates_that_no_picture_has_are_drawn_outside(far, corner):
    box = tuple(far if at == corner else value for at, value in enumerate((10., 10., 40., 40.)))
    seen = Attributes(yaw_rad=.1, pitch_rad=.1, landmarks_xy=((far, 5.), (5., far)))
    image = np.zeros((50, 60, 3), np.uint8)
    assert annotate(image, [Track('f1', CONFIRMED, 1., 1, Face(box, .5), seen, seen)],
                    blur=True).shape == image.shape
