# SPDX-License-Identifier: Apache-2.0
"""Average precision against numbers worked out by hand, and against pycocotools."""
import numpy as np
import pytest

from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.score import (
    Result,
    average_precision,
    best_f1,
    judge,
    match,
)

NONE = np.zeros((0, 4), np.float32)
A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def result(found, faces, ignore=()):
    """found: (box, score) pairs; a 100 px image."""
    return Result(boxes(*(box for box, _ in found)),
                  np.array([score for _, score in found], np.float32), boxes(*faces),
                  boxes(*ignore), 100)


TABLE = [
    ('nothing found, nothing there', [], [], [], 0.0),
    ('nothing found', [], [A], [], 0.0),
    ('all right', [(A, .9), (B, .8)], [A, B], [], 1.0),
    ('half found', [(A, .9)], [A, B], [], .5),
    ('a false alarm first', [(C, .9), (A, .8)], [A], [], .5),
    ('a false alarm last costs nothing', [(A, .9), (C, .8)], [A], [], 1.0),
    ('right, wrong, right', [(A, .9), (C, .8), (B, .7)], [A, B], [], .5 + .5 * 2 / 3),
    ('the second box on a face is wrong', [(A, .9), (A, .8), (B, .7)], [A,
                                                                        B], [], .5 + .5 * 2 / 3),
    ('an ignored region is neutral', [(C, .9), (A, .8)], [A], [C], 1.0),
    ('many boxes in one ignored region are neutral', [(C, .9), (C, .85),
                                                      (A, .8)], [A], [[45, 45, 70, 70]], 1.0),
    ('an ignored region does not excuse others', [(B, .9), (A, .8)], [A], [C], .5),
]


@pytest.mark.parametrize('found, faces, ignore, expected', [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])
def test_average_precision_by_hand(found, faces, ignore, expected):
    assert average_precision(judge([result(found, faces, ignore)])) == pytest.approx(expected)


@pytest.mark.parametrize('found, faces, ignore, expected', [row[1:] for row in TABLE if row[2]],
                         ids=[row[0] for row in TABLE if row[2]])
def test_pycocotools_agrees(found, faces, ignore, expected):
    pytest.importorskip('pycocotools')
    measured = coco_metrics([result(found, faces, ignore)])
    assert measured['ap50'] == pytest.approx(expected, abs=.011)      # 101 points instead of all
    assert measured['ap50_95'] == pytest.approx(measured['ap50'])  # every right box here is exact


def test_size_classes_are_relative_to_the_image():
    pytest.importorskip('pycocotools')
    small, medium, large = [0, 0, 4, 4], [20, 0, 30, 10], [50, 50, 80, 80]
    measured = coco_metrics([result([(small, .9), (large, .8)], [small, medium, large])])
    assert (measured['ap50_small'], measured['ap50_medium'], measured['ap50_large']) == (1.0, 0.0,
                                                                                         1.0)
    assert coco_metrics([result([(small, .9)], [small])])['ap50_large'] is None


def test_images_are_ranked_together():
    judged = judge([result([(A, .6)], [A]), result([(C, .9)], [])])
    assert judged.scores.tolist() == pytest.approx([.9, .6])
    assert average_precision(judged) == pytest.approx(.5)


def test_a_face_goes_to_the_best_scored_box_that_fits():
    verdict = match(boxes([0, 0, 10, 9], A, C), boxes(A), NONE)
    assert verdict.tolist() == [1, 0, 0]


def test_best_f1_names_its_threshold():
    f1, threshold = best_f1(judge([result([(A, .9), (C, .5), (B, .4)], [A, B])]))
    assert (f1, threshold) == (pytest.approx(.8), pytest.approx(.4))
    assert best_f1(judge([])) == (0.0, 1.0)
