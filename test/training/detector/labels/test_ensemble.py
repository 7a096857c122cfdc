# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros.training.detector.labels.ensemble import (
    are_faces,
    gather,
    labels_of,
    share_inside,
    unexplained,
)

NOTHING = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def seen(box, score):
    return np.array([box], np.float32), np.array([score], np.float32)


def test_no_detections_give_no_candidates_no_labels():
    votes = gather([NOTHING] * 3)
    assert votes.boxes.shape == (0, 4) and votes.scores.shape == (0, 3)
    faces, ignore = labels_of(votes, 640)
    assert faces.shape == ignore.shape == (0, 4)


def test_overlapping_boxes_are_one_candidate_between_them():
    votes = gather([seen((10, 10, 50, 50), 0.9), seen((12, 12, 52, 52), 0.7), NOTHING])
    assert len(votes.boxes) == 1
    assert (votes.boxes[0] > 10).all() and (votes.boxes[0] < 52).all()
    np.testing.assert_allclose(votes.scores[0], [0.9, 0.7, 0])


def test_boxes_apart_are_two_candidates():
    votes = gather([seen((10, 10, 50, 50), 0.9), seen((60, 10, 99, 50), 0.7), NOTHING])
    assert len(votes.boxes) == 2


def test_of_one_voter_twice_on_a_face_the_better_counts():
    twice = (
        np.array([[10, 10, 50, 50], [11, 10, 51, 50]], np.float32),
        np.array([0.5, 0.8], np.float32),
    )
    votes = gather([twice, NOTHING, NOTHING])
    np.testing.assert_allclose(votes.scores, [[0.8, 0, 0]])
    np.testing.assert_allclose(votes.boxes, [[11, 10, 51, 50]])


@pytest.mark.parametrize(
    ('scores', 'expected'),
    [
        ((0.46, 0.39, 0.41), True),  # all three
        ((0.46, 0.39, 0.39), False),
        ((0.66, 0.49, 0), True),  # two strong
        ((0.66, 0.47, 0), False),
        ((0, 0.49, 0.86), True),
        ((0.86, 0.39, 0), True),  # one decisive, a second that sees it
        ((0.99, 0, 0), False),
        ((0.46, 0.69, 0), True),
        ((0, 0, 0.99), False),
    ],
)
def test_who_must_be_how_sure(scores, expected):
    assert are_faces(np.array([scores], np.float32))[0] == expected


def test_a_human_mark_needs_one_voter_only():
    votes = gather([seen((10, 10, 50, 50), 0.5), NOTHING, NOTHING])
    assert len(labels_of(votes, 100)[0]) == 0
    assert len(labels_of(votes, 100, [(30, 30)])[0]) == 1
    assert len(labels_of(votes, 100, [(60, 30)])[0]) == 0


def test_doubtful_and_tiny_faces_are_to_be_ignored():
    doubtful = gather([seen((10, 10, 50, 50), 0.4), NOTHING, NOTHING])
    tiny = gather([seen((10, 10, 18, 18), 0.9), seen((10, 10, 18, 18), 0.9), NOTHING])
    for votes in (doubtful, tiny):
        faces, ignore = labels_of(votes, 100)
        assert len(faces) == 0 and len(ignore) == 1


def test_a_chin_is_part_of_its_face():
    both = np.array([[10, 10, 50, 50], [25, 40, 40, 52]], np.float32)
    votes = gather([(both, np.array([.9, .4], np.float32)), seen((10, 10, 50, 50), .9), NOTHING])
    faces, ignore = labels_of(votes, 100)
    assert len(faces) == 1 and len(ignore) == 0
    np.testing.assert_allclose(share_inside(both, both[:1]), [1, 10 / 12])
    assert share_inside(both, both[:0]).tolist() == [0, 0]


def test_which_marks_no_box_explains():
    boxes = np.array([[0, 0, 10, 10]], np.float32)
    np.testing.assert_array_equal(unexplained(boxes, [(5, 5), (20, 5)]), [False, True])
    assert unexplained(np.zeros((0, 4), np.float32), [(5, 5)]).all()
    assert unexplained(boxes, []).shape == (0,)
