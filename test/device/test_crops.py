# SPDX-License-Identifier: Apache-2.0
"""The device cuts the crops that `alignment.crop` cuts."""
import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the torch backend only')

from face_attributes_ros import alignment
from face_attributes_ros.device.crops import crop_weights, square_crops

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (720, 1280, 3), np.uint8)
SMOOTH = cv2.resize(RNG.integers(0, 255, (36, 64, 3), np.uint8), (1280, 720),
                    interpolation=cv2.INTER_CUBIC)
INSIDE = [(500, 300, 550, 360), (500.3, 300.7, 620.2, 433.1), (520, 320, 680, 400),
          (300, 100, 490., 320.5), (300, 100, 780., 620.5), (330.2, 11.7, 950.9, 700.1),
          (600, 300, 600.5, 300.2)]
AT_THE_EDGE = [(0, 0, 50, 60), (1200, 600, 1280, 720), (0, 300, 260., 560),
               (1000.3, 400, 1280, 720), (900, 0, 1280, 400), (100, 10, 1100, 700.),
               (0, 0, 1280, 720)]


def expected(picture, boxes_xyxy, size_px, crop_scale):
    transforms = alignment.square_transforms(boxes_xyxy, crop_scale, size_px)
    return np.stack([
        alignment.crop(picture, transform, np.empty((size_px, size_px, 3), np.uint8))
        for transform in transforms
    ])


def apart(picture, boxes_xyxy, size_px=80, crop_scale=.9, dtype=torch.float32):
    boxes_xyxy = np.array(boxes_xyxy, np.float32).reshape(-1, 4)
    found = square_crops(
        torch.from_numpy(picture)[None].to(dtype),
        torch.from_numpy(boxes_xyxy)[None], crop_scale, size_px)
    assert found.dtype == dtype
    return np.abs(found.float().numpy() - expected(picture, boxes_xyxy, size_px, crop_scale))


@pytest.mark.parametrize('box', INSIDE)
@pytest.mark.parametrize('picture, levels', [(NOISE, 3), (SMOOTH, 2)], ids=['noise', 'smooth'])
def test_crops_inside_the_picture_are_alike_even_in_noise(picture, box, levels):
    assert apart(picture, box).max() <= levels


@pytest.mark.parametrize('box', AT_THE_EDGE)
@pytest.mark.parametrize('picture, levels', [(NOISE, 3), (SMOOTH, 2)], ids=['noise', 'smooth'])
def test_crops_that_reach_over_the_edge_are_alike_even_in_noise(picture, box, levels):
    assert apart(picture, box).max() <= levels


@pytest.mark.parametrize('box', INSIDE[:4] + AT_THE_EDGE[:2])
def test_half_precision_is_right_to_a_level_or_two(box):
    assert apart(SMOOTH[:400, :640], np.clip(box, 0, 400), size_px=16,
                 dtype=torch.float16).max() <= 2


@pytest.mark.parametrize('size_px, crop_scale', [(32, 1.), (48, 1.3), (112, 1.5)])
def test_other_sizes_and_scales(size_px, crop_scale):
    assert apart(SMOOTH, [(400, 200, 560, 410), (600, 300, 640, 340)], size_px,
                 crop_scale).max() <= 2


def test_no_box_is_no_crop():
    assert square_crops(torch.zeros(1, 8, 8, 3), torch.zeros(1, 0, 4), 1.,
                        16).shape == (0, 16, 16, 3)


@pytest.mark.parametrize('shape', [(1, 1), (1, 500), (500, 1), (2, 3), (3, 700), (701, 3)])
def test_tiny_and_thin_pictures(shape):
    picture = RNG.integers(0, 255, (*shape, 3), np.uint8)
    assert apart(picture, (0, 0, shape[1], shape[0]), size_px=16).max() <= 3


def test_each_box_is_cut_from_its_own_frame():
    frames = torch.stack([torch.full((40, 50, 3), level) for level in (10., 200.)])
    boxes_xyxy = torch.tensor([[[5., 5, 30, 30], [0, 0, 50, 40]], [[5, 5, 30, 30],
                                                                   [20, 20, 21, 21]]])
    crops = square_crops(frames, boxes_xyxy, 1., 8)
    assert [crop.unique().tolist() for crop in crops] == [[10], [10], [200], [200]]


def test_weights_of_a_pixel_sum_to_one_and_lie_in_the_picture():
    boxes_xyxy = torch.tensor(np.float32(INSIDE + AT_THE_EDGE))
    for weights, limit in zip(crop_weights(boxes_xyxy, (1280, 720), .9, 80), (1280, 720)):
        assert weights.shape == (len(boxes_xyxy), 80, limit) and weights.min() > -1e-6
        torch.testing.assert_close(weights.sum(2), torch.ones(len(boxes_xyxy), 80), atol=1e-4,
                                   rtol=0)
