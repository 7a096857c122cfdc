# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from face_attributes_ros.drawing import annotate, colour_bgr, framed, pixelate
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
    assert tuple(out[48, 100]) == colour_bgr(track())  # the box's upper edge, framed


def test_no_tracks_change_nothing():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(annotate(image, []), image)


@pytest.mark.parametrize('box', [(-50., -50., 10., 10.), (290., 190., 400., 300.),
                                 (0., 0., 300., 200.), (5., 5., 6., 6.)])
@pytest.mark.parametrize('blur', [False, True])
def test_boxes_at_the_edge(box, blur):
    assert annotate(np.zeros((200, 300, 3), np.uint8), [track(box)],
                    blur=blur).shape == (200, 300, 3)


@pytest.mark.parametrize('boxes', [[], [(0, 0, 80, 100)], [(0, 0, 100, 100)], [(5, 5, 6, 60)],
                                   [(10., 20., 50., 60.), (0., 0., 90., 100.)]])
def test_all_faces_are_framed_alike(boxes):
    given = np.array(boxes, float).reshape(-1, 4)
    x0, y0, x1, y1 = framed(given).T
    np.testing.assert_allclose(x1 - x0, .8 * (y1 - y0))
    assert (np.column_stack([x0, y0]) <= given[:, :2] + 1e-9).all()
    assert (np.column_stack([x1, y1]) >= given[:, 2:] - 1e-9).all()


def test_lines_and_arrows_are_as_large_as_the_face():
    def painted(side):
        image = np.zeros((800, 800, 3), np.uint8)
        one = track((100., 100., 100. + .8 * side, 100. + side),
                    seen=Attributes(yaw_rad=.8, pitch_rad=0., roll_rad=0.))
        return (annotate(image, [one], labels=False).max(2) > 60).sum()

    assert painted(600) > 6 * painted(60)


def test_an_arrow_ends_before_another_face():
    seen = Attributes(yaw_rad=1.4, pitch_rad=0., roll_rad=0.)
    left = track((20., 50., 100., 150.), seen=seen)
    right = track((120., 50., 200., 150.), seen=None)
    image = np.zeros((200, 300, 3), np.uint8)
    shown = annotate(image, [left, right], labels=False) != annotate(
        image, [left, right], labels=False, pose=False)
    assert shown[:, 100:118].any() and not shown[:, 121:].any()
    assert (annotate(image, [left], labels=False) != 0)[:, 121:].any()


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
