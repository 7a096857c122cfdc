# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros.pictures.depth import Depth, bits_used, to_bytes


@pytest.mark.parametrize('most, bits', [(0, 8), (255, 8), (256, 10), (1023, 10), (1024, 12),
                                        (4095, 12), (4096, 14), (16383, 14), (16384, 16),
                                        (65535, 16)])
def test_bits_hold_the_brightest_pixel(most, bits):
    assert bits_used(np.array([[0, most]], np.uint16)) == bits


def test_no_pixels_need_few_bits():
    assert bits_used(np.zeros((0, 4), np.uint16)) == 8


def test_strays_do_not_count():
    pixels = np.full((200, 200), 900, np.uint16)
    pixels[5, :4] = 65535
    assert bits_used(pixels) == 10
    pixels[5, :5] = 65535
    assert bits_used(pixels) == 16
    assert to_bytes(pixels, 1023)[5, 0] == 255


def test_a_camera_keeps_the_most_that_it_needed():
    depth = Depth()
    frames = [np.full((3, 3), value, np.uint16) for value in (3, 700, 3000, 10)]
    assert [depth(frame) for frame in frames] == [8, 10, 12, 12] and depth.bits == 12
