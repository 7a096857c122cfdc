# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import alignment


def turned(points, angle, scale, shift):
    cos, sin = np.cos(angle), np.sin(angle)
    return scale * points @ np.array([[cos, sin], [-sin, cos]]) + shift


def test_flip_map_is_its_own_inverse_and_moves_eyes():
    np.testing.assert_array_equal(alignment.FLIP_68[alignment.FLIP_68], np.arange(68))
    assert alignment.FLIP_68[36] == 45 and alignment.FLIP_68[0] == 16 and alignment.FLIP_68[
        48] == 54
    assert alignment.FLIP_68[33] == 33 and alignment.FLIP_68[8] == 8


@pytest.mark.parametrize('angle', [0, .3, -1.2, np.pi])
def test_similarity_is_found_exactly(angle):
    points = np.random.default_rng(1).normal(size=(5, 2))
    target = turned(points, angle, 2.5, [3, -4])
    found = alignment.similarity_from_points(points, target)
    np.testing.assert_allclose(points @ found[:, :2].T + found[:, 2], target, atol=1e-9)


def test_similarity_does_not_mirror():
    points = np.random.default_rng(2).normal(size=(6, 2))
    found = alignment.similarity_from_points(points, points * [-1, 1])
    assert np.linalg.det(found[:, :2]) >= 0


def test_similarity_of_one_spot_is_an_error():
    with pytest.raises(ValueError, match='all source points are equal'):
        alignment.similarity_from_points(np.ones((3, 2)), np.ones((3, 2)))


def test_square_crop_is_centred_and_scaled():
    transform, = alignment.square_transforms(np.float32([[10, 20, 30, 60]]), 1.5, 60)
    np.testing.assert_allclose(transform @ [20, 40, 1], [30, 30])
    np.testing.assert_allclose(transform @ [20 + 30, 40, 1], [60, 30])


def test_no_boxes_give_no_transforms():
    assert alignment.square_transforms(np.zeros((0, 4), np.float32), 1.3, 80).shape == (0, 2, 3)


@pytest.mark.parametrize('side', [40, 80, 200, 900])
def test_crop_shows_the_box_whatever_its_size(side):
    image = np.zeros((1000, 1000, 3), np.uint8)
    image[50:50 + side, 30:30 + side] = 200
    transform, = alignment.square_transforms(np.float32([[30, 50, 30 + side, 50 + side]]), 2., 80)
    out = alignment.crop(image, transform, np.empty((80, 80, 3), np.uint8))
    lit = np.argwhere(out[..., 0] > 100)
    np.testing.assert_allclose([lit.min(0), lit.max(0) + 1], [[20, 20], [60, 60]], atol=1)


@pytest.mark.parametrize('shape', [(1, 1), (1, 3000), (3000, 1), (3, 5)])
def test_crop_of_a_sliver_is_no_accident(shape):
    image = np.full((*shape, 3), 9, np.uint8)
    transform, = alignment.square_transforms(np.float32([[0, 0, shape[1], shape[0]]]), 1.3, 80)
    assert (alignment.crop(image, transform, np.empty((80, 80, 3), np.uint8)) == 9).all()


def test_points_return_to_the_source():
    transform, = alignment.square_transforms(np.float32([[10, 20, 30, 60]]), 1.5, 60)
    points = np.array([[11., 22.], [29., 55.]])
    there = points @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(alignment.to_source(there, transform), points)


def test_aligned_crop_has_level_eyes():
    landmarks = np.random.default_rng(3).normal(0, 5, (68, 2))
    five = turned(alignment.CANONICAL_FIVE * 100, .5, 2., [300, 200])
    for points, xy in zip(alignment.FIVE_POINTS, five):
        landmarks[list(points)] = xy
    transform = alignment.aligned_transform(landmarks, 80)
    there = five @ transform[:, :2].T + transform[:, 2]
    np.testing.assert_allclose(there, alignment.CANONICAL_FIVE * 80, atol=1e-3)


@pytest.mark.parametrize('shape', [(64, 40_000, 3), (40_000, 64, 3)])
@pytest.mark.parametrize('side', [30, 200])
def test_crop_of_a_picture_longer_than_opencv_can_warp(shape, side):
    """OpenCV's warpAffine takes up to 32,767 pixels a side; panoramas have more."""
    picture = np.zeros(shape, np.uint8)
    picture[30_000:, :] = picture[:, 30_000:] = 200
    x, y = (38_000, 32) if shape[1] > shape[0] else (32, 38_000)
    box = np.array([[x - side / 2, y - side / 2, x + side / 2, y + side / 2]])
    transform, = alignment.square_transforms(box, 1., 64)
    out = np.empty((64, 64, 3), np.uint8)
    assert (alignment.crop(picture, transform, out) == 200).all()
