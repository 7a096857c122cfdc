# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.training.detector.labels.framing import (
    DETECTORS,
    Framing,
    blended,
    measure,
    pairs,
    reframed,
)

TIGHT = Framing(0.05, 0.1, -0.02, 0.03)
WIDE = Framing(-0.1, -0.2, 0.1, 0.05)


def boxes(count, seed=0):
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 300, (count, 2)), rng.uniform(10, 90, (count, 2))
    return np.concatenate([corner, corner + size], 1).astype(np.float32)


@pytest.mark.parametrize('framing', [DETECTORS, TIGHT, WIDE])
def test_a_framing_is_measured_as_it_was_made(framing):
    found = boxes(50)
    np.testing.assert_allclose(
        measure(reframed(found, DETECTORS, framing), found).offsets, framing.offsets, atol=1e-4
    )


def test_there_and_back_gives_the_same_boxes():
    mine = boxes(20)
    np.testing.assert_allclose(reframed(reframed(mine, TIGHT, WIDE), WIDE, TIGHT), mine, atol=1e-3)


def test_no_boxes_stay_no_boxes():
    assert reframed(np.zeros((0, 4), np.float32), TIGHT, WIDE).shape == (0, 4)
    with pytest.raises(ValueError, match='at least one face'):
        measure(boxes(0), boxes(0))


def test_fractions_are_moved_like_pixels():
    size = np.array([640, 480, 640, 480], np.float32)
    mine = boxes(5)
    np.testing.assert_allclose(
        reframed(mine / size, TIGHT, WIDE) * size, reframed(mine, TIGHT, WIDE), atol=1e-2
    )


def test_pairs_are_each_others_best():
    mine = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    found = np.array([[51, 50, 61, 60], [0, 0, 10, 9], [0, 0, 10, 5]], np.float32)
    assert pairs(mine, found).tolist() == [[0, 1], [1, 0]]
    assert pairs(mine, np.zeros((0, 4), np.float32)).shape == (0, 2)


def test_a_framing_between_two_sources():
    between = blended({'tight': TIGHT, 'wide': WIDE}, 'tight:3,wide:1')
    np.testing.assert_allclose(between.offsets, 0.75 * TIGHT.offsets + 0.25 * WIDE.offsets)
    assert blended({'tight': TIGHT}, 'tight') == Framing(*TIGHT.offsets.tolist())
    with pytest.raises(ParameterError, match='framing loose: needs some of tight'):
        blended({'tight': TIGHT}, 'loose')
