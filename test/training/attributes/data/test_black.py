# SPDX-License-Identifier: Apache-2.0
import numpy as np

from face_attributes_ros.training.attributes.data.black import cut_away, fill_black


def cut_out_face():
    """A bright square with a dark pupil on black."""
    crop = np.zeros((32, 32, 3), np.uint8)
    crop[8:24, 8:24] = 180
    crop[14:18, 14:18] = 0
    return crop


def test_only_black_that_reaches_the_border_counts():
    outside = cut_away(cut_out_face())
    assert outside[0, 0] and outside[7, 16]
    assert not outside[16, 16] and not outside[12, 12]


def test_a_filled_face_keeps_its_middle_and_has_no_black_around():
    for seed in range(8):
        other = np.full((32, 32, 3), 90, np.uint8)
        filled = fill_black(cut_out_face(), other, np.random.default_rng(seed))
        np.testing.assert_array_equal(filled[11:21, 11:21], cut_out_face()[11:21, 11:21])
        assert filled.dtype == np.uint8 and filled[0].any()
