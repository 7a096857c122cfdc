# SPDX-License-Identifier: Apache-2.0
"""The device cuts the crops that `alignment.crop` cuts."""
import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is needed for training and the torch backend only')

from face_attributes_ros import alignment  # noqa: E402
from face_attributes_ros.networks.device_crops import square_crops, summed_area  # noqa: E402

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (720, 1280, 3), np.uint8)
SMOOTH = cv2.resize(RNG.integers(0, 255, (36, 64, 3), np.uint8), (1280, 720), interpolation=cv2.INTER_CUBIC)
INSIDE = [(500, 300, 550, 360), (500.3, 300.7, 620.2, 433.1), (520, 320, 680, 400), (300, 100, 490., 320.5), (300, 100, 780., 620.5),
          (330.2, 11.7, 950.9, 700.1), (600, 300, 600.5, 300.2)]
AT_THE_EDGE = [(0, 0, 50, 60), (1200, 600, 1280, 720), (0, 300, 260., 560), (1000.3, 400, 1280, 720), (900, 0, 1280, 400),
               (100, 10, 1100, 700.), (0, 0, 1280, 720)]


def expected(picture, boxes_xyxy, size_px, crop_scale):
    transforms = alignment.square_transforms(boxes_xyxy, crop_scale, size_px)
    return np.stack([alignment.crop(picture, transform, np.empty((size_px, size_px, 3), np.uint8)) for transform in transforms])


def apart(picture, boxes_xyxy, size_px=80, crop_scale=.9):
    boxes_xyxy = np.array(boxes_xyxy, np.float32).reshape(-1, 4)
    table, frame = summed_area(torch.from_numpy(picture)[None]), torch.zeros(len(boxes_xyxy), dtype=torch.long)
    found = square_crops(table, torch.from_numpy(boxes_xyxy), frame, crop_scale, size_px).numpy()
    return np.abs(found - expected(picture, boxes_xyxy, size_px, crop_scale))


@pytest.mark.parametrize('box', INSIDE)
@pytest.mark.parametrize('picture, levels', [(NOISE, 3), (SMOOTH, 2)], ids=['noise', 'smooth'])
def test_crops_inside_the_picture_are_alike_even_in_noise(picture, box, levels):
    assert apart(picture, box).max() <= levels


@pytest.mark.parametrize('box', AT_THE_EDGE)
def test_crops_that_reach_over_the_edge_are_alike_in_pictures(box):
    found = apart(SMOOTH, box)
    assert found.max() <= 10 and found.mean() < 1.5     # blocks at the edge are whole pixels here, fractions there


@pytest.mark.parametrize('size_px, crop_scale', [(32, 1.), (48, 1.3), (112, 1.5)])
def test_other_sizes_and_scales(size_px, crop_scale):
    assert apart(SMOOTH, [(400, 200, 560, 410), (600, 300, 640, 340)], size_px, crop_scale).max() <= 2


def test_no_box_is_no_crop():
    table = summed_area(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
    assert square_crops(table, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 1., 16).shape == (0, 16, 16, 3)


@pytest.mark.parametrize('shape', [(1, 1), (1, 500), (500, 1), (2, 3), (3, 700)])
def test_tiny_and_thin_pictures(shape):
    picture = RNG.integers(0, 255, (*shape, 3), np.uint8)
    assert apart(picture, (0, 0, shape[1], shape[0]), size_px=16).mean() < 6


def test_each_box_is_cut_from_its_own_frame():
    frames = np.stack([np.full((40, 50, 3), level, np.uint8) for level in (10, 200)])
    boxes_xyxy = torch.tensor([[5., 5, 30, 30], [5, 5, 30, 30], [0, 0, 50, 40]])
    crops = square_crops(summed_area(torch.from_numpy(frames)), boxes_xyxy, torch.tensor([1, 0, 1]), 1., 8)
    assert [crop.unique().tolist() for crop in crops] == [[200], [10], [200]]


def test_sums_that_wrap_around_do_no_harm():
    picture = np.full((3000, 3000, 3), 255, np.uint8)         # 2.3e9 in all: more than 31 bits
    table = summed_area(torch.from_numpy(picture)[None])
    assert table[0, -1, -1, 0] < 0
    crop = square_crops(table, torch.tensor([[2500., 2500, 2990, 2990]]), torch.tensor([0]), 1., 16)
    assert crop.unique().tolist() == [255]
