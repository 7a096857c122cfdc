# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from face_attributes_ros.paper.preprocessing import bilinear_resize, grey, paper_input

RAMP = np.array([[0, 10], [20, 40]], np.float32)


def test_golden_enlargement():
    expected = [[0, 2.5, 7.5, 10], [5, 8.125, 14.375, 17.5], [15, 19.375, 28.125, 32.5],
                [20, 25, 35, 40]]
    np.testing.assert_allclose(bilinear_resize(RAMP, 4, 4), expected)


def test_golden_reduction_with_and_without_antialias():
    row = np.array([[0, 0, 80, 0, 0, 0]], np.float32)
    np.testing.assert_allclose(bilinear_resize(row, 2, 1), [[0, 0]])  # samples pixels 1 and 4 only
    np.testing.assert_allclose(bilinear_resize(row, 2, 1, antialias=True),
                               [[20, 10]])  # weights 1/4, 1/8


@pytest.mark.parametrize('width, height', [(40, 30), (7, 50), (64, 48)])
def test_equals_opencv_without_antialias(width, height):
    image = np.random.default_rng(0).random((24, 32, 3), dtype=np.float32)
    expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(bilinear_resize(image, width, height), expected, atol=1e-3)


def test_equals_torch_with_antialias():
    torch = pytest.importorskip('torch')
    image = np.random.default_rng(0).random((48, 64, 3), dtype=np.float32)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(tensor, (20, 30), mode='bilinear',
                                               antialias=True)[0].permute(1, 2, 0)
    np.testing.assert_allclose(bilinear_resize(image, 30, 20, antialias=True), expected.numpy(),
                               atol=1e-4)


def test_same_size_is_the_identity():
    image = np.random.default_rng(0).random((5, 7), dtype=np.float32)
    np.testing.assert_allclose(bilinear_resize(image, 7, 5), image)
    np.testing.assert_allclose(bilinear_resize(image, 7, 5, antialias=True), image)


def test_golden_grey():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [100, 100, 100]]],
                     np.uint8)  # blue, green, red, grey
    np.testing.assert_allclose(grey(image), [[29.07, 149.685, 76.2195, 99.99]], rtol=1e-5)


def test_paper_input():
    found = paper_input(np.full((30, 50, 3), 200, np.uint8))
    assert found.shape == (448, 448) and found.dtype == np.float32
    np.testing.assert_allclose(found, 199.98, rtol=1e-5)
