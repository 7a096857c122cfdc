# SPDX-License-Identifier: Apache-2.0
import numpy as np

from face_attributes_ros.training.detector.occlusion import SHARE_OF_FACES, hide_parts


def changed(seed, boxes, side=80):
    """Which pixels `hide_parts` changes in a picture in which no two pixels' surroundings are
    alike.
    """
    image = np.random.default_rng(99).integers(0, 256, (side, side, 3), dtype=np.uint8)
    before = image.copy()
    hide_parts(image, np.array(boxes, np.float32).reshape(-1, 4), np.random.default_rng(seed))
    return (image != before).any(2)


def test_only_pixels_on_the_face_change_and_most_stay():
    shares = [changed(seed, [[20, 20, 60, 60]]) for seed in range(200)]
    inside = np.zeros((80, 80), bool)
    inside[17:65, 17:65] = True
    assert not any((share & ~inside).any() for share in shares)
    assert all(share.sum() < 0.55 * 1600 for share in shares)
    assert 0.4 < np.mean([share.any() for share in shares]) < SHARE_OF_FACES + 0.15


def test_no_face_and_a_face_over_the_edge_are_legal():
    assert not changed(0, []).any()
    for seed in range(30):
        changed(seed, [[-10, -10, 12, 15], [70, 70, 95, 99], [0, 0, 1, 1]])
