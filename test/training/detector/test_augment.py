# SPDX-License-Identifier: Apache-2.0
import math

import cv2
import numpy as np
import pytest

from face_attributes_ros.training.detector.augment import (
    Augment,
    Picture,
    composite,
    dim,
    mosaic,
    motion_blur,
    paint_over,
    photometric,
    random_view,
    warp,
)


def picture_with_disc(width=120, height=80, centre=(70, 30), radius=14):
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, centre, radius, (255, 255, 255), -1, cv2.LINE_8)
    x, y = centre[0] + .5, centre[1] + .5
    return Picture(image, np.array([[x - radius, y - radius, x + radius, y + radius]], np.float32))


def bright_box(image):
    """The box of what is brighter than the grey margin."""
    rows, columns = np.nonzero(image[..., 0] > 180)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize('scale', [.4, 1.0, 1.7])
@pytest.mark.parametrize('angle_deg', [0, -25, 30])
@pytest.mark.parametrize('mirror', [False, True])
def test_boxes_follow_their_pixels(scale, angle_deg, mirror):
    view = warp(picture_with_disc(), 200, 160, scale, np.array([65, 35]), math.radians(angle_deg),
                mirror)
    np.testing.assert_allclose(view.boxes[0], bright_box(view.image), atol=1.6)


def test_a_face_cut_by_the_edge_is_painted_over():
    view = warp(picture_with_disc(), 60, 60, 1.0, np.array([113, 30]), 0.0,
                False)  # a sliver at the left edge
    assert len(view.boxes) == 0
    assert view.image[20:40, :2].max() < 255


def test_no_boxes_stay_no_boxes():
    empty = Picture(np.zeros((50, 70, 3), np.uint8), np.zeros((0, 4), np.float32))
    rng = np.random.default_rng(0)
    assert random_view(empty, 64, 64, rng, Augment()).boxes.shape == (0, 4)
    assert mosaic([empty] * 4, 64, rng, Augment()).boxes.shape == (0, 4)


@pytest.mark.parametrize('count', [4, 9])
def test_mosaic_boxes_lie_inside_and_on_their_discs(count):
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(10):
        whole = mosaic([picture_with_disc()] * count, 128, rng, Augment(rotate=0.0))
        assert whole.image.shape == (128, 128, 3)
        assert (whole.boxes >= 0).all() and (whole.boxes <= 128).all()
        for x0, y0, x1, y1 in whole.boxes:
            assert whole.image[int((y0 + y1) / 2), int((x0 + x1) / 2), 0] > 180
            found += 1
    assert found > 10


def test_composites_paste_visible_faces_apart():
    background = Picture(np.full((90, 120, 3), 40, np.uint8), np.zeros((0, 4), np.float32))
    rng = np.random.default_rng(1)
    whole = composite(background, [picture_with_disc()] * 6, 160, rng, Augment())
    assert len(whole.boxes) >= 2
    for x0, y0, x1, y1 in whole.boxes:
        assert whole.image[int((y0 + y1) / 2), int((x0 + x1) / 2), 0] > 180


def test_the_same_seed_gives_the_same_picture():
    a, b = (photometric(picture_with_disc().image, np.random.default_rng(5),
                        Augment(low_light=1, motion_blur=1, jpeg=1)) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_motion_blur_keeps_the_light_and_spreads_along_the_motion():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    blurred = motion_blur(image, 15, 0)
    rows, columns = np.nonzero(blurred[..., 0])
    assert set(rows) == {20} and 13 <= np.ptp(columns) + 1 <= 17
    assert abs(int(blurred[..., 0].sum()) - 255) < 16


def test_dim_scales_light_and_adds_noise():
    image = np.full((64, 64, 3), 200, np.uint8)
    dark = dim(image, .25, 3, np.random.default_rng(0))
    assert abs(dark.mean() - 50) < 1 and 3 < dark.std() < 8


def test_paint_over_leaves_the_rest():
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    before = image.copy()
    paint_over(image, np.array([[5, 5, 10, 10]], np.float32))
    assert np.ptp(image[5:10, 5:10], (0, 1)).max() == 0
    before[5:10, 5:10] = image[5:10, 5:10]
    np.testing.assert_array_equal(image, before)
